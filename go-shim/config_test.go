package shim_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/shimprom"
	"hotpath.dev/go-shim/shimtest"
)

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	modes := filepath.Join(t.TempDir(), "modes.toml")
	if err := os.WriteFile(modes, []byte("default = \"sidecar\"\n\n[methods]\n\"/x.Y/Z\" = \"quick\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := shim.Config{Run: shim.Attach, ModesFile: modes, HopTimeout: -time.Second, Connections: 65, Experiment: experiment.Config{Hop: 2},
		Methods: []string{"UnaryCall", "/grpc.testing.TestService/Nope", unaryCall, unaryCall,
			"/grpc.health.v1.Health/Watch"}}
	_, err := shim.Open(t.Context(), cfg, shimtest.NewLedger("with space"))
	if !errors.Is(err, shim.ErrConfig) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		"Socket: must name the sidecar's socket to attach to",
		"Experiment.Hop: must be Batched or Unary", "HopTimeout: must be above zero", "Connections: must be 1-64",
		"Source.LedgerID: must be 1-64 bytes of printable ASCII without spaces",
		`Methods[0]: "UnaryCall" must be "/package.Service/Method"`,
		`Methods[1]: "/grpc.testing.TestService/Nope" is not in any linked .pb.go`,
		"Methods[3]: " + unaryCall + " must not repeat",
		modes + `:4: /x.Y/Z: must be "legacy", "shadow", "shadow N%", "canary N%"`, modes + ":4: /x.Y/Z: is not one of the hot methods",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing: %s", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestTheNumberOfSidecarsIsChecked(t *testing.T) {
	long := strings.Repeat("s", shim.MaxSocketBytes-1)
	for want, cfg := range map[string]shim.Config{
		"Sidecars: must be 1 or 2":           {Run: shim.Attach, Socket: "s", Sidecars: 3},
		"\nSidecars: must be 1 or":           {Run: shim.Attach, Socket: "s", Sidecars: -1},
		"Sidecars: must be 1 with Run Alone": {Run: shim.Alone, FrontDoor: shim.Spliced, Sidecars: 2},
		"Socket: must be at most 101 bytes with two sidecars, because the second's has .1 at its end": {
			Run: shim.Attach, Socket: long, Sidecars: 2},
	} {
		cfg.Methods, cfg.Spliced.Local = []string{unaryCall}, true
		_, err := shim.Open(t.Context(), cfg, shimtest.NewLedger("l"))
		if !errors.Is(err, shim.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	side, err := shim.Open(t.Context(), shim.Config{Run: shim.Attach, Socket: long, Methods: []string{unaryCall},
		Logger: slog.New(slog.DiscardHandler)}, shimtest.NewLedger("l"))
	if err != nil {
		t.Fatal(err)
	}
	if now := side.Status(); len(now.Sidecars) != 1 || now.Sidecars[0].Socket != long || side.Close() != nil {
		t.Fatalf("by default there are %+v", now.Sidecars)
	}
}

func TestStreamingMethodCannotBeHot(t *testing.T) {
	cfg := shim.Config{Run: shim.Attach, Socket: "s", Methods: []string{"/hotpath.v1.FeedService/Feed"}}
	_, err := shim.Open(t.Context(), cfg, shimtest.NewLedger("l"))
	if err == nil || !strings.Contains(err.Error(), "is streaming: only unary methods can be hot") {
		t.Fatalf("got %v", err)
	}
}

func TestMissingProgramIsAnErrorOfOpen(t *testing.T) {
	registry := prometheus.NewRegistry()
	cfg := shim.Config{Run: shim.Supervise, Methods: []string{unaryCall}, Metrics: shimprom.New(registry),
		Supervisor: shim.Supervisor{Bin: filepath.Join(t.TempDir(), "absent")}}
	_, err := shim.Open(t.Context(), cfg, shimtest.NewLedger("l"))
	if !errors.Is(err, shim.ErrNoBinary) || !strings.Contains(err.Error(), "Supervisor.Bin: ") {
		t.Fatalf("got %v", err)
	}
}

func TestCheckNamesMethodsThatCannotBeForwarded(t *testing.T) {
	open := func() *shim.Side {
		side, err := shim.Open(t.Context(), shim.Config{Run: shim.Attach, Methods: []string{unaryCall},
			Socket: filepath.Join(t.TempDir(), "s"), Logger: slog.New(slog.DiscardHandler)}, shimtest.NewLedger("l"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = side.Close() })
		return side
	}
	if err := open().Check(); !errors.Is(err, shim.ErrNotRegistered) || !strings.Contains(err.Error(), unaryCall) {
		t.Errorf("unregistered: %v", err)
	}
	side := open()
	testpb.RegisterTestServiceServer(side.Wrap(grpc.NewServer()), &service{})
	if err := side.Check(); !errors.Is(err, shim.ErrNoOptions) {
		t.Errorf("without options: %v", err)
	}
	side = open()
	server := grpc.NewServer(side.ServerOptions(nil)...)
	side.Wrap(server).RegisterService(&grpc.ServiceDesc{ServiceName: "grpc.testing.TestService",
		Streams: []grpc.StreamDesc{{StreamName: "UnaryCall"}}}, nil)
	if err := side.Check(); !errors.Is(err, shim.ErrStreaming) {
		t.Errorf("streaming: %v", err)
	}
}

func TestSharedDescriptionIsNotChanged(t *testing.T) {
	before := testpb.TestService_ServiceDesc.Methods
	r := newRig(t, setup{})
	r.ask(t, t.Context())
	server := grpc.NewServer()
	testpb.RegisterTestServiceServer(server, &service{})
	if &before[0] != &testpb.TestService_ServiceDesc.Methods[0] {
		t.Fatal("replaced")
	}
	plain := rig{conn: dial(t, server)}
	plain.client = testpb.NewTestServiceClient(plain.conn)
	if who := plain.ask(t, t.Context()); who != "LOCAL" {
		t.Fatalf("a server without the shim is answered by %s", who)
	}
}

func TestOffChangesNothing(t *testing.T) {
	side, err := shim.Open(t.Context(), shim.Config{Methods: []string{unaryCall}}, shimtest.NewLedger("l"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	if side.Wrap(server) != grpc.ServiceRegistrar(server) || len(side.ServerOptions(nil)) != 0 || side.Check() != nil {
		t.Fatal("something is changed")
	}
	if side.Status().Socket != "" || side.Close() != nil {
		t.Fatal("something is open")
	}
}

func TestWords(t *testing.T) {
	for _, run := range []shim.Run{shim.Off, shim.Supervise, shim.Attach, shim.Alone} {
		if got, err := shim.ParseRun(run.String()); err != nil || got != run {
			t.Errorf("%v: got %v, %v", run, got, err)
		}
	}
	if _, err := shim.ParseRun("on"); !errors.Is(err, shim.ErrUnknownRun) {
		t.Errorf("got %v", err)
	}
}
