package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

func agreed() error { return nil }

// positions returns the positions of what a model got.
func (r *recorder) positions() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]uint64, len(r.applied))
	for i, tx := range r.applied {
		all[i] = tx.GetPosition()
	}
	return all
}

// hasAll returns why a model does not have every transaction up to a position once, in order.
func (r *recorder) hasAll(upTo uint64) error {
	got := r.positions()
	for i, p := range got {
		if p != uint64(i+1) {
			return fmt.Errorf("transaction %d is at position %d", i+1, p)
		}
	}
	if uint64(len(got)) != upTo {
		return fmt.Errorf("the model has %d transactions, not %d", len(got), upTo)
	}
	return nil
}

func (r *recorder) mustHaveAll(t *testing.T, upTo uint64) {
	t.Helper()
	if err := r.hasAll(upTo); err != nil {
		t.Fatal(err)
	}
}

// poster posts a mixture until it is told to stop.
type poster struct {
	s    *Store
	m    *mixture
	stop atomic.Bool
	done sync.WaitGroup
	err  error
}

func startPosting(s *Store, m *mixture) *poster {
	p := &poster{s: s, m: m}
	p.done.Go(func() {
		for !p.stop.Load() && p.err == nil {
			_, _, p.err = s.Post(context.Background(), m.next())
		}
	})
	return p
}

func (p *poster) end(t *testing.T) {
	t.Helper()
	p.stop.Store(true)
	p.done.Wait()
	if p.err != nil {
		t.Fatal(p.err)
	}
}

// TestTheModelIsSwitchedWhilePostsGoOn goes to the tables and back, and looks at each model at the instant of the switch.
func TestTheModelIsSwitchedWhilePostsGoOn(t *testing.T) {
	s := openOnly(t, tempPath(t), Options{})
	m := newMixture(11)
	// More than one step, so that posts come in between.
	mustAppend(t, s, m.take(4*loadChunk))
	current := new(recorder)
	if err := s.Load(t.Context(), current, nil); err != nil {
		t.Fatal(err)
	}
	p := startPosting(s, m)
	for round := range 3 {
		var reached []uint64
		at := s.Head()
		toTables := s.Switch(t.Context(), tableReader{}, func() error {
			if at = s.Head(); s.TablePosition() != at {
				t.Errorf("switched at %d with tables that end at %d", at, s.TablePosition())
			}
			return nil
		}, func(done, _ uint64) { reached = append(reached, done) })
		if toTables != nil || !slices.IsSorted(reached) || len(reached) == 0 {
			t.Fatalf("round %d, to the tables: %v, by way of %v", round, toTables, reached)
		}
		current.mustHaveAll(t, at)
		v := mustView(t, s, Newest)
		if v.Position() < at {
			t.Errorf("a view at %d after a switch at %d", v.Position(), at)
		}
		v.Close()

		next := new(recorder)
		back := s.Switch(t.Context(), next, func() error {
			at = s.Head()
			return next.hasAll(at)
		}, nil)
		if back != nil {
			t.Fatalf("round %d, back: %v", round, back)
		}
		current.mustHaveAll(t, uint64(current.count())) // and nothing later
		current = next
		if frozen := s.TablePosition(); frozen != at {
			t.Errorf("the tables went on to %d after a switch back at %d", frozen, at)
		}
	}
	if err := s.Switch(t.Context(), tableReader{}, agreed, nil); err != nil {
		t.Fatal(err)
	}
	p.end(t)
	checkTables(t, s, m.made, "after all switches")
	if load := s.ViewLoad(); load.Open != 0 {
		t.Errorf("views are open: %+v", load)
	}
}

func TestASwitchThatFailsLeavesTheModel(t *testing.T) {
	path := tempPath(t)
	s, model := openLoaded(t, path, Options{free: func(string) uint64 { return 1 }})
	m := newMixture(12)
	for _, tx := range m.take(30) {
		mustPost(t, s, tx)
	}
	if err := s.Switch(t.Context(), tableReader{}, agreed, nil); !errors.Is(err, ErrFull) || hasTables(t, s) {
		t.Errorf("on a disk without room: %v", err)
	}
	s.options.free = nil
	unwilling := errors.New("unwilling")
	for _, to := range []Applier{tableReader{}, new(recorder)} {
		if err := s.Switch(t.Context(), to, func() error { return unwilling }, nil); !errors.Is(err, unwilling) {
			t.Errorf("%T: %v", to, err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Switch(gone, to, agreed, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("%T, cancelled: %v", to, err)
		}
		frozen := s.TablePosition()
		mustPost(t, s, m.next())
		model.mustHaveAll(t, s.Head())
		if s.TablePosition() != frozen {
			t.Errorf("%T: the tables are kept after a switch that failed", to)
		}
	}
	if err := s.Switch(t.Context(), tableReader{}, agreed, nil); err != nil {
		t.Fatal(err)
	}
	mustPost(t, s, m.next())
	checkTables(t, s, m.made, "after all")
}

func TestTheDiskIsFullInTheMiddleOfASwitch(t *testing.T) {
	s := openOnly(t, tempPath(t), Options{})
	m := newMixture(13)
	mustAppend(t, s, m.take(5*loadChunk))
	model := new(recorder)
	if err := s.Load(t.Context(), model, nil); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		err := s.onCommitter(t.Context(), func() error {
			var got int
			return s.w.conn.QueryRowContext(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)).Scan(&got)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limited := false
	err := s.Switch(t.Context(), tableReader{}, agreed, func(uint64, uint64) {
		if !limited {
			limited = true
			limit(1) // SQLite raises this to the present size
		}
	})
	if !errors.Is(err, ErrFull) || !limited {
		t.Fatalf("got %v", err)
	}
	limit(1 << 20)
	mustPost(t, s, m.next())
	model.mustHaveAll(t, s.Head())
	if err := s.Switch(t.Context(), tableReader{}, agreed, nil); err != nil {
		t.Fatal(err)
	}
	checkTables(t, s, m.made, "once there was room")
}

func TestOnlyOneSwitchAtATime(t *testing.T) {
	s := openOnly(t, tempPath(t), Options{})
	if err := s.Switch(t.Context(), new(recorder), agreed, nil); !errors.Is(err, ErrUse) {
		t.Errorf("before Load: %v", err)
	}
	if err := s.Load(t.Context(), new(recorder), nil); err != nil {
		t.Fatal(err)
	}
	mustPost(t, s, deposit(0))
	var second error
	next := new(recorder)
	first := s.Switch(t.Context(), next, agreed, func(uint64, uint64) {
		second = s.Switch(t.Context(), new(recorder), agreed, nil)
	})
	if first != nil || !errors.Is(second, ErrSwitching) {
		t.Errorf("%v, %v", first, second)
	}
	next.mustHaveAll(t, 1)
}

func TestClosingEndsASwitch(t *testing.T) {
	for name, to := range map[string]Applier{"tables": tableReader{}, "memory": new(recorder)} {
		t.Run(name, func(t *testing.T) {
			s := openOnly(t, tempPath(t), Options{})
			mustAppend(t, s, newMixture(14).take(4*loadChunk))
			if err := s.Load(t.Context(), new(recorder), nil); err != nil {
				t.Fatal(err)
			}
			var closed sync.WaitGroup
			once := false
			err := s.Switch(t.Context(), to, agreed, func(uint64, uint64) {
				if once {
					return
				}
				once = true
				closed.Go(func() {
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				})
				<-s.closing
			})
			closed.Wait()
			if !errors.Is(err, ErrClosed) {
				t.Errorf("got %v", err)
			}
			if err := s.Switch(t.Context(), to, agreed, nil); !errors.Is(err, ErrSwitching) && !errors.Is(err, ErrClosed) {
				t.Errorf("after it was closed: %v", err)
			}
		})
	}
}

// TestAnOldReaderMayStillOpenAView is about a read that took the model that reads the tables just before they were no
// longer kept.
func TestAnOldReaderMayStillOpenAView(t *testing.T) {
	s := openTables(t, tempPath(t), Options{Views: 2})
	mustPost(t, s, deposit(0))
	open := mustView(t, s, Newest)
	if err := s.Switch(t.Context(), new(recorder), agreed, nil); err != nil {
		t.Fatal(err)
	}
	mustPost(t, s, deposit(1))
	late := mustView(t, s, Newest)
	for _, v := range []*View{open, late} {
		if amounts := fmt.Sprint(postedOf(t, v, "acct-0")); v.Position() != 1 || amounts != "[1]" {
			t.Errorf("at %d: %s", v.Position(), amounts)
		}
		v.Close()
	}
	pool := s.views.Load()
	for range cap(pool.slots) {
		if c := <-pool.slots; c != nil {
			t.Error("a connection is kept")
		}
		pool.slots <- nil
	}
}
