package shim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/reflect/protoreflect"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/internal/breaker"
	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/internal/feed"
	"hotpath.dev/go-shim/internal/link"
	"hotpath.dev/go-shim/internal/modes"
	"hotpath.dev/go-shim/internal/ratelog"
	"hotpath.dev/go-shim/internal/rundir"
	"hotpath.dev/go-shim/internal/schema"
	"hotpath.dev/go-shim/internal/splice"
	"hotpath.dev/go-shim/internal/supervise"
	"hotpath.dev/go-shim/internal/telemetry"
	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/internal/transport/lane"
	"hotpath.dev/go-shim/internal/transport/unary"
	"hotpath.dev/go-shim/position"
)

// headEvery leaves a margin below the second that feed.proto allows.
const headEvery = 900 * time.Millisecond

// hungAfter is long enough for a machine that was busy or asleep.
const hungAfter = 15 * time.Second

// Side is a running shim. Its methods may be called from any goroutine.
type Side struct {
	cfg     Config
	log     *slog.Logger
	quiet   *ratelog.Limiter
	source  Source
	codec   encoding.CodecV2
	methods []*method
	metrics *telemetry.Set
	breaker *breaker.Breakers
	link    *link.Link
	// positions reads what callers ask about positions.
	positions position.Reader
	// supervisor is nil unless Run is Supervise.
	supervisor *supervise.Supervisor
	// folder is the private folder of the socket; nil if the Config names a socket.
	folder *rundir.Folder
	// door is nil unless FrontDoor is Spliced.
	door *door
	// servers holds a *server by the registrar that was wrapped.
	servers sync.Map
	// optionsTaken is true once ServerOptions was called. Without the options the server can't hand out raw bytes.
	optionsTaken atomic.Bool

	stop       context.CancelFunc
	background sync.WaitGroup
	closing    sync.Once
	// undo holds functions that take back what Open made. They run last first.
	undo []func()
}

// Open starts to feed and watch a sidecar in the background. It never waits for the sidecar: until that is ready, the
// local handlers answer hot methods. The error lists every mistake of cfg. If ctx ends while
// Open runs, Open undoes what it did and returns the cause. Once Open has returned, the end of ctx has no effect: Close
// ends what Open began.
func Open(ctx context.Context, cfg Config, source Source) (*Side, error) {
	cfg = cfg.withDefaults()
	descriptors, table, err := cfg.validate(source)
	if err != nil {
		return nil, err
	}
	if source == nil {
		source = noSource{}
	}
	s := &Side{cfg: cfg, log: cfg.Logger, source: source, codec: codec.New(cfg.Codec), stop: func() {}}
	if cfg.Run == Off {
		return s, nil
	}
	s.quiet = ratelog.New(s.log, time.Second)
	s.breaker = s.newBreakers()
	s.metrics = s.newTelemetry()
	s.makeMethods(descriptors)
	if cfg.FrontDoor == Spliced {
		s.door = newDoor(s)
	}
	s.setModes(table)
	makeLink := func() error {
		s.link = link.New(s.linkConfig(descriptors))
		return nil
	}
	ended := func() error {
		if ctx.Err() == nil {
			return nil
		}
		return fmt.Errorf("shim: Open was given up: %w", context.Cause(ctx))
	}
	// The metrics come last, because a scrape may follow at once and reads everything else.
	for _, step := range []func() error{ended, s.prepareSocket, ended, s.prepareSupervisor, makeLink, s.registerMetrics, ended} {
		if err := step(); err != nil {
			s.unwind()
			return nil, err
		}
	}
	s.start(context.WithoutCancel(ctx), table)
	return s, nil
}

func (s *Side) prepareSocket() error {
	if s.cfg.Socket != "" || s.cfg.Run == Alone {
		return nil
	}
	if swept := rundir.Sweep(os.TempDir()); len(swept) > 0 {
		s.log.Info("removed the folders that dead processes left", "folders", swept)
	}
	var err error
	if s.folder, err = rundir.Make(os.TempDir()); err != nil {
		return fmt.Errorf("shim: no folder for the sidecar's socket: %w", err)
	}
	s.undo = append(s.undo, s.folder.Remove)
	s.cfg.Socket = s.folder.Socket()
	if len(s.cfg.Socket) > MaxSocketBytes {
		return fmt.Errorf("%w\nSocket: TMPDIR makes it longer than %d bytes: name one", ErrConfig, MaxSocketBytes)
	}
	return nil
}

func (s *Side) prepareSupervisor() error {
	if s.cfg.Run != Supervise {
		return nil
	}
	supervisor, err := supervise.New(supervise.Config{
		Bin: s.cfg.Supervisor.Bin, Args: s.cfg.Supervisor.Args, Socket: s.cfg.Socket, ReadyFile: readyFile(s.cfg.Socket),
		StartTimeout: s.cfg.Supervisor.StartTimeout, DrainTimeout: s.cfg.Supervisor.DrainTimeout, Log: s.log,
		Connected: func() bool { return s.link.Connected() }, Prepare: s.keepFolder,
		Restarted: s.metrics.SidecarRestarts.Inc, GaveUp: s.metrics.SetGivenUp,
	})
	if err != nil {
		return errors.Join(ErrConfig, fmt.Errorf("Supervisor.Bin: %w", err))
	}
	s.supervisor = supervisor
	return nil
}

// keepFolder makes the folder of the socket again. Something may have removed it as an old file, and the sidecar can't
// make it.
func (s *Side) keepFolder() error {
	if s.folder == nil {
		return nil
	}
	return s.folder.Keep()
}

func (s *Side) newTelemetry() *telemetry.Set {
	names := telemetry.Names{Methods: s.cfg.Methods, Fallbacks: reasonNames(), LaneFailures: lane.Reasons(), FeedRefusals: feed.Reasons(),
		DoorReasons: splice.Reasons(), DoorRules: splice.Rules()}
	for _, mode := range modes.All() {
		names.Modes = append(names.Modes, mode.String())
	}
	return telemetry.New(s.cfg.Metrics, names, telemetry.Gauges{
		BreakerOpen: s.breaker.IsOpen,
		Ready:       func() bool { return s.link.Serving() != nil },
		DoorOpen:    func() bool { return s.door != nil && s.door.state.Load() == doorOpen },
		DoorUnread:  s.unreadAtDoor,
		Mode:        func(i int) string { return Mode(s.methods[i].mode.Load()).String() },

		SidecarPosition: func() uint64 { return s.link.Position() },
		HeadPosition:    s.source.Head,
	})
}

func (s *Side) unreadAtDoor() int64 {
	if s.door == nil {
		return 0
	}
	return s.door.splice.Unread()
}

func (s *Side) registerMetrics() error {
	unregister, err := s.cfg.Metrics.Register()
	if err != nil {
		return fmt.Errorf("shim: register metrics: %w", err)
	}
	s.undo = append(s.undo, unregister)
	return nil
}

func (s *Side) linkConfig(descriptors []protoreflect.MethodDescriptor) link.Config {
	hot := make([]link.Method, len(descriptors))
	for i, descriptor := range descriptors {
		hot[i] = link.Method{FullName: s.cfg.Methods[i], SchemaSHA256: schema.Hash(descriptor)}
	}
	// Requests that are too long for a lane are few.
	lanes, connections := s.cfg.Connections, 1
	if s.cfg.Experiment.Hop == experiment.Unary {
		lanes, connections = 0, s.cfg.Connections
	}
	return link.Config{
		Socket: s.cfg.Socket, Source: s.source, Methods: hot, Lanes: lanes, Connections: connections,
		StaleAfter: s.cfg.StaleAfter, HungAfter: hungAfter, HeadEvery: headEvery, Log: s.log,
		NewTransport: s.newTransport,
		Events: link.Events{
			Greeted:       func() { s.breaker.Reset("a new session") },
			MethodRefused: s.metrics.SetRefused,
			Refused:       s.metrics.FeedRefused,
			FeedReopened:  s.metrics.FeedReconnects.Inc,
			Unusable: func(why string) bool {
				if s.supervisor == nil {
					return false
				}
				s.supervisor.Restart(why)
				return true
			},
		},
	}
}

func (s *Side) newTransport(peer transport.Peer) transport.Transport {
	switch single := unary.New(peer); {
	case s.cfg.newTransport != nil:
		return s.cfg.newTransport(peer)
	case s.cfg.Experiment.Hop == experiment.Unary:
		return single
	default:
		lanes := lane.Config{Peer: peer, Large: single, Observer: s.metrics.Lanes, Log: s.log}
		if s.door != nil {
			lanes.AfterReceive = s.door.splice.FlushDirty
		}
		return lane.New(lanes)
	}
}

func (s *Side) start(ctx context.Context, table modes.Table) {
	ctx, s.stop = context.WithCancel(ctx)
	if s.supervisor != nil {
		s.supervisor.Start()
	}
	if s.cfg.Run != Alone {
		s.background.Go(func() {
			if s.awaitSource(ctx) {
				s.link.Run(ctx)
			}
		})
	}
	s.background.Go(func() { s.remindOfCheck(ctx) })
	if s.cfg.ModesFile != "" {
		s.background.Go(func() { s.watchModes(ctx, table) })
	}
}

// awaitSource waits until the Source has loaded its ledger; it is false if ctx ends first. A Source that is still
// loading says that its ledger is empty, and a sidecar fed from that would count as ready, or as ahead of the ledger.
func (s *Side) awaitSource(ctx context.Context) bool {
	if s.cfg.SourceReady == nil {
		return true
	}
	select {
	case <-s.cfg.SourceReady:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Side) watchModes(ctx context.Context, table modes.Table) {
	watcher := modes.Watcher{
		Path: s.cfg.ModesFile, Methods: s.cfg.Methods, Fallback: s.cfg.DefaultMode, Every: s.cfg.ModesPoll, Table: table,
		Changed: func(table modes.Table) {
			s.setModes(table)
			s.log.Info("the modes file was read again", "path", s.cfg.ModesFile,
				"legacy", table.Count(modes.Legacy), "sidecar", table.Count(modes.Sidecar))
		},
		Failed: func(err error) {
			s.metrics.ModeReloadErrors.Inc()
			s.log.Error("the modes file cannot be used; the last good modes stay", "error", err)
		},
	}
	watcher.Run(ctx)
}

// Close ends the feed and a supervised sidecar. The local handlers answer requests that are under way, and later ones.
// Stop the server first if the sidecar is to answer until the last request. With SplicedDoor.Local, Close waits for the
// local handlers that the shim itself has called, for up to 5 s.
func (s *Side) Close() error {
	s.closing.Do(func() {
		s.stop()
		if s.door != nil {
			s.door.close()
		}
		s.background.Wait()
		if s.supervisor != nil {
			s.supervisor.Close()
		}
		s.unwind()
	})
	return nil
}

func (s *Side) unwind() {
	for i := len(s.undo) - 1; i >= 0; i-- {
		s.undo[i]()
	}
}
