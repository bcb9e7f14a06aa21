package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"hotpath.dev/go-shim/internal/modes"
	"hotpath.dev/go-shim/internal/rollout"
)

const (
	stateVersion = rollout.FileVersion
	// maxStateBytes is far above 100 replicas with 256 methods that have a few dozen counters each.
	maxStateBytes = 128 << 20
)

// planState is what a state file holds.
type planState struct {
	Version  int              `json:"version"`
	Replicas []replica        `json:"replicas"`
	Poll     time.Duration    `json:"poll_ns"`
	Rollout  *rollout.Rollout `json:"rollout"`
}

// load returns nil if there is no such file, or an empty one.
func load(path string) (*planState, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, failure{exitFile, fmt.Errorf("--state: %w", err)}
	case !info.Mode().IsRegular() || info.Size() > maxStateBytes:
		return nil, failure{exitFile, fmt.Errorf("--state %s: must be a regular file of at most 128 MiB", path)}
	case info.Size() == 0:
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, failure{exitFile, fmt.Errorf("--state: %w", err)}
	}
	state := new(planState)
	err = json.Unmarshal(content, state)
	switch {
	case err != nil:
	case state.Version != stateVersion:
		err = fmt.Errorf("has version %d, not %d", state.Version, stateVersion)
	case state.Rollout == nil || len(state.Replicas) == 0 || state.Poll < minPoll || state.Poll > maxPoll:
		err = errors.New("is not the state of a plan")
	default:
		err = state.Rollout.Check()
	}
	if err != nil {
		return nil, failure{exitFile, fmt.Errorf("--state %s: %w", path, err)}
	}
	return state, nil
}

// save replaces the file, so that a reader, or this program after a crash, sees the one before or the new one.
func (s *planState) save(path string) error {
	content, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return failure{exitFile, fmt.Errorf("--state: %w", err)}
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		// Replace needs a file. An empty one is taken for none.
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			return failure{exitFile, fmt.Errorf("--state: %w", err)}
		}
	}
	if err := modes.Replace(path, append(content, '\n')); err != nil {
		return failure{exitFile, fmt.Errorf("--state: %w", err)}
	}
	return nil
}

// lock makes sure that one process at a time walks a plan. The system drops the lock when the process ends, in whatever
// way. The file of the lock is one beside the state, because that is replaced.
func lock(state string) (unlock func(), err error) {
	file, err := os.OpenFile(state+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, failure{exitFile, fmt.Errorf("--state: %w", err)}
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, mistake("--state %s: another hotpathctl walks this plan", state)
		}
		return nil, failure{exitFile, fmt.Errorf("--state: %s.lock: %w", state, err)}
	}
	return func() { _ = file.Close() }, nil
}
