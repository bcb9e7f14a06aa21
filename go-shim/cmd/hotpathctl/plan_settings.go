package main

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/BurntSushi/toml"

	"hotpath.dev/go-shim/internal/modes"
	"hotpath.dev/go-shim/internal/rollout"
)

const (
	maxReplicas      = 100
	minPoll, maxPoll = 100 * time.Millisecond, time.Minute
	// flagPrefix stands before settings that come from flags.
	flagPrefix = "--"
)

// planFile is a plan file. What it leaves out is as without the flag.
type planFile struct {
	Stages           []int     `toml:"stages"`
	Methods          []string  `toml:"methods"`
	Hold             *string   `toml:"hold"`
	MaxMismatch      *int64    `toml:"max-mismatch"`
	MaxP99Ratio      *float64  `toml:"max-p99-ratio"`
	MaxFallbackShare *float64  `toml:"max-fallback-share"`
	MinCompared      *int64    `toml:"min-compared"`
	Check            *int      `toml:"check"`
	OnFailure        *string   `toml:"on-failure"`
	UnreachableFor   *string   `toml:"unreachable-for"`
	Poll             *string   `toml:"poll"`
	Replicas         []replica `toml:"replica"`
}

func (s *settings) fromFile() error {
	content, err := modes.Read(s.file)
	if err != nil {
		return failure{exitFile, fmt.Errorf("--plan: %w", err)}
	}
	var f planFile
	meta, err := toml.Decode(string(content), &f)
	if err != nil {
		return mistake("--plan %s: %w", s.file, err)
	}
	for _, key := range meta.Undecoded() {
		err = errors.Join(err, fmt.Errorf("%s: %v: is not a known key", s.file, key))
	}
	number := func(to *uint64, from *int64, key string) {
		switch {
		case from == nil:
		case *from < 0:
			err = errors.Join(err, fmt.Errorf("%s: %s %d: must not be negative", s.file, key, *from))
		default:
			*to = uint64(*from)
		}
	}
	span := func(to *time.Duration, from *string, key string) {
		if from == nil {
			return
		}
		d, wrong := time.ParseDuration(*from)
		if wrong != nil {
			err = errors.Join(err, fmt.Errorf("%s: %s %q: must be a time, such as \"10m\"", s.file, key, *from))
		}
		*to = d
	}
	number(&s.plan.MaxMismatch, f.MaxMismatch, "max-mismatch")
	number(&s.plan.MinCompared, f.MinCompared, "min-compared")
	span(&s.plan.Hold, f.Hold, "hold")
	span(&s.plan.UnreachableFor, f.UnreachableFor, "unreachable-for")
	span(&s.poll, f.Poll, "poll")
	replace(&s.plan.MaxP99Ratio, f.MaxP99Ratio)
	replace(&s.plan.MaxFallbackShare, f.MaxFallbackShare)
	replace(&s.plan.Check, f.Check)
	replace(&s.onFailure, f.OnFailure)
	if err != nil {
		return failure{exitUsage, err}
	}
	s.plan.Stages, s.plan.Methods, s.replicas = f.Stages, f.Methods, f.Replicas
	s.plan.OnFailure = rollout.OnFailure(s.onFailure)
	return s.check(s.file + ": ")
}

func replace[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// check judges everything but the methods, which the metrics may name. Before each setting an error has what `before` says.
func (s *settings) check(before string) error {
	var all []error
	add := func(setting string, value any, rule string) {
		all = append(all, fmt.Errorf("%s%w", before, &rollout.Mistake{Setting: setting, Value: value, Rule: rule}))
	}
	if s.poll < minPoll || s.poll > maxPoll {
		add("poll", s.poll, "must be 100ms to 1m")
	}
	if n := len(s.replicas); n < 1 || n > maxReplicas {
		add("replica", n, "there must be 1 to 100")
	}
	var seen []string
	for i, one := range s.replicas {
		at, err := url.Parse(one.Metrics)
		if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
			add("metrics", one.Metrics, "must be an address, such as http://127.0.0.1:7451/metrics")
		}
		if slices.Contains(seen, one.Metrics) {
			add("metrics", one.Metrics, "is there twice: each replica has an address of its own")
		}
		seen = append(seen, one.Metrics)
		if one.Modes == "" {
			add("modes", fmt.Sprintf("of %s", one.Metrics), "is required")
			continue
		}
		// A plan may be resumed from another folder.
		if s.replicas[i].Modes, err = filepath.Abs(one.Modes); err != nil {
			add("modes", one.Modes, err.Error())
		}
	}
	s.plan.Gap = s.gap()
	judged := s.plan
	if len(judged.Methods) == 0 {
		judged.Methods = []string{"/the.metrics/NameThem"}
	}
	all = append(all, named(before, judged.Validate()))
	if err := errors.Join(all...); err != nil {
		return failure{exitUsage, err}
	}
	return nil
}

// gap is the time between two looks beyond which nobody has looked: two polls and a replica that does not answer.
func (s *settings) gap() time.Duration {
	return min(2*s.poll, math.MaxInt64-fetchTimeout-time.Second) + fetchTimeout + time.Second
}

// named puts something before each of the mistakes of a plan.
func named(before string, err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var all []error
	for _, one := range joined.Unwrap() {
		var m *rollout.Mistake
		if before == flagPrefix && errors.As(one, &m) && m.Setting == "stages" {
			all = append(all, fmt.Errorf("STAGES %v: %s", m.Value, m.Rule)) // an argument, not a flag
			continue
		}
		all = append(all, fmt.Errorf("%s%w", before, one))
	}
	return errors.Join(all...)
}
