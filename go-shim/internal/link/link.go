// Package link holds the connections to one sidecar. It dials, says Hello, feeds the sidecar, and says whether the
// sidecar may be asked.
//
//	dial ──> Hello ──> session: feed ──> caught up: Serving returns the session
//	  ^                   │                │ ^
//	  │                   │ lost           │ │ stale, or caught up again
//	  └── backoff <───────┴────────────────┴─┘
//
// A session is one set of HTTP/2 connections, each greeted by Hello. They are never redialled. When one is lost, the
// whole session ends, so that no request can reach a sidecar that was not greeted.
package link

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/internal/backoff"
	"hotpath.dev/go-shim/internal/feed"
	"hotpath.dev/go-shim/internal/ratelog"
	"hotpath.dev/go-shim/internal/transport"
)

const (
	// greetTimeout bounds dialling and Hello together. A hung sidecar accepts connections but greets nobody.
	greetTimeout = 2 * time.Second
	// pingEvery and pingTimeout end the session with a sidecar that hangs. grpc-go allows no more frequent pings.
	pingEvery, pingTimeout = 10 * time.Second, 5 * time.Second
	// quietAfter is how long a session or a feed must have lasted for the next attempt to follow quickly again.
	quietAfter = 10 * time.Second
	// startGrace is how long the log does not say that there is no sidecar yet.
	startGrace = time.Second
)

// Config is what a Link needs.
type Config struct {
	Socket  string
	Source  feed.Source
	Methods []Method
	// Lanes is the number of connections for exchange streams, Connections that for unary calls. The feed has one more
	// for itself.
	Lanes, Connections int
	StaleAfter         time.Duration
	// HungAfter is how long a sidecar may accept connections without answering Hello before it counts as unusable.
	HungAfter time.Duration
	// HeadEvery is how often an idle feed says where the ledger is.
	HeadEvery time.Duration
	Log       *slog.Logger
	// Meanwhile says, for the log, what happens to hot methods without this sidecar.
	Meanwhile func() string
	// NewTransport makes the transport of a session.
	NewTransport func(transport.Peer) transport.Transport
	Events       Events
}

// Method is a hot method as the Hello names it.
type Method struct {
	FullName     string
	SchemaSHA256 [32]byte
}

// Events tell the owner what happened. None may be nil.
type Events struct {
	// Greeted comes with each new session.
	Greeted func()
	// ReadyChanged comes whenever Serving begins or ceases to return a session, unless Run is to end.
	ReadyChanged func()
	// MethodRefused says, with each Hello, why the i-th method was refused; "" if it was accepted.
	MethodRefused func(i int, why string)
	// Refused is called for each refusal of a whole Hello or feed.
	Refused func(*feed.Refusal)
	// FeedReopened is called for each feed but the first.
	FeedReopened func()
	// Unusable is called if only a restart can mend the sidecar. It returns true if there will be one.
	Unusable func(why string) bool
}

// Session is a greeted sidecar that has caught up.
type Session struct {
	Transport transport.Transport
	// MaxMessageBytes is the longest request and the longest reply.
	MaxMessageBytes int
	peer            transport.Peer
}

// Accepts says whether the sidecar accepted the i-th method. Ask it of the session that is then used, because the next
// session may be with another sidecar.
func (s *Session) Accepts(i int) bool {
	_, err := s.peer.Name(i)
	return err == nil
}

// AcceptsAll says whether the sidecar accepted every method.
func (s *Session) AcceptsAll() bool {
	for i := range s.peer.Methods {
		if !s.Accepts(i) {
			return false
		}
	}
	return true
}

// Link is the only way to a sidecar.
type Link struct {
	cfg       Config
	quiet     *ratelog.Limiter
	readiness feed.Readiness
	serving   atomic.Pointer[Session]
	connected atomic.Bool
	// stopping is true once Run is to end. Run sets it, and only what Run has started calls it.
	stopping func() bool

	feedsOpened atomic.Uint64

	// Only Run's goroutine writes these fields, and only between sessions.
	current  *Session
	refusals []string
	// silentSince is when Hello first timed out after its last answer.
	silentSince time.Time
}

// New makes a link; Run brings it up.
func New(cfg Config) *Link {
	l := &Link{cfg: cfg, quiet: ratelog.New(cfg.Log, 10*time.Second), refusals: make([]string, len(cfg.Methods))}
	l.readiness.StaleAfter = cfg.StaleAfter
	l.readiness.Changed = l.readyChanged
	return l
}

// Serving returns the sidecar to ask, or nil if none may be asked now.
func (l *Link) Serving() *Session { return l.serving.Load() }

// Connected is true while there is a greeted sidecar, ready or not.
func (l *Link) Connected() bool { return l.connected.Load() }

// Position returns the newest position that the sidecar has published, as last heard.
func (l *Link) Position() uint64 { return l.readiness.Position() }

// Run keeps a session up until ctx ends.
func (l *Link) Run(ctx context.Context) {
	quick := backoff.Backoff{Min: 20 * time.Millisecond, Max: 250 * time.Millisecond}
	slow := backoff.Backoff{Min: time.Second, Max: 30 * time.Second}
	// What waits for ctx must not find it running still, so nothing copies its end.
	l.stopping = func() bool { return ctx.Err() != nil }
	started := time.Now()
	for ctx.Err() == nil {
		began := time.Now()
		err := l.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > quietAfter {
			quick.Reset()
			slow.Reset()
		}
		wait := quick.Next()
		var refusal *feed.Refusal
		if errors.As(err, &refusal) {
			l.logRefusal(refusal)
			if !refusal.Foreign() || !l.cfg.Events.Unusable(refusal.Error()) {
				wait = slow.Next()
			}
		} else {
			l.judgeSilence(err)
			// A sidecar that is started with the service is absent at first.
			if time.Since(started) > startGrace {
				l.quiet.Warn("session", "no sidecar: "+l.cfg.Meanwhile(), "socket", l.cfg.Socket, "cause", err)
			}
		}
		_ = backoff.Sleep(ctx, wait) // cancelled: the loop ends
	}
}

// judgeSilence asks for a restart of a sidecar that is there but answers nothing. A sidecar that is absent may be
// starting.
func (l *Link) judgeSilence(err error) {
	silent := errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded
	switch {
	case !silent:
		l.silentSince = time.Time{}
	case l.silentSince.IsZero():
		l.silentSince = time.Now()
	case time.Since(l.silentSince) > l.cfg.HungAfter:
		l.silentSince = time.Time{}
		l.cfg.Events.Unusable("it takes connections but does not answer")
	}
}

// session runs from the first dial until a connection is lost.
func (l *Link) session(ctx context.Context) error {
	// The feed gets a connection of its own, so that a long history can't hold up requests.
	conns, answer, err := l.greet(ctx)
	defer conns.close()
	if err != nil {
		return err
	}
	l.current = l.newSession(conns, answer)
	l.readiness.Begin()
	l.connected.Store(true)
	defer l.connected.Store(false)
	l.cfg.Events.Greeted()
	l.cfg.Log.Info("connected to the sidecar", "socket", l.cfg.Socket, "build", answer.GetBuild(),
		"position", answer.GetPosition())

	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	for _, conn := range conns.calls {
		running.Go(func() { cancel(awaitLoss(ctx, conn)) })
	}
	for _, conn := range conns.lanes {
		running.Go(func() { cancel(awaitLossOfLane(ctx, conn)) })
	}
	running.Go(func() { cancel(l.feed(ctx, conns.calls[0])) })
	running.Go(func() { l.watchHead(ctx) })
	<-ctx.Done()
	// This comes before the connections are closed, so that no new request meets a closed one. A feed that is just
	// opening does not know this yet; from now on it has no effect.
	l.readiness.Lose()
	l.current.Transport.Close()
	running.Wait()
	return context.Cause(ctx)
}

func (l *Link) newSession(conns *connections, answer *helloAnswer) *Session {
	for i, refusal := range answer.refusals {
		l.cfg.Events.MethodRefused(i, refusal)
		if refusal != "" && refusal != l.refusals[i] {
			l.cfg.Log.Warn("the sidecar refused a method: "+l.cfg.Meanwhile(),
				"method", l.cfg.Methods[i].FullName, "reason", refusal)
		}
		if refusal == "" && l.refusals[i] != "" {
			l.cfg.Log.Info("the sidecar takes a method that it refused before", "method", l.cfg.Methods[i].FullName)
		}
		l.refusals[i] = refusal
	}
	peer := transport.Peer{MaxMessageBytes: answer.maxMessageBytes(), Methods: answer.names()}
	for _, conn := range conns.calls[1:] {
		peer.Conns = append(peer.Conns, conn)
	}
	for _, conn := range conns.lanes {
		peer.Lanes = append(peer.Lanes, conn)
	}
	return &Session{Transport: l.cfg.NewTransport(peer), MaxMessageBytes: peer.MaxMessageBytes, peer: peer}
}

func (l *Link) readyChanged(ready bool) {
	if ready {
		l.serving.Store(l.current)
		l.cfg.Log.Info("the sidecar is ready", "position", l.Position())
		l.cfg.Events.ReadyChanged()
		return
	}
	l.serving.Store(nil)
	if l.stopping() {
		return
	}
	l.cfg.Events.ReadyChanged()
	l.quiet.Warn("unready", "the sidecar is not ready: "+l.cfg.Meanwhile(),
		"position", l.Position(), "head", l.cfg.Source.Head())
}

func (l *Link) watchHead(ctx context.Context) {
	ticker := time.NewTicker(max(l.cfg.StaleAfter/8, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			l.readiness.Tick(now, l.cfg.Source.Head())
		}
	}
}

func (l *Link) logRefusal(refusal *feed.Refusal) {
	l.cfg.Events.Refused(refusal)
	l.quiet.Warn(refusal.Reason, "the sidecar refused: "+refusal.Advice(), "socket", l.cfg.Socket,
		"reason", refusal.Reason, "cause", refusal.Err)
}
