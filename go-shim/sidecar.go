package shim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"hotpath.dev/go-shim/internal/breaker"
	"hotpath.dev/go-shim/internal/budget"
	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/internal/link"
	"hotpath.dev/go-shim/internal/ratelog"
	"hotpath.dev/go-shim/internal/standby"
	"hotpath.dev/go-shim/internal/supervise"
	"hotpath.dev/go-shim/internal/telemetry"
	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/internal/transport/lane"
	"hotpath.dev/go-shim/internal/transport/unary"
)

// sidecar is one of the sidecars: its process if the shim runs it, the way to it, and what became of requests there. With
// Config.Sidecars 2 there are two, which know nothing of each other. Both are fed, and one is asked:
//
//	          ┌──> sidecar 0: breakers, link (feed, lanes), supervisor ──> hotpathd
//	chooser ──┤
//	          └──> sidecar 1: the same
//
// either.go says which one gets a request, and what happens if it gives no answer.
type sidecar struct {
	side  *Side
	index int
	// other is the other one; nil if there is only one.
	other      *sidecar
	socket     string
	log        *slog.Logger
	quiet      *ratelog.Limiter
	metrics    *telemetry.Sidecar
	breaker    *breaker.Breakers
	budgets    []*budget.Budget // by method
	link       *link.Link
	supervisor *supervise.Supervisor // nil unless Run is Supervise
	// wasReady is true once it could be asked.
	wasReady atomic.Bool
}

// makeSidecars makes what needs neither sockets nor programs.
func (s *Side) makeSidecars() {
	for i := range s.cfg.Sidecars {
		c := &sidecar{side: s, index: i, log: s.log, quiet: s.quiet}
		if s.cfg.Sidecars > 1 {
			c.log = s.log.With("sidecar", i)
			c.quiet = ratelog.New(c.log, time.Second)
		}
		c.breaker = c.newBreakers()
		c.budgets = c.newBudgets()
		s.sidecars = append(s.sidecars, c)
	}
	if len(s.sidecars) == 2 {
		s.sidecars[0].other, s.sidecars[1].other = s.sidecars[1], s.sidecars[0]
	}
	s.chooser = standby.New(s.sidecars, (*sidecar).health, s.takenOver)
}

// takenOver hears of each change of the one that is asked.
func (s *Side) takenOver(from, to *sidecar) {
	to.metrics.TakeOvers.Inc()
	level := slog.LevelWarn
	if !from.wasReady.Load() {
		level = slog.LevelInfo // the second was faster to start
	}
	s.log.Log(context.Background(), level, "another sidecar is asked from now on", "from", from.index, "to", to.index, "cause", from.ailment(),
		"position", to.link.Position(), "head", s.source.Head())
}

// health is what the chooser goes by. Whatever changes it calls Look afterwards.
func (c *sidecar) health() standby.Health {
	session := c.link.Serving()
	switch {
	case session == nil:
		return standby.Dead
	case c.breaker.IsOpen(0):
		return standby.Failing
	case c.breaker.AnyOpen() || !session.AcceptsAll():
		return standby.Partial
	default:
		return standby.Well
	}
}

// ailment says for the log why another one is better.
func (c *sidecar) ailment() string {
	switch c.health() {
	case standby.Dead:
		return "it is not connected, or has not caught up"
	case standby.Failing:
		return "it keeps failing"
	case standby.Partial:
		return "it keeps failing at some methods, or refuses them"
	default:
		return "it was not well a moment ago"
	}
}

// meanwhile says for the log what happens to hot methods without this sidecar.
func (s *Side) meanwhile() string {
	if s.cfg.Sidecars > 1 {
		return "hot methods are given to the other one, or answered locally"
	}
	return "hot methods are answered locally"
}

// SocketOf returns the path of the i-th sidecar's socket, for a Config with this Socket. The sidecar's other files, such as
// that of Status.ReadyFile, are beside it, and their names begin with its name.
func SocketOf(socket string, i int) string {
	if i == 0 {
		return socket
	}
	return fmt.Sprintf("%s.%d", socket, i)
}

// longestSocket is the length of the longest path of a socket.
func (s *Side) longestSocket() int { return len(SocketOf(s.cfg.Socket, s.cfg.Sidecars-1)) }

func (s *Side) prepareSidecars(descriptors []protoreflect.MethodDescriptor) error {
	for i, c := range s.sidecars {
		c.socket, c.metrics = SocketOf(s.cfg.Socket, i), s.metrics.Sidecar(i)
		if err := c.prepareSupervisor(); err != nil {
			return err
		}
		c.link = link.New(c.linkConfig(descriptors))
	}
	return nil
}

func (c *sidecar) prepareSupervisor() error {
	cfg := &c.side.cfg
	if cfg.Run != Supervise {
		return nil
	}
	supervisor, err := supervise.New(supervise.Config{
		Bin: cfg.Supervisor.Bin, Args: cfg.Supervisor.Args, Socket: c.socket, ReadyFile: readyFile(c.socket),
		StartTimeout: cfg.Supervisor.StartTimeout, DrainTimeout: cfg.Supervisor.DrainTimeout, Log: c.log,
		Connected: func() bool { return c.link.Connected() }, Prepare: c.side.keepFolder,
		Restarted: c.metrics.Restarts.Inc, GaveUp: c.metrics.SetGivenUp,
	})
	if err != nil {
		return errors.Join(ErrConfig, fmt.Errorf("Supervisor.Bin: %w", err))
	}
	c.supervisor = supervisor
	return nil
}

func (c *sidecar) linkConfig(descriptors []protoreflect.MethodDescriptor) link.Config {
	s := c.side
	// Requests that are too long for a lane are few.
	lanes, connections := s.cfg.Connections, 1
	if s.cfg.Experiment.Hop == experiment.Unary {
		lanes, connections = 0, s.cfg.Connections
	}
	return link.Config{
		Socket: c.socket, Source: s.source, Methods: s.linkMethods(descriptors), Lanes: lanes, Connections: connections,
		StaleAfter: s.cfg.StaleAfter, HungAfter: hungAfter, HeadEvery: headEvery, Log: c.log, Meanwhile: s.meanwhile(),
		NewTransport: c.newTransport,
		Events: link.Events{
			Greeted:       c.greeted,
			ReadyChanged:  c.readyChanged,
			MethodRefused: c.metrics.SetRefused,
			Refused:       c.metrics.FeedRefused,
			FeedReopened:  c.metrics.FeedReconnects.Inc,
			Unusable: func(why string) bool {
				if c.supervisor == nil {
					return false
				}
				c.supervisor.Restart(why)
				return true
			},
		},
	}
}

func (c *sidecar) readyChanged() {
	if c.link.Serving() != nil {
		c.wasReady.Store(true)
	}
	c.side.chooser.Look()
}

func (c *sidecar) newTransport(peer transport.Peer) transport.Transport {
	s := c.side
	switch single := unary.New(peer); {
	case s.cfg.newTransport != nil:
		return s.cfg.newTransport(peer)
	case s.cfg.Experiment.Hop == experiment.Unary:
		return single
	default:
		lanes := lane.Config{Peer: peer, Large: single, Observer: c.metrics.Lanes, Log: c.log}
		if s.door != nil {
			lanes.AfterReceive = s.door.splice.FlushDirty
		}
		return lane.New(lanes)
	}
}

// takes says whether the sidecar may be asked for the i-th method, whatever its breakers say: none, or why not.
func (c *sidecar) takes(i int) reason {
	switch session := c.link.Serving(); {
	case session == nil:
		return notReady
	case !session.Accepts(i):
		return methodRefused
	default:
		return none
	}
}

// clear says whether the sidecar takes the i-th method, and no breaker is in the way.
func (c *sidecar) clear(i int) bool { return c.takes(i) == none && c.breaker.Clear(i) }

// probe asks a sidecar with an open breaker for a copy of a request that the other one gets. Its answer goes to the
// breaker alone. So no caller has to wait to find out whether a sidecar is well again.
func (m *method) probe(c *sidecar, request *transport.Request) {
	due := hop{request: *request}
	due.request.Budget = c.side.cfg.HopTimeout
	if m.reach(c, &due) != none {
		return
	}
	// The caller's bytes end with the call.
	due.request.Body = bytes.Clone(request.Body)
	h := new(hop)
	*h = due
	go func() {
		defer func() {
			if cause := recover(); cause != nil {
				m.tellOfPanic(cause)
				m.handBack(h, methodFailure, panicked)
			}
		}()
		_, why, err := m.call(context.Background(), h, nil)
		o := success
		if why != none && why != declined {
			o = m.outcome(h, why, err)
		}
		m.handBack(h, o, why)
	}()
}
