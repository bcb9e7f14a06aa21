package link

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hotpath.dev/go-shim/internal/feed"
	hotpathv1 "hotpath.dev/go-shim/internal/gen/hotpath/v1"
	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/internal/transport/unary"
	"hotpath.dev/go-shim/shimtest"
)

const testTimeout = time.Minute

// up runs a link to the socket. When the link calls the sidecar unusable, the reason arrives on the channel.
func up(t *testing.T, socket string, change ...func(*Config)) (*Link, <-chan string) {
	t.Helper()
	unusable := make(chan string, 100)
	cfg := Config{
		Socket: socket, Source: shimtest.NewLedger("l"), Lanes: 1, Connections: 1, StaleAfter: time.Second,
		HungAfter: time.Millisecond, HeadEvery: time.Second, Log: slog.New(slog.DiscardHandler),
		Meanwhile:    func() string { return "the tests go on" },
		NewTransport: func(peer transport.Peer) transport.Transport { return unary.New(peer) },
		Events: Events{
			Greeted: func() {}, ReadyChanged: func() {}, MethodRefused: func(int, string) {}, Refused: func(*feed.Refusal) {}, FeedReopened: func() {},
			Unusable: func(why string) bool { unusable <- why; return true },
		},
	}
	for _, change := range change {
		change(&cfg)
	}
	l := New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return l, unusable
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(testTimeout); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never true: %s", what)
		}
	}
}

func TestSilentSidecarIsUnusable(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	shimtest.Silent(t, socket)
	_, unusable := up(t, socket)
	select {
	case why := <-unusable:
		if !strings.Contains(why, "does not answer") {
			t.Fatalf("got %q", why)
		}
	case <-time.After(testTimeout):
		t.Fatal("nobody noticed")
	}
}

func TestWhatSpeaksNoHTTP2IsRetried(t *testing.T) {
	dir := t.TempDir()
	dialled := shimtest.NotHTTP2(t, filepath.Join(dir, "s"))
	l, unusable := up(t, filepath.Join(dir, "s"))
	await(t, "retried", func() bool { return dialled() >= 3 })
	if l.Connected() || l.Serving() != nil || len(unusable) != 0 {
		t.Fatal("taken for a sidecar")
	}
}

func TestLossEndsTheSessionAtOnce(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	sidecar := shimtest.Start(t, socket)
	l, _ := up(t, socket)
	await(t, "serving", func() bool { return l.Serving() != nil })
	sidecar.Stop()
	await(t, "lost", func() bool { return l.Serving() == nil && !l.Connected() })
}

// The link ends because its user wants it to, so there is nothing to warn of. Whether it knows that in time is a matter of
// the scheduler; so it ends often.
func TestTheEndIsNoLoss(t *testing.T) {
	for range 30 {
		t.Run("", func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "s")
			shimtest.Start(t, socket)
			var log strings.Builder
			t.Cleanup(func() {
				if log.Len() > 0 {
					t.Errorf("the end is told as a fault:\n%s", &log)
				}
			})
			l, _ := up(t, socket, func(c *Config) {
				c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
			})
			await(t, "serving", func() bool { return l.Serving() != nil })
		})
	}
}

// heldLedger answers a read of the past only once it is released.
type heldLedger struct {
	*shimtest.Ledger
	asked, released chan struct{}
}

func (l heldLedger) Read(ctx context.Context, from uint64, limit, maxBytes int) ([][]byte, error) {
	if from == 1 {
		select {
		case <-l.asked:
		default:
			close(l.asked)
		}
		<-l.released
		ctx = context.Background()
	}
	return l.Ledger.Read(ctx, from, limit, maxBytes)
}

type onClose struct {
	transport.Transport
	do func()
}

func (c onClose) Close() { c.do() }

// A feed learns last that its session is over. What it reports until then must not count for the next session.
func TestFeedThatOpensAfterTheLossPublishesNothing(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	sidecar := shimtest.Start(t, socket)
	sidecar.Seed("l", []byte("1"))
	ledger := heldLedger{shimtest.NewLedger("l"), make(chan struct{}), make(chan struct{})}
	ledger.Append([]byte("1"))
	var once sync.Once
	release := func() { once.Do(func() { close(ledger.released) }) }
	l, _ := up(t, socket, func(c *Config) {
		c.Source = ledger
		c.NewTransport = func(transport.Peer) transport.Transport { return onClose{do: release} }
	})
	<-ledger.asked
	sidecar.Stop()
	await(t, "lost", func() bool { return !l.Connected() })
	if l.Serving() != nil {
		t.Fatal("a closed session is published")
	}
	shimtest.Start(t, socket)
	await(t, "the next session serves", func() bool { return l.Serving() != nil })
}

func TestHelloIsJudged(t *testing.T) {
	request := &hotpathv1.HelloRequest{LedgerId: "l", Methods: []*hotpathv1.HotMethod{{FullMethod: "/a/b"}}}
	verdict := func(name string, ok bool) []*hotpathv1.MethodVerdict {
		return []*hotpathv1.MethodVerdict{{FullMethod: name, Accepted: ok}}
	}
	for name, c := range map[string]struct {
		response *hotpathv1.HelloResponse
		reason   string
	}{
		"version":    {&hotpathv1.HelloResponse{ProtocolVersion: 1, Methods: verdict("/a/b", true)}, feed.ProtocolMismatch},
		"ledger":     {&hotpathv1.HelloResponse{ProtocolVersion: feed.ProtocolVersion, LedgerId: "x"}, feed.LedgerMismatch},
		"no verdict": {&hotpathv1.HelloResponse{ProtocolVersion: feed.ProtocolVersion, LedgerId: "l"}, feed.ProtocolMismatch},
		"other name": {&hotpathv1.HelloResponse{ProtocolVersion: feed.ProtocolVersion, Methods: verdict("/a/c", true)}, feed.ProtocolMismatch},
	} {
		_, err := judge(request, c.response)
		refusal, ok := err.(*feed.Refusal)
		if !ok || refusal.Reason != c.reason {
			t.Errorf("%s: got %v", name, err)
		}
	}
	answer, err := judge(request, &hotpathv1.HelloResponse{ProtocolVersion: feed.ProtocolVersion, Methods: verdict("/a/b", false)})
	if err != nil || answer.refusals[0] == "" || answer.maxMessageBytes() != defaultMaxMessageBytes {
		t.Errorf("got %v, %v", answer, err)
	}
	refused := *answer
	answer, err = judge(request, &hotpathv1.HelloResponse{ProtocolVersion: feed.ProtocolVersion, Methods: verdict("/a/b", true)})
	if err != nil || answer.refusals[0] != "" {
		t.Fatalf("got %v, %v", answer, err)
	}
	if answer.refuseAlso(&refused); answer.refusals[0] == "" {
		t.Error("what one connection refused is accepted")
	}
}

// If a method were called by the wrong index, another method would answer.
func TestIndicesMustBeCertain(t *testing.T) {
	request := &hotpathv1.HelloRequest{Methods: []*hotpathv1.HotMethod{{FullMethod: "/a/b"}, {FullMethod: "/a/c"}}}
	greet := func(first, second uint32) (*helloAnswer, error) {
		return judge(request, &hotpathv1.HelloResponse{ProtocolVersion: feed.ProtocolVersion, Methods: []*hotpathv1.MethodVerdict{
			{FullMethod: "/a/b", Accepted: true, Index: first}, {FullMethod: "/a/c", Accepted: true, Index: second},
		}})
	}
	if _, err := greet(4, 4); err == nil || !strings.Contains(err.Error(), "/a/b and /a/c both have index 4") {
		t.Errorf("got %v", err)
	}
	one, err := greet(4, 2)
	if err != nil || !slices.Equal(one.names(), []transport.Name{transport.NameOf(4), transport.NameOf(2)}) {
		t.Fatalf("got %v, %v", one, err)
	}
	other, err := greet(4, 3)
	if err != nil {
		t.Fatal(err)
	}
	if other.refuseAlso(one); other.refusals[0] != "" || other.refusals[1] == "" {
		t.Errorf("got %q", other.refusals)
	}
	if !slices.Equal(other.names(), []transport.Name{transport.NameOf(4), {}}) {
		t.Errorf("what is refused is called %v", other.names())
	}
}
