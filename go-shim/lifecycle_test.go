package shim_test

import (
	"bytes"
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

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/internal/schema"
	"hotpath.dev/go-shim/shimtest"
)

func TestEveryConnectionIsGreetedBeforeTraffic(t *testing.T) {
	r := newRig(t, setup{})
	hellos := r.sidecar.Hellos()
	if len(hellos) != 4 {
		t.Fatalf("%d hellos, want one for each of 2 lanes, the feed and unary calls", len(hellos))
	}
	method, err := schema.Find(unaryCall)
	if err != nil {
		t.Fatal(err)
	}
	hash := schema.Hash(method)
	for _, hello := range hellos {
		if hello.GetLedgerId() != "ledger-1" || !bytes.Equal(first(t, hello.GetMethods()).GetSchemaSha256(), hash[:]) {
			t.Fatalf("hello %v", hello)
		}
	}
	r.sidecar.DropConnections()
	eventually(t, "greeted anew", func() bool { return len(r.sidecar.Hellos()) >= 8 })
	r.awaitReady(t)
	if who := r.ask(t, t.Context()); who != "SIDECAR" {
		t.Fatalf("answered by %s", who)
	}
}

func TestRefusedMethodStaysLocal(t *testing.T) {
	// The sidecar is ready first, so that the refusal does not come in the middle of a session's Hellos. The next
	// session shows it.
	r := newRig(t, setup{})
	r.sidecar.RefuseMethod(unaryCall, "another schema")
	r.sidecar.DropConnections()
	eventually(t, "the refusal is shown", func() bool { return r.metric(t, "hotpath_shim_method_refused") == 1 })
	r.awaitReady(t)
	if who, n := r.ask(t, t.Context()), r.fallbacks(t, "method_refused"); who != "LOCAL" || n != 1 {
		t.Fatalf("answered by %s, %v refusals counted", who, n)
	}
}

func TestRefusedMethodIsLogged(t *testing.T) {
	var log logged
	r := newRig(t, setup{noFake: true, config: func(c *shim.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }})
	shimtest.Start(t, r.config.Socket, func(s *shimtest.Sidecar) { s.RefuseMethod(unaryCall, "another schema") })
	eventually(t, "the refusal is logged", func() bool {
		return log.has("refused a method") && log.has(unaryCall) && log.has("another schema")
	})
}

func TestRefusedHelloStaysLocalAndIsRetried(t *testing.T) {
	r := newRig(t, setup{noFake: true})
	sidecar := shimtest.Start(t, r.config.Socket, func(s *shimtest.Sidecar) {
		s.RefuseHello(shimtest.Refusal(codes.FailedPrecondition, "PROTOCOL_MISMATCH"))
	})
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
	again := shimtest.Start(t, r.config.Socket, func(s *shimtest.Sidecar) { s.Answer(sidecarAnswers(t)) })
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
	sidecar := shimtest.Start(t, r.config.Socket, func(s *shimtest.Sidecar) { s.Hold(true) })
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
		"LEDGER_MISMATCH": func(s *shimtest.Sidecar) { s.Seed("another") },
		"FEED_BEHIND":     func(s *shimtest.Sidecar) { s.Seed("ledger-1", make([][]byte, 99)...) },
		"LEDGER_FORKED":   func(s *shimtest.Sidecar) { s.Seed("ledger-1", []byte("of another copy")) },
	} {
		r := newRig(t, setup{events: 1, noFake: true})
		shimtest.Start(t, r.config.Socket, seed)
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
	shimtest.Silent(t, socket)
	r := newRig(t, setup{noFake: true, config: func(c *shim.Config) { c.Socket = socket }})
	if who := r.ask(t, t.Context()); who != "LOCAL" {
		t.Fatalf("answered by %s", who)
	}
	began := time.Now()
	if err := r.side.Close(); err != nil || time.Since(began) > testTimeout {
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
	mode := func() shim.Mode { return r.side.Status().Modes[unaryCall] }
	if who := r.ask(t, t.Context()); who != "LOCAL" || r.metric(t, "hotpath_shim_fallbacks_total") != 0 {
		t.Fatalf("answered by %s", who)
	}
	write(fmt.Sprintf("default = \"legacy\"\n[methods]\n%q = \"sidecar\"\n", unaryCall))
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
	// A mode takes effect before the metric shows it.
	eventually(t, "the metric shows it", func() bool {
		return r.metric(t, "hotpath_shim_mode", "method", unaryCall, "mode", "legacy") == 1
	})
	write("# default = \"legacy\"\n")
	eventually(t, "counted", func() bool { return errorsSeen() == 3 })
	if mode() != shim.Legacy {
		t.Fatal("a file that says nothing undid a rollback")
	}
}

func TestAModesFileThatSaysNothingIsAnErrorOfOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "modes.toml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := shim.Config{Run: shim.Attach, Socket: "s", Methods: []string{unaryCall}, ModesFile: file}
	_, err := shim.Open(t.Context(), cfg, shimtest.NewLedger("l"))
	if !errors.Is(err, shim.ErrConfig) || !strings.Contains(err.Error(), "ModesFile: "+file+": says nothing: it must name a default") {
		t.Fatalf("got %v", err)
	}
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
