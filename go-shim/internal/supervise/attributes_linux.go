package supervise

import "syscall"

// attributes gives the sidecar a process group of its own, so that a terminal's Ctrl-C reaches only the service, which
// then drains the sidecar. It also makes the kernel kill the sidecar with its parent, even if the sidecar no longer
// reads its lifeline.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
