package shim_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimtest"
)

func TestNothingIsFedBeforeTheSourceIsReady(t *testing.T) {
	loaded := make(chan struct{})
	r := newRig(t, setup{noFake: true, config: func(c *shim.Config) { c.SourceReady = loaded }})
	sidecar := shimtest.Start(t, r.config.Socket, func(s *shimtest.Sidecar) {
		// The sidecar holds events from before the service restarted. It is ahead of a ledger that is still empty.
		s.Seed("ledger-1", []byte("1"), []byte("2"))
		s.Answer(sidecarAnswers(t))
	})
	if who := r.ask(t, t.Context()); who != "LOCAL" || r.fallbacks(t, "not_ready") != 1 {
		t.Fatalf("answered by %s", who)
	}
	r.ledger.Append([]byte("1"), []byte("2"), []byte("3"))
	if n := len(sidecar.Hellos()); n != 0 {
		t.Fatalf("greeted %d times", n)
	}
	close(loaded)
	r.awaitReady(t)
	if n := r.metric(t, "hotpath_shim_feed_refusals_total"); n != 0 || len(sidecar.Events()) != 3 {
		t.Fatalf("%v refusals, %d events", n, len(sidecar.Events()))
	}
}

// deafLedger reads for ever, even after its context has ended.
type deafLedger struct {
	*shimtest.Ledger
	asked, end chan struct{}
}

func (l deafLedger) Read(context.Context, uint64, int, int) ([][]byte, error) {
	l.asked <- struct{}{}
	<-l.end
	return nil, errors.New("the test is over")
}

func TestCloseDoesNotWaitForASourceThatIgnoresItsContext(t *testing.T) {
	for when, past := range map[string][][]byte{"live": nil, "while the feed opens": {[]byte("1")}} {
		t.Run(when, func(t *testing.T) {
			var log logged
			ledger := deafLedger{shimtest.NewLedger("l"), make(chan struct{}, 1), make(chan struct{})}
			defer close(ledger.end)
			ledger.Append(past...)
			socket := filepath.Join(t.TempDir(), "s.sock")
			shimtest.Start(t, socket, func(s *shimtest.Sidecar) { s.Seed("l", past...) })
			side, err := shim.Open(t.Context(), shim.Config{Run: shim.Attach, Methods: []string{unaryCall}, Socket: socket,
				Logger: slog.New(slog.NewTextHandler(&log, nil))}, ledger)
			if err != nil {
				t.Fatal(err)
			}
			<-ledger.asked
			closed := make(chan error, 1)
			go func() { closed <- side.Close() }()
			select {
			case err = <-closed:
			case <-time.After(testTimeout):
				t.Fatal("Close waits for the Source")
			}
			if err != nil || !log.has("return when its context ends") {
				t.Fatalf("%v, log: %s", err, log.String())
			}
		})
	}
}

func TestBrokenSourceIsReadAgain(t *testing.T) {
	r := newRig(t, setup{events: 1})
	r.ledger.Break(errors.New("disk"))
	r.ledger.Append([]byte("x"))
	r.ledger.Break(nil)
	eventually(t, "it arrived", func() bool { return len(r.sidecar.Events()) == 2 })
}
