package shim

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/reflect/protoreflect"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/internal/evidence"
	"hotpath.dev/go-shim/internal/feed"
	"hotpath.dev/go-shim/internal/link"
	"hotpath.dev/go-shim/internal/modes"
	"hotpath.dev/go-shim/internal/ratelog"
	"hotpath.dev/go-shim/internal/rundir"
	"hotpath.dev/go-shim/internal/schema"
	"hotpath.dev/go-shim/internal/shadow"
	"hotpath.dev/go-shim/internal/splice"
	"hotpath.dev/go-shim/internal/standby"
	"hotpath.dev/go-shim/internal/telemetry"
	"hotpath.dev/go-shim/internal/transport/lane"
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
	// sidecars are one or two. chooser says which one is asked.
	sidecars []*sidecar
	chooser  *standby.Chooser[sidecar]
	// positions reads what callers ask about positions.
	positions position.Reader
	// folder is the private folder of the sockets; nil if the Config names a socket. keeping lets one supervisor at a time
	// keep it.
	folder  *rundir.Folder
	keeping sync.Mutex
	// door is nil unless FrontDoor is Spliced.
	door *door
	// comparer compares answers. evidence is where it keeps what differs; nil if nowhere.
	comparer *comparer
	evidence *evidence.Folder
	// servers holds a *server by the registrar that was wrapped.
	servers sync.Map
	// optionsTaken is true once ServerOptions was called. Without the options the server can't hand out raw bytes.
	optionsTaken atomic.Bool

	stop       context.CancelFunc
	background sync.WaitGroup
	closing    sync.Once
	switches   switches
	// controls lets one call at a time change files.
	controls sync.Mutex
	// undo holds functions that take back what Open made. They run last first.
	undo []func()
}

// Open starts to feed and watch a sidecar, or two, in the background. It never waits for the sidecar: until that is ready, the
// local handlers answer hot methods. The error lists every mistake of cfg. If ctx ends while
// Open runs, Open undoes what it did and returns the cause. Once Open has returned, the end of ctx has no effect: Close
// ends what Open began.
func Open(ctx context.Context, cfg Config, source Source) (*Side, error) {
	cfg = cfg.withDefaults()
	descriptors, table, err := cfg.validate(source)
	if err != nil {
		return nil, err
	}
	killed, err := cfg.killed()
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
	s.makeSidecars()
	s.metrics = s.newTelemetry()
	s.makeMethods(descriptors)
	if cfg.FrontDoor == Spliced {
		s.door = newDoor(s)
	}
	s.switches.killed = killed
	if err := s.openEvidence(); err != nil {
		return nil, err
	}
	s.setModes(table, "")
	s.comparer = newComparer(s)
	s.undo = append(s.undo, s.comparer.Close)
	prepareSidecars := func() error { return s.prepareSidecars(descriptors) }
	ended := func() error {
		if ctx.Err() == nil {
			return nil
		}
		return fmt.Errorf("shim: Open was given up: %w", context.Cause(ctx))
	}
	// The metrics come last, because a scrape may follow at once and reads everything else.
	for _, step := range []func() error{ended, s.prepareSocket, ended, prepareSidecars, s.registerMetrics, ended} {
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
	if s.longestSocket() > MaxSocketBytes {
		return fmt.Errorf("%w\nSocket: TMPDIR makes it longer than %d bytes: name one", ErrConfig, MaxSocketBytes)
	}
	return nil
}

// keepFolder makes the folder of the socket again. Something may have removed it as an old file, and the sidecar can't
// make it.
func (s *Side) keepFolder() error {
	if s.folder == nil {
		return nil
	}
	s.keeping.Lock()
	defer s.keeping.Unlock()
	return s.folder.Keep()
}

func (s *Side) newTelemetry() *telemetry.Set {
	names := telemetry.Names{Methods: s.cfg.Methods, Fallbacks: fallbackNames(), LaneFailures: lane.Reasons(), FeedRefusals: feed.Reasons(),
		DoorReasons: splice.Reasons(), DoorRules: splice.Rules(),
		Modes: modes.Kinds(), Classes: shadow.Classes(), ComparisonDrops: shadow.Drops()}
	gauges := telemetry.Gauges{
		DoorOpen:     func() bool { return s.door != nil && s.door.state.Load() == doorOpen },
		DoorUnread:   s.unreadAtDoor,
		HeadPosition: s.source.Head,
		Mode: func(i int) (string, int, int) {
			mode := Mode(s.methods[i].mode.Load())
			return mode.Kind(), mode.Percent(), mode.Check()
		},
		Killed:  s.isKilled,
		Demoted: s.isDemoted,
		Waiting: func() int { return s.comparer.Waiting() },
	}
	for _, c := range s.sidecars {
		gauges.Sidecars = append(gauges.Sidecars, telemetry.SidecarGauges{
			BreakerOpen: c.breaker.IsOpen,
			BudgetSpent: func(i int) bool { return c.budgets[i].Spent() },
			Ready:       func() bool { return c.link.Serving() != nil },
			Position:    func() uint64 { return c.link.Position() },
			Asked:       func() bool { return s.chooser.Asked() == c },
		})
	}
	return telemetry.New(s.cfg.Metrics, names, gauges)
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

// linkMethods are the hot methods as a Hello names them.
func (s *Side) linkMethods(descriptors []protoreflect.MethodDescriptor) []link.Method {
	hot := make([]link.Method, len(descriptors))
	for i, descriptor := range descriptors {
		hot[i] = link.Method{FullName: s.cfg.Methods[i], SchemaSHA256: schema.Hash(descriptor)}
	}
	return hot
}

func (s *Side) start(ctx context.Context, table modes.Table) {
	ctx, s.stop = context.WithCancel(ctx)
	for _, c := range s.sidecars {
		if c.supervisor != nil {
			c.supervisor.Start()
		}
		if s.cfg.Run != Alone {
			s.background.Go(func() {
				if s.awaitSource(ctx) {
					c.link.Run(ctx)
				}
			})
		}
	}
	s.background.Go(func() { s.remindOfCheck(ctx) })
	if s.cfg.ModesFile != "" {
		s.background.Go(func() { s.watchModes(ctx, table) })
	}
	if s.cfg.KillFile != "" {
		s.background.Go(func() { s.watchKillFile(ctx) })
	}
	if s.evidence != nil {
		s.background.Go(func() { s.watchDemotions(ctx) })
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
		if s.comparer != nil {
			s.comparer.Close()
		}
		var ending sync.WaitGroup
		for _, c := range s.sidecars {
			if c.supervisor != nil {
				ending.Go(c.supervisor.Close)
			}
		}
		ending.Wait()
		s.unwind()
	})
	return nil
}

func (s *Side) unwind() {
	for i := len(s.undo) - 1; i >= 0; i-- {
		s.undo[i]()
	}
}
