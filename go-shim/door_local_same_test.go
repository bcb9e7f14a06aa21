package shim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	shim "hotpath.dev/go-shim"
)

// handling is what a handler does.
type handling = func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error)

// does is a handler that does this, and then answers.
func does(this func(context.Context) error) handling {
	return func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		if err := this(ctx); err != nil {
			return nil, err
		}
		return response("LOCAL"), nil
	}
}

func fails(err error) handling { return does(func(context.Context) error { return err }) }

func answersBytes(n int) handling {
	return func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		return &testpb.SimpleResponse{Payload: &testpb.Payload{Body: bytes.Repeat([]byte{7}, n)}}, nil
	}
}

// own is metadata with everything that is to be escaped, and keys that are grpc-go's own.
func own(name string) metadata.MD {
	return metadata.Pairs(name, "1", name, "2", name+"-bin", "\x00\xff", name+"-bin", "", name+"-empty", "", "content-type", "text/plain",
		"grpc-status", "7", "te", "x", "user-agent", "mine")
}

// long is metadata that needs more than one frame.
func long(name string) metadata.MD { return metadata.Pairs(name, strings.Repeat("x", 40_000)) }

func handlings(t *testing.T) map[string]handling {
	all := map[string]handling{
		"no message": func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) { return nil, nil },
		"no UTF-8": func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			return &testpb.SimpleResponse{Username: "\xff"}, nil
		},
		"nothing": answersBytes(0), "5 KiB": answersBytes(5 << 10), "more than a window": answersBytes(300 << 10), "too long": answersBytes(500 << 10),
		"plain error": fails(errors.New("no ☺")), "cancelled": fails(context.Canceled), "late": fails(fmt.Errorf("so: %w", context.DeadlineExceeded)),
		"wrapped":       fails(fmt.Errorf("so: %w", status.Error(codes.Aborted, "again"))),
		"metadata":      does(func(ctx context.Context) error { return metadataOf(ctx, own("a"), own("b")) }),
		"long metadata": does(func(ctx context.Context) error { return metadataOf(ctx, long("a"), long("b")) }),
		"only headers":  does(func(ctx context.Context) error { return grpc.SetHeader(ctx, own("a")) }),
		"only trailers": does(func(ctx context.Context) error { return grpc.SetTrailer(ctx, own("b")) }),
		"headers that are sent": does(func(ctx context.Context) error {
			return errors.Join(grpc.SetHeader(ctx, own("a")), grpc.SendHeader(ctx, own("c")), grpc.SetTrailer(ctx, own("b")))
		}),
		"headers after that": does(func(ctx context.Context) error {
			return errors.Join(grpc.SendHeader(ctx, nil), grpc.SetHeader(ctx, nil), grpc.SetHeader(ctx, own("a")))
		}),
		"headers that are sent twice": does(func(ctx context.Context) error {
			_ = grpc.SendHeader(ctx, own("a"))
			return grpc.SendHeader(ctx, own("a"))
		}),
		"error with metadata": does(func(ctx context.Context) error {
			return errors.Join(metadataOf(ctx, own("a"), own("b")), status.Error(codes.NotFound, "no"))
		}),
		"error with trailers": does(func(ctx context.Context) error {
			_ = grpc.SetTrailer(ctx, own("b"))
			return status.Error(codes.NotFound, "no")
		}),
		"error with headers": does(func(ctx context.Context) error {
			_ = grpc.SetHeader(ctx, own("a"))
			return status.Error(codes.NotFound, "no")
		}),
		"error after headers that are sent": does(func(ctx context.Context) error {
			_ = grpc.SendHeader(ctx, nil)
			return status.Error(codes.NotFound, "no")
		}),
		"what it sees": func(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			method, ok := grpc.Method(ctx)
			_, limited := ctx.Deadline()
			return &testpb.SimpleResponse{Username: fmt.Sprintf("%v %s %v %v %v %v", in, method, ok, limited, ctx.Err(), seenOfCaller(ctx))}, nil
		},
	}
	for name, err := range verdicts(t) {
		if err != nil {
			all["verdict "+name] = fails(err)
			all["verdict and trailers "+name] = does(func(ctx context.Context) error {
				_ = grpc.SetTrailer(ctx, metadata.Pairs("grpc-status-details-bin", "mine"))
				return err
			})
		}
	}
	return all
}

func metadataOf(ctx context.Context, header, trailer metadata.MD) error {
	return errors.Join(grpc.SetHeader(ctx, header), grpc.SetTrailer(ctx, trailer))
}

const (
	mostBytesIn  = 2_000
	mostBytesOut = 400_000
)

// limited is a setup with limits of messages.
func limited() setup {
	return setup{server: []grpc.ServerOption{grpc.MaxRecvMsgSize(mostBytesIn), grpc.MaxSendMsgSize(mostBytesOut)}, config: func(c *shim.Config) {
		c.DefaultMode, c.Spliced.MaxRecvMsgSize, c.Spliced.MaxSendMsgSize = shim.Legacy, mostBytesIn, mostBytesOut
	}}
}

// What a handler says reaches the caller in the same words, whether grpc-go calls the handler or the door.
func TestLocalHandlersAnswerAlike(t *testing.T) {
	stock, stocks := doorRig(t, shim.Stock, limited())
	local, locals := localRig(t, limited())
	for name, handle := range handlings(t) {
		t.Run(name, func(t *testing.T) {
			stock.local.answer, local.local.answer = handle, handle
			for _, pairs := range [][]string{nil, {"authorization", "secret", "a-bin", "\x00\xff", "a", "1", "a", "2", "hotpath-note", "mine"}} {
				ctx := outgoing(t.Context(), pairs...)
				if pairs != nil {
					within, cancel := context.WithTimeout(ctx, time.Hour)
					defer cancel()
					ctx = within
				}
				want, got := stock.once(t, ctx, stocks, odd), local.once(t, ctx, locals, odd)
				if wantSame(t, want, got); got.begun != 0 || len(got.handled) != 1 {
					t.Errorf("grpc-go began %d calls, the handler got %d", got.begun, len(got.handled))
				}
			}
		})
	}
	// Long replies make grpc-go's client send PINGs.
	if n := locals.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if n := local.metric(t, "hotpath_shim_spliced_local_total"); n == 0 {
		t.Error("no call was counted")
	}
}

// What the handler would not get from grpc-go is grpc-go's to refuse.
func TestRequestsThatAreTooLongOrBrokenAreRefusedAlike(t *testing.T) {
	stock, stocks := doorRig(t, shim.Stock, limited())
	local, locals := localRig(t, limited())
	for name, c := range map[string]struct {
		body  []byte
		begun int64
	}{
		"too long": {append([]byte{0xfa, 0x3f, 0xd0, 0x0f}, make([]byte, mostBytesIn)...), 1}, "broken": {[]byte{0xff}, 0}, "empty": {nil, 0},
	} {
		want, got := stock.once(t, t.Context(), stocks, c.body), local.once(t, t.Context(), locals, c.body)
		if wantSame(t, want, got); got.begun != c.begun {
			t.Errorf("%s: grpc-go began %d calls", name, got.begun)
		}
	}
}

// With Raw, interceptors and handler see bytes, and with Decoded messages.
func TestInterceptorsHearOfLocalAnswers(t *testing.T) {
	for name, interceptors := range map[string]shim.Interceptors{"decoded": shim.Decoded, "raw": shim.Raw} {
		t.Run(name, func(t *testing.T) {
			var heard []string // of one call at a time
			interceptor := grpc.UnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				_ = grpc.SetHeader(ctx, metadata.Pairs("of-interceptor", "yes"))
				reply, err := next(ctx, request)
				if info.FullMethod == unaryCall {
					heard = append(heard, fmt.Sprintf("%T, %T, %v", request, reply, err))
				}
				return reply, err
			})
			r, grpcs := localRig(t, setup{server: []grpc.ServerOption{interceptor}, config: func(c *shim.Config) {
				skip(c)
				c.Interceptors = interceptors
			}})
			r.wantBegun(t, grpcs, "LOCAL", 2, 2)
			r.wantBegun(t, grpcs, "LOCAL", 5, 0)
			if len(heard) != 7 || heard[6] != heard[0] {
				t.Errorf("heard %q", heard)
			}
			if o := r.once(t, t.Context(), grpcs, odd); o.begun != 0 || len(o.header["of-interceptor"]) != 1 || len(o.header["local-header"]) != 1 {
				t.Errorf("grpc-go began %d calls, header %v", o.begun, o.header)
			}
		})
	}
}

// Metadata that the door does not know goes to the local handler, and nowhere else.
func TestUnknownMetadataIsForwardedByTheHandler(t *testing.T) {
	r, grpcs := localRig(t, setup{config: func(c *shim.Config) { c.DefaultMode = shim.Sidecar }})
	o := r.once(t, outgoing(t.Context(), "authorization", "secret"), grpcs, odd)
	wantReply(t, o, "SIDECAR")
	if wantCounts(t, o, forwarded()); o.begun != 0 {
		t.Errorf("grpc-go began %d calls", o.begun)
	}
	want := maps.Clone(o.counts)
	if o = r.once(t, t.Context(), grpcs, odd); !maps.Equal(o.counts, want) || o.begun != 0 {
		t.Errorf("without: counted %v, %d calls", o.counts, o.begun)
	}
	if n := r.metric(t, "hotpath_shim_spliced_local_total"); n != 1 {
		t.Errorf("workers had %v calls", n)
	}
}
