package shimotel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/shimotel"
	"hotpath.dev/go-shim/shimtest"
	"hotpath.dev/go-shim/tracing"
)

const (
	unaryCall = testpb.TestService_UnaryCall_FullMethodName
	// testTimeout bounds waits that end as soon as something happens.
	testTimeout = time.Minute

	sampled  = "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01"
	silenced = "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-00"
)

type service struct {
	testpb.UnimplementedTestServiceServer
}

func (service) UnaryCall(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Username: "LOCAL"}, nil
}

func (service) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return &testpb.Empty{}, nil
}

// rig is a service with the shim, a scripted sidecar, a client, and the spans that were made.
type rig struct {
	sidecar  *shimtest.Sidecar
	client   testpb.TestServiceClient
	exported *tracetest.InMemoryExporter
}

func newRig(t *testing.T, door shim.FrontDoor, options ...grpc.ServerOption) *rig {
	t.Helper()
	// The SDK's default sampler obeys the parent. This one does not, so that the test sees who obeys.
	return newSampledRig(t, door, sdktrace.AlwaysSample(), options...)
}

func newSampledRig(t *testing.T, door shim.FrontDoor, sampler sdktrace.Sampler, options ...grpc.ServerOption) *rig {
	t.Helper()
	r := &rig{exported: tracetest.NewInMemoryExporter()}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(r.exported), sdktrace.WithSampler(sampler))
	dir := t.TempDir()
	r.sidecar = shimtest.Start(t, filepath.Join(dir, "s.sock"))
	ledger := shimtest.NewLedger("l")
	ledger.Append([]byte("event"))
	side, err := shim.Open(t.Context(), shim.Config{
		Run: shim.Attach, Socket: filepath.Join(dir, "s.sock"), Methods: []string{unaryCall}, Logger: slog.New(slog.DiscardHandler),
		HopTimeout: testTimeout, StaleAfter: testTimeout, Tracer: shimotel.New(provider), FrontDoor: door,
		Experiment: experiment.Config{OpenDoor: true},
	}, ledger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = side.Close() })
	server := grpc.NewServer(side.ServerOptions(options)...)
	testpb.RegisterTestServiceServer(side.Wrap(server), service{})
	listener, err := net.Listen("unix", filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("unix:"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	r.client = testpb.NewTestServiceClient(conn)
	// No call is hot before grpc-go has acknowledged the client's settings.
	if _, err := r.client.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
		t.Fatal(err)
	}
	r.awaitSidecar(t)
	return r
}

// awaitSidecar asks until the sidecar is asked, and forgets these requests.
func (r *rig) awaitSidecar(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(testTimeout); len(r.sidecar.Calls()) == 0; time.Sleep(time.Millisecond) {
		if _, err := r.client.UnaryCall(t.Context(), &testpb.SimpleRequest{}); err != nil || time.Now().After(end) {
			t.Fatalf("the sidecar is never asked: %v", err)
		}
	}
	r.exported.Reset()
}

// ask makes a call, and returns the trace context that the sidecar got.
func (r *rig) ask(t *testing.T, traceparent string) (parent string, err error) {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "tracestate", "vendor=1")
	if traceparent != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", traceparent)
	}
	before := len(r.sidecar.Calls())
	_, err = r.client.UnaryCall(ctx, &testpb.SimpleRequest{})
	calls := r.sidecar.Calls()[before:]
	if len(calls) != 1 {
		t.Fatalf("%d calls", len(calls))
	}
	if got := calls[0].Metadata.Get("traceparent"); len(got) > 0 {
		parent = got[0]
	}
	return parent, err
}

func (r *rig) only(t *testing.T) tracetest.SpanStub {
	t.Helper()
	spans := r.exported.GetSpans()
	if len(spans) != 1 {
		t.Fatalf("%d spans", len(spans))
	}
	return spans[0]
}

func attributesOf(span tracetest.SpanStub) map[string]string {
	all := make(map[string]string)
	for _, each := range span.Attributes {
		all[string(each.Key)] = fmt.Sprint(each.Value.AsInterface())
	}
	return all
}

func wantAttributes(t *testing.T, span tracetest.SpanStub, want map[string]string) {
	t.Helper()
	if got := attributesOf(span); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("attributes %v, want %v", got, want)
	}
}

func eachDoor(t *testing.T, test func(t *testing.T, door shim.FrontDoor)) {
	for _, door := range []shim.FrontDoor{shim.Stock, shim.Spliced} {
		t.Run(door.String(), func(t *testing.T) { test(t, door) })
	}
}

func TestTheHopIsTheCallersChildAndTheSidecarsParent(t *testing.T) {
	eachDoor(t, func(t *testing.T, door shim.FrontDoor) {
		r := newRig(t, door)
		sent, err := r.ask(t, sampled)
		if err != nil {
			t.Fatal(err)
		}
		span := r.only(t)
		if span.Name != "hotpath hop" || span.SpanKind != trace.SpanKindClient || span.Status.Code != otelcodes.Unset {
			t.Errorf("span %q, %v, %v", span.Name, span.SpanKind, span.Status)
		}
		if got := span.Parent; !got.IsRemote() || got.SpanID().String() != "1112131415161718" || got.TraceState().String() != "vendor=1" {
			t.Errorf("its parent is %v", got)
		}
		want := fmt.Sprintf("00-0102030405060708090a0b0c0d0e0f10-%s-01", span.SpanContext.SpanID())
		if sent != want || span.SpanContext.TraceID() != span.Parent.TraceID() {
			t.Errorf("the sidecar got %s, want %s", sent, want)
		}
		wantAttributes(t, span, map[string]string{
			"rpc.system.name": "grpc", "rpc.method": "grpc.testing.TestService/UnaryCall", "rpc.response.status_code": "OK",
			"hotpath.mode": "sidecar", "hotpath.served_by": "sidecar", "hotpath.position": "1",
		})
	})
}

// A span that the service itself has begun is nearer than the caller's.
func TestTheServicesOwnSpanIsTheParent(t *testing.T) {
	exported := tracetest.NewInMemoryExporter()
	services := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exported)).Tracer("service")
	r := newRig(t, shim.Stock, grpc.UnaryInterceptor(
		func(ctx context.Context, in any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			ctx, own := services.Start(ctx, "own")
			defer own.End()
			return next(ctx, in)
		}))
	exported.Reset()
	_, err := r.ask(t, sampled)
	own := exported.GetSpans()
	if hop := r.only(t); err != nil || len(own) != 1 || hop.Parent.SpanID() != own[0].SpanContext.SpanID() {
		t.Errorf("%v, parent %v, the service's own %+v", err, hop.Parent, own)
	}
}

func TestWhatIsNotSampledIsNotRecorded(t *testing.T) {
	eachDoor(t, func(t *testing.T, door shim.FrontDoor) {
		r := newRig(t, door)
		sent, err := r.ask(t, silenced)
		if n := len(r.exported.GetSpans()); err != nil || sent != silenced || n != 0 {
			t.Errorf("%v, %d spans; the sidecar got %s", err, n, sent)
		}
	})
}

func TestWithoutACallersTraceTheSamplerDecides(t *testing.T) {
	eachDoor(t, func(t *testing.T, door shim.FrontDoor) {
		r := newRig(t, door)
		sent, err := r.ask(t, "")
		span := r.only(t)
		want := fmt.Sprintf("00-%s-%s-01", span.SpanContext.TraceID(), span.SpanContext.SpanID())
		if err != nil || span.Parent.IsValid() || sent != want {
			t.Errorf("%v, parent %v; the sidecar got %s, want %s", err, span.Parent, sent, want)
		}
	})
}

func TestWhatTheSamplerLeavesOutCrossesAsWithoutATracer(t *testing.T) {
	eachDoor(t, func(t *testing.T, door shim.FrontDoor) {
		r := newSampledRig(t, door, sdktrace.NeverSample())
		sent, err := r.ask(t, "")
		if n := len(r.exported.GetSpans()); err != nil || sent != "" || n != 0 {
			t.Errorf("%v, %d spans; the sidecar got %s", err, n, sent)
		}
	})
}

func TestOutcomesAreRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		answer      shimtest.Answer
		description string
		want        map[string]string
	}{
		"an error is an answer": {shimtest.Answer{Err: status.Error(codes.NotFound, "no account")}, "no account", map[string]string{
			"hotpath.served_by": "sidecar", "hotpath.position": "1", "rpc.response.status_code": "NOT_FOUND", "error.type": "NOT_FOUND"}},
		"a failure": {shimtest.Answer{Err: status.Error(codes.Internal, "bug"), Unpositioned: true}, "bug", map[string]string{
			"hotpath.served_by": "legacy", "hotpath.fallback.reason": "no_position", "rpc.response.status_code": "INTERNAL", "error.type": "INTERNAL"}},
		"a reply that is none": {shimtest.Answer{Unpositioned: true}, "no_position", map[string]string{
			"hotpath.served_by": "legacy", "hotpath.fallback.reason": "no_position", "rpc.response.status_code": "OK", "error.type": "no_position"}},
	} {
		t.Run(name, func(t *testing.T) {
			eachDoor(t, func(t *testing.T, door shim.FrontDoor) {
				r := newRig(t, door)
				r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return c.answer })
				_, _ = r.ask(t, sampled)
				span := r.only(t)
				if span.Status.Code != otelcodes.Error || span.Status.Description != c.description {
					t.Errorf("status %+v", span.Status)
				}
				want := map[string]string{"rpc.system.name": "grpc", "rpc.method": "grpc.testing.TestService/UnaryCall", "hotpath.mode": "sidecar"}
				for key, value := range c.want {
					want[key] = value
				}
				wantAttributes(t, span, want)
			})
		})
	}
}

func TestCodesAreSpelledAsTheSpecificationDoes(t *testing.T) {
	exported := tracetest.NewInMemoryExporter()
	tracer := shimotel.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(exported)))
	for code := codes.OK; code <= codes.Unauthenticated; code++ {
		span, _ := tracer.Start(t.Context(), tracing.Hop{})
		span.End(tracing.Outcome{Answered: true, Err: status.Error(code, "")})
	}
	for i, span := range exported.GetSpans() {
		var read codes.Code
		name := attributesOf(span)["rpc.response.status_code"]
		if err := read.UnmarshalJSON([]byte(`"` + name + `"`)); err != nil || read != codes.Code(i) {
			t.Errorf("%v is %q", codes.Code(i), name)
		}
	}
}

func TestWhatNeverReachedTheSidecarHasNoStatus(t *testing.T) {
	exported := tracetest.NewInMemoryExporter()
	tracer := shimotel.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(exported)))
	span, _ := tracer.Start(t.Context(), tracing.Hop{Method: "/a.B/C", Mode: "canary 5%"})
	span.End(tracing.Outcome{Reason: "busy", Err: errors.New("all lanes are full"), Again: true})
	got := exported.GetSpans()[0]
	wantAttributes(t, got, map[string]string{"rpc.system.name": "grpc", "rpc.method": "a.B/C", "hotpath.mode": "canary 5%",
		"hotpath.served_by": "legacy", "hotpath.fallback.reason": "busy", "hotpath.asked_again": "true", "error.type": "busy"})
	if got.Status.Description != "all lanes are full" || got.Attributes[0].Value.Type() != attribute.STRING {
		t.Errorf("status %+v", got.Status)
	}
}
