package burner

import (
	"testing"
	"time"
)

func TestStepsFollowFromTheTimeOfOne(t *testing.T) {
	b := timed(1000, 2000*time.Nanosecond)
	for work, want := range map[uint32]uint64{0: 0, 100: 50, MaxWorkNS: 50_000_000} {
		if got := b.steps(work); got != want {
			t.Errorf("%d ns: %d steps, want %d", work, got, want)
		}
	}
}

func TestCalibratingFindsATime(t *testing.T) {
	b := New()
	if b.steps(MaxWorkNS) == 0 {
		t.Error("no steps in 100 ms")
	}
	b.Burn(1000)
}

func BenchmarkBurn10us(b *testing.B) {
	burner := New()
	for b.Loop() {
		burner.Burn(10_000)
	}
}
