package backoff

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestDoublesUpToTheMaximum(t *testing.T) {
	b := Backoff{Min: 100, Max: 500}
	for _, most := range []time.Duration{100, 200, 400, 500, 500} {
		if wait := b.Next(); wait < most/2 || wait > most {
			t.Fatalf("%d is not within %d to %d", wait, most/2, most)
		}
	}
	b.Reset()
	if wait := b.Next(); wait > 100 {
		t.Fatalf("%d after Reset", wait)
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if err := Sleep(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
}
