package shim_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/position"
	"hotpath.dev/go-shim/shimtest"
)

// seen is what an interceptor saw.
type seen struct {
	requests, replies []any
	methods           []string
	errors            []error
}

func (s *seen) option(change func(request, reply any)) grpc.ServerOption {
	return grpc.UnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		s.requests = append(s.requests, request)
		s.methods = append(s.methods, info.FullMethod)
		change(request, nil)
		reply, err := next(ctx, request)
		s.replies = append(s.replies, reply)
		s.errors = append(s.errors, err)
		if err == nil {
			change(nil, reply)
		}
		return reply, err
	})
}

func unchanged(any, any) {}

func TestInterceptorsSeeTypedMessages(t *testing.T) {
	var s seen
	r := newRig(t, setup{server: []grpc.ServerOption{s.option(unchanged)}})
	if who := r.ask(t, t.Context()); who != "SIDECAR" {
		t.Fatalf("answered by %s", who)
	}
	request, ok := first(t, s.requests).(*testpb.SimpleRequest)
	if !ok || string(request.GetPayload().GetBody()) != "a" || first(t, s.methods) != unaryCall {
		t.Fatalf("request %T %v of %s", first(t, s.requests), first(t, s.requests), first(t, s.methods))
	}
	if reply, ok := first(t, s.replies).(*testpb.SimpleResponse); !ok || reply.GetUsername() != "SIDECAR" {
		t.Fatalf("reply %T %v", first(t, s.replies), first(t, s.replies))
	}
}

func TestWhatInterceptorsPassOnIsForwarded(t *testing.T) {
	var s seen
	r := newRig(t, setup{server: []grpc.ServerOption{s.option(func(request, reply any) {
		if in, ok := request.(*testpb.SimpleRequest); ok {
			in.Payload.Body = []byte("rewritten")
		}
		if out, ok := reply.(*testpb.SimpleResponse); ok {
			out.Username = "MASKED"
		}
	})}})
	if who := r.ask(t, t.Context()); who != "MASKED" {
		t.Fatalf("answered by %s", who)
	}
	want := encode(t, requestOf("rewritten"))
	if got := first(t, r.sidecar.Calls()).Body; !bytes.Equal(got, want) {
		t.Fatalf("forwarded %x, want %x", got, want)
	}
}

func TestInterceptorsRunOnceEvenIfTheSidecarFails(t *testing.T) {
	for name, interceptors := range map[string]shim.Interceptors{"decoded": shim.Decoded, "raw": shim.Raw} {
		t.Run(name, func(t *testing.T) {
			var s seen
			r := newRig(t, setup{server: []grpc.ServerOption{s.option(unchanged)},
				config: func(c *shim.Config) { c.Interceptors = interceptors }})
			r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Unpositioned: true} })
			if who := r.ask(t, t.Context()); who != "LOCAL" || len(s.requests) != 1 || len(r.local.served()) != 1 {
				t.Fatalf("answered by %s, %d interceptions, %d local", who, len(s.requests), len(r.local.served()))
			}
		})
	}
}

func TestInterceptorsSeeVerdicts(t *testing.T) {
	var s seen
	r := newRig(t, setup{server: []grpc.ServerOption{s.option(unchanged)}})
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer {
		return shimtest.Answer{Err: status.Error(codes.NotFound, "account_id: has no entries")}
	})
	_, err := r.client.UnaryCall(t.Context(), &testpb.SimpleRequest{})
	if status.Code(err) != codes.NotFound || status.Code(first(t, s.errors)) != codes.NotFound {
		t.Fatalf("caller %v, interceptor %v", err, first(t, s.errors))
	}
}

func TestUndecodableReplyIsNoAnswer(t *testing.T) {
	var s seen
	r := newRig(t, setup{server: []grpc.ServerOption{s.option(unchanged)}})
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Body: []byte{0x0a, 0x7f}} })
	if who := r.ask(t, t.Context()); who != "LOCAL" || r.fallbacks(t, "bad_reply") != 1 {
		t.Fatalf("answered by %s", who)
	}
}

func TestRawInterceptorsSeeBytes(t *testing.T) {
	var s seen
	r := newRig(t, setup{server: []grpc.ServerOption{s.option(unchanged)},
		config: func(c *shim.Config) { c.Interceptors = shim.Raw }})
	if _, err := r.invokeRaw(t.Context(), odd); err != nil {
		t.Fatal(err)
	}
	if raw, ok := first(t, s.requests).(*codec.Raw); !ok || !bytes.Equal(raw.Bytes, odd) {
		t.Fatalf("request %T", first(t, s.requests))
	}
	if _, ok := first(t, s.replies).(*codec.Raw); !ok || first(t, s.methods) != unaryCall {
		t.Fatalf("reply %T of %s", first(t, s.replies), first(t, s.methods))
	}
	if got := first(t, r.sidecar.Calls()).Body; !bytes.Equal(got, odd) {
		t.Fatalf("forwarded %x", got)
	}
}

// What interceptors see depends on the configuration, not on the mode or on a sidecar that comes and goes.
func TestWhatInterceptorsSeeDoesNotDependOnWhoAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		interceptors   shim.Interceptors
		request, reply string
	}{
		"decoded": {shim.Decoded, "*grpc_testing.SimpleRequest", "*grpc_testing.SimpleResponse"},
		"raw":     {shim.Raw, "*codec.Raw", "*codec.Raw"},
	} {
		for state, s := range map[string]setup{
			"forwarded":  {},
			"no sidecar": {noFake: true},
			"legacy":     {config: func(c *shim.Config) { c.DefaultMode = shim.Legacy }},
			"failing":    {config: func(c *shim.Config) { c.HopTimeout = time.Nanosecond }},
		} {
			var seen seen
			s.server = []grpc.ServerOption{seen.option(unchanged)}
			change := s.config
			s.config = func(config *shim.Config) {
				if config.Interceptors = c.interceptors; change != nil {
					change(config)
				}
			}
			r := newRig(t, s)
			who := r.ask(t, t.Context())
			if (who == "SIDECAR") != (state == "forwarded") {
				t.Fatalf("%s, %s: answered by %s", name, state, who)
			}
			if in, out := fmt.Sprintf("%T", first(t, seen.requests)), fmt.Sprintf("%T", first(t, seen.replies)); in != c.request || out != c.reply {
				t.Errorf("%s, %s: saw %s and %s", name, state, in, out)
			}
		}
	}
}

func TestRawInterceptorsOfALocalAnswer(t *testing.T) {
	var s seen
	r := newRig(t, setup{noFake: true, server: []grpc.ServerOption{s.option(unchanged)},
		config: func(c *shim.Config) { c.Interceptors = shim.Raw }})
	r.local.err = status.Error(codes.NotFound, "no such account")
	_, err := r.client.UnaryCall(t.Context(), &testpb.SimpleRequest{})
	if status.Code(err) != codes.NotFound || status.Code(first(t, s.errors)) != codes.NotFound || first(t, s.replies) != nil {
		t.Fatalf("caller %v, interceptor %v and %v", err, first(t, s.replies), first(t, s.errors))
	}
	r.local.err = nil
	if _, err := r.invokeRaw(t.Context(), []byte{0x0a, 0x05, 'x'}); status.Code(err) != codes.Internal ||
		!strings.Contains(err.Error(), "unmarshal") {
		t.Fatalf("got %v", err)
	}
}

func TestRejectingInterceptorKeepsItsSay(t *testing.T) {
	r := newRig(t, setup{server: []grpc.ServerOption{grpc.UnaryInterceptor(
		func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
			return nil, status.Error(codes.PermissionDenied, "no")
		})}})
	_, err := r.client.UnaryCall(t.Context(), &testpb.SimpleRequest{})
	if status.Code(err) != codes.PermissionDenied || len(r.sidecar.Calls()) != 0 {
		t.Fatalf("%v, %d calls", err, len(r.sidecar.Calls()))
	}
}

func TestPositionHeaderWithInterceptors(t *testing.T) {
	var s seen
	r := newRig(t, setup{events: 2, server: []grpc.ServerOption{s.option(unchanged)}, config: heeded})
	var header metadata.MD
	r.ask(t, outgoing(t.Context(), position.Key, "want"), grpc.Header(&header))
	if got := header.Get(position.Key); !slices.Equal(got, []string{"2"}) {
		t.Fatalf("position %q", got)
	}
}
