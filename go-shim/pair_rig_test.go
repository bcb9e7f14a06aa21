package shim_test

import (
	"fmt"
	"log/slog"
	"testing"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/shimtest"
)

// pair is a rig with two sidecars, which answer with their numbers.
type pair struct {
	*rig
	of  [2]*shimtest.Sidecar
	log *logged
}

// eachWay runs a test whose result must depend neither on the front door nor on how requests cross.
func eachWay(t *testing.T, test func(t *testing.T, s setup, door shim.FrontDoor)) {
	for _, way := range []struct {
		name string
		door shim.FrontDoor
		hop  experiment.Hop
	}{{"stock", shim.Stock, experiment.Batched}, {"stock, unary", shim.Stock, experiment.Unary}, {"spliced", shim.Spliced, experiment.Batched}} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			test(t, setup{hop: way.hop}, way.door)
		})
	}
}

// newPair starts both sidecars. before prepares each of them.
func newPair(t *testing.T, door shim.FrontDoor, s setup, before ...func(i int, s *shimtest.Sidecar)) *pair {
	t.Helper()
	p := &pair{log: new(logged)}
	change := s.config
	s.noFake = true
	s.config = func(c *shim.Config) {
		c.Sidecars, c.Logger = 2, slog.New(slog.NewTextHandler(p.log, nil))
		if change != nil {
			change(c)
		}
		for i := range 2 {
			p.start(t, c.Socket, i, before...)
		}
	}
	p.rig, _ = doorRig(t, door, s)
	return p
}

func (p *pair) start(t *testing.T, socket string, i int, before ...func(int, *shimtest.Sidecar)) {
	t.Helper()
	if i == 1 {
		socket += ".1"
	}
	p.of[i] = shimtest.Start(t, socket, func(s *shimtest.Sidecar) {
		s.Answer(numbered(t, i))
		for _, prepare := range before {
			prepare(i, s)
		}
	})
}

func numbered(t *testing.T, i int) shimtest.Script {
	return script(shimtest.Answer{Body: encode(t, response(fmt.Sprint("SIDECAR ", i)))})
}

func (p *pair) ready(i int) bool { return p.side.Status().Sidecars[i].Ready }

func (p *pair) awaitBoth(t *testing.T) {
	t.Helper()
	eventually(t, "both are ready", func() bool { return p.ready(0) && p.ready(1) })
	if p.config.Experiment.Hop == experiment.Batched {
		for _, i := range []string{"0", "1"} {
			eventually(t, "each has a lane", func() bool { return p.metric(t, "hotpath_shim_lanes", "sidecar", i) > 0 })
		}
	}
}

// wantOnly asks some requests, which one sidecar has to answer.
func (p *pair) wantOnly(t *testing.T, want string) {
	t.Helper()
	for range 20 {
		if who := p.ask(t, t.Context()); who != want {
			t.Fatalf("answered by %s, want %s; log:\n%s", who, want, p.log)
		}
	}
}

func (p *pair) awaitAsked(t *testing.T, i int) {
	t.Helper()
	eventually(t, fmt.Sprint(i, " is asked"), func() bool { return p.side.Status().Asked == i })
	for j, want := range []float64{float64(1 - i), float64(i)} {
		if n := p.metric(t, "hotpath_shim_sidecar_asked", "sidecar", fmt.Sprint(j)); n != want {
			t.Errorf("sidecar %d: asked is %v", j, n)
		}
	}
}
