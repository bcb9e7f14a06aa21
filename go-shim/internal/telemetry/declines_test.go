package telemetry

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"hotpath.dev/go-shim/metrics"
)

// The sidecar checks its model's reasons against the same file.
func TestReasonsFollowTheRuleOfBothLanguages(t *testing.T) {
	golden, err := os.ReadFile("../../../proto/golden/decline-reasons.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]int{}
	for line := range strings.Lines(string(golden)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		allowed, quoted, _ := strings.Cut(line, " ")
		var text string
		if err := json.Unmarshal([]byte(quoted), &text); err != nil || allowed != "yes" && allowed != "no" {
			t.Fatalf("%q: %v", line, err)
		}
		cases[allowed]++
		want := text
		if allowed == "no" {
			want = "other"
		}
		if got := newDeclines(metrics.Discard{}).label(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	if cases["yes"] < 5 || cases["no"] < 10 {
		t.Fatalf("%v cases", cases)
	}
}

func TestReasonsOfDeclinesAreBounded(t *testing.T) {
	d := newDeclines(metrics.Discard{})
	shown := map[string]bool{d.label("a"): true}
	for i := range 1000 {
		shown[d.label(fmt.Sprint("reason_", i))] = true
	}
	if len(shown) > maxDeclines+1 || !shown["other"] || d.label("reason_0") != "reason_0" || d.label("a") != "a" {
		t.Fatalf("%d reasons are told apart", len(shown))
	}
}
