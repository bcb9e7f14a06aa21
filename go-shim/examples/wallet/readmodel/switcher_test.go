package readmodel

import (
	"errors"
	"log/slog"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/store"
)

// longTime bounds waits. They reach it only if something is broken.
const longTime = 3 * time.Minute

// openSwitcher returns a switcher of a ledger with these transactions, which is in memory, and what use was told.
func openSwitcher(t *testing.T, booked []*walletv1.Transaction) (*Switcher, *[]ReadModel) {
	t.Helper()
	ledger, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "wallet.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.AppendBatch(t.Context(), booked, false, nil); err != nil {
		t.Fatal(err)
	}
	told := new([]ReadModel)
	model := NewLegacy()
	s := NewSwitcher(ledger, NameLegacy, model, func(m ReadModel) { *told = append(*told, m) }, slog.New(slog.DiscardHandler))
	if err := s.Switch(NameStore, "ann", nil); !errors.Is(err, ErrNotLoaded) {
		t.Errorf("before the ledger is loaded: %v", err)
	}
	if err := ledger.Load(t.Context(), model, nil); err != nil {
		t.Fatal(err)
	}
	s.Loaded()
	t.Cleanup(func() {
		s.Close()
		if err := ledger.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Switch(NameBest, "ann", nil); !errors.Is(err, store.ErrClosed) {
			t.Errorf("after it was closed: %v", err)
		}
	})
	return s, told
}

// mustEnd waits for the end of the change that is under way.
func (s *Switcher) mustEnd(t *testing.T) Change {
	t.Helper()
	for end := time.Now().Add(longTime); ; time.Sleep(time.Millisecond) {
		if c := s.Change(); !c.UnderWay {
			return c
		}
		if time.Now().After(end) {
			t.Fatal("a change does not end")
		}
	}
}

func TestTheMemoryOfAReplacedModelIsFreed(t *testing.T) {
	const entries = 5000
	s, told := openSwitcher(t, crowd(entries))
	for n, step := range []struct {
		to     string
		memory uint64
	}{{NameStore, 0}, {NameBest, entries}, {NameBestScan, entries}, {NameStore, 0}, {NameLegacy, entries}} {
		if err := s.Switch(step.to, "ann", nil); err != nil {
			t.Fatal(err)
		}
		if c := s.mustEnd(t); c.Err != nil || c.To != step.to || c.By != "ann" || c.Done != c.Total || c.Total != s.ledger.Head() {
			t.Fatalf("to %s: %+v", step.to, c)
		}
		name, model := s.InForce()
		if name != step.to || len(*told) != n+1 || (*told)[n] != model || model.Size().Entries != entries {
			t.Errorf("to %s: %s is in force, after %d changes", step.to, name, len(*told))
		}
		(*told)[n] = nil
		model = nil
		for end := time.Now().Add(longTime); s.InMemory().Entries != step.memory; runtime.GC() {
			if time.Now().After(end) {
				t.Fatalf("to %s: %d entries are in memory, not %d", step.to, s.InMemory().Entries, step.memory)
			}
		}
	}
}

func TestAChangeIsGivenUpByAskingForTheModelInForce(t *testing.T) {
	s, told := openSwitcher(t, crowd(10))
	var asked []string
	// The second time, the new model is about to take over.
	err := s.Switch(NameStore, "ann", func() error {
		if asked = append(asked, ""); len(asked) < 2 {
			return nil
		}
		if c := s.Change(); !c.UnderWay || c.To != NameStore || c.By != "ann" {
			t.Errorf("under way: %+v", c)
		}
		if err := s.Switch(NameBest, "bob", nil); !errors.Is(err, ErrUnderWay) {
			t.Errorf("a second change: %v", err)
		}
		return s.Switch(NameLegacy, "bob", nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	c := s.mustEnd(t)
	if name, _ := s.InForce(); !errors.Is(c.Err, ErrGivenUp) || name != NameLegacy || len(*told) != 0 || len(asked) != 2 {
		t.Errorf("%+v, %s is in force, %d changes", c, name, len(*told))
	}
}

func TestAChangeThatIsNotAllowedDoesNotHappen(t *testing.T) {
	s, told := openSwitcher(t, crowd(10))
	no := errors.New("no")
	if err := s.Switch(NameStore, "ann", func() error { return no }); !errors.Is(err, no) || s.Change().UnderWay {
		t.Errorf("at once: %v", err)
	}
	if err := s.Switch("worst", "ann", nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("no model: %v", err)
	}
	if err := s.Switch(NameLegacy, "ann", func() error { return no }); err != nil {
		t.Errorf("the model in force: %v", err)
	}
	asked := 0
	if err := s.Switch(NameStore, "ann", func() error {
		if asked++; asked == 1 {
			return nil
		}
		return no
	}); err != nil {
		t.Fatal(err)
	}
	if c := s.mustEnd(t); !errors.Is(c.Err, no) || len(*told) != 0 {
		t.Errorf("in the end: %+v", c)
	}
}
