package shim

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
	// Socket is the sidecar's socket. ReadyFile is the file in which a supervised sidecar says where it listens.
	Socket, ReadyFile string
}

// Status reports on the shim. With Run Off it is empty.
func (s *Side) Status() Status {
	if s.cfg.Run == Off {
		return Status{}
	}
	status := Status{HeadPosition: s.source.Head(), Asked: s.chooser.Asked().index, Killed: s.isKilled(), Modes: make(map[string]Mode, len(s.methods))}
	for _, c := range s.sidecars {
		status.Sidecars = append(status.Sidecars, c.status())
	}
	status.SidecarStatus = status.Sidecars[status.Asked]
	for _, m := range s.methods {
		status.Modes[m.name] = Mode(m.mode.Load())
	}
	return status
}

func (c *sidecar) status() SidecarStatus {
	open := c.breaker.Open()
	status := SidecarStatus{
		Connected: c.link.Connected(), Ready: c.link.Serving() != nil, BreakerOpen: len(open) > 0, OpenBreakers: open,
		SidecarPosition: c.link.Position(), Socket: c.socket,
	}
	if c.supervisor != nil {
		status.SidecarPID, status.ReadyFile = c.supervisor.PID(), readyFile(c.socket)
	}
	return status
}

func readyFile(socket string) string { return socket + ".ready" }
