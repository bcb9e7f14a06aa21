package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	burnv1 "hotpath.dev/go-shim/examples/burn/gen/burn/v1"
)

const (
	// testTimeout only ends tests that hang: what a test waits for either comes much sooner or never.
	testTimeout = time.Minute
	positionKey = "x-hotpath-position"
)

// sidecarBin returns the path of the sidecar to test: TEST_BURN_SIDECAR if it is set, else the debug build.
func sidecarBin(t *testing.T) string {
	t.Helper()
	path := os.Getenv("TEST_BURN_SIDECAR")
	if path == "" {
		path = filepath.Join("..", "..", "..", "..", "..", "target", "debug", "burn-sidecar")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `cargo build --bin burn-sidecar`, or name a built one in TEST_BURN_SIDECAR", err)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return absolute
}

// start runs burnd until the test ends.
func start(t *testing.T, args ...string) burnv1.BurnServiceClient {
	t.Helper()
	client, _ := startWithAdmin(t, args...)
	return client
}

// startWithAdmin also returns the address of its metrics.
func startWithAdmin(t *testing.T, args ...string) (client burnv1.BurnServiceClient, admin string) {
	t.Helper()
	ready := filepath.Join(t.TempDir(), "ready")
	args = append(args, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--ready-file", ready, "--stream-workers", "4")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, args, strings.NewReader(""), slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	at := addresses(t, ready, ended)
	conn, err := grpc.NewClient(at.Listen, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return burnv1.NewBurnServiceClient(conn), at.Admin
}

type told struct{ Listen, Admin string }

func addresses(t *testing.T, ready string, ended chan error) (at told) {
	t.Helper()
	for deadline := time.Now().Add(testTimeout); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- nil
			t.Fatalf("burnd ended: %v", err)
		default:
		}
		content, err := os.ReadFile(ready)
		if err != nil {
			continue
		}
		if err := json.Unmarshal(content, &at); err != nil || at.Listen == "" || at.Admin == "" {
			t.Fatalf("ready file %q: %v", content, err)
		}
		return at
	}
	t.Fatal("burnd wrote no ready file")
	return at
}

// ask sends a request. It also returns whether the sidecar answered: only the sidecar's answers name a position.
func ask(t *testing.T, client burnv1.BurnServiceClient, request *burnv1.BurnRequest) (*burnv1.BurnResponse, bool, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), positionKey, "want"), testTimeout)
	defer cancel()
	var header, trailer metadata.MD
	response, err := client.Burn(ctx, request, grpc.Header(&header), grpc.Trailer(&trailer))
	return response, len(header.Get(positionKey))+len(trailer.Get(positionKey)) > 0, err
}

// check sends requests until the expected side answers, and compares every answer with the expected one.
func check(t *testing.T, client burnv1.BurnServiceClient, fromSidecar bool) {
	t.Helper()
	good := &burnv1.BurnRequest{WorkNs: 20_000, Ticket: 7}
	for deadline := time.Now().Add(testTimeout); ; time.Sleep(10 * time.Millisecond) {
		response, sidecar, err := ask(t, client, good)
		if err != nil || !proto.Equal(response, &burnv1.BurnResponse{WorkNs: 20_000, Ticket: 7}) {
			t.Fatalf("got %v, %v", response, err)
		}
		if sidecar == fromSidecar {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("answered by the sidecar: %v", sidecar)
		}
	}
	_, _, err := ask(t, client, &burnv1.BurnRequest{WorkNs: 100_000_001})
	if status.Code(err) != codes.InvalidArgument || status.Convert(err).Message() != "work_ns: must be at most 100000000" {
		t.Errorf("got %v", err)
	}
}

func TestThisProcessAnswers(t *testing.T) { check(t, start(t), false) }

func TestTheSidecarAnswersTheSame(t *testing.T) {
	for _, answer := range []string{"unary", "batched"} {
		t.Run(answer, func(t *testing.T) {
			check(t, start(t, "--answer", answer, "--sidecar-bin", sidecarBin(t)), true)
		})
	}
}

func TestTheSplicedDoorAnswersTheSame(t *testing.T) {
	client, admin := startWithAdmin(t, "--answer", "batched", "--front-door", "spliced", "--sidecar-bin", sidecarBin(t))
	check(t, client, true)
	// The first request went through grpc-go, which shows the door what the server has.
	for deadline := time.Now().Add(testTimeout); answeredByDoor(t, admin) == "0"; {
		check(t, client, true)
		if time.Now().After(deadline) {
			t.Fatal("the door answered nothing")
		}
	}
}

// answeredByDoor returns how many requests the door has answered, in the words of the metrics.
func answeredByDoor(t *testing.T, admin string) string {
	t.Helper()
	const name = "\nhotpath_shim_spliced_answered_total "
	response, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), name)
	number, _, _ := strings.Cut(after, "\n")
	if !found {
		t.Fatalf("no %q in\n%s", name, page)
	}
	return number
}

func TestTheLifelineEndsIt(t *testing.T) {
	args := []string{"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--lifeline"}
	if err := run(t.Context(), args, strings.NewReader(""), slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for line, want := range map[string]string{
		"--answer else":            "must be one of local, unary, batched, cgo",
		"--front-door barn":        `--front-door "barn": must be stock or spliced`,
		"--front-door spliced":     "--front-door spliced: does nothing without --answer batched",
		"now":                      `unexpected argument "now"`,
		"--stream-workers 1000000": "must be at most 65536",
		"--heap-mib 1025":          "must be at most 1024",
		"--nonsense":               "nonsense",
	} {
		err := run(t.Context(), strings.Fields(line), strings.NewReader(""), slog.New(slog.DiscardHandler))
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(usage.Error(), want) {
			t.Errorf("%s: got %v", line, err)
		}
	}
}
