package readmodel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"hotpath.dev/go-shim/examples/wallet/store"
)

// These are the errors of [Switcher.Switch] and of changes.
var (
	ErrUnknown = errors.New("no read model is called so")
	// ErrUnderWay means that another change has to end first.
	ErrUnderWay = errors.New("a change of the read model is under way")
	// ErrNotLoaded means that the ledger is still being loaded.
	ErrNotLoaded = errors.New("the ledger is being loaded into the first read model")
	// ErrGivenUp is why a change ended if somebody asked for the model that is in force.
	ErrGivenUp = errors.New("given up, because somebody asked for the model that is in force")
)

// Switcher changes the read model of a ledger while it serves, one change at a time.
type Switcher struct {
	ledger *store.Store
	log    *slog.Logger
	// use sends new reads to a model.
	use func(ReadModel)

	mu      sync.Mutex
	name    string
	inForce ReadModel
	// cancel ends the change that is under way; nil if there is none. ended is closed when it has ended.
	cancel context.CancelCauseFunc
	ended  chan struct{}
	state  Change
	loaded bool
	closed bool

	done, total atomic.Uint64
	// inMemory are the models in memory that the collector has not freed.
	inMemory []func() (Size, bool)
}

// Change is a change of the read model, the one that is under way or the last one.
type Change struct {
	// UnderWay is true until it has ended.
	UnderWay bool
	// To is the model that was asked for, and By whoever did. Both are empty if nobody has asked.
	To, By string
	// Done is how many transactions the new model has, of the Total of the ledger.
	Done, Total uint64
	// Err is why the model is not in force, or nil.
	Err error
}

// NewSwitcher returns a switcher of a ledger that is loaded, or about to be, with this model. use sends new
// reads to a model.
func NewSwitcher(ledger *store.Store, name string, inForce ReadModel, use func(ReadModel), log *slog.Logger) *Switcher {
	s := &Switcher{ledger: ledger, log: log, use: use, name: name, inForce: inForce}
	s.watch(inForce)
	return s
}

// Loaded says that the ledger is loaded. Only then can the model change.
func (s *Switcher) Loaded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = true
}

// InForce returns the read model that answers, and its name.
func (s *Switcher) InForce() (string, ReadModel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.name, s.inForce
}

// Change returns how far the change is that is under way, or how the last one ended.
func (s *Switcher) Change() Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.state
	if c.UnderWay {
		c.Done, c.Total = s.done.Load(), s.total.Load()
	}
	return c
}

// InMemory counts what models in memory hold: the one in force, one that is being filled, and those that were replaced until
// the collector has freed them.
func (s *Switcher) InMemory() (all Size) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inMemory = slices.DeleteFunc(s.inMemory, func(look func() (Size, bool)) bool {
		size, there := look()
		all.Accounts += size.Accounts
		all.Entries += size.Entries
		return !there
	})
	return all
}

// watch counts a model for as long as it is in memory. The caller holds the lock, or is alone.
func (s *Switcher) watch(model ReadModel) {
	switch m := model.(type) {
	case *Legacy:
		s.inMemory = append(s.inMemory, lookAt(m))
	case *Best:
		s.inMemory = append(s.inMemory, lookAt(m))
	}
}

func lookAt[T any, P interface {
	*T
	Size() Size
}](model P) func() (Size, bool) {
	held := weak.Make((*T)(model))
	return func() (Size, bool) {
		if m := P(held.Value()); m != nil {
			return m.Size(), true
		}
		return Size{}, false
	}
}

// Switch begins to change to a model, and returns; Change tells the rest. allowed, if not nil, is asked before the change
// begins and again when the new model is about to take over. If the model is in force, a change that is under way is given
// up. If another one is under way, Switch fails with [ErrUnderWay].
func (s *Switcher) Switch(name, who string, allowed func() error) error {
	if !slices.Contains(AllNames(), name) {
		return fmt.Errorf("%q: %w: choose from %s", name, ErrUnknown, strings.Join(AllNames(), ", "))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return store.ErrClosed
	case !s.loaded:
		return ErrNotLoaded
	case name == s.name && s.cancel != nil:
		s.log.Info("a change of the read model is to be given up", "to", s.state.To, "by", who)
		s.cancel(ErrGivenUp)
		return nil
	case name == s.name:
		return nil
	case s.cancel != nil:
		return fmt.Errorf("%w: to %s, asked for by %s, at %d of %d transactions; to give it up, ask for %s",
			ErrUnderWay, s.state.To, s.state.By, s.done.Load(), s.total.Load(), s.name)
	}
	if allowed != nil {
		if err := allowed(); err != nil {
			return err
		}
	}
	model, err := For(s.ledger, name)
	if err != nil {
		return err
	}
	s.watch(model)
	ctx, cancel := context.WithCancelCause(context.Background())
	s.cancel, s.ended, s.state = cancel, make(chan struct{}), Change{UnderWay: true, To: name, By: who}
	s.done.Store(0)
	s.total.Store(s.ledger.Head())
	s.log.Info("the read model is to change", "from", s.name, "to", name, "by", who)
	go s.run(ctx, name, model, allowed)
	return nil
}

func (s *Switcher) run(ctx context.Context, name string, model ReadModel, allowed func() error) {
	began := time.Now()
	err := s.ledger.Switch(ctx, model, func() error { return s.takeOver(ctx, name, model, allowed) }, s.reporter())
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel(nil)
	s.cancel = nil
	s.state.UnderWay, s.state.Err = false, err
	s.state.Done, s.state.Total = s.done.Load(), s.total.Load()
	close(s.ended)
	took := time.Since(began).Round(time.Millisecond)
	switch {
	case err == nil:
		s.log.Info("the read model has changed", "to", name, "by", s.state.By, "position", s.ledger.Head(), "took", took)
	case errors.Is(err, ErrGivenUp), errors.Is(err, store.ErrClosed):
		s.log.Info("the read model stays", "in_force", s.name, "asked_for", name, "by", s.state.By, "cause", err)
	default:
		s.log.Error("the read model stays", "in_force", s.name, "asked_for", name, "by", s.state.By, "cause", err)
	}
	// What the old model took, or the new one that is not wanted, goes back to the system. This takes a moment.
	go debug.FreeOSMemory()
}

// takeOver is called between two commits, when the model has everything.
func (s *Switcher) takeOver(ctx context.Context, name string, model ReadModel, allowed func() error) error {
	if allowed != nil {
		if err := allowed(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Whoever gave it up has been told so.
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s.name, s.inForce = name, model
	s.use(model)
	return nil
}

// reporter logs how far a change is, once a second.
func (s *Switcher) reporter() func(done, total uint64) {
	reported := time.Now()
	return func(done, total uint64) {
		s.done.Store(done)
		s.total.Store(total)
		if time.Since(reported) >= time.Second {
			reported = time.Now()
			s.log.Info("changing the read model", "to", s.Change().To, "position", done, "of", total)
		}
	}
}

// Close gives up a change that is under way, and waits for its end.
func (s *Switcher) Close() {
	s.mu.Lock()
	s.closed = true
	ended := s.ended
	if s.cancel != nil {
		s.cancel(store.ErrClosed)
	}
	s.mu.Unlock()
	if ended != nil {
		<-ended
	}
}
