package shim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimprom"
	"hotpath.dev/go-shim/shimtest"
)

// In mode legacy, too, the first request shows the codec, and the second one opens the door.
func TestLocalAnswersOpenTheDoorThatRunsThem(t *testing.T) {
	r, grpcs := localRig(t, setup{config: shutAtFirst})
	r.wantBegun(t, grpcs, "LOCAL", 2, 2)
	r.wantBegun(t, grpcs, "LOCAL", 20, 0)
	wantCounts(t, outcome{counts: r.counts(t)}, map[string]float64{local: 22, "local_metadata_total": 22})
	if n := r.metric(t, "hotpath_shim_spliced_local_total"); n != 20 {
		t.Errorf("workers had %v calls", n)
	}
}

func TestWhatKeepsLocalHandlersBehindGRPC(t *testing.T) {
	var n atomic.Int64
	for name, c := range map[string]struct {
		config func(*shim.Config)
		server []grpc.ServerOption
	}{
		"interceptors":    {shutAtFirst, []grpc.ServerOption{heard(&n)}},
		"a foreign codec": {shutAtFirst, []grpc.ServerOption{grpc.ForceServerCodecV2(newOwnCodec())}},
		"both":            {skip, []grpc.ServerOption{heard(&n), grpc.ForceServerCodecV2(newOwnCodec())}},
	} {
		t.Run(name, func(t *testing.T) {
			r, grpcs := localRig(t, setup{config: c.config, server: c.server})
			r.wantBegun(t, grpcs, "LOCAL", 20, 20)
		})
	}
	t.Run("several servers", func(t *testing.T) {
		r, grpcs := localRig(t, setup{config: skip})
		r.wantBegun(t, grpcs, "LOCAL", 2, 2)
		r.wantBegun(t, grpcs, "LOCAL", 5, 0)
		other := r.anotherServer(t, grpcs)
		r.wantBegun(t, grpcs, "LOCAL", 5, 5)
		other.wantBegun(t, grpcs, "LOCAL", 5, 5)
	})
}

// A service may want nothing but the door.
func TestTheDoorAlone(t *testing.T) {
	metrics := prometheus.NewRegistry()
	side, err := shim.Open(t.Context(), shim.Config{Run: shim.Alone, Methods: []string{unaryCall}, FrontDoor: shim.Spliced,
		Spliced: shim.SplicedDoor{Local: true}, Metrics: shimprom.New(metrics), Logger: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, grpcs := &rig{side: side, local: &service{}, metrics: metrics}, new(begun)
	t.Cleanup(func() { _ = side.Close() })
	r.serve(t, []grpc.ServerOption{grpc.StatsHandler(grpcs)})
	r.settle(t)
	r.wantBegun(t, grpcs, "LOCAL", 2, 2)
	r.wantBegun(t, grpcs, "LOCAL", 20, 0)
	wantCounts(t, outcome{counts: r.counts(t)}, map[string]float64{local: 22, "local_metadata_total": 22})
	if got := side.Status(); got.Ready || got.Connected || got.Socket != "" || got.Modes[unaryCall] != shim.Legacy || side.Check() != nil {
		t.Errorf("%+v, %v", got, side.Check())
	}
	if err := side.Close(); err != nil {
		t.Fatal(err)
	}
	r.wantBegun(t, grpcs, "LOCAL", 5, 5)
	_, err = shim.Open(t.Context(), shim.Config{Run: shim.Alone, Methods: []string{unaryCall}}, nil)
	if !errors.Is(err, shim.ErrConfig) {
		t.Errorf("without the door: %v", err)
	}
}

// waiting is a handler that says when it begins, and ends when it is told to.
type waiting struct {
	began, until chan struct{}
	ended        atomic.Int64
	// saw is what became of the last context.
	saw atomic.Value
}

func newWaiting(handlers int) *waiting {
	return &waiting{began: make(chan struct{}, handlers), until: make(chan struct{})}
}

// handle waits for until, whatever the caller does. It answers with the context's error.
func (w *waiting) handle(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	defer w.ended.Add(1)
	w.began <- struct{}{}
	<-w.until
	if err := ctx.Err(); err != nil {
		w.saw.Store(fmt.Sprintf("%v, headers: %v", err, grpc.SendHeader(ctx, nil)))
	}
	return response("LOCAL"), nil
}

// obey ends with its context.
func (w *waiting) obey(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	w.began <- struct{}{}
	<-ctx.Done()
	w.saw.Store(ctx.Err().Error())
	w.ended.Add(1)
	return nil, ctx.Err()
}

// begin makes a call, and returns where its outcome will be, once the handler has it.
func (r *rig) begin(ctx context.Context, w *waiting) <-chan error {
	over := make(chan error, 1)
	go func() {
		_, err := r.client.UnaryCall(ctx, requestOf("a"))
		over <- err
	}()
	<-w.began
	return over
}

func TestLocalHandlersHearThatTheCallerHasLeft(t *testing.T) {
	r, grpcs := localRig(t, setup{})
	w := newWaiting(1)
	r.local.answer = w.obey
	ctx, cancel := context.WithCancel(t.Context())
	over := r.begin(ctx, w)
	cancel()
	if err := <-over; status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	eventually(t, "the handler has ended", func() bool { return w.ended.Load() == 1 })
	if w.saw.Load() != context.Canceled.Error() || grpcs.calls.Load() != 0 {
		t.Errorf("the handler saw %v; grpc-go began %d calls", w.saw.Load(), grpcs.calls.Load())
	}
	// The connection has ended.
	over = r.begin(t.Context(), w)
	_ = r.conn.Close()
	<-over
	eventually(t, "the handler has ended", func() bool { return w.ended.Load() == 2 })
}

func TestLocalHandlersHearThatTheTimeIsOver(t *testing.T) {
	r, _ := localRig(t, setup{})
	w := newWaiting(1)
	r.local.answer = w.obey
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := <-r.begin(ctx, w); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	eventually(t, "the handler has ended", func() bool { return w.ended.Load() == 1 })
	if saw := w.saw.Load(); saw != context.DeadlineExceeded.Error() && saw != context.Canceled.Error() {
		t.Errorf("the handler saw %v", saw)
	}
}

// A caller without a clock of its own gets the reset, although the handler takes no notice of its context.
func TestTheTimeIsOverWhateverTheHandlerDoes(t *testing.T) {
	doors := map[string]shim.FrontDoor{"spliced": shim.Spliced}
	if resetsAtTheDeadline(grpc.Version) {
		doors["stock"] = shim.Stock
	}
	for name, door := range doors {
		t.Run(name, func(t *testing.T) {
			r, grpcs := localRig(t, setup{config: func(c *shim.Config) { c.FrontDoor = door }})
			w := newWaiting(1)
			r.local.answer = w.handle
			caller, err := shimtest.Dial("unix", r.conn.Target()[len("unix:"):], 65535)
			if err != nil {
				t.Fatal(err)
			}
			defer caller.Close()
			empty := testpb.TestService_EmptyCall_FullMethodName
			if _, err := caller.Call(empty, nil); err != nil {
				t.Fatal(err)
			}
			if out := <-caller.Outcomes; out.Code != codes.OK {
				t.Fatalf("got %+v", out)
			}
			stream, err := caller.Begin(unaryCall, "grpc-timeout", "50m")
			if err := errors.Join(err, caller.Send(stream, nil)); err != nil {
				t.Fatal(err)
			}
			<-w.began
			if out := <-caller.Outcomes; out.Stream != stream || out.Reset != http2.ErrCodeCancel {
				t.Errorf("got %+v", out)
			}
			close(w.until)
			eventually(t, "the handler has ended", func() bool { return w.ended.Load() == 1 })
			const want = "context deadline exceeded, headers: rpc error: code = DeadlineExceeded desc = context deadline exceeded"
			const early = "context canceled, headers: rpc error: code = Canceled desc = context canceled" // grpc-go has two clocks
			if saw := w.saw.Load(); saw != want && (door == shim.Spliced || saw != early) {
				t.Errorf("the handler saw %v", saw)
			}
			if n := grpcs.calls.Load(); (n == 0) != (door == shim.Spliced) {
				t.Errorf("grpc-go began %d calls", n)
			}
			// The connection goes on.
			if _, err := caller.Call(empty, nil); err != nil {
				t.Fatal(err)
			}
			if out := <-caller.Outcomes; out.Code != codes.OK {
				t.Errorf("got %+v", out)
			}
		})
	}
}

// resetsAtTheDeadline says whether grpc-go ends a call whose time is over while its handler still runs. Before 1.72 it
// waits for the handler.
func resetsAtTheDeadline(version string) bool {
	var minor int
	_, err := fmt.Sscanf(version, "1.%d.", &minor)
	return err != nil || minor >= 72
}

// Handlers that wait stall neither the connection nor each other.
func TestLocalHandlersStallNothing(t *testing.T) {
	const handlers = 200
	r, grpcs := localRig(t, setup{})
	w := newWaiting(handlers)
	r.local.answer = w.handle
	var over []<-chan error
	for range handlers {
		over = append(over, r.begin(t.Context(), w))
	}
	r.settle(t)
	close(w.until)
	for _, outcome := range over {
		if err := <-outcome; err != nil {
			t.Error(err)
		}
	}
	if n := grpcs.calls.Load(); n != 0 {
		t.Errorf("grpc-go began %d calls", n)
	}
}

// Its caller gets the answer, although the server stops meanwhile.
func TestGracefulStopWaitsForLocalHandlers(t *testing.T) {
	r, grpcs := localRig(t, setup{})
	w := newWaiting(1)
	r.local.answer = w.handle
	over := r.begin(t.Context(), w)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.server.GracefulStop()
		if w.ended.Load() != 1 {
			t.Error("the server has stopped before the handler")
		}
	}()
	eventually(t, "the server stops", func() bool {
		conn, err := net.Dial("unix", r.conn.Target()[len("unix:"):])
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	close(w.until)
	if err := <-over; err != nil || grpcs.calls.Load() != 0 {
		t.Errorf("got %v; grpc-go began %d calls", err, grpcs.calls.Load())
	}
	<-stopped
}

// grpc-go's server knows nothing of such a handler, so Close waits for it.
func TestCloseWaitsForHandlersWhoseCallersHaveLeft(t *testing.T) {
	r, _ := localRig(t, setup{})
	w := newWaiting(1)
	r.local.answer = w.handle
	ctx, cancel := context.WithCancel(t.Context())
	over := r.begin(ctx, w)
	cancel()
	<-over
	time.AfterFunc(20*time.Millisecond, func() { close(w.until) })
	if err := r.side.Close(); err != nil || w.ended.Load() != 1 {
		t.Errorf("%v, %d handlers have ended", err, w.ended.Load())
	}
}

// These functions want grpc-go's own stream. It is said in the documentation of SplicedDoor.Local.
func TestLocalHandlersHaveNoCompressors(t *testing.T) {
	r, _ := localRig(t, setup{})
	r.local.answer = does(func(ctx context.Context) error {
		if _, err := grpc.ClientSupportedCompressors(ctx); err == nil || grpc.SetSendCompressor(ctx, "gzip") == nil {
			return errors.New("there is no error")
		}
		return nil
	})
	r.ask(t, t.Context())
}

// asPanicking makes TestAPanicOfALocalHandlerEndsTheProcess panic.
const asPanicking = "HOTPATH_TEST_PANIC"

// It does so behind grpc-go, too.
func TestAPanicOfALocalHandlerEndsTheProcess(t *testing.T) {
	if os.Getenv(asPanicking) != "" {
		r, _ := localRig(t, setup{})
		r.local.answer = does(func(context.Context) error { panic("of the handler") })
		_, _ = r.client.UnaryCall(t.Context(), requestOf("a"))
		return
	}
	folder, err := os.MkdirTemp("", "panic") // whose name is short enough for the paths of sockets
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), asPanicking+"=1", "TMPDIR="+folder)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || !bytes.Contains(out, []byte("panic: of the handler")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// Callers come and go, and each gets its own answer.
func TestManyCallersOfLocalHandlers(t *testing.T) {
	r, grpcs := localRig(t, setup{})
	r.local.answer = func(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		switch rand.IntN(8) {
		case 0:
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(rand.IntN(2000)) * time.Microsecond):
			}
		case 1:
			return nil, status.Error(codes.NotFound, string(in.GetPayload().GetBody()))
		case 2:
			_ = grpc.SetTrailer(ctx, own("b"))
		}
		return &testpb.SimpleResponse{Username: string(in.GetPayload().GetBody())}, nil
	}
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for n := range 200 {
				limit := time.Minute
				if n%4 == 0 {
					limit = time.Duration(rand.IntN(1500)) * time.Microsecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				if n%4 == 1 {
					time.AfterFunc(time.Duration(rand.IntN(1000))*time.Microsecond, cancel)
				}
				mine := fmt.Sprintf("%d/%d", i, n)
				reply, err := r.client.UnaryCall(ctx, requestOf(mine))
				switch code := status.Code(err); {
				case code == codes.OK && reply.GetUsername() == mine, code == codes.NotFound && status.Convert(err).Message() == mine:
				case n%4 < 2 && (code == codes.Canceled || code == codes.DeadlineExceeded):
				default:
					t.Errorf("%s: %v, %v", mine, reply, err)
				}
				cancel()
			}
		})
	}
	callers.Wait()
	if n := grpcs.conns.Load(); n != 1 || r.metric(t, "hotpath_shim_spliced_local_total") < 1000 {
		t.Errorf("%d connections, workers had %v calls", n, r.metric(t, "hotpath_shim_spliced_local_total"))
	}
}

// What a handler sees of its caller is what grpc-go shows.
func TestLocalHandlersSeeTheCaller(t *testing.T) {
	saw := map[shim.FrontDoor]string{}
	for door, byWorkers := range map[shim.FrontDoor]float64{shim.Stock: 0, shim.Spliced: 1} {
		r := &rig{local: &service{}, metrics: prometheus.NewRegistry()}
		side, err := shim.Open(t.Context(), shim.Config{Run: shim.Attach, Socket: filepath.Join(t.TempDir(), "s"), Methods: []string{unaryCall},
			DefaultMode: shim.Legacy, FrontDoor: door, Spliced: shim.SplicedDoor{Local: true}, Metrics: shimprom.New(r.metrics),
			Logger: slog.New(slog.DiscardHandler)}, shimtest.NewLedger("l"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = side.Close() })
		var last atomic.Value
		r.local.within = func(ctx context.Context) {
			deadline, ok := ctx.Deadline()
			last.Store(fmt.Sprint(seenOfCaller(ctx), ok, time.Until(deadline).Round(time.Hour)))
		}
		caller := serveTLS(t, side, r.local)
		ctx, cancel := context.WithTimeout(outgoing(t.Context(), "authorization", "secret", "own-bin", "\x00\xff"), 3*time.Hour)
		defer cancel()
		for range 3 { // the third is the door's
			caller.ask(t, ctx)
		}
		saw[door] = last.Load().(string)
		if n := r.metric(t, "hotpath_shim_spliced_local_total"); n != byWorkers {
			t.Errorf("%v: workers had %v calls", door, n)
		}
	}
	if saw[shim.Stock] != saw[shim.Spliced] {
		t.Errorf("stock:   %s\nspliced: %s", saw[shim.Stock], saw[shim.Spliced])
	}
}
