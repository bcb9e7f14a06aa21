package shim_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/internal/evidence"
	"hotpath.dev/go-shim/position"
	"hotpath.dev/go-shim/shimtest"
)

// alike is a service that answers what the fake sidecar does.
func alike(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return response("SIDECAR"), nil
}

func (r *rig) compared(t testing.TB, class string) float64 {
	t.Helper()
	return r.metric(t, "hotpath_shim_compared_total", "method", unaryCall, "class", class)
}

func (r *rig) undone(t testing.TB, why string) float64 {
	t.Helper()
	return r.metric(t, "hotpath_shim_comparisons_dropped_total", "method", unaryCall, "reason", why)
}

// everyWay runs a test for each way in which a request may reach the local handler.
func everyWay(t *testing.T, test func(t *testing.T, way setup)) {
	pass := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return handler(ctx, request)
	}
	intercepted := []grpc.ServerOption{grpc.UnaryInterceptor(pass)}
	for name, way := range map[string]setup{
		"no interceptors": {},
		"decoded":         {server: intercepted},
		"raw":             {server: intercepted, config: func(c *shim.Config) { c.Interceptors = shim.Raw }},
		"spliced":         {config: func(c *shim.Config) { c.FrontDoor, c.Experiment.OpenDoor = shim.Spliced, true }},
		"spliced, local": {config: func(c *shim.Config) {
			c.FrontDoor, c.Experiment.OpenDoor, c.Spliced.Local = shim.Spliced, true, true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, way)
		})
	}
}

// marked says whether the folder has the mark of a demotion.
func marked(t testing.TB, folder string) bool {
	t.Helper()
	marks, err := evidence.ListDemotions(folder)
	if err != nil {
		t.Fatal(err)
	}
	return len(marks) == 1 && marks[0] == evidence.DemotionPath(folder, unaryCall)
}

// with adds to what a setup does.
func (s setup) with(more func(*shim.Config)) setup {
	before := s.config
	s.config = func(c *shim.Config) {
		if before != nil {
			before(c)
		}
		more(c)
	}
	return s
}

func inMode(mode shim.Mode) func(*shim.Config) {
	return func(c *shim.Config) { c.DefaultMode = mode }
}

func TestAShadowComparesWhatGoAnswers(t *testing.T) {
	everyWay(t, func(t *testing.T, way setup) {
		r := newRig(t, way.with(inMode(shim.Shadow(100))))
		r.local.answer = alike
		for n := range 10 {
			if reply, err := r.client.UnaryCall(t.Context(), requestOf(fmt.Sprint(n))); err != nil || reply.GetUsername() != "SIDECAR" {
				t.Fatalf("%v, %v", reply, err)
			}
		}
		eventually(t, "all are compared", func() bool { return r.compared(t, "equal") == 10 })
		if n := r.metric(t, "hotpath_shim_requests_total", "served_by", "legacy"); n != 10 {
			t.Errorf("Go answered %v", n)
		}
		if n := r.metric(t, "hotpath_shim_compared_seconds", "by", "sidecar"); n != 10 {
			t.Errorf("%v times of the sidecar", n)
		}
		for _, call := range r.sidecar.Calls() {
			if !call.Want.HasAt {
				t.Errorf("asked for no exact position: %v", call.Want)
			}
		}
		if got := r.side.Status().Compared[unaryCall]; got != (shim.Compared{Equal: 10}) {
			t.Errorf("%+v", got)
		}
	})
}

func TestAReverseShadowComparesWhatTheSidecarAnswers(t *testing.T) {
	everyWay(t, func(t *testing.T, way setup) {
		r := newRig(t, way.with(inMode(shim.ReverseShadow(100))))
		r.local.answer = alike
		for range 10 {
			if who := r.ask(t, t.Context()); who != "SIDECAR" {
				t.Fatal(who)
			}
		}
		// The door and the handler forward alike, but the first requests at a shut door are Go's by the handler.
		eventually(t, "all are compared", func() bool {
			return r.compared(t, "equal") == r.metric(t, "hotpath_shim_requests_total", "served_by", "sidecar") && len(r.local.served()) == 10
		})
		if n := r.metric(t, "hotpath_shim_requests_total", "served_by", "sidecar"); n != 10 {
			t.Errorf("the sidecar answered %v", n)
		}
	})
}

func TestACanaryComparesBothSides(t *testing.T) {
	everyWay(t, func(t *testing.T, way setup) {
		r := newRig(t, way.with(inMode(shim.Canary(50).Checked(100))))
		r.local.answer = alike
		for n := range 40 {
			if _, err := r.client.UnaryCall(t.Context(), requestOf(fmt.Sprint("account-", n))); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "all are compared", func() bool { return r.compared(t, "equal") == 40 })
		sidecar := r.metric(t, "hotpath_shim_requests_total", "served_by", "sidecar")
		if sidecar < 5 || sidecar > 35 {
			t.Errorf("the sidecar answered %v of 40", sidecar)
		}
	})
}

func TestARealDifferenceDemotesAndLeavesEvidence(t *testing.T) {
	everyWay(t, func(t *testing.T, way setup) {
		folder, log := filepath.Join(t.TempDir(), "evidence"), &logged{}
		r := newRig(t, way.with(func(c *shim.Config) {
			c.DefaultMode, c.ModesPoll, c.Comparison.Folder = shim.ReverseShadow(100), 2*time.Millisecond, folder
			c.Logger = slog.New(slog.NewTextHandler(log, nil))
		}))
		// The fake sidecar says SIDECAR where Go says LOCAL.
		if who := r.ask(t, t.Context()); who != "SIDECAR" {
			t.Fatal(who)
		}
		eventually(t, "the method is demoted", func() bool { return r.side.Status().Modes[unaryCall] == shim.Shadow(100) })
		if who := r.ask(t, t.Context()); who != "LOCAL" {
			t.Errorf("after the demotion %s answers", who)
		}
		eventually(t, "the mark is there", func() bool { return marked(t, folder) })
		for name, want := range map[string]float64{"hotpath_shim_demoted": 1, "hotpath_shim_demotions_total": 1, "hotpath_shim_forwarded_percent": 0} {
			if got := r.metric(t, name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if r.metric(t, "hotpath_shim_differing_fields_total", "field", "username") < 1 || !log.has("a method is demoted") {
			t.Errorf("not counted, or not logged:\n%s", log)
		}
		files, err := evidence.List(folder)
		if err != nil || len(files) == 0 {
			t.Fatalf("%v, %v", files, err)
		}
		capture, err := evidence.Read(files[0])
		if err != nil {
			t.Fatal(err)
		}
		var request testpb.SimpleRequest
		if err := proto.Unmarshal(capture.Request.Bytes, &request); err != nil || string(request.GetPayload().GetBody()) != "a" {
			t.Errorf("the request: %v, %v", &request, err)
		}
		if d := first(t, capture.Differences); capture.Answered != "sidecar" || capture.Ledger != "ledger-1" || d.Field != "username" ||
			d.Go != `"LOCAL"` || d.Sidecar != `"SIDECAR"` {
			t.Errorf("%+v", capture)
		}
		// Lifted, it forwards again, and is demoted again.
		if err := os.Remove(evidence.DemotionPath(folder, unaryCall)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the mode is back", func() bool { return log.has("demoted=false") })
	})
}

func TestADemotionOutlastsTheProcess(t *testing.T) {
	folder := t.TempDir()
	evident := func(c *shim.Config) { c.DefaultMode, c.Comparison.Folder = shim.ReverseShadow(100), folder }
	r := newRig(t, setup{config: evident})
	r.ask(t, t.Context())
	eventually(t, "the mark is there", func() bool { return marked(t, folder) })
	_ = r.side.Close()
	again := newRig(t, setup{config: evident})
	if who := again.ask(t, t.Context()); who != "LOCAL" || again.metric(t, "hotpath_shim_demoted") != 1 {
		t.Errorf("answered by %s", who)
	}
}

func TestKeepForwardingOnlyCounts(t *testing.T) {
	r := newRig(t, setup{config: func(c *shim.Config) {
		c.DefaultMode, c.Comparison.KeepForwarding = shim.ReverseShadow(100), true
	}})
	r.ask(t, t.Context())
	eventually(t, "it is counted", func() bool { return r.compared(t, "real") == 1 })
	if who := r.ask(t, t.Context()); who != "SIDECAR" || r.metric(t, "hotpath_shim_demoted") != 0 {
		t.Errorf("answered by %s", who)
	}
}

func TestMetadataIsAClassOfItsOwn(t *testing.T) {
	everyWay(t, func(t *testing.T, way setup) {
		r := newRig(t, way.with(inMode(shim.Shadow(100))))
		r.local.answer = func(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			_ = grpc.SetTrailer(ctx, metadata.Pairs("of-go", "1"))
			return alike(ctx, in)
		}
		r.ask(t, t.Context())
		eventually(t, "it is compared", func() bool { return r.compared(t, "metadata") == 1 })
	})
}

// What Go says at a position may come from another one by the time that it is asked again.
func TestGoThatDisagreesWithItselfIsNoFaultOfTheSidecar(t *testing.T) {
	for _, mode := range []shim.Mode{shim.Shadow(100), shim.ReverseShadow(100), shim.Again(100)} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newRig(t, setup{config: inMode(mode)})
			var n atomic.Int64
			r.local.answer = func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				return response(fmt.Sprint(n.Add(1))), nil
			}
			r.ask(t, t.Context())
			eventually(t, "it is compared", func() bool { return r.compared(t, "moved") == 1 })
			if r.compared(t, "real") != 0 {
				t.Error("blamed on the sidecar")
			}
		})
	}
}

func TestAgainAsksNoSidecar(t *testing.T) {
	r := newRig(t, setup{config: inMode(shim.Again(100))})
	for range 3 {
		r.ask(t, t.Context())
	}
	eventually(t, "all are compared", func() bool { return r.compared(t, "equal")+r.compared(t, "metadata") == 3 })
	if calls := r.sidecar.Calls(); len(calls) != 0 {
		t.Errorf("the sidecar was asked %d times", len(calls))
	}
}

func TestStatusesAreCompared(t *testing.T) {
	r := newRig(t, setup{config: inMode(shim.Shadow(100))})
	r.local.answer = func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		return nil, status.Error(codes.NotFound, "nobody")
	}
	said := func(err error) {
		r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Err: err} })
		if _, err := r.client.UnaryCall(t.Context(), requestOf("a")); status.Code(err) != codes.NotFound {
			t.Fatal(err)
		}
	}
	said(status.Error(codes.NotFound, "nobody"))
	eventually(t, "equal statuses", func() bool { return r.compared(t, "equal") == 1 })
	said(status.Error(codes.NotFound, "nobody else"))
	eventually(t, "another message", func() bool { return r.metric(t, "hotpath_shim_differing_fields_total", "field", "status.message") == 1 })
	said(status.Error(codes.OutOfRange, "nobody"))
	eventually(t, "another code", func() bool { return r.metric(t, "hotpath_shim_differing_fields_total", "field", "status.code") == 1 })
	if r.compared(t, "real") != 2 {
		t.Error("not real")
	}
}

func TestWhatCannotBeComparedIsCountedByReason(t *testing.T) {
	for why, c := range map[string]struct {
		answer shimtest.Answer
		local  error
		class  string
	}{
		"go_failed":    {local: status.Error(codes.Unavailable, "no")},
		"not_retained": {answer: shimtest.Answer{Err: position.NotRetained(1), Unpositioned: true}},
		"no_answer":    {answer: shimtest.Answer{Err: status.Error(codes.Internal, "no"), Unpositioned: true}},
		"timeout":      {answer: shimtest.Answer{Hang: true}},
		"not reached":  {answer: shimtest.Answer{Err: position.NotReached(9, 1), Unpositioned: true}, class: "stale"},
		"elsewhere":    {answer: shimtest.Answer{Position: 77}, class: "stale"},
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{config: func(config *shim.Config) {
				config.DefaultMode = shim.Shadow(100)
				if c.answer.Hang {
					config.Comparison.Timeout = 100 * time.Millisecond
				}
			}})
			r.local.answer = func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				return response("x"), c.local
			}
			r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return c.answer })
			_, _ = r.client.UnaryCall(t.Context(), requestOf("a"))
			if c.class != "" {
				eventually(t, "it is "+c.class, func() bool { return r.compared(t, c.class) == 1 })
				return
			}
			eventually(t, "it is dropped", func() bool { return r.undone(t, why) == 1 })
		})
	}
}

// A sidecar that hangs holds up comparisons, and nothing else.
func TestCallersNeverWaitForAComparison(t *testing.T) {
	everyWay(t, func(t *testing.T, way setup) {
		r := newRig(t, way.with(func(c *shim.Config) {
			c.DefaultMode = shim.Shadow(100)
			c.Comparison = shim.Comparison{Workers: 1, Queue: 2, Timeout: time.Minute}
		}))
		r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Hang: true} })
		for range 20 {
			if who := r.ask(t, t.Context()); who != "LOCAL" {
				t.Fatal(who)
			}
		}
		if n := r.undone(t, "queue_full"); n < 15 {
			t.Errorf("only %v dropped", n)
		}
	})
}

func TestTheQueueIsBoundedInBytes(t *testing.T) {
	r := newRig(t, setup{config: func(c *shim.Config) {
		c.DefaultMode, c.Comparison.QueueBytes = shim.Shadow(100), 1000
	}})
	r.local.answer = alike
	if _, err := r.client.UnaryCall(t.Context(), requestOf(strings.Repeat("x", 1000))); err != nil {
		t.Fatal(err)
	}
	if n := r.undone(t, "queue_full"); n != 1 {
		t.Fatalf("%v are dropped", n)
	}
	r.ask(t, t.Context())
	eventually(t, "a short one is compared", func() bool { return r.compared(t, "equal") == 1 })
}

// A handler that says where it answers is compared also while the ledger grows. One that does not is compared only if the
// head stays.
func TestOnlyAnswersAtAKnownPositionAreCompared(t *testing.T) {
	for _, reports := range []bool{true, false} {
		t.Run(fmt.Sprint("reports ", reports), func(t *testing.T) {
			r := newRig(t, setup{events: 3, config: inMode(shim.Shadow(100))})
			r.local.answer = func(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				at := r.ledger.Head()
				r.ledger.Append([]byte("event"))
				if want, _ := position.FromIncoming(ctx); want.HasAt {
					at = want.At
				}
				if reports {
					position.Report(ctx, position.Want{}, at)
				}
				return alike(ctx, in)
			}
			r.ask(t, t.Context())
			if reports {
				eventually(t, "it is compared", func() bool { return r.compared(t, "equal") == 1 })
				if call := first(t, r.sidecar.Calls()); call.Want.At != 3 {
					t.Errorf("asked at %d", call.Want.At)
				}
				return
			}
			eventually(t, "it is dropped", func() bool { return r.undone(t, "position_unknown") == 1 })
		})
	}
}

func TestOnlyTheShareThatIsAskedForIsCompared(t *testing.T) {
	r := newRig(t, setup{config: inMode(shim.Shadow(20))})
	r.local.answer = alike
	const requests = 400
	for range requests {
		r.ask(t, t.Context())
	}
	// Eight standard deviations are 64.
	eventually(t, "they are compared", func() bool { return r.compared(t, "equal") > 80-64 })
	if n := r.compared(t, "equal"); n > 80+64 {
		t.Errorf("%v of %d are compared", n, requests)
	}
}

func TestRequestsThatStayLocalAreNotCompared(t *testing.T) {
	r := newRig(t, setup{config: func(c *shim.Config) {
		c.DefaultMode, c.Forwardable = shim.Shadow(100), func(context.Context, string) bool { return false }
	}})
	r.ask(t, t.Context())
	r.ask(t, t.Context())
	if calls := r.sidecar.Calls(); len(calls) != 0 || r.side.Status().Compared[unaryCall] != (shim.Compared{}) {
		t.Errorf("%d calls, %+v", len(calls), r.side.Status().Compared)
	}
}

func TestRedactedEvidenceHoldsNothingElse(t *testing.T) {
	for name, redact := range map[string]func(string, proto.Message){
		"removes": func(_ string, m proto.Message) { proto.Reset(m) },
		"panics":  func(string, proto.Message) { panic("no idea") },
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			r := newRig(t, setup{config: func(c *shim.Config) {
				c.DefaultMode, c.Comparison.Folder, c.Comparison.Redact = shim.Shadow(100), folder, redact
			}})
			if _, err := r.client.UnaryCall(t.Context(), requestOf("secret")); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is demoted", func() bool { return r.metric(t, "hotpath_shim_demoted") == 1 })
			files, err := evidence.List(folder)
			if err != nil || (name == "removes") != (len(files) == 1) {
				t.Fatalf("%v, %v", files, err)
			}
			for _, file := range files {
				content, err := os.ReadFile(file)
				for _, secret := range []string{"LOCAL", "SIDECAR", "c2VjcmV0", "secret"} {
					if err != nil || strings.Contains(string(content), secret) {
						t.Errorf("%v: %s", err, content)
					}
				}
			}
		})
	}
}

func TestAFolderThatCannotBeUsedIsAnErrorOfOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := shim.Config{Run: shim.Attach, Socket: "s", Methods: []string{unaryCall}, Comparison: shim.Comparison{Folder: file}}
	if _, err := shim.Open(t.Context(), cfg, shimtest.NewLedger("l")); err == nil || !strings.Contains(err.Error(), "Comparison.Folder") {
		t.Errorf("got %v", err)
	}
}
