package shim

import (
	"hotpath.dev/go-shim/internal/modes"
	"hotpath.dev/go-shim/internal/shadow"
)

// Status is a snapshot of a shim, for admin pages and tests. With two sidecars it is about the one that is asked, except
// for Sidecars.
type Status struct {
	SidecarStatus
	// HeadPosition is the ledger's newest position.
	HeadPosition uint64
	// Asked is the index of the sidecar that is asked. Sidecars are all of them.
	Asked    int
	Sidecars []SidecarStatus
	// Modes are the modes of the hot methods that are in force. Killed is true while Config.KillFile is there, so that they are all
	// Legacy.
	Modes  map[string]Mode
	Killed bool
	// Set are the modes that the hot methods were set to, which a demotion or the kill file may go before. KilledBy is what the
	// kill file says.
	Set      map[string]Mode
	KilledBy string
	// Upgrade is about the upgrade that is under way, or else the last one.
	Upgrade Upgrade
	// Compared says by method what comparisons found, for methods of which some request was to be compared.
	Compared map[string]Compared
}

// Compared counts requests of a method since the shim was opened. Comparison says when two answers count as what.
type Compared struct {
	// Equal: callers cannot tell the answers apart. Metadata: they are equal, but Go's handler set response headers or trailers,
	// which the sidecar cannot. Moved: Go disagreed with itself. Stale: the sidecar had not reached the position in time. Real:
	// the sidecar answered differently than Go.
	Equal, Metadata, Moved, Stale, Real uint64
	// Dropped were not compared. hotpath_shim_comparisons_dropped_total says why.
	Dropped uint64
	// Demoted is true while Go answers the method because of a real difference.
	Demoted bool
}

// SidecarStatus is about one sidecar.
type SidecarStatus struct {
	// Connected is true while the sidecar is connected and greeted. Ready is true once it has also caught up.
	Connected, Ready bool
	// BreakerOpen is true unless all breakers are closed. OpenBreakers names those that are not: "side", or a method.
	BreakerOpen  bool
	OpenBreakers []string
	// SidecarPosition is the newest position that the sidecar published, as last heard.
	SidecarPosition uint64
	// SidecarPID is 0 unless the shim supervises one that runs now.
	SidecarPID int
	// CrashLooping is true while a supervised sidecar is started again only slowly, because it kept ending.
	CrashLooping bool
	// Socket is the sidecar's socket. ReadyFile is the file in which a supervised sidecar says where it listens.
	Socket, ReadyFile string
}

// Status reports on the shim. With Run Off it is empty.
func (s *Side) Status() Status {
	if s.cfg.Run == Off {
		return Status{}
	}
	status := Status{HeadPosition: s.source.Head(), Asked: s.chooser.Asked().index, Killed: s.isKilled(), Upgrade: s.upgrades.status(), Modes: make(map[string]Mode, len(s.methods)),
		Compared: make(map[string]Compared)}
	for _, c := range s.current() {
		status.Sidecars = append(status.Sidecars, c.status())
	}
	status.SidecarStatus = status.Sidecars[status.Asked]
	status.Set = s.set()
	if status.Killed {
		status.KilledBy = modes.KilledBy(s.cfg.KillFile)
	}
	for i, m := range s.methods {
		status.Modes[m.name] = Mode(m.mode.Load())
		if compared := s.compared(i); compared != (Compared{}) {
			status.Compared[m.name] = compared
		}
	}
	return status
}

// set returns the modes that the methods were set to.
func (s *Side) set() map[string]Mode {
	s.switches.mu.Lock()
	defer s.switches.mu.Unlock()
	set := make(map[string]Mode, len(s.methods))
	for i, m := range s.methods {
		set[m.name] = s.switches.table[i]
	}
	return set
}

func (s *Side) compared(i int) Compared {
	classes, dropped := s.comparer.Count(i)
	return Compared{
		Equal: classes[shadow.Equal], Metadata: classes[shadow.Metadata], Moved: classes[shadow.Moved], Stale: classes[shadow.Stale],
		Real: classes[shadow.Real], Dropped: dropped, Demoted: s.isDemoted(i),
	}
}

func (c *sidecar) status() SidecarStatus {
	open := c.breaker.Open()
	status := SidecarStatus{
		Connected: c.link.Connected(), Ready: c.link.Serving() != nil, BreakerOpen: len(open) > 0, OpenBreakers: open,
		SidecarPosition: c.link.Position(), Socket: c.socket,
	}
	if c.supervisor != nil {
		status.SidecarPID, status.ReadyFile = c.supervisor.PID(), readyFile(c.socket)
		status.CrashLooping = c.looping.Load()
	}
	return status
}

func readyFile(socket string) string { return socket + ".ready" }
