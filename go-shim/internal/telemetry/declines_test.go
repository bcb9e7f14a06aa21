package telemetry

import (
	"fmt"
	"strings"
	"testing"

	"hotpath.dev/go-shim/metrics"
)

func TestReasonsOfDeclinesAreBounded(t *testing.T) {
	d := newDeclines(metrics.Discard{})
	for text, want := range map[string]string{
		"a": "a", "Too_new_2": "Too_new_2", strings.Repeat("r", 64): strings.Repeat("r", 64), strings.Repeat("r", 65): "other",
		"": "other", "two words": "other", "quote\"": "other", "ü": "other", "line\n": "other", "other": "other",
	} {
		if got := d.label(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	shown := map[string]bool{}
	for i := range 1000 {
		shown[d.label(fmt.Sprint("reason_", i))] = true
	}
	if len(shown) > maxDeclines || !shown["other"] || d.label("reason_0") != "reason_0" || d.label("a") != "a" {
		t.Fatalf("%d reasons are told apart", len(shown))
	}
}
