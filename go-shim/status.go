package shim

// Status is a snapshot of a shim, for admin pages and tests.
type Status struct {
	// Connected is true while a sidecar is connected and greeted. Ready is true once it has also caught up.
	Connected, Ready bool
	// BreakerOpen is true unless all breakers are closed. OpenBreakers names those that are not: "side", or a method.
	BreakerOpen  bool
	OpenBreakers []string
	// SidecarPosition is the newest position that the sidecar published, as last heard. HeadPosition is the ledger's.
	SidecarPosition, HeadPosition uint64
	// SidecarPID is 0 unless the shim supervises one that runs now.
	SidecarPID int
	// Socket is the sidecar's socket. ReadyFile is the file in which a supervised sidecar says where it listens.
	Socket, ReadyFile string
	// Modes are the modes of the hot methods.
	Modes map[string]Mode
}

// Status reports on the shim. With Run Off it is empty.
func (s *Side) Status() Status {
	if s.cfg.Run == Off {
		return Status{}
	}
	open := s.breaker.Open()
	status := Status{
		Connected: s.link.Connected(), Ready: s.link.Serving() != nil, BreakerOpen: len(open) > 0, OpenBreakers: open,
		SidecarPosition: s.link.Position(), HeadPosition: s.source.Head(),
		Socket: s.cfg.Socket, Modes: make(map[string]Mode, len(s.methods)),
	}
	if s.supervisor != nil {
		status.SidecarPID, status.ReadyFile = s.supervisor.PID(), readyFile(s.cfg.Socket)
	}
	for _, m := range s.methods {
		status.Modes[m.name] = Mode(m.mode.Load())
	}
	return status
}

func readyFile(socket string) string { return socket + ".ready" }
