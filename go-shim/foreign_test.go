package shim_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/mem"

	shim "hotpath.dev/go-shim"
)

// ownCodec is a service's own codec. A strict one accepts only messages of the service.
type ownCodec struct {
	encoding.CodecV2
	strict           bool
	encoded, decoded *atomic.Int64
}

func newOwnCodec() ownCodec {
	return ownCodec{CodecV2: encoding.GetCodecV2(protocodec.Name), encoded: new(atomic.Int64), decoded: new(atomic.Int64)}
}

func (c ownCodec) Marshal(v any) (mem.BufferSlice, error) {
	c.encoded.Add(1)
	return c.CodecV2.Marshal(v)
}

func (c ownCodec) Unmarshal(data mem.BufferSlice, v any) error {
	c.decoded.Add(1)
	if _, ok := v.(*testpb.SimpleRequest); c.strict && !ok {
		return fmt.Errorf("cannot decode into %T", v)
	}
	return c.CodecV2.Unmarshal(data, v)
}

func TestOwnCodecGivenToTheShimIsKept(t *testing.T) {
	own := newOwnCodec()
	r := newRig(t, setup{config: func(c *shim.Config) { c.Codec = own }})
	if who := r.ask(t, t.Context()); who != "SIDECAR" || own.decoded.Load() != 0 || own.encoded.Load() != 0 {
		t.Fatalf("answered by %s; bytes that pass through were decoded %d times", who, own.decoded.Load())
	}
	if _, err := r.client.EmptyCall(t.Context(), &testpb.Empty{}); err != nil || own.decoded.Load() != 1 || own.encoded.Load() != 1 {
		t.Fatalf("%v; the service's codec decoded %d and encoded %d times", err, own.decoded.Load(), own.encoded.Load())
	}
	r.sidecar.Stop()
	eventually(t, "gone", func() bool { return !r.side.Status().Ready })
	before := own.decoded.Load()
	if who := r.ask(t, t.Context()); who != "LOCAL" || own.decoded.Load() != before+1 {
		t.Fatalf("answered by %s", who)
	}
}

// A codec of the service can stand beside the shim's only among the server options. It comes after the shim's, and
// grpc-go obeys the last.
func TestOwnCodecAmongTheOptionsIsKeptAndTold(t *testing.T) {
	for name, c := range map[string]struct {
		options      []grpc.ServerOption
		interceptors shim.Interceptors
	}{
		"raw":             {},
		"raw interceptor": {[]grpc.ServerOption{passOn()}, shim.Raw},
	} {
		t.Run(name, func(t *testing.T) {
			var log logged
			own := newOwnCodec()
			r := newRig(t, setup{server: append(c.options, grpc.ForceServerCodecV2(own)), config: func(config *shim.Config) {
				config.Interceptors, config.Logger = c.interceptors, slog.New(slog.NewTextHandler(&log, nil))
			}})
			for n := int64(1); n <= 3; n++ {
				if who := r.ask(t, t.Context()); who != "LOCAL" || own.decoded.Load() != n || own.encoded.Load() != n {
					t.Fatalf("%d: answered by %s, decoded %d and encoded %d times", n, who, own.decoded.Load(), own.encoded.Load())
				}
			}
			if got := first(t, r.local.served()).GetPayload().GetBody(); string(got) != "a" {
				t.Fatalf("the first request came as %q", got)
			}
			if err := r.side.Check(); !errors.Is(err, shim.ErrForeignCodec) || !strings.Contains(err.Error(), unaryCall) {
				t.Fatalf("Check says %v", err)
			}
			if n := strings.Count(log.String(), "has a codec that is not the shim's"); n != 1 || r.fallbacks(t, "foreign_codec") != 3 {
				t.Fatalf("told %d times, counted %v", n, r.fallbacks(t, "foreign_codec"))
			}
		})
	}
}

// Interceptors see typed messages, and any codec can make them.
func TestOwnCodecWithDecodedInterceptorsForwards(t *testing.T) {
	own := newOwnCodec()
	r := newRig(t, setup{server: []grpc.ServerOption{grpc.ForceServerCodecV2(own), passOn()}})
	if who := r.ask(t, t.Context()); who != "SIDECAR" || own.decoded.Load() != 1 || own.encoded.Load() != 1 {
		t.Fatalf("answered by %s, decoded %d times", who, own.decoded.Load())
	}
	// The spliced door stays shut because of the interceptor.
	if err := r.side.Check(); err != nil && !(r.config.FrontDoor == shim.Spliced && errors.Is(err, shim.ErrInterceptors)) {
		t.Fatal(err)
	}
}

func TestStrictCodecCostsOneRequest(t *testing.T) {
	own := newOwnCodec()
	own.strict = true
	r := newRig(t, setup{server: []grpc.ServerOption{grpc.ForceServerCodecV2(own)}})
	if _, err := r.client.UnaryCall(t.Context(), requestOf("a")); err == nil || !strings.Contains(err.Error(), "cannot decode") {
		t.Fatalf("got %v", err)
	}
	// grpc-go sends the status before it hands the error to the shim.
	eventually(t, "the codec is known", func() bool { return errors.Is(r.side.Check(), shim.ErrForeignCodec) })
	if who := r.ask(t, t.Context()); who != "LOCAL" {
		t.Fatalf("answered by %s", who)
	}
}

// One server may lack the options that another has.
func TestServerWithoutOptionsIsAnsweredLocally(t *testing.T) {
	r := newRig(t, setup{})
	if who := r.ask(t, t.Context()); who != "SIDECAR" {
		t.Fatalf("answered by %s", who)
	}
	server := grpc.NewServer()
	testpb.RegisterTestServiceServer(r.side.Wrap(server), r.local)
	other := rig{conn: dial(t, server)}
	other.client = testpb.NewTestServiceClient(other.conn)
	if who := other.ask(t, t.Context()); who != "LOCAL" || !errors.Is(r.side.Check(), shim.ErrForeignCodec) {
		t.Fatalf("answered by %s, Check says %v", who, r.side.Check())
	}
	if who := r.ask(t, t.Context()); who != "SIDECAR" {
		t.Fatalf("answered by %s", who)
	}
}
