package experiment

import (
	"errors"
	"testing"
)

func TestWords(t *testing.T) {
	for _, hop := range []Hop{Batched, Unary} {
		if got, err := ParseHop(hop.String()); err != nil || got != hop {
			t.Errorf("%v: got %v, %v", hop, got, err)
		}
	}
	if _, err := ParseHop("lane"); !errors.Is(err, ErrUnknownHop) {
		t.Errorf("got %v", err)
	}
}
