package splice

import (
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func TestClientThatOpensNoWindowForRepliesIsClosed(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{Stall: 100 * time.Millisecond}})
	c := newRawClient(t, r.addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	c.headers(1)
	_ = c.write.WriteData(1, true, message(question(doAnswer, 1, 50_000, 0)))
	c.send()
	for c.next() {
	}
	if !c.closed {
		t.Fatalf("it goes on: %+v", c.outcome)
	}
	r.ended(brokeStalled, 1)
	eventually(t, "nothing is kept", func() bool { return r.door.unread.Load() == 0 })
}

// A client that takes enough, or all that there was, is not stalled, also if replies wait again later.
func TestClientThatTakesEnoughIsNotStalled(t *testing.T) {
	const long = time.Hour // the timer does not fire by itself
	one, other := net.Pipe()
	defer other.Close()
	server := NewServer(Config{Hot: newPolicy(), Limits: Limits{Stall: long}})
	c := newConn(server, newSocket(one, long, &server.unread), one, nil)
	defer c.Conn.Close()
	held := func(hot int, left int64, ago time.Duration) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.core.hotHeld, c.core.hotLeft = hot, c.core.hotLeft+left
		c.watchHeld()
		c.stall.since = c.stall.since.Add(-ago)
	}
	for _, step := range []struct {
		what    string
		hot     int
		left    int64
		ago     time.Duration
		stalled bool
	}{
		{"nothing waits", 0, 0, 2 * long, false},
		{"replies wait", 100_000, 0, 0, false},
		{"the client takes enough", 80_000, drainBytes, long, false},
		{"it takes all", 0, 80_000, 0, false},
		{"other replies wait", 100, 0, long / 2, false},
		{"it takes nothing", 100, 0, long, true},
		{"it has been closed", 100, 0, long, false},
	} {
		held(step.hot, step.left, step.ago)
		if got := c.isStalled(); got != step.stalled {
			t.Fatalf("%s: stalled is %v", step.what, got)
		}
	}
	if c.core.broke != brokeStalled {
		t.Errorf("ended by rule %q", c.core.broke)
	}
}
