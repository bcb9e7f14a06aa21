package supervise

import "syscall"

// attributes give the sidecar a process group of its own, so that a terminal's Ctrl-C reaches only the service, which
// then drains it, and have the kernel kill it with its parent even if it no longer reads its lifeline.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
