package shim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/schema"
	"hotpath.dev/go-shim/shimtest"
)

func TestEveryConnectionIsGreetedBeforeTraffic(t *testing.T) {
	r := newRig(t, setup{})
	hellos := r.sidecar.Hellos()
	if len(hellos) != 3 {
		t.Fatalf("%d hellos, want one for each of 2 connections and the feed's", len(hellos))
	}
	method, err := schema.Find(getBalance)
	if err != nil {
		t.Fatal(err)
	}
	hash := schema.Hash(method)
	for _, hello := range hellos {
		if hello.GetLedgerId() != "ledger-1" || !bytes.Equal(hello.GetMethods()[0].GetSchemaSha256(), hash[:]) {
			t.Fatalf("hello %v", hello)
		}
	}
	r.sidecar.DropConnections()
	eventually(t, "greeted anew", func() bool { return len(r.sidecar.Hellos()) >= 6 })
	r.awaitReady(t)
	if who := r.ask(t, t.Context()); who != "SIDECAR" {
		t.Fatalf("answered by %s", who)
	}
}

func TestRefusedMethodStaysLocal(t *testing.T) {
	r := newRig(t, setup{noReady: true})
	r.sidecar.RefuseMethod(getBalance, "another schema")
	r.sidecar.DropConnections()
	eventually(t, "the refusal is shown", func() bool { return r.metric(t, "hotpath_shim_method_refused") == 1 })
	r.awaitReady(t)
	if who := r.ask(t, t.Context()); who != "LOCAL" || r.fallbacks(t, "method_refused") != 1 {
		t.Fatalf("answered by %s", who)
	}
}

func TestRefusedMethodIsLogged(t *testing.T) {
	var log logged
	r := newRig(t, setup{noFake: true, config: func(c *shim.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }})
	sidecar := shimtest.Start(t, r.config.Socket)
	sidecar.RefuseMethod(getBalance, "another schema")
	eventually(t, "the refusal is logged", func() bool {
		return log.has("refused a method") && log.has(getBalance) && log.has("another schema")
	})
}

func TestNothingIsFedBeforeTheSourceIsReady(t *testing.T) {
	loaded := make(chan struct{})
	r := newRig(t, setup{noFake: true, config: func(c *shim.Config) { c.SourceReady = loaded }})
	sidecar := shimtest.Start(t, r.config.Socket)
	sidecar.Seed("ledger-1", 2) // of the service's life before: ahead of a ledger that is still empty
	sidecar.Answer(sidecarAnswers(t))
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

// deafLedger reads for ever once it is at its head, whatever becomes of the context.
type deafLedger struct {
	*shimtest.Ledger
	end chan struct{}
}

func (l deafLedger) Read(context.Context, uint64, int, int) ([][]byte, error) {
	<-l.end
	return nil, errors.New("the test is over")
}

func TestCloseDoesNotWaitForASourceThatIgnoresItsContext(t *testing.T) {
	var log logged
	ledger := deafLedger{shimtest.NewLedger("l"), make(chan struct{})}
	defer close(ledger.end)
	socket := filepath.Join(t.TempDir(), "s.sock")
	shimtest.Start(t, socket)
	side, err := shim.Open(t.Context(), shim.Config{Run: shim.Attach, Methods: []string{getBalance}, Socket: socket,
		Logger: slog.New(slog.NewTextHandler(&log, nil))}, ledger)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "ready", func() bool { return side.Status().Ready })
	closed := make(chan error, 1)
	go func() { closed <- side.Close() }()
	select {
	case err = <-closed:
	case <-time.After(patience):
		t.Fatal("Close waits for the Source")
	}
	if err != nil || !log.has("heed the context") {
		t.Fatalf("%v, log: %s", err, log.String())
	}
}

func TestRefusedHelloStaysLocalAndIsRetried(t *testing.T) {
	r := newRig(t, setup{noFake: true})
	sidecar := shimtest.Start(t, r.config.Socket)
	sidecar.RefuseHello(shimtest.Refusal(codes.FailedPrecondition, "PROTOCOL_MISMATCH"))
	eventually(t, "the refusal is counted", func() bool {
		return r.metric(t, "hotpath_shim_feed_refusals_total", "reason", "PROTOCOL_MISMATCH") > 0
	})
	if who := r.ask(t, t.Context()); who != "LOCAL" {
		t.Fatalf("answered by %s", who)
	}
	sidecar.RefuseHello(nil)
	r.awaitReady(t)
}

func TestSidecarThatRestartsEmptyIsRefilled(t *testing.T) {
	r := newRig(t, setup{events: 25_000})
	r.sidecar.Stop()
	eventually(t, "the loss is noticed", func() bool { return !r.side.Status().Ready })
	if who := r.ask(t, t.Context()); who != "LOCAL" {
		t.Fatalf("answered by %s", who)
	}
	r.ledger.Append([]byte("while it was away"))
	again := shimtest.Start(t, r.config.Socket)
	again.Answer(sidecarAnswers(t))
	r.awaitReady(t)
	if n := len(again.Events()); n != 25_001 {
		t.Fatalf("refilled with %d events", n)
	}
	if who := r.ask(t, t.Context()); who != "SIDECAR" {
		t.Fatalf("answered by %s", who)
	}
	if n := r.metric(t, "hotpath_shim_feed_reconnects_total"); n != 1 {
		t.Fatalf("%v reconnects", n)
	}
}

func TestLiveEventsArriveInOrder(t *testing.T) {
	r := newRig(t, setup{events: 3})
	var want [][]byte
	for i := range 2000 {
		event := fmt.Appendf(nil, "event %d", i)
		want = append(want, event)
		r.ledger.Append(event)
	}
	eventually(t, "all arrived", func() bool { return len(r.sidecar.Events()) == 2003 })
	if got := r.sidecar.Events()[3:]; !slices.EqualFunc(got, want, bytes.Equal) {
		t.Fatal("out of order")
	}
}

func TestHugeEvents(t *testing.T) {
	r := newRig(t, setup{})
	for _, size := range []int{5 << 20, 3 << 20, 3 << 20, 1, 20 << 20, 1} {
		r.ledger.Append(bytes.Repeat([]byte{1}, size))
	}
	eventually(t, "all arrived", func() bool { return len(r.sidecar.Events()) == 6 })
}

func TestNotReadyUntilTheHeadOfTheOpeningIsPublished(t *testing.T) {
	r := newRig(t, setup{events: 10, noFake: true})
	sidecar := shimtest.Start(t, r.config.Socket)
	sidecar.Hold(true)
	eventually(t, "fed", func() bool { return len(sidecar.Events()) == 10 })
	if who := r.ask(t, t.Context()); who != "LOCAL" || r.side.Status().Ready {
		t.Fatalf("answered by %s before it was ready", who)
	}
	sidecar.Hold(false)
	r.awaitReady(t)
}

func TestSidecarThatFallsBehindIsNotAsked(t *testing.T) {
	r := newRig(t, setup{events: 1, config: func(c *shim.Config) { c.StaleAfter = 50 * time.Millisecond }})
	r.sidecar.Hold(true)
	r.ledger.Append([]byte("never published"))
	eventually(t, "unready", func() bool { return !r.side.Status().Ready })
	if !r.side.Status().Connected {
		t.Fatal("the connection is not at fault")
	}
	r.sidecar.Hold(false)
	r.awaitReady(t)
}

func TestBrokenSourceIsReadAgain(t *testing.T) {
	r := newRig(t, setup{events: 1})
	r.ledger.Break(errors.New("disk"))
	r.ledger.Append([]byte("x"))
	r.ledger.Break(nil)
	eventually(t, "it arrived", func() bool { return len(r.sidecar.Events()) == 2 })
}

func TestFeedRefusalsAreCountedAndRetried(t *testing.T) {
	r := newRig(t, setup{events: 1})
	r.sidecar.RefuseFeed(shimtest.Refusal(codes.InvalidArgument, "FEED_BAD_EVENT"))
	r.ledger.Append([]byte("bad"))
	eventually(t, "counted", func() bool {
		return r.metric(t, "hotpath_shim_feed_refusals_total", "reason", "FEED_BAD_EVENT") > 0
	})
	r.sidecar.RefuseFeed(nil)
	eventually(t, "fed again", func() bool { return len(r.sidecar.Events()) == 2 })
}

func TestSidecarOfAnotherLedgerIsNotUsed(t *testing.T) {
	for reason, seed := range map[string]func(*shimtest.Sidecar){
		"LEDGER_MISMATCH": func(s *shimtest.Sidecar) { s.Seed("another", 1) },
		"FEED_BEHIND":     func(s *shimtest.Sidecar) { s.Seed("ledger-1", 99) },
	} {
		r := newRig(t, setup{events: 1, noFake: true})
		seed(shimtest.Start(t, r.config.Socket))
		eventually(t, reason, func() bool {
			return r.metric(t, "hotpath_shim_feed_refusals_total", "reason", reason) > 0
		})
		if who := r.ask(t, t.Context()); who != "LOCAL" {
			t.Fatalf("%s: answered by %s", reason, who)
		}
	}
}

func TestSidecarThatGreetsNobody(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s.sock")
	shimtest.Deaf(t, socket)
	r := newRig(t, setup{noFake: true, config: func(c *shim.Config) { c.Socket = socket }})
	if who := r.ask(t, t.Context()); who != "LOCAL" {
		t.Fatalf("answered by %s", who)
	}
	began := time.Now()
	if err := r.side.Close(); err != nil || time.Since(began) > patience {
		t.Fatalf("Close took %v: %v", time.Since(began), err)
	}
}

func TestModesFileIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "modes.toml")
	write := func(text string) {
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write(`default = "legacy"`)
	r := newRig(t, setup{config: func(c *shim.Config) { c.ModesFile, c.ModesPoll = file, 2*time.Millisecond }})
	mode := func() shim.Mode { return r.side.Status().Modes[getBalance] }
	if who := r.ask(t, t.Context()); who != "LOCAL" || r.metric(t, "hotpath_shim_fallbacks_total") != 0 {
		t.Fatalf("answered by %s", who)
	}
	write(fmt.Sprintf("default = \"legacy\"\n[methods]\n%q = \"sidecar\"\n", getBalance))
	eventually(t, "sidecar", func() bool { return mode() == shim.Sidecar })
	if who := r.ask(t, t.Context()); who != "SIDECAR" {
		t.Fatalf("answered by %s", who)
	}
	write("default = \"fast\"\n")
	errorsSeen := func() float64 { return r.metric(t, "hotpath_shim_modes_reload_errors_total") }
	eventually(t, "counted", func() bool { return errorsSeen() == 1 })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	eventually(t, "counted", func() bool { return errorsSeen() == 2 })
	if mode() != shim.Sidecar {
		t.Fatal("the last good mode is gone")
	}
	write(`default = "legacy"`)
	eventually(t, "legacy", func() bool { return mode() == shim.Legacy })
	if n := r.metric(t, "hotpath_shim_mode", "method", getBalance, "mode", "legacy"); n != 1 {
		t.Fatalf("the metric shows %v", n)
	}
}

func TestBreakerOpensOnAHungSidecarAndHeals(t *testing.T) {
	r := newRig(t, setup{config: func(c *shim.Config) {
		c.HopTimeout = 20 * time.Millisecond
		c.Breaker = shim.Breaker{Failures: 3, MinBackoff: time.Hour, MaxBackoff: time.Hour}
	}})
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Hang: true} })
	for range 20 {
		if who := r.ask(t, t.Context()); who != "LOCAL" {
			t.Fatalf("answered by %s", who)
		}
	}
	if n := len(r.sidecar.Calls()); n != 3 || !r.side.Status().BreakerOpen || r.fallbacks(t, "breaker_open") != 17 {
		t.Fatalf("%d hops; breaker open: %v", n, r.side.Status().BreakerOpen)
	}
	// A new connection is a new chance.
	r.sidecar.Answer(sidecarAnswers(t))
	r.sidecar.DropConnections()
	eventually(t, "closed", func() bool { return !r.side.Status().BreakerOpen })
	r.awaitReady(t)
	if who := r.ask(t, t.Context()); who != "SIDECAR" {
		t.Fatalf("answered by %s", who)
	}
}

func TestOnePoisonousRequestDoesNotOpenTheBreaker(t *testing.T) {
	r := newRig(t, setup{config: func(c *shim.Config) {
		c.Breaker = shim.Breaker{Failures: 2, MinBackoff: time.Hour, MaxBackoff: time.Hour}
	}})
	poison := func(n int) {
		r.sidecar.Answer(func(shimtest.Call) shimtest.Answer {
			return shimtest.Answer{Err: status.Error(codes.Internal, "the model panicked"), Unpositioned: true}
		})
		for range n {
			if who := r.ask(t, t.Context()); who != "LOCAL" {
				t.Fatalf("answered by %s", who)
			}
		}
		r.sidecar.Answer(sidecarAnswers(t))
	}
	for range 3 {
		poison(39)
		if who := r.ask(t, t.Context()); who != "SIDECAR" {
			t.Fatalf("answered by %s", who)
		}
	}
	// A sidecar that says it of everything is left alone all the same.
	if poison(40); !r.side.Status().BreakerOpen {
		t.Fatal("still closed")
	}
}

func TestBreakerHealsByAProbe(t *testing.T) {
	r := newRig(t, setup{config: func(c *shim.Config) {
		c.Breaker = shim.Breaker{Failures: 1, MinBackoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond}
	}})
	r.sidecar.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Unpositioned: true} })
	if r.ask(t, t.Context()); !r.side.Status().BreakerOpen {
		t.Fatal("still closed")
	}
	r.sidecar.Answer(sidecarAnswers(t))
	eventually(t, "asked again", func() bool { return r.ask(t, t.Context()) == "SIDECAR" })
}

func TestCloseLeavesALocalServiceBehind(t *testing.T) {
	r := newRig(t, setup{})
	if err := errors.Join(r.side.Close(), r.side.Close()); err != nil {
		t.Fatal(err)
	}
	if who := r.ask(t, t.Context()); who != "LOCAL" {
		t.Fatalf("answered by %s", who)
	}
	if families, err := r.metrics.Gather(); err != nil || len(families) != 0 {
		t.Fatalf("%d metrics are left, %v", len(families), err)
	}
}

func TestMetricsHaveTheirNames(t *testing.T) {
	r := newRig(t, setup{})
	r.ask(t, t.Context())
	families, err := r.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, family := range families {
		names = append(names, strings.TrimPrefix(family.GetName(), "hotpath_shim_"))
	}
	for _, want := range []string{"requests_total", "fallbacks_total", "hop_seconds", "breaker_open", "sidecar_ready",
		"sidecar_position", "head_position", "sidecar_restarts_total", "feed_reconnects_total",
		"modes_reload_errors_total", "mode"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s in %v", want, names)
		}
	}
	if n := r.metric(t, "hotpath_shim_requests_total", "served_by", "sidecar"); n != 1 {
		t.Errorf("%v requests served by the sidecar", n)
	}
}
