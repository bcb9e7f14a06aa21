package main

import (
	"testing"

	"hotpath.dev/go-shim/internal/modes"
)

// The stages of a plan are modes that the shim knows, with the share that the plan waits to see.
func TestStagesAreModesOfTheShim(t *testing.T) {
	for percent := range 101 {
		mode, err := modes.Parse(stageMode(percent, 10))
		if err != nil || mode.Percent() != percent || mode.Check() == 0 {
			t.Errorf("%s: %v, %v", stageMode(percent, 10), mode, err)
		}
	}
	content, err := withModes([]byte("default = \"legacy\"\n"), []string{"/a.B/C"}, stageMode(5, 10))
	if want := "default = \"legacy\"\n[methods]\n\"/a.B/C\" = \"canary 5% check 10%\"\n"; err != nil || string(content) != want {
		t.Errorf("%v:\n%s", err, content)
	}
}
