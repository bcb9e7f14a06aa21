package feed_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"hotpath.dev/go-shim/internal/feed"
	"hotpath.dev/go-shim/shimtest"
)

const testTimeout = time.Minute

// watcher records what a feed reports.
type watcher struct {
	mu     sync.Mutex
	opened []uint64
	marks  []uint64
}

func (w *watcher) Opened(head, watermark uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened = append(w.opened, head, watermark)
}

func (w *watcher) Watermark(position uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marks = append(w.marks, position)
}

func connect(t *testing.T) (*shimtest.Sidecar, *grpc.ClientConn) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s.sock")
	sidecar := shimtest.Start(t, socket)
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return sidecar, conn
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(testTimeout); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never true: %s", what)
		}
	}
}

func start(t *testing.T, source feed.Source, conn *grpc.ClientConn) (*watcher, <-chan error) {
	t.Helper()
	w, end := &watcher{}, make(chan error, 1)
	f := feed.Feed{Source: source, Observer: w, HeadEvery: 5 * time.Millisecond}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() { end <- f.Run(ctx, conn) }()
	return w, end
}

func outcome(t *testing.T, end <-chan error) error {
	t.Helper()
	select {
	case err := <-end:
		return err
	case <-time.After(testTimeout):
		t.Fatal("the feed goes on")
		return nil
	}
}

func TestStartsWhereTheSidecarIs(t *testing.T) {
	sidecar, conn := connect(t)
	ledger := shimtest.NewLedger("l")
	ledger.Append([]byte("1"), []byte("2"), []byte("3"))
	sidecar.Seed("l", []byte("1"), []byte("2"))
	w, _ := start(t, ledger, conn)
	eventually(t, "fed", func() bool { return len(sidecar.Events()) == 3 })
	if got := sidecar.Events()[2]; string(got) != "3" {
		t.Fatalf("position 3 is %q", got)
	}
	if !slices.Equal(w.opened, []uint64{3, 2}) {
		t.Fatalf("opened %v", w.opened)
	}
}

func TestIdleFeedSaysWhereTheLedgerIs(t *testing.T) {
	sidecar, conn := connect(t)
	ledger := shimtest.NewLedger("l")
	ledger.Append([]byte("1"))
	start(t, ledger, conn)
	eventually(t, "heads", func() bool {
		_, heads := sidecar.Heads()
		return len(heads) > 2 && heads[len(heads)-1] == 1
	})
}

func TestRefusalsHaveReasons(t *testing.T) {
	sidecar, conn := connect(t)
	sidecar.RefuseFeed(shimtest.Refusal(codes.AlreadyExists, feed.Busy))
	_, end := start(t, shimtest.NewLedger("l"), conn)
	var refusal *feed.Refusal
	if err := outcome(t, end); !errors.As(err, &refusal) || refusal.Reason != feed.Busy || refusal.Foreign() {
		t.Fatalf("got %v", err)
	}
}

func TestForeignSidecars(t *testing.T) {
	for reason, c := range map[string]struct {
		id     string
		events [][]byte
	}{
		feed.LedgerMismatch: {"other", nil},
		feed.Behind:         {"l", make([][]byte, 5)},
		feed.Forked:         {"l", [][]byte{[]byte("ours"), []byte("theirs")}},
	} {
		sidecar, conn := connect(t)
		sidecar.Seed(c.id, c.events...)
		ledger := shimtest.NewLedger("l")
		ledger.Append([]byte("ours"), []byte("ours"), []byte("ours"))
		_, end := start(t, ledger, conn)
		var refusal *feed.Refusal
		if err := outcome(t, end); !errors.As(err, &refusal) || refusal.Reason != reason || !refusal.Foreign() {
			t.Errorf("%s: got %v", reason, err)
		}
	}
}

// badSource breaks the contract of Source.
type badSource struct {
	*shimtest.Ledger
	events [][]byte
}

func (b badSource) Read(context.Context, uint64, int, int) ([][]byte, error) { return b.events, nil }

func TestSourcesThatBreakTheContractSendNothing(t *testing.T) {
	for name, events := range map[string][][]byte{
		"nothing": {}, "too many": make([][]byte, feed.MaxBatchEvents+1),
		"too long": {make([]byte, feed.MaxBatchBytes), {1}},
	} {
		sidecar, conn := connect(t)
		_, end := start(t, badSource{shimtest.NewLedger("l"), events}, conn)
		if err := outcome(t, end); !errors.Is(err, feed.ErrBadSource) || !errors.Is(err, feed.ErrSource) {
			t.Errorf("%s: got %v", name, err)
		}
		if n := len(sidecar.Events()); n != 0 {
			t.Errorf("%s: %d events were sent", name, n)
		}
	}
}

// deafSource reads for ever, even after its context has ended.
type deafSource struct {
	*shimtest.Ledger
	asked, end chan struct{}
}

func newDeafSource(events ...[]byte) deafSource {
	d := deafSource{shimtest.NewLedger("l"), make(chan struct{}, 1), make(chan struct{})}
	d.Append(events...)
	return d
}

func (d deafSource) Read(context.Context, uint64, int, int) ([][]byte, error) {
	d.asked <- struct{}{}
	<-d.end
	return nil, errors.New("the test is over")
}

func TestSourceThatIgnoresItsContextEndsWithTheFeed(t *testing.T) {
	sidecar, conn := connect(t)
	source := newDeafSource()
	defer close(source.end)
	w, end := start(t, source, conn)
	<-source.asked
	eventually(t, "open", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.opened) == 2 })
	sidecar.Stop()
	if err := outcome(t, end); !errors.Is(err, feed.ErrSourceStuck) || errors.Is(err, feed.ErrSource) {
		t.Fatalf("got %v", err)
	}
}

func TestSourceThatIgnoresItsContextEndsWithTheFeedThatIsOpening(t *testing.T) {
	sidecar, conn := connect(t)
	sidecar.Seed("l", []byte("1"))
	source := newDeafSource([]byte("1"))
	defer close(source.end)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w, end := &watcher{}, make(chan error, 1)
	f := feed.Feed{Source: source, Observer: w, HeadEvery: time.Second}
	go func() { end <- f.Run(ctx, conn) }()
	<-source.asked
	cancel()
	if err := outcome(t, end); !errors.Is(err, feed.ErrSourceStuck) || errors.Is(err, feed.ErrSource) {
		t.Fatalf("got %v", err)
	}
}

func TestDeadSidecarEndsTheFeed(t *testing.T) {
	sidecar, conn := connect(t)
	w, end := start(t, shimtest.NewLedger("l"), conn)
	eventually(t, "open", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.opened) == 2 })
	sidecar.Stop()
	if err := outcome(t, end); err == nil {
		t.Fatal("no error")
	}
}

func TestEveryReasonHasAdvice(t *testing.T) {
	general := (&feed.Refusal{Reason: "NEW"}).Advice()
	for _, reason := range []string{feed.ProtocolMismatch, feed.LedgerMismatch, feed.Behind, feed.Forked, feed.Gap, feed.Repeat,
		feed.BadMessage, feed.BadEvent, feed.Busy} {
		if (&feed.Refusal{Reason: reason}).Advice() == general {
			t.Errorf("none for %s", reason)
		}
	}
}
