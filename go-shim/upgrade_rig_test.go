package shim_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimtest"
)

// Environment variables of a program that acts as a sidecar: what it answers, and what is wrong with it.
const (
	asRelease = "HOTPATH_TEST_RELEASE"
	withFlaw  = "HOTPATH_TEST_FLAW"
	heldWhile = "HOTPATH_TEST_HELD_WHILE"
)

// haveFlaw makes a sidecar of a release that should not have been released.
func haveFlaw(s *shimtest.Sidecar, body []byte) {
	switch flaw := os.Getenv(withFlaw); flaw {
	case "":
	case "ends":
		fmt.Fprintln(os.Stderr, "this release cannot start")
		os.Exit(3)
	case "ends when asked":
		s.Answer(func(shimtest.Call) shimtest.Answer { os.Exit(3); return shimtest.Answer{} })
	case "hangs when asked":
		s.Answer(func(shimtest.Call) shimtest.Answer { return shimtest.Answer{Hang: true} })
	case "answers every second":
		n := 0
		s.Answer(func(shimtest.Call) shimtest.Answer {
			n++
			return shimtest.Answer{Body: body, Unpositioned: n%2 == 0}
		})
	case "takes its time":
		s.Answer(func(call shimtest.Call) shimtest.Answer {
			answer := shimtest.Answer{Body: body}
			if bytes.Contains(call.Body, []byte("slow")) {
				answer.Delay = 2 * time.Second
			}
			return answer
		})
	case "refuses a method":
		s.RefuseMethod(unaryCall, "another schema")
	case "another protocol":
		s.RefuseHello(shimtest.Refusal(codes.FailedPrecondition, "PROTOCOL_MISMATCH"))
	case "another ledger":
		s.Seed("another", []byte("event"))
	case "is never ready":
		s.Hold(true)
	case "is ready later":
		s.Hold(true)
		go func() {
			for file := os.Getenv(heldWhile); ; time.Sleep(time.Millisecond) {
				if _, err := os.Stat(file); err != nil {
					s.Hold(false)
					return
				}
			}
		}()
	default:
		panic("no such flaw: " + flaw)
	}
}

// upgraded is a rig whose sidecars run a program that the test can replace.
type upgraded struct {
	*rig
	program string
	log     *logged
}

func newUpgraded(t *testing.T, sidecars int, change ...func(*shim.Config)) *upgraded {
	t.Helper()
	u := &upgraded{program: filepath.Join(t.TempDir(), "program"), log: new(logged)}
	u.release(t, "OLD", "")
	u.rig = supervised(t, "", append([]func(*shim.Config){func(c *shim.Config) {
		c.Sidecars, c.Logger = sidecars, slog.New(slog.NewTextHandler(u.log, nil))
		c.Supervisor.Bin, c.Supervisor.DrainTimeout = u.program, testTimeout
		c.Supervisor.UpgradeTimeout, c.Supervisor.UpgradeSettle = testTimeout, 200*time.Millisecond
	}}, change...)...)
	eventually(t, "all are ready", func() bool {
		for _, c := range u.side.Status().Sidecars {
			if !c.Ready {
				return false
			}
		}
		return true
	})
	u.awaitReady(t)
	return u
}

// release puts another program in the place of the one that is there. more are further variables and their values.
func (u *upgraded) release(t *testing.T, name, flaw string, more ...string) {
	t.Helper()
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("#!/bin/sh\nexport %s=%s %s='%s'\n", asRelease, name, withFlaw, flaw)
	for i := 0; i < len(more); i += 2 {
		text += fmt.Sprintf("export %s='%s'\n", more[i], more[i+1])
	}
	text += fmt.Sprintf("exec '%s' \"$@\"\n", self)
	if err := os.WriteFile(u.program+".new", []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(u.program+".new", u.program); err != nil {
		t.Fatal(err)
	}
}

func (u *upgraded) pids() []int {
	var pids []int
	for _, c := range u.side.Status().Sidecars {
		pids = append(pids, c.SidecarPID)
	}
	return pids
}

// upgrade begins an upgrade, whose error comes from the channel.
func (u *upgraded) upgrade(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	go func() { done <- u.side.Upgrade(ctx, "the test") }()
	return done
}

func (u *upgraded) awaitPhase(t *testing.T, phase string) {
	t.Helper()
	eventually(t, "the upgrade is "+phase, func() bool { return u.side.Status().Upgrade.Phase == phase })
}

// callers ask until they are stopped. Each answer is counted by who gave it; an error is one too.
type upgradeCallers struct {
	mu     sync.Mutex
	by     map[string]int
	asked  atomic.Int64
	stop   atomic.Bool
	asking sync.WaitGroup
}

func (u *upgraded) callers(t *testing.T) *upgradeCallers {
	t.Helper()
	c := &upgradeCallers{by: make(map[string]int)}
	for range 4 {
		c.asking.Go(func() {
			for !c.stop.Load() {
				reply, err := u.client.UnaryCall(context.Background(), requestOf("a"))
				who := reply.GetUsername()
				if err != nil {
					who = err.Error()
				}
				c.mu.Lock()
				c.by[who]++
				c.mu.Unlock()
				c.asked.Add(1)
			}
		})
	}
	t.Cleanup(func() { c.stop.Store(true); c.asking.Wait() })
	return c
}

// more waits until so many more were answered.
func (c *upgradeCallers) more(t *testing.T, n int64) {
	t.Helper()
	until := c.asked.Load() + n
	eventually(t, "more are answered", func() bool { return c.asked.Load() >= until })
}

func (c *upgradeCallers) end() map[string]int {
	c.stop.Store(true)
	c.asking.Wait()
	return c.by
}
