package shim_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/position"
	"hotpath.dev/go-shim/shimtest"
)

// seenOfCaller is what a context says of a call's caller.
func seenOfCaller(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "no peer"
	}
	md, _ := metadata.FromIncomingContext(ctx)
	text := fmt.Sprintf("%v %T %T", md, p.Addr, p.LocalAddr)
	if tls, ok := p.AuthInfo.(credentials.TLSInfo); ok {
		return fmt.Sprintf("%s TLS %x %v %s", text, tls.State.Version, tls.State.HandshakeComplete, tls.State.ServerName)
	}
	return fmt.Sprintf("%s %v", text, p.AuthInfo)
}

// asked keeps what Authorize and Forwardable were told.
type asked struct {
	mu   sync.Mutex
	told []string
}

func (a *asked) note(ctx context.Context, method string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = append(a.told, method+" "+seenOfCaller(ctx))
}

func (a *asked) authorize(ctx context.Context, method string) error {
	a.note(ctx, method)
	return nil
}

func (a *asked) forwardable(ctx context.Context, method string) bool {
	a.note(ctx, method)
	return true
}

// serveTLS makes another server of the shim, or one without a shim, and returns a client.
func serveTLS(t *testing.T, side *shim.Side, local *service) *rig {
	t.Helper()
	https := httptest.NewTLSServer(nil)
	t.Cleanup(https.Close)
	trusting := https.Client().Transport.(*http.Transport).TLSClientConfig
	trusting.ServerName = "example.com"
	own := credentials.NewServerTLSFromCert(&https.TLS.Certificates[0])
	return serveOn(t, side, local, own, credentials.NewTLS(trusting))
}

func serveOn(t *testing.T, side *shim.Side, local *service, own, clients credentials.TransportCredentials) *rig {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(side.ServerOptions([]grpc.ServerOption{grpc.Creds(side.Creds(own))})...)
	testpb.RegisterTestServiceServer(side.Wrap(server), local)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("unix:"+listener.Addr().String(), grpc.WithTransportCredentials(clients))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	r := &rig{conn: conn, client: testpb.NewTestServiceClient(conn)}
	r.settle(t)
	return r
}

// The hooks see of a caller what the handler would see.
func TestHooksSeeTheCaller(t *testing.T) {
	for name, serve := range map[string]func(*testing.T, *shim.Side, *service) *rig{
		"TLS": serveTLS,
		"none": func(t *testing.T, side *shim.Side, local *service) *rig {
			return serveOn(t, side, local, nil, insecure.NewCredentials())
		},
	} {
		t.Run(name, func(t *testing.T) {
			var hooks asked
			r, _ := doorRig(t, shim.Spliced, setup{config: func(c *shim.Config) {
				c.Spliced.SkipInterceptors, c.Spliced.Authorize, c.Forwardable = true, hooks.authorize, hooks.forwardable
			}})
			var handled string
			r.local.within = func(ctx context.Context) { handled = seenOfCaller(ctx) }
			caller := serve(t, r.side, r.local)
			ctx := everyKey(outgoing(t.Context(), "authorization", "secret", "own-bin", "\x00\xff"))
			if who := caller.ask(t, ctx); who != "SIDECAR" {
				t.Fatalf("answered by %s", who)
			}
			told := slices.Clone(hooks.told)
			r.sidecar.Answer(script(shimtest.Answer{Unpositioned: true}))
			if who := caller.ask(t, ctx); who != "LOCAL" {
				t.Fatalf("answered by %s", who)
			}
			if want := unaryCall + " " + handled; !slices.Equal(told, []string{want, want}) {
				t.Errorf("the hooks saw %q\nthe handler saw %q", told, want)
			}
		})
	}
}

func TestAuthorizeRefusesAsAHandlerDoes(t *testing.T) {
	detailed, err := status.New(codes.PermissionDenied, "☺\n50%").WithDetails(&errdetails.ErrorInfo{Reason: "R"}, &errdetails.RetryInfo{})
	if err != nil {
		t.Fatal(err)
	}
	for name, refusal := range map[string]error{
		"details": detailed.Err(), "wrapped": fmt.Errorf("who: %w", detailed.Err()), "plain": fmt.Errorf("no"),
		"unauthenticated": status.Error(codes.Unauthenticated, ""), "of a context": fmt.Errorf("late: %w", context.DeadlineExceeded),
	} {
		t.Run(name, func(t *testing.T) {
			r, grpcs := doorRig(t, shim.Spliced, setup{config: func(c *shim.Config) {
				heeded(c)
				c.Spliced.Authorize = func(context.Context, string) error { return refusal }
			}})
			_, want := plainService(t, refusal).invokeRaw(t.Context(), odd)
			o := r.once(t, outgoing(t.Context(), position.Key, "want"), grpcs, odd)
			_, got := r.invokeRaw(t.Context(), odd)
			if fmt.Sprint(status.Convert(got).Proto()) != fmt.Sprint(status.Convert(want).Proto()) {
				t.Errorf("got  %v\nwant %v", status.Convert(got).Proto(), status.Convert(want).Proto())
			}
			// It is neither the sidecar's answer nor the service's.
			if wantCounts(t, o, nil); o.begun != 0 || len(o.asked)+len(o.handled)+len(o.header.Get(position.Key)) != 0 {
				t.Errorf("got %v", o)
			}
		})
	}
}

// plainService is a service without a shim, whose handler fails.
func plainService(t *testing.T, with error) *rig {
	t.Helper()
	server := grpc.NewServer()
	testpb.RegisterTestServiceServer(server, failing{err: with})
	return &rig{conn: dial(t, server)}
}

type failing struct {
	testpb.UnimplementedTestServiceServer
	err error
}

func (f failing) UnaryCall(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return nil, f.err
}

// A panic of a hook costs one hop, is counted once and says nothing about the sidecar.
func TestHooksThatPanicKeepTheRequestLocal(t *testing.T) {
	for name, c := range map[string]struct {
		config func(*shim.Config)
		counts map[string]float64
	}{
		"Authorize": {func(c *shim.Config) { c.Spliced.Authorize = func(context.Context, string) error { panic("no idea") } },
			fellBack("panic", false)},
		"Forwardable": {func(c *shim.Config) { c.Forwardable = func(context.Context, string) bool { panic("no idea") } },
			without(fellBack("panic", false), "local_metadata_total")},
	} {
		t.Run(name, func(t *testing.T) {
			var log logged
			r, grpcs := doorRig(t, shim.Spliced, setup{config: func(config *shim.Config) {
				c.config(config)
				config.Breaker.Failures, config.Logger = 1, slog.New(slog.NewTextHandler(&log, nil))
			}})
			for range 3 {
				o := r.once(t, t.Context(), grpcs, odd)
				wantReply(t, o, "LOCAL")
				if wantCounts(t, o, c.counts); o.begun != 1 || len(o.handled) != 1 || len(o.asked) != 0 {
					t.Errorf("got %v", o)
				}
			}
			if r.side.Status().BreakerOpen || !log.has("no idea") {
				t.Errorf("breaker open: %v, log:\n%s", r.side.Status().BreakerOpen, &log)
			}
			if n := grpcs.conns.Load(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// What the door writes for the handler is seen by nobody else, and what callers write there is theirs.
func TestNotesAreInvisible(t *testing.T) {
	for name, interceptors := range map[string]shim.Interceptors{"decoded": shim.Decoded, "raw": shim.Raw} {
		t.Run(name, func(t *testing.T) {
			var heard []metadata.MD
			r, grpcs := doorRig(t, shim.Spliced, setup{server: []grpc.ServerOption{overhear(&heard)}, config: func(c *shim.Config) {
				everyMetadata(c)
				c.Interceptors, c.Spliced.SkipInterceptors = interceptors, true
			}})
			for _, answer := range []shimtest.Answer{{Unpositioned: true}, declining(t, "x")(shimtest.Call{})} {
				r.sidecar.Answer(script(answer))
				for _, own := range [][]string{nil, {"mine"}, {"mine", "too"}} {
					ctx := t.Context()
					for _, value := range own {
						ctx = outgoing(ctx, "hotpath-note", value)
					}
					from := len(heard)
					o := r.once(t, ctx, grpcs, odd)
					wantReply(t, o, "LOCAL")
					if o.begun != 1 || len(o.asked) != 1 || len(o.handled) != 1 || len(heard) != from+1 {
						t.Fatalf("%v\nheard %d", o, len(heard)-from)
					}
					r.local.mu.Lock()
					handled := r.local.metadata[len(r.local.metadata)-1]
					r.local.mu.Unlock()
					for _, md := range []metadata.MD{handled, heard[from]} {
						if got := md["hotpath-note"]; !slices.Equal(got, own) || len(own) == 0 && slices.Contains(slices.Collect(maps.Keys(md)), "hotpath-note") {
							t.Errorf("of %q there came %v", own, md)
						}
					}
				}
			}
		})
	}
}

// The hop gets half of the caller's time, and the handler what is left of it.
func TestFallbackComesWithinTheCallersTime(t *testing.T) {
	t.Parallel()
	const callers = 3 * time.Second
	r, grpcs := doorRig(t, shim.Spliced, setup{})
	r.sidecar.Answer(script(shimtest.Answer{Hang: true}))
	var handlers time.Time
	r.local.within = func(ctx context.Context) { handlers, _ = ctx.Deadline() }
	ctx, cancel := context.WithTimeout(t.Context(), callers)
	defer cancel()
	deadline, _ := ctx.Deadline()
	o := r.once(t, ctx, grpcs, odd)
	wantReply(t, o, "LOCAL")
	wantCounts(t, o, fellBack("hop_timeout", true))
	// If the handler had the caller's whole time again, its deadline would be half of it later.
	if late := handlers.Sub(deadline); late > callers/4 || late < -callers/2 {
		t.Errorf("the handler's deadline is %v after the caller's", late)
	}
}

// leave makes calls, whose callers leave while the sidecar has them. It returns once the sidecar has heard of that.
func (r *rig) leave(t *testing.T, callers int) {
	t.Helper()
	arrived := make(chan struct{}, callers)
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer {
		arrived <- struct{}{}
		return shimtest.Answer{Hang: true}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, callers)
	for range callers {
		go func() {
			_, err := r.invokeRaw(ctx, odd)
			ended <- err
		}()
	}
	for range callers {
		<-arrived
	}
	cancel()
	for range callers {
		if err := <-ended; status.Code(err) != codes.Canceled {
			t.Errorf("got %v", err)
		}
	}
	// The fake answers a hung request when it hears of its end, and only then its slot is free.
	eventually(t, "the sidecar has heard of all", func() bool { return r.metric(t, "hotpath_shim_lane_in_flight") == 0 })
}

// The sidecar hears that the callers have left, and nothing of their calls is left.
func TestCallersThatLeaveTheDoorLeaveNothing(t *testing.T) {
	r, grpcs := doorRig(t, shim.Spliced, setup{config: func(c *shim.Config) { c.HopTimeout, c.Breaker.Failures = time.Minute, 1 }})
	r.wantBegun(t, grpcs, "SIDECAR", 1, 0)
	before, goroutines := r.counts(t), runtime.NumGoroutine()
	// Of many callers, one may take along what another forgot to send. A single one is alone.
	for _, callers := range []int{1, 1, 1, 1, 1, 1, 1, 1, 50, 1} {
		r.leave(t, callers)
		before["hop_seconds"] += float64(callers)
	}
	// A lane that waits for an answer in vain is lost before HopTimeout is over.
	if n := r.metric(t, "hotpath_shim_lane_failures_total"); n != 0 {
		t.Errorf("%v lanes were lost", n)
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	counts := r.counts(t)
	if !maps.Equal(counts, before) || r.side.Status().BreakerOpen || len(r.local.served()) != 0 {
		t.Errorf("counted %v, want %v; breaker open: %v", counts, before, r.side.Status().BreakerOpen)
	}
	r.sidecar.Answer(sidecarAnswers(t))
	r.wantBegun(t, grpcs, "SIDECAR", 20, 0)
}

// The door has no way to ask by unary calls, so it leaves all to the handler.
func TestTheDoorWithUnaryHops(t *testing.T) {
	r, grpcs := doorRig(t, shim.Spliced, setup{hop: experiment.Unary})
	o := r.once(t, t.Context(), grpcs, odd)
	wantReply(t, o, "SIDECAR")
	wantCounts(t, o, forwarded())
}
