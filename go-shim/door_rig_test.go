package shim_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimtest"
)

// begun counts the connections of a server, and the hot calls that grpc-go begins. Those that the door answers are not
// among them.
type begun struct{ conns, calls atomic.Int64 }

func (b *begun) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if info.FullMethodName == unaryCall {
		b.calls.Add(1)
	}
	return ctx
}

func (*begun) HandleRPC(context.Context, stats.RPCStats)                         {}
func (*begun) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (b *begun) HandleConn(_ context.Context, event stats.ConnStats) {
	if _, ok := event.(*stats.ConnBegin); ok {
		b.conns.Add(1)
	}
}

// doorRig is a rig behind a front door that is chosen by the test, not by TEST_FRONT_DOOR. The spliced one is open, and
// leaves local handlers to grpc-go.
func doorRig(t testing.TB, door shim.FrontDoor, s setup) (*rig, *begun) {
	t.Helper()
	change, grpcs := s.config, new(begun)
	s.server = append(slices.Clone(s.server), grpc.StatsHandler(grpcs))
	s.config = func(c *shim.Config) {
		c.FrontDoor, c.Experiment.OpenDoor, c.Spliced.Local = door, true, false
		if change != nil {
			change(c)
		}
	}
	r := newRig(t, s)
	r.settle(t)
	return r, grpcs
}

// localRig is a rig behind the spliced door, which runs local handlers, too. All requests are for those.
func localRig(t testing.TB, s setup) (*rig, *begun) {
	t.Helper()
	change := s.config
	s.config = func(c *shim.Config) {
		c.Spliced.Local, c.DefaultMode = true, shim.Legacy
		if change != nil {
			change(c)
		}
	}
	return doorRig(t, shim.Spliced, s)
}

// settle makes a cold call. Once it is answered, grpc-go has acknowledged the client's settings, before which no call is
// hot.
func (r *rig) settle(t testing.TB) {
	t.Helper()
	if _, err := r.client.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
		t.Fatal(err)
	}
}

// counts returns what the shim has counted about requests.
func (r *rig) counts(t testing.TB) map[string]float64 {
	t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, family := range families {
		name := strings.TrimPrefix(family.GetName(), "hotpath_shim_")
		if !slices.Contains([]string{"requests_total", "fallbacks_total", "declined_total", "local_metadata_total", "hop_seconds"}, name) {
			continue
		}
		for _, m := range family.GetMetric() {
			key := name
			for _, label := range m.GetLabel() {
				// The class follows from the reason.
				if label.GetName() != "method" && label.GetName() != "class" {
					key += " " + label.GetValue()
				}
			}
			if n := m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount()); n != 0 {
				counted[key] = n
			}
		}
	}
	return counted
}

// outcome is what everybody around the shim sees of one call.
type outcome struct {
	reply           []byte
	status          string
	header, trailer metadata.MD
	// asked is what the sidecar got. handled is what the handler got.
	asked, handled []string
	counts         map[string]float64
	// begun is how often grpc-go began a call.
	begun int64
}

func (o outcome) String() string {
	return fmt.Sprintf("reply %x\nstatus %s\nheader %v\ntrailer %v\nasked %q\nhandled %q\ncounts %v", o.reply, o.status, o.header,
		o.trailer, o.asked, o.handled, o.counts)
}

// once makes one call of these bytes and returns what is seen of it.
func (r *rig) once(t testing.TB, ctx context.Context, grpcs *begun, body []byte) (o outcome) {
	t.Helper()
	before, asked, handled, calls := r.counts(t), len(r.sidecar.Calls()), len(r.local.served()), grpcs.calls.Load()
	var err error
	o.reply, err = r.invokeRaw(ctx, body, grpc.Header(&o.header), grpc.Trailer(&o.trailer))
	text, failed := proto.MarshalOptions{Deterministic: true}.Marshal(status.Convert(err).Proto())
	if failed != nil {
		t.Fatal(failed)
	}
	o.status = fmt.Sprintf("%v %x", status.Code(err), text)
	for _, call := range r.sidecar.Calls()[asked:] {
		o.asked = append(o.asked, fmt.Sprintf("%s %x %+v %v", call.Method, call.Body, call.Want, call.Metadata))
	}
	served := r.local.served()
	r.local.mu.Lock()
	for i := handled; i < len(served); i++ {
		o.handled = append(o.handled, fmt.Sprintf("%x %v", encode(t, served[i]), r.local.metadata[i]))
	}
	r.local.mu.Unlock()
	o.counts = r.counts(t)
	for key, n := range before {
		if o.counts[key] -= n; o.counts[key] == 0 {
			delete(o.counts, key)
		}
	}
	o.begun = grpcs.calls.Load() - calls
	return o
}

// script is a sidecar that always gives this answer.
func script(answer shimtest.Answer) shimtest.Script {
	return func(shimtest.Call) shimtest.Answer { return answer }
}

// wantSame compares what is seen of the same call behind both doors.
func wantSame(t testing.TB, stock, spliced outcome) {
	t.Helper()
	if stock.begun != 1 {
		t.Errorf("grpc-go began %d calls behind the stock door", stock.begun)
	}
	if want, got := stock.String(), spliced.String(); got != want {
		t.Errorf("behind the spliced door:\n%s\nbehind the stock door:\n%s", got, want)
	}
}

func wantCounts(t testing.TB, o outcome, want map[string]float64) {
	t.Helper()
	if !maps.Equal(o.counts, want) {
		t.Errorf("counted %v, want %v", o.counts, want)
	}
}

func wantReply(t testing.TB, o outcome, by string) {
	t.Helper()
	if want := encode(t, response(by)); !bytes.Equal(o.reply, want) {
		t.Errorf("reply %q, want that of %s; status %s", o.reply, by, o.status)
	}
}
