package shim_test

import (
	"context"
	"sync"
	"testing"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/stats"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/internal/experiment"
)

// halt stops the first request that reaches it until the test lets it go on.
type halt struct {
	once         sync.Once
	came, passed chan struct{}
}

func newHalt() *halt { return &halt{came: make(chan struct{}), passed: make(chan struct{})} }

func (h *halt) stop() {
	h.once.Do(func() {
		close(h.came)
		<-h.passed
	})
}

// intercepted stops a request among the interceptors.
func (h *halt) intercepted() grpc.ServerOption {
	return grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		h.stop()
		return next(ctx, request)
	})
}

// read stops a request whose message was just read.
func (h *halt) read() grpc.ServerOption { return grpc.StatsHandler(atPayload{h}) }

type atPayload struct{ *halt }

func (p atPayload) HandleRPC(_ context.Context, event stats.RPCStats) {
	if _, ok := event.(*stats.InPayload); ok {
		p.stop()
	}
}

func (atPayload) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (atPayload) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (atPayload) HandleConn(context.Context, stats.ConnStats)                       {}

// The sidecar that is asked in the end may not be the one that accepted the method. In its exchange frames the number
// of a refused method may mean another method.
func TestMethodThatIsRefusedMeanwhileStaysLocal(t *testing.T) {
	eachHop(t, methodThatIsRefusedMeanwhileStaysLocal)
}

func methodThatIsRefusedMeanwhileStaysLocal(t *testing.T, hop experiment.Hop) {
	for where, option := range map[string]func(*halt) grpc.ServerOption{
		"while it is read": (*halt).read, "among interceptors": (*halt).intercepted,
	} {
		t.Run(where, func(t *testing.T) {
			halt := newHalt()
			r := newRig(t, setup{hop: hop, server: []grpc.ServerOption{option(halt)}, config: func(c *shim.Config) {
				c.Methods = append(c.Methods, testpb.TestService_UnimplementedCall_FullMethodName)
			}})
			who := make(chan string, 1)
			go func() {
				reply, err := r.client.UnaryCall(t.Context(), requestOf("a"))
				if err != nil {
					who <- "nobody"
					t.Errorf("got %v, %v", reply, err)
					return
				}
				who <- reply.GetUsername()
			}()
			select {
			case <-halt.came:
			case by := <-who:
				t.Fatalf("answered by %s, and never came to the halt", by)
			}
			r.sidecar.RefuseMethod(unaryCall, "another schema")
			r.sidecar.DropConnections()
			eventually(t, "the refusal is shown", func() bool { return r.metric(t, "hotpath_shim_method_refused") == 1 })
			r.awaitReady(t)
			close(halt.passed)
			if by, n := <-who, len(r.sidecar.Calls()); by != "LOCAL" || n != 0 {
				t.Fatalf("answered by %s, the sidecar was asked %d times", by, n)
			}
			if n := r.fallbacks(t, "method_refused"); n != 1 || r.side.Status().BreakerOpen {
				t.Fatalf("%v refusals counted", n)
			}
		})
	}
}
