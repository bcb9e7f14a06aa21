package shim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"hotpath.dev/go-shim/internal/evidence"
	"hotpath.dev/go-shim/internal/modes"
)

// This file changes by calls what hotpathctl changes by files. Both write the same files, so that there is one word on who
// answers, which outlasts the process, and which replicas that share the files obey.

// Errors of SetMode, Rollback, Resume and Lift.
var (
	ErrNoModesFile = errors.New("the service has no modes file: set Config.ModesFile")
	ErrNoKillFile  = errors.New("the service has no kill file: set Config.KillFile")
	ErrNoFolder    = errors.New("the service has no folder for evidence: set Config.Comparison.Folder")
	ErrNotHot      = errors.New("is not one of the hot methods")
	ErrNotAMode    = modes.ErrUnknownMode
)

// DefaultMethod stands for all methods that the modes file does not name.
const DefaultMethod = modes.DefaultKey

// SetMode writes the mode of a method, or of DefaultMethod, into the modes file, with a line that says who did. It counts
// once the shim has read the file, two polls later.
func (s *Side) SetMode(method string, mode Mode, who string) error {
	switch {
	case s.cfg.Run == Off || s.cfg.ModesFile == "":
		return ErrNoModesFile
	case method != DefaultMethod && !slices.Contains(s.cfg.Methods, method):
		return fmt.Errorf("%s %w", method, ErrNotHot)
	case !mode.Valid():
		return ErrNotAMode
	}
	s.controls.Lock()
	defer s.controls.Unlock()
	_, err := modes.Change(s.cfg.ModesFile, method, mode, who, time.Now())
	return err
}

// Rollback makes the kill file, which says who did. All hot methods are Legacy when it returns.
func (s *Side) Rollback(who string) error {
	if s.cfg.Run == Off || s.cfg.KillFile == "" {
		return ErrNoKillFile
	}
	s.controls.Lock()
	defer s.controls.Unlock()
	if err := modes.Kill(s.cfg.KillFile, who, time.Now()); err != nil {
		return err
	}
	s.setKilled(true)
	return nil
}

// Resume removes the kill file. The modes count again within the time in which the shim looks for the file.
func (s *Side) Resume(who string) error {
	if s.cfg.Run == Off || s.cfg.KillFile == "" {
		return ErrNoKillFile
	}
	s.controls.Lock()
	defer s.controls.Unlock()
	was, err := modes.Resume(s.cfg.KillFile)
	if was {
		s.log.Info("the kill file was removed", "by", who, "path", s.cfg.KillFile)
	}
	return err
}

// Lift takes the demotion of a method back. Its mode counts again within the time in which the shim looks for the mark.
func (s *Side) Lift(method, who string) error {
	switch {
	case s.cfg.Run == Off || s.cfg.Comparison.Folder == "":
		return ErrNoFolder
	case !slices.Contains(s.cfg.Methods, method):
		return fmt.Errorf("%s %w", method, ErrNotHot)
	}
	err := os.Remove(evidence.DemotionPath(s.cfg.Comparison.Folder, method))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		s.log.Info("the mark of a demotion was removed", "by", who, "method", method)
	}
	return err
}
