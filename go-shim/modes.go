package shim

import (
	"context"
	"sync"
	"time"

	"hotpath.dev/go-shim/internal/modes"
)

// mostKillPoll bounds how often the shim looks for the kill file, whatever Config.ModesPoll is: a rollback must be quick.
const mostKillPoll = 250 * time.Millisecond

// switches decide which modes are in force. A request reads the one word of its method:
//
//	modes file, or DefaultMode ──> table ──> demoted? Shadow instead of a mode that forwards ──┐
//	                                                                                           ├──> method.mode
//	kill file is there ──> Legacy ─────────────────────────────────────────────────────────────┘
type switches struct {
	mu     sync.Mutex
	table  modes.Table
	killed bool
	// demoted says by method whether a real difference has demoted it, marked whether its mark was last seen in the folder.
	demoted, marked []bool
}

// setModes puts a table into force, unless the kill file is there. by says for the log where it comes from.
func (s *Side) setModes(table modes.Table, by string) {
	s.switches.mu.Lock()
	defer s.switches.mu.Unlock()
	s.switches.table = table
	s.applyModes(by)
}

// setKilled puts all methods on Legacy, or back to what the table says.
func (s *Side) setKilled(killed bool) {
	s.switches.mu.Lock()
	defer s.switches.mu.Unlock()
	if s.switches.killed == killed {
		return
	}
	s.switches.killed = killed
	if killed {
		s.log.Warn("the kill file is there: all hot methods are answered locally until it is removed", "path", s.cfg.KillFile,
			"says", modes.KilledBy(s.cfg.KillFile))
	} else {
		s.log.Info("the kill file is gone: the modes are again what they were set to", "path", s.cfg.KillFile)
	}
	s.applyModes("kill file " + s.cfg.KillFile)
}

func (s *Side) isKilled() bool {
	s.switches.mu.Lock()
	defer s.switches.mu.Unlock()
	return s.switches.killed
}

// applyModes needs the lock.
func (s *Side) applyModes(by string) {
	for i, m := range s.methods {
		mode := s.switches.table[i]
		if s.switches.demoted[i] && mode.Percent() > 0 {
			mode = Shadow(100)
		}
		if s.switches.killed {
			mode = Legacy
		}
		before := Mode(m.mode.Swap(uint32(mode)))
		if before != mode && before != 0 {
			s.log.Info("the mode of a method has changed", "method", m.name, "before", before.String(), "after", mode.String(), "by", by)
		}
	}
}

func (s *Side) watchModes(ctx context.Context, table modes.Table) {
	watcher := modes.Watcher{
		Path: s.cfg.ModesFile, Methods: s.cfg.Methods, Before: s.cfg.table(), Every: s.cfg.ModesPoll, Table: table,
		Changed: func(table modes.Table, by string) {
			s.log.Info("the modes file was read again", "path", s.cfg.ModesFile, "last_change_by", by)
			source := "modes file " + s.cfg.ModesFile
			if by != "" {
				source += ", " + by
			}
			s.setModes(table, source)
		},
		Failed: func(err error) {
			s.metrics.ModeReloadErrors.Inc()
			s.log.Error("the modes file cannot be used; the last good modes stay", "error", err)
		},
	}
	watcher.Run(ctx)
}

func (s *Side) watchKillFile(ctx context.Context) {
	file := modes.KillFile{
		Path: s.cfg.KillFile, Every: min(s.cfg.ModesPoll, mostKillPoll), Lock: &s.controls, Known: s.isKilled, Changed: s.setKilled,
		Failed: func(err error) {
			s.metrics.ModeReloadErrors.Inc()
			s.log.Error("it cannot be seen whether the kill file is there; the modes stay", "error", err)
		},
	}
	file.Run(ctx)
}

// takes says whether the method's mode forwards this request.
func (m *method) takes(body []byte) bool {
	mode := Mode(m.mode.Load())
	return mode == Sidecar || mode != Legacy && m.chosen(mode, body)
}

// chosen says whether a canary takes the request. A hook that panics leaves it to the local handler.
func (m *method) chosen(mode Mode, body []byte) (chosen bool) {
	defer func() {
		if cause := recover(); cause != nil {
			m.tellOfPanic(cause)
			chosen = false
		}
	}()
	key := body
	if hook := m.side.cfg.CanaryKey; hook != nil {
		if found := hook(m.name, body); len(found) > 0 {
			key = found
		}
	}
	return mode.Takes(key)
}
