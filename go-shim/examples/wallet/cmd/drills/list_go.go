package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/probe"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// goDrills kill walletd itself, and change the clock.
func goDrills() []drill {
	return []drill{
		{
			name: "go-restarted", fault: "SIGKILL to walletd beside an attached sidecar, which stays",
			shows: "hotpathd_feed_connected is 0 in the sidecar", short: true, goDies: true, rounds: 2,
			setup: setup{sidecar: rig.Attach}, strike: killGo, seen: sidecarMetrics("hotpathd_feed_connected", 0),
			mend: startGo, back: metrics(func(_, now view) bool { return now.CaughtUp() && now.Head > 0 }),
		},
		{
			name: "clock", fault: "the sidecar's wall clock jumps by a day, forth and back (libfaketime)", short: true, rounds: 2,
			shows:  "the times in the sidecar's log",
			setup:  setup{sidecar: rig.Attach, sidecarArgs: []string{"--log-level", "debug"}, env: fakeClock},
			strike: jump, seen: clockJumped, checks: stillForwards,
			back: metrics(wellAgain),
		},
	}
}

// killGo kills walletd. Callers see no answers until startGo.
func killGo(ctx context.Context, s *stage) error {
	last, err := s.walletd.Shim(ctx)
	if err != nil {
		return err
	}
	s.ended = s.account(last)
	s.callers.outage.begin()
	s.walletd.Kill()
	return nil
}

// startGo starts walletd again where it was. Go was down until it says that it is ready.
func startGo(ctx context.Context, s *stage) error {
	applied, err := probe.Scrape(ctx, s.attached().Admin)
	if err != nil {
		return err
	}
	if err := s.serve(s.walletd.GRPC); err != nil {
		return err
	}
	s.callers.outage.end()
	s.note("the sidecar kept %.0f events, and was fed from there on", applied.Value("hotpathd_position", nil))
	return nil
}

// sidecarMetrics makes a sign of a metric of the attached sidecar.
func sidecarMetrics(name string, want float64) sign {
	return func(ctx context.Context, s *stage, _ view) bool {
		page, err := probe.Scrape(ctx, s.attached().Admin)
		if err != nil {
			return false
		}
		value, known := page.Sum(name, nil)
		return known && value == want
	}
}

// fakeClock has the sidecar read its wall clock through libfaketime, which adds what the file says. walletd gets the same
// environment, but Go reads the clock without libc, so its clock stays.
func fakeClock(s *stage) ([]string, error) {
	printed, err := exec.Command(s.config.faketime).Output()
	if err != nil {
		return nil, fmt.Errorf("no libfaketime: %s: %w%s", s.config.faketime, err, said(err))
	}
	library := strings.TrimSpace(string(printed))
	file, err := filepath.Abs(s.path("clock"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(file); err != nil {
		if err := replace(file, "+0\n"); err != nil {
			return nil, err
		}
	}
	return []string{
		"LD_PRELOAD=" + library, "FAKETIME_TIMESTAMP_FILE=" + file, "FAKETIME_NO_CACHE=1",
		// The monotonic clock never jumps on a real machine either.
		"FAKETIME_DONT_FAKE_MONOTONIC=1",
	}, nil
}

// said returns what a program that failed has printed.
func said(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return ": " + strings.TrimSpace(string(exit.Stderr))
	}
	return ""
}

// jumps are what the clock says beyond the true time, by round.
func jumps(round int) time.Duration { return []time.Duration{24 * time.Hour, -24 * time.Hour}[round%2] }

func jump(_ context.Context, s *stage) error {
	return replace(s.path("clock"), fmt.Sprintf("%+d\n", int64(jumps(s.round).Seconds())))
}

// clockJumped has the sidecar write a line, by nonsense on its admin port, and looks at its time.
func clockJumped(_ context.Context, s *stage, _ view) bool {
	if conn, err := net.Dial("tcp", s.attached().Admin); err == nil {
		_, _ = conn.Write([]byte("nonsense\r\n\r\n"))
		_ = conn.Close()
	}
	text, err := os.ReadFile(s.path("hotpathd.log"))
	if err != nil {
		return false
	}
	at, ok := lastTime(string(text))
	if !ok {
		return false
	}
	apart := time.Until(at) - jumps(s.round)
	return apart.Abs() < time.Minute
}

// lastTime returns the time of the last line of a log that begins with one.
func lastTime(log string) (time.Time, bool) {
	stamps := regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\dT[\d:.]+Z`).FindAllString(log, -1)
	if len(stamps) == 0 {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, stamps[len(stamps)-1])
	return at, err == nil
}
