package main

import (
	"fmt"
	"strings"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// result is what one drill behind one front door found.
type result struct {
	Drill string   `json:"drill"`
	Door  rig.Door `json:"front_door"`
	Fault string   `json:"fault"`
	Shows string   `json:"shows"`
	// Passed is false if Why has reasons.
	Passed bool     `json:"passed"`
	Why    []string `json:"why,omitempty"`

	// Requests are hot reads. Failed counts reads and posts without an answer; Excused those that met a Go that was down.
	Requests int `json:"requests"`
	Posts    int `json:"posts"`
	Failed   int `json:"failed"`
	Excused  int `json:"excused"`
	// Compared counts answers that Go alone was asked again, Wrong those that differed. WrongOwn counts reads by a caller of
	// its own balance that were older than its last post, or another sum.
	Compared int `json:"compared"`
	Wrong    int `json:"wrong"`
	WrongOwn int `json:"wrong_own"`
	// Information is true if wrong answers are counted but not judged.
	Information bool `json:"wrong_is_information,omitempty"`
	// FellBack counts requests that were meant for the sidecar and answered by Go; Reasons says why.
	FellBack  uint64            `json:"fell_back"`
	Reasons   map[string]uint64 `json:"fell_back_by_reason"`
	BySidecar uint64            `json:"answered_by_sidecar"`
	ByGo      uint64            `json:"answered_by_go"`
	// DetectedMs is from the fault until it showed, RecoveredMs from the mend until the sidecar answered again, or from the
	// fault if nobody mended it. Both are the longest of several rounds, and -1 if that never came.
	DetectedMs  int64 `json:"detected_after_ms"`
	RecoveredMs int64 `json:"recovered_after_ms"`
	SlowestMs   int64 `json:"slowest_call_ms"`
	// Notes say what else was seen.
	Notes   []string `json:"notes,omitempty"`
	Seconds float64  `json:"seconds"`

	// problem is why the drill could not be carried out to its end. examples are the first failures and wrong answers.
	problem  error
	examples []string
}

// never is the time of what did not happen.
const never = -1

// judge fills in the verdict.
func (r *result) judge() {
	r.Why = nil
	blame := func(format string, a ...any) { r.Why = append(r.Why, fmt.Sprintf(format, a...)) }
	if r.problem != nil {
		blame("%v", r.problem)
	}
	if r.DetectedMs == never {
		blame("nothing showed the fault")
	}
	if r.RecoveredMs == never {
		blame("it did not come back")
	}
	if r.Failed > 0 {
		blame("%d calls failed that Go alone would have answered", r.Failed)
	}
	if !r.Information {
		if r.Wrong > 0 {
			blame("%d answers were not those of Go alone", r.Wrong)
		}
		if r.WrongOwn > 0 {
			blame("%d callers did not read what they had posted", r.WrongOwn)
		}
	}
	if r.Requests == 0 || r.Posts == 0 {
		blame("nothing was asked or posted: %d requests, %d posts", r.Requests, r.Posts)
	}
	if answered := r.Requests - r.Failed - r.Excused; r.problem == nil && r.Compared < answered {
		blame("only %d of %d answers were compared", r.Compared, answered)
	}
	if len(r.Why) > 0 && len(r.examples) > 0 {
		r.Why = append(r.Why, "first of them: "+strings.Join(r.examples, "; "))
	}
	r.Passed = len(r.Why) == 0
}

// longest keeps the longest time of several rounds.
func longest(ms *int64, took time.Duration) { *ms = max(*ms, took.Milliseconds()) }
