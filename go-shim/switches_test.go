package shim

import (
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	testpb "google.golang.org/grpc/interop/grpc_testing"

	"hotpath.dev/go-shim/internal/evidence"
	"hotpath.dev/go-shim/internal/modes"
	"hotpath.dev/go-shim/shimtest"
)

// TestWhateverHappensTheKillFileWinsAndADemotionComesNext does at random what files, operators and comparisons do, and compares
// the modes in force with the rule: legacy while killed; else no forwarding while demoted; else what was set.
func TestWhateverHappensTheKillFileWinsAndADemotionComesNext(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 14))
		folder := t.TempDir()
		s, err := Open(t.Context(), Config{
			Run: Attach, Socket: filepath.Join(folder, "s"), Logger: slog.New(slog.DiscardHandler), Comparison: Comparison{Folder: folder},
			Methods: []string{testpb.TestService_UnaryCall_FullMethodName, testpb.TestService_EmptyCall_FullMethodName}, DefaultMode: Legacy,
		}, shimtest.NewLedger("l"))
		if err != nil {
			t.Fatal(err)
		}
		table, killed, demoted := modes.Table{Legacy, Legacy}, false, []bool{false, false}
		all := []Mode{Legacy, Shadow(100), Again(5), Canary(0), Canary(25), Canary(50).Checked(10), Sidecar, ReverseShadow(1)}
		for step := range 200 {
			i := random.IntN(2)
			switch random.IntN(5) {
			case 0:
				table = modes.Table{all[random.IntN(len(all))], all[random.IntN(len(all))]}
				s.setModes(slices.Clone(table), "a test")
			case 1:
				killed = random.IntN(2) == 0
				s.setKilled(killed)
			case 2:
				s.methods[i].demote(evidence.Demotion{Method: s.methods[i].name})
				demoted[i] = true
			case 3:
				if err := s.Lift(s.methods[i].name, "a test"); err != nil {
					t.Fatal(err)
				}
				s.lookForMark(i)
				demoted[i] = false
			default: // nothing has changed
				s.lookForMark(i)
			}
			for i, m := range s.methods {
				want := table[i]
				switch {
				case killed:
					want = Legacy
				case demoted[i] && want.Percent() > 0:
					want = Shadow(100)
				}
				if got := Mode(m.mode.Load()); got != want || s.isDemoted(i) != demoted[i] || s.isKilled() != killed {
					t.Fatalf("seed %d, step %d: %v is in force, not %v (set %v, killed %v, demoted %v)", seed, step, got, want, table[i], killed, demoted[i])
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
