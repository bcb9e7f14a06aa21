package shim_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/position"
	"hotpath.dev/go-shim/shimtest"
)

// doorCase is a call whose outcome must not depend on the front door.
type doorCase struct {
	config func(*shim.Config)
	// answer is the sidecar's; nil is SIDECAR.
	answer *shimtest.Answer
	// prepare comes before the call.
	prepare func(*testing.T, *rig)
	pairs   []string
	timeout time.Duration
	// counts are what the call is counted as. It is answered by LOCAL, unless that is "requests_total sidecar".
	counts map[string]float64
}

const local = "requests_total legacy"

// fellBack are the counts of a call that the handler answers. hop is true if the sidecar was asked.
func fellBack(reason string, hop bool) map[string]float64 {
	counts := map[string]float64{local: 1, "fallbacks_total " + reason: 1, "local_metadata_total": 1}
	if hop {
		counts["hop_seconds"] = 1
	}
	return counts
}

func without(counts map[string]float64, key string) map[string]float64 {
	delete(counts, key)
	return counts
}

func forwarded() map[string]float64 {
	return map[string]float64{"requests_total sidecar": 1, "hop_seconds": 1}
}

func everyMetadata(c *shim.Config) { c.Spliced.AnyMetadata = true }

func everyMetadataAndPositions(c *shim.Config) { everyMetadata(c); heeded(c) }

// stayLocal is a Forwardable that goes by what a handler would see.
func stayLocal(ctx context.Context, _ string) bool { return false }

// canary forwards so many of a hundred keys, of which a request has this one: account-1 is in the 31st hundredth.
func canary(percent int, key string) func(*shim.Config) {
	return func(c *shim.Config) {
		c.DefaultMode = shim.Canary(percent)
		c.CanaryKey = func(string, []byte) []byte { return []byte(key) }
	}
}

func stopped(t *testing.T, r *rig) {
	r.sidecar.Stop()
	eventually(t, "the loss is noticed", func() bool { return !r.side.Status().Ready })
}

func refused(t *testing.T, r *rig) {
	r.sidecar.RefuseMethod(unaryCall, "another schema")
	r.sidecar.DropConnections()
	eventually(t, "the refusal is shown", func() bool { return r.metric(t, "hotpath_shim_method_refused") == 1 })
	r.awaitReady(t)
}

func broken(t *testing.T, r *rig) {
	r.sidecar.Answer(script(shimtest.Answer{Unpositioned: true}))
	r.ask(t, t.Context())
	if !r.side.Status().BreakerOpen {
		t.Fatal("no breaker is open")
	}
}

func localCases() map[string]doorCase {
	return map[string]doorCase{
		"legacy": {config: func(c *shim.Config) { c.DefaultMode = shim.Legacy },
			counts: map[string]float64{local: 1, "local_metadata_total": 1}},
		"a canary of nothing": {config: canary(0, "account-1"), counts: map[string]float64{local: 1, "local_metadata_total": 1}},
		"outside the canary":  {config: canary(30, "account-1"), counts: map[string]float64{local: 1, "local_metadata_total": 1}},
		"outside the canary, not ready": {config: canary(30, "account-1"), prepare: stopped,
			counts: map[string]float64{local: 1, "local_metadata_total": 1}},
		"inside the canary, not ready": {config: canary(31, "account-1"), prepare: stopped, counts: fellBack("not_ready", false)},
		"CanaryKey panics": {config: func(c *shim.Config) {
			c.DefaultMode, c.CanaryKey = shim.Canary(100), func(string, []byte) []byte { panic("no idea") }
		}, counts: map[string]float64{local: 1, "local_metadata_total": 1}},
		"not ready":      {prepare: stopped, counts: fellBack("not_ready", false)},
		"method refused": {prepare: refused, counts: fellBack("method_refused", false)},
		"breaker open": {prepare: broken, config: func(c *shim.Config) {
			c.Breaker = shim.Breaker{Failures: 1, MinBackoff: time.Hour, MaxBackoff: time.Hour}
		}, counts: fellBack("breaker_open", false)},
		"deadline too short": {config: func(c *shim.Config) { c.HopTimeout = time.Nanosecond }, counts: fellBack("deadline_short", false)},
		"not forwardable": {config: func(c *shim.Config) { c.Forwardable = stayLocal },
			counts: without(fellBack("not_forwardable", false), "local_metadata_total")},
		"Forwardable of a method that is refused": {prepare: refused, config: func(c *shim.Config) { c.Forwardable = stayLocal },
			counts: without(fellBack("method_refused", false), "local_metadata_total")},
		"Forwardable of bad bounds": {config: func(c *shim.Config) { heeded(c); c.Forwardable = stayLocal },
			pairs: []string{position.MinKey, "many"}, counts: without(fellBack("not_forwardable", false), "local_metadata_total")},
		"Forwardable panics": {config: func(c *shim.Config) { c.Forwardable = func(context.Context, string) bool { panic("no idea") } },
			counts: without(fellBack("panic", false), "local_metadata_total")},
		"bad bounds": {config: heeded, pairs: []string{position.MinKey, "many"}, counts: fellBack("bad_bounds", false)},
		"ahead":      {config: heeded, pairs: []string{position.MinKey, "99"}, counts: fellBack("ahead_of_head", false)},
	}
}

func hopCases(t *testing.T) map[string]doorCase {
	declined := declining(t, "too_new")(shimtest.Call{})
	counts := without(fellBack("declined", true), "local_metadata_total")
	counts["declined_total too_new"] = 1
	unavailable := status.Error(codes.Unavailable, "draining")
	return map[string]doorCase{
		"no position": {answer: &shimtest.Answer{Unpositioned: true}, counts: fellBack("no_position", true)},
		"garbage":     {answer: &shimtest.Answer{Garbled: true, Body: []byte{0xff}}, counts: fellBack("no_position", true)},
		"too old":     {answer: &shimtest.Answer{Position: 2}, counts: fellBack("wrong_position", true)},
		"vanishes":    {answer: &shimtest.Answer{Drop: true}, counts: fellBack("unavailable", true)},
		"unavailable": {answer: &shimtest.Answer{Err: unavailable, Unpositioned: true}, counts: fellBack("unavailable", true)},
		"declined":    {answer: &declined, counts: counts},
		"hangs until HopTimeout": {answer: &shimtest.Answer{Hang: true}, counts: fellBack("hop_timeout", true),
			config: func(c *shim.Config) { c.HopTimeout = 50 * time.Millisecond }, timeout: testTimeout},
		"with metadata of its own": {answer: &shimtest.Answer{Unpositioned: true}, config: everyMetadata, counts: fellBack("no_position", true),
			pairs: []string{"authorization", "secret", "a-bin", "\x00\xff", "a", "1", "a", "2", "traceparent", "00-a-b-01"}},
		"with positions": {answer: &shimtest.Answer{Unpositioned: true}, config: everyMetadata, counts: fellBack("no_position", true),
			pairs: []string{position.MinKey, "98", position.AtKey, "99", position.Prefix + "later", "x", "other", "kept"}},
		"with positions that count": {answer: &shimtest.Answer{Unpositioned: true}, config: everyMetadataAndPositions,
			counts: fellBack("no_position", true), pairs: []string{position.AtKey, "2", position.Prefix + "later", "x", "other", "kept"}},
		"with the key of notes": {answer: &shimtest.Answer{Unpositioned: true}, config: everyMetadata, counts: fellBack("no_position", true),
			pairs: []string{"hotpath-note", "mine", "hotpath-note", "too"}},
	}
}

func forwardedCases() map[string]doorCase {
	all := map[string]doorCase{
		"plain": {}, "inside the canary": {config: canary(31, "account-1")}, "a canary of all": {config: canary(100, "")},
		"authorization":    {config: everyMetadata, pairs: []string{"authorization", "secret"}},
		"the key of notes": {config: everyMetadata, pairs: []string{"hotpath-note", "mine"}},
		"positions that callers may not choose": {config: everyMetadata,
			pairs: []string{position.Key, "want", position.MinKey, "98", position.AtKey, "99", position.Prefix + "later", "x"}},
		"at a position":        {config: heeded, pairs: []string{position.AtKey, "2"}},
		"at least a position":  {config: heeded, pairs: []string{position.MinKey, "3"}},
		"tell the position":    {config: heeded, pairs: []string{position.Key, "want"}},
		"any key of positions": {config: everyMetadataAndPositions, pairs: []string{position.Prefix + "anything", "x"}},
		"trace context":        {pairs: []string{"traceparent", "00-a-b-01", "tracestate", "x=y", "tracestate", "z=1"}},
		"binary trace context": {pairs: []string{"grpc-trace-bin", "\x00\x00" + "0123456789abcdef" + "\x01" + "ghijklmn" + "\x02\x01"}},
		"two parents":          {pairs: []string{"traceparent", "00-a-b-01", "traceparent", "00-c-d-01"}},
	}
	for name, c := range all {
		c.counts = forwarded()
		all[name] = c
	}
	return all
}

// run makes the call. locally lets the spliced door run local handlers.
func (c doorCase) run(t *testing.T, door shim.FrontDoor, locally bool) outcome {
	t.Helper()
	r, grpcs := doorRig(t, door, setup{events: 3, config: func(config *shim.Config) {
		config.Spliced.Local = locally
		if c.config != nil {
			c.config(config)
		}
	}})
	if c.prepare != nil {
		c.prepare(t, r)
	}
	if c.answer != nil {
		r.sidecar.Answer(script(*c.answer))
	}
	ctx := outgoing(t.Context(), c.pairs...)
	if c.timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, c.timeout)
		defer cancel()
		ctx = limited
	}
	return r.once(t, ctx, grpcs, odd)
}

func TestBothDoorsDecideAlike(t *testing.T) {
	for group, cases := range map[string]map[string]doorCase{"local": localCases(), "hop": hopCases(t), "forwarded": forwardedCases()} {
		for name, c := range cases {
			t.Run(group+"/"+name, func(t *testing.T) {
				t.Parallel()
				stock, spliced, locally := c.run(t, shim.Stock, false), c.run(t, shim.Spliced, false), c.run(t, shim.Spliced, true)
				wantSame(t, stock, spliced)
				wantSame(t, stock, locally)
				wantCounts(t, spliced, c.counts)
				by, times := "LOCAL", int64(1)
				if group == "forwarded" {
					by, times = "SIDECAR", 0
				}
				wantReply(t, spliced, by)
				if spliced.begun != times || len(spliced.handled) != int(times) {
					t.Errorf("grpc-go began %d calls, the handler got %d, want %d", spliced.begun, len(spliced.handled), times)
				}
				if locally.begun != 0 {
					t.Errorf("grpc-go began %d calls although the door runs local handlers", locally.begun)
				}
			})
		}
	}
}

// verdicts are answers of the sidecar by name, one for each code, and texts and details that are hard to carry.
func verdicts(t *testing.T) map[string]error {
	said := map[string]error{"OK": nil}
	for code := codes.Canceled; code <= codes.Unauthenticated+1; code++ {
		said[fmt.Sprintf("code %d", code)] = status.Error(code, "account_id: has no entries")
	}
	for name, text := range map[string]string{
		"empty": "", "unicode": "☺ Привет \U0001F600", "control": "a\x00\r\n\t\x7f", "percent": "100% of %41",
		"spaces": "  a  ", "long": strings.Repeat("ä", 2000),
	} {
		said[name] = status.Error(codes.NotFound, text)
	}
	said["unknown code"] = status.Error(codes.Code(77), "later")
	for n := range 4 {
		st := status.New(codes.OutOfRange, "☺\n")
		for i := range n {
			var err error
			info := &errdetails.ErrorInfo{Reason: strings.Repeat("R", i+1), Domain: "ä"}
			if st, err = st.WithDetails(info, &errdetails.RetryInfo{}); err != nil {
				t.Fatal(err)
			}
		}
		said[fmt.Sprintf("%d details", 2*n)] = st.Err()
	}
	return said
}

// Bytes, statuses, headers and trailers are the same behind both doors, whether the caller wants to know the position or
// not.
func TestBothDoorsAnswerAlike(t *testing.T) {
	with := setup{events: 3, config: everyMetadataAndPositions}
	stock, stocks := doorRig(t, shim.Stock, with)
	spliced, spliceds := doorRig(t, shim.Spliced, with)
	bodies := map[string][]byte{"empty": {}, "odd": odd, "5 KiB": bytes.Repeat([]byte{7}, 5<<10), "64 KiB": bytes.Repeat([]byte{7}, 64<<10),
		"more than a frame": bytes.Repeat([]byte{7}, 300<<10)}
	both := func(t *testing.T, answer shimtest.Answer) {
		for _, pairs := range [][]string{nil, {position.Key, "want"}} {
			stock.sidecar.Answer(script(answer))
			spliced.sidecar.Answer(script(answer))
			ctx := outgoing(t.Context(), pairs...)
			want, got := stock.once(t, ctx, stocks, odd), spliced.once(t, ctx, spliceds, odd)
			wantSame(t, want, got)
			if got.begun != 0 || len(got.handled) != 0 {
				t.Errorf("grpc-go began %d calls", got.begun)
			}
			if told := slices.Equal(got.header.Get(position.Key), []string{"3"}); told != (pairs != nil) {
				t.Errorf("header %v", got.header)
			}
		}
	}
	for name, err := range verdicts(t) {
		t.Run(name, func(t *testing.T) { both(t, shimtest.Answer{Err: err}) })
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) { both(t, shimtest.Answer{Body: body}) })
	}
	// grpc-go's client pings while it gets long replies. Its server must not take that for an attack.
	spliced.sidecar.Answer(script(shimtest.Answer{Body: bodies["more than a frame"]}))
	for range 50 {
		spliced.once(t, t.Context(), spliceds, odd)
	}
	if n := spliceds.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
