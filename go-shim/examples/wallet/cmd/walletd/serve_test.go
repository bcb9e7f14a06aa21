package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
	"hotpath.dev/go-shim/frontdoor"
	"hotpath.dev/go-shim/shimtest"
)

// served is a walletd process that runs serve.
type served struct {
	cmd *exec.Cmd
	// lifeline is the process's standard input.
	lifeline io.WriteCloser
	conn     *grpc.ClientConn
	log      safeBuffer
	ready    struct {
		PID    int    `json:"pid"`
		Listen string `json:"listen"`
		Admin  string `json:"admin"`
	}
}

func startServing(t *testing.T, db string, flags ...string) *served {
	t.Helper()
	return startServingBy(t, (*exec.Cmd).Start, db, flags...)
}

func startServingBy(t *testing.T, start func(*exec.Cmd) error, db string, flags ...string) *served {
	t.Helper()
	s := new(served)
	file := filepath.Join(t.TempDir(), "ready.json")
	s.cmd = walletd(t, append([]string{"serve", "--db", db, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--ready-file", file}, flags...)...)
	s.cmd.Stderr = io.MultiWriter(os.Stderr, &s.log)
	var err error
	if s.lifeline, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := start(s.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(file)
		if err == nil && json.Unmarshal(text, &s.ready) == nil {
			break
		}
		if log := "\n" + s.log.String(); strings.Contains(log, "\nwalletd: ") {
			t.Fatalf("walletd did not start: %s", log)
		}
		if time.Now().After(deadline) {
			t.Fatal("walletd did not get ready within five minutes")
		}
	}
	if s.conn, err = grpc.NewClient(s.ready.Listen, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.conn.Close() })
	return s
}

func (s *served) page(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + s.ready.Admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s, %v", path, resp.Status, err)
	}
	return string(body)
}

func TestServeFromStartToStop(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "wallet.db")
	runWalletd(t, "generate", "--db", db, "--accounts", "20", "--transactions", "500").want(t, 0)
	s := startServing(t, db)
	if s.ready.PID != s.cmd.Process.Pid {
		t.Errorf("pid %d, want %d", s.ready.PID, s.cmd.Process.Pid)
	}
	wallet := walletv1.NewWalletServiceClient(s.conn)
	posted, err := wallet.PostTransaction(t.Context(), &walletv1.PostTransactionRequest{
		TransactionId: "mine", External: true,
		Entries: []*walletv1.Entry{{AccountId: "me", Asset: "GBP", Amount: 7, Phase: walletv1.Phase_PHASE_POSTED}},
	})
	if err != nil || posted.GetPosition() != 501 {
		t.Fatalf("%v, %v", posted, err)
	}
	for _, name := range []string{"", "wallet.v1.WalletService"} {
		health, err := healthpb.NewHealthClient(s.conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		if err != nil || health.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: %v, %v", name, health, err)
		}
	}
	checkReflection(t, s.conn)
	for _, want := range []string{"walletd_position 501", "walletd_commits_total 1", "walletd_entries", "\ngo_cpu_classes_gc_total_cpu_seconds_total ", "\ngo_gc_duration_seconds_sum ",
		"\ngo_gc_duration_seconds_count ", `walletd_requests_total{code="OK"`, "process_cpu"} {
		if !strings.Contains(s.page(t, "/metrics"), want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/debug/pprof/", "/debug/pprof/heap"} {
		s.page(t, path)
	}
	runWalletd(t, "import", "--db", db, "--format", "uk", "x.csv").want(t, 69, "another process has the store open")

	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("SIGTERM must end it in good order: %v", err)
	}
	again := startServing(t, db)
	balance, err := walletv1.NewWalletServiceClient(again.conn).GetBalance(t.Context(), &walletv1.GetBalanceRequest{AccountId: "me"})
	if err != nil || balance.GetBalances()[0].GetPosted() != 7 {
		t.Errorf("after a restart: %v, %v", balance, err)
	}
}

// TestASecondSignalEndsAtOnce tests a fixed defect: a call that does not end kept walletd running for all of
// --drain-ms, whatever signals came.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		restore := proc.NotIgnored(signal)
		s := startServing(t, filepath.Join(t.TempDir(), "wallet.db"), "--drain-ms", "30000")
		restore()
		checkReflection(t, s.conn)
		if _, err := reflectionpb.NewServerReflectionClient(s.conn).ServerReflectionInfo(t.Context()); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- s.cmd.Wait() }()
		var exit *exec.ExitError
		if err := proc.SignalUntilEnded(ended, s.cmd.Process, signal); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != signal {
			t.Errorf("after two of %v: %v", signal, err)
		}
	}
}

func TestWhatCallersMakeItHoldIsBounded(t *testing.T) {
	t.Parallel()
	s := startServing(t, filepath.Join(t.TempDir(), "wallet.db"), "--max-streams", "3", "--max-connections", "2", "--max-unread-bytes", "5000000")
	c, err := shimtest.Dial("tcp", s.ready.Listen, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if said := <-c.Settings; said[http2.SettingMaxConcurrentStreams] != 3 || said[http2.SettingMaxHeaderListSize] != frontdoor.DefaultHeaderBytes {
		t.Errorf("said %v", said)
	}
	for range 4 {
		if _, err := c.Begin(walletv1.WalletService_GetBalance_FullMethodName); err != nil {
			t.Fatal(err)
		}
	}
	if o := <-c.Outcomes; o.Reset != http2.ErrCodeRefusedStream {
		t.Errorf("got %+v", o)
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(s.page(t, "/metrics"), "frontdoor_waiting_calls 3\n"); {
		if time.Now().After(deadline) {
			t.Fatal("three calls never waited for their message")
		}
	}
	page := s.page(t, "/metrics")
	for _, want := range []string{"frontdoor_connections 1\n", "frontdoor_unread_bytes 0\n", "frontdoor_running_calls 0\n", "frontdoor_queued_calls 0\n", `frontdoor_refused_total{limit="running"} 0`,

		`frontdoor_refused_total{limit="unread"} 0`, "frontdoor_late_total 0", "frontdoor_stalled_total 0"} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

// TestTheEndOfTheLifelineShutsDown checks that walletd ignores bytes on its lifeline and shuts down at its end. It also
// checks that calls work if there are more of them than stream workers.
func TestTheEndOfTheLifelineShutsDown(t *testing.T) {
	t.Parallel()
	s := startServing(t, filepath.Join(t.TempDir(), "wallet.db"), "--lifeline", "--stream-workers", "2")
	if _, err := io.WriteString(s.lifeline, "quit\n\x04\x00"); err != nil {
		t.Fatal(err)
	}
	wallet := walletv1.NewWalletServiceClient(s.conn)
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			_, err := wallet.GetBalance(t.Context(), &walletv1.GetBalanceRequest{AccountId: "nobody"})
			if status.Code(err) != codes.NotFound {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if err := s.lifeline.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the end of its lifeline must end it in good order: %v", err)
	}
}

func TestWithoutTheFlagStandardInputIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := startServing(t, filepath.Join(t.TempDir(), "wallet.db"))
	if err := s.lifeline.Close(); err != nil {
		t.Fatal(err)
	}
	s.page(t, "/readyz")
	_, err := walletv1.NewWalletServiceClient(s.conn).GetBalance(t.Context(), &walletv1.GetBalanceRequest{AccountId: "nobody"})
	if status.Code(err) != codes.NotFound {
		t.Error(err)
	}
}

func checkReflection(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{},
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := stream.Recv()
	if err != nil || !strings.Contains(fmt.Sprint(resp.GetListServicesResponse()), "wallet.v1.WalletService") {
		t.Errorf("%v, %v", resp, err)
	}
	_ = stream.CloseSend()
}

// Without any sidecar, walletd's own reads answer on the connections of the spliced front door, and its interceptors hear
// of all calls.
func TestServeAloneRunsItsReadsBehindTheSplicedDoor(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "wallet.db")
	runWalletd(t, "generate", "--db", db, "--accounts", "20", "--transactions", "500").want(t, 0)
	s := startServing(t, db, "--read-model", "best", "--sidecar", "alone", "--front-door", "spliced", "--front-local")
	wallet := walletv1.NewWalletServiceClient(s.conn)
	for range 10 {
		_, err := wallet.GetBalance(t.Context(), &walletv1.GetBalanceRequest{AccountId: "nobody"})
		if status.Code(err) != codes.NotFound {
			t.Fatal(err)
		}
	}
	page := s.page(t, "/metrics")
	for _, want := range []string{
		`walletd_requests_total{code="NotFound",method="/wallet.v1.WalletService/GetBalance"} 10`,
		`hotpath_shim_requests_total{method="/wallet.v1.WalletService/GetBalance",served_by="legacy"} 10`,
		`hotpath_shim_spliced_local_total{method="/wallet.v1.WalletService/GetBalance"} 8`, "hotpath_shim_spliced_door_open 1",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}
