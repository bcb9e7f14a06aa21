package versions

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestSlotsAreDenseAndStay(t *testing.T) {
	n := newNames()
	for i, name := range []string{"", "a", "b", "a", "", strings.Repeat("c", 64)} {
		if got, want := n.intern(name), []uint32{0, 1, 2, 1, 0, 3}[i]; got != want {
			t.Errorf("%q: slot %d, want %d", name, got, want)
		}
	}
	if n.find("d") != Nobody || n.find("") != Nobody || string(n.name(2)) != "b" || len(n.name(Nobody)) != 0 || n.size() != 4 {
		t.Errorf("%d, %d, %q, %q, %d", n.find("d"), n.find(""), n.name(2), n.name(Nobody), n.size())
	}
}

// TestNamesAreFoundWhileTheyGrow uses enough names for collisions, several tables and several chunks. Readers must find
// every announced name while these grow.
func TestNamesAreFoundWhileTheyGrow(t *testing.T) {
	const count = 100_000
	n := newNames()
	name := func(slot uint32) string { return fmt.Sprintf("account-%d", slot) }
	var announced atomic.Uint32
	var readers sync.WaitGroup
	for reader := range uint32(2) {
		readers.Go(func() {
			for at := announced.Load(); at < count; at = announced.Load() {
				for slot := at; slot > 0; slot -= min(slot, 1+at/8+reader) {
					if got := n.find(name(slot)); got != slot || string(n.name(slot)) != name(slot) {
						t.Errorf("%s: slot %d, %q", name(slot), got, n.name(slot))
						return
					}
				}
			}
		})
	}
	for slot := uint32(1); slot <= count; slot++ {
		if got := n.intern(name(slot)); got != slot {
			t.Fatalf("%s: slot %d", name(slot), got)
		}
		announced.Store(slot)
	}
	readers.Wait()
	for slot := uint32(1); slot <= count; slot++ {
		if n.find(name(slot)) != slot || n.intern(name(slot)) != slot {
			t.Fatalf("%s is lost", name(slot))
		}
	}
}
