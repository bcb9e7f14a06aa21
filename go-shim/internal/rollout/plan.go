package rollout

import (
	"errors"
	"fmt"
	"time"
)

// Limits of a plan.
const (
	MaxStages     = 20
	MaxHold       = 7 * 24 * time.Hour
	MaxMismatches = 1_000_000
	MaxCompared   = 1_000_000_000
	MaxRatio      = 100
	// Least and most of Plan.UnreachableFor.
	MinUnreachable, MaxUnreachable = time.Second, time.Hour
	// MaxMethods is the largest number of methods, which is that of a shim.
	MaxMethods = 256
)

// OnFailure says what happens when a gate fails.
type OnFailure string

const (
	// Back takes all methods of the plan out of the sidecar's hands.
	Back OnFailure = "back"
	// Stop leaves the methods in the stage where they are.
	Stop OnFailure = "stop"
)

// Plan says how a promotion proceeds. Validate names the ranges.
type Plan struct {
	// Stages are percentages, ascending.
	Stages []int `json:"stages"`
	// Methods are the full names of the methods that are promoted.
	Methods []string `json:"methods"`
	// Hold is how long each stage lasts at least, with all replicas in it.
	Hold time.Duration `json:"hold_ns"`
	// MaxMismatch is the number of real mismatches that a stage may have.
	MaxMismatch uint64 `json:"max_mismatch"`
	// MaxP99Ratio is the highest ratio of the sidecar's p99 to Go's, for the same compared requests.
	MaxP99Ratio float64 `json:"max_p99_ratio"`
	// MaxFallbackShare is the highest share of fallbacks among forwarded requests, 0 to 1.
	MaxFallbackShare float64 `json:"max_fallback_share"`
	// MinCompared is the number of requests that must be compared in a stage.
	MinCompared uint64 `json:"min_compared"`
	// Check is the percentage of requests that are compared, 1 to 100.
	Check int `json:"check"`
	// OnFailure is Back or Stop.
	OnFailure OnFailure `json:"on_failure"`
	// UnreachableFor is how long the plan waits for replicas that cannot be asked, or are not in the stage.
	UnreachableFor time.Duration `json:"unreachable_for_ns"`
	// Gap is the longest time between two observations that counts as observed. It is above 0.
	Gap time.Duration `json:"gap_ns"`
}

// Mistake is one broken rule of a plan.
type Mistake struct {
	// Setting has the name of the flag, without dashes before it.
	Setting string
	Value   any
	Rule    string
}

func (m *Mistake) Error() string { return fmt.Sprintf("%s %v: %s", m.Setting, m.Value, m.Rule) }

// Validate returns all Mistakes of a plan, joined, or nil.
func (p *Plan) Validate() error {
	var all []error
	check := func(ok bool, setting string, value any, rule string) {
		if !ok {
			all = append(all, &Mistake{setting, value, rule})
		}
	}
	check(len(p.Stages) >= 1 && len(p.Stages) <= MaxStages, "stages", p.Stages, "must be 1 to 20 percentages")
	before := 0
	for _, percent := range p.Stages {
		check(percent >= 1 && percent <= 100, "stages", percent, "must be 1 to 100")
		check(percent > before, "stages", percent, "must be above the stage before it")
		before = percent
	}
	check(len(p.Methods) >= 1 && len(p.Methods) <= MaxMethods, "methods", len(p.Methods), "must be 1 to 256")
	seen := make(map[string]bool)
	for _, name := range p.Methods {
		check(len(name) > 1 && name[0] == '/', "methods", name, "must be a full name, such as /package.Service/Method")
		check(!seen[name], "methods", name, "is there twice")
		seen[name] = true
	}
	check(p.Hold >= 0 && p.Hold <= MaxHold, "hold", p.Hold, "must be 0s to 168h")
	check(p.MaxMismatch <= MaxMismatches, "max-mismatch", p.MaxMismatch, "must be 0 to 1000000")
	// A comparison with NaN is false, so that NaN is a mistake.
	check(p.MaxP99Ratio > 0 && p.MaxP99Ratio <= MaxRatio, "max-p99-ratio", p.MaxP99Ratio, "must be above 0 and at most 100")
	check(p.MaxFallbackShare >= 0 && p.MaxFallbackShare <= 1, "max-fallback-share", p.MaxFallbackShare, "must be 0 to 1")
	check(p.MinCompared >= 1 && p.MinCompared <= MaxCompared, "min-compared", p.MinCompared, "must be 1 to 1000000000")
	check(p.Check >= 1 && p.Check <= 100, "check", p.Check, "must be 1 to 100, the percentage of requests that are compared")
	check(p.OnFailure == Back || p.OnFailure == Stop, "on-failure", p.OnFailure, "must be back or stop")
	check(p.UnreachableFor >= MinUnreachable && p.UnreachableFor <= MaxUnreachable, "unreachable-for", p.UnreachableFor,
		"must be 1s to 1h")
	check(p.Gap > 0, "gap", p.Gap, "must be above 0s")
	return errors.Join(all...)
}
