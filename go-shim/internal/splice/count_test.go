package splice

import (
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/metadata"
)

// watched is an Observer that tests can look at.
type watched struct {
	mu             sync.Mutex
	open, answered int
	broke          map[string]int
	handedOver     map[Reason]int
}

func newWatched() *watched { return &watched{broke: map[string]int{}, handedOver: map[Reason]int{}} }

func (w *watched) Opened() { w.change(func() { w.open++ }) }

func (w *watched) Closed(broke string) { w.change(func() { w.open--; w.broke[broke]++ }) }

func (w *watched) Answered(calls int) { w.change(func() { w.answered += calls }) }

func (w *watched) HandedOver(why, calls int) {
	w.change(func() { w.handedOver[Reason(why)] += calls })
}

func (w *watched) change(how func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	how()
}

// ended waits until as many connections have ended, by this rule, and no other by any.
func (r *rig) ended(rule string, connections int) {
	r.t.Helper()
	eventually(r.t.(*testing.T), "the end of connections by "+rule, func() bool {
		r.watch.mu.Lock()
		defer r.watch.mu.Unlock()
		want := map[string]int{rule: connections}
		got := maps.Clone(r.watch.broke)
		if rule != "" {
			delete(got, "")
		}
		return maps.Equal(got, want)
	})
}

func TestCallsAreCountedOnceAndByReason(t *testing.T) {
	for name, c := range map[string]struct {
		unknown bool // the connection has not begun
		extra   bool
		lines   []string
		want    map[Reason]uint32
	}{
		"hot":                      {lines: []string{"client HEADERS 1 hot", "client DATA 1 end msg hi"}},
		"another method":           {lines: []string{"client HEADERS 1 cold", "client DATA 1 end msg hi"}},
		"unknown metadata":         {lines: []string{"client HEADERS 1 odd"}, want: map[Reason]uint32{ForMetadata: 1}},
		"metadata for the policy":  {extra: true, lines: []string{"client HEADERS 1 odd", "client DATA 1 end msg hi"}},
		"metadata while draining":  {lines: []string{"grpc GOAWAY 2147483647 0", "client HEADERS 1 odd"}, want: map[Reason]uint32{ForMetadata: 1}},
		"no message":               {lines: []string{"client HEADERS 1 hot end"}, want: map[Reason]uint32{ForUnusual: 1}},
		"compressed":               {lines: []string{"client HEADERS 1 hot", "client DATA 1 end hex 0100000001aa"}, want: map[Reason]uint32{ForUnusual: 1}},
		"two messages":             {lines: []string{"client HEADERS 1 hot", "client DATA 1 end hex 00000000000000000000"}, want: map[Reason]uint32{ForUnusual: 1}},
		"nothing but padding":      {unknown: true, lines: padded(), want: map[Reason]uint32{ForUnusual: 1}},
		"long":                     {lines: []string{"client HEADERS 1 hot", "client DATA 1 hex 0000100000"}, want: map[Reason]uint32{ForSize: 1}},
		"cut off":                  {lines: []string{"client HEADERS 1 hot", "client DATA 1 end hex 000000000561"}, want: map[Reason]uint32{ForIncomplete: 1}},
		"cut off in the prefix":    {lines: []string{"client HEADERS 1 hot", "client DATA 1 end hex 0000"}, want: map[Reason]uint32{ForIncomplete: 1}},
		"late":                     {lines: []string{"client HEADERS 1 hot", "client DATA 1 hex 0000", "expire"}, want: map[Reason]uint32{ForIncomplete: 1}},
		"at the beginning":         {unknown: true, lines: []string{"client preface", "client SETTINGS", "client HEADERS 1 hot"}, want: map[Reason]uint32{ForSettings: 1}},
		"draining":                 {lines: []string{"grpc GOAWAY 2147483647 0", "client HEADERS 1 hot"}, want: map[Reason]uint32{ForDraining: 1}},
		"several":                  {lines: []string{"client HEADERS 1 odd", "client HEADERS 3 odd", "client HEADERS 5 hot end"}, want: map[Reason]uint32{ForMetadata: 2, ForUnusual: 1}},
		"what the policy gives up": {lines: []string{"client HEADERS 1 hot", "client DATA 1 end msg hi", "local 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTalkRig(t)
			if !c.unknown {
				r.begin()
			}
			r.core.extra = c.extra
			for _, line := range c.lines {
				r.say(line)
			}
			wantCounted(t, r, 0, c.want)
		})
	}
}

// padded begins a connection with a large window, and a call of which there comes only padding, of 256 bytes a frame.
func padded() []string {
	lines := []string{"grpc SETTINGS 5=65535", "client preface", "client SETTINGS", "grpc SETTINGS ack", "client HEADERS 1 hot"}
	for range maxFrame/256 + 1 {
		lines = append(lines, "client DATA 1 pad 255")
	}
	return lines
}

func wantCounted(t *testing.T, r *talkRig, answered uint32, want map[Reason]uint32) {
	t.Helper()
	counted := r.core.counted.take()
	got, sum := map[Reason]uint32{}, uint32(0)
	for why, n := range counted.handedOver {
		if sum += n; n > 0 {
			got[Reason(why)] = n
		}
	}
	if counted.answered != answered || counted.handed != sum || !maps.Equal(got, want) {
		t.Errorf("counted %+v, want %v and %d answered", counted, want, answered)
	}
	if again := r.core.counted.take(); again != (counts{}) {
		t.Errorf("then %+v once more", again)
	}
}

func TestUnreadBytesAreAReason(t *testing.T) {
	r := newTalkRig(t)
	r.begin()
	r.core.overloaded = true
	r.say("client HEADERS 1 hot")
	wantCounted(t, r, 0, map[Reason]uint32{ForUnread: 1})
}

func TestAnswersAndRefusalsAreCounted(t *testing.T) {
	r := newTalkRig(t)
	r.begin()
	for _, line := range []string{"client HEADERS 1 hot", "client DATA 1 end msg hi", "answer 1 hello", "client HEADERS 3 hot",
		"client DATA 3 end msg hi", "refuse 3 5 gone"} {
		r.say(line)
	}
	wantCounted(t, r, 2, nil)
}

// Every reason and rule has a name of its own, as metrics need.
func TestNamesOfReasonsAndRules(t *testing.T) {
	if n := len(Reasons()); n != int(reasonCount) {
		t.Errorf("%d names of %d reasons", n, reasonCount)
	}
	for _, names := range [][]string{Reasons(), Rules()} {
		if all := slices.Sorted(slices.Values(names)); len(slices.Compact(all)) != len(names) || slices.Contains(names, "") {
			t.Errorf("%q", names)
		}
	}
}

// What a connection has counted arrives at the observer, whoever flushes.
func TestTheObserverHearsOfEveryCall(t *testing.T) {
	r := newRig(t, rigOptions{})
	conn := r.dial()
	r.warm(conn)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "x")
	const calls = 30
	for number := range uint32(calls) {
		if err := check(ctx, conn, hotMethod, doAnswer, number, 0, 0); err != nil {
			t.Fatal(err)
		}
		if err := check(t.Context(), conn, hotMethod, []byte{doAnswer, doLate, doRefuse}[number%3], number, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	r.policy.mu.Lock()
	begun := r.policy.begun
	r.policy.mu.Unlock()
	eventually(t, "all calls are counted", func() bool {
		r.watch.mu.Lock()
		defer r.watch.mu.Unlock()
		return r.watch.handedOver[ForMetadata] == calls && r.watch.answered == begun && begun >= calls && r.watch.open == 1
	})
	_ = conn.Close()
	r.ended("", 1)
}

func TestConnectionsThatBreakRulesAreCounted(t *testing.T) {
	raw := func(bytes string) func(*rig) {
		return func(r *rig) {
			c := newRawClient(t, r.addr)
			c.out.WriteString(bytes)
			c.send()
			for c.next() {
			}
		}
	}
	for rule, c := range map[string]func(*rig){
		// SETTINGS of a stream.
		brokeProtocol: raw("\x00\x00\x00\x04\x00\x00\x00\x00\x01"),
		// grpc-go wants no such PINGs, one after the other.
		brokeGRPC: raw(strings.Repeat("\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678", 10)),
	} {
		t.Run(rule, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			c(r)
			r.ended(rule, 1)
		})
	}
	t.Run("no HTTP/2", func(t *testing.T) {
		r := newRig(t, rigOptions{})
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = conn.Write([]byte(strings.Repeat("GET / HTTP/1.1\r\n", len(http2.ClientPreface))))
		r.ended(brokeProtocol, 1)
	})
}
