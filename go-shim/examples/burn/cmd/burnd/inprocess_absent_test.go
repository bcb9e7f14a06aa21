//go:build !burn_cgo

package main

import (
	"log/slog"
	"strings"
	"testing"
)

func TestWithoutRustInItBurndSaysHowToGetIt(t *testing.T) {
	err := run(t.Context(), []string{"--answer", "cgo"}, strings.NewReader(""), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "make burnd") {
		t.Errorf("got %v", err)
	}
}
