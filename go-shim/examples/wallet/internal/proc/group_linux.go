package proc

import "syscall"

// ownGroup also asks for the child's end when we die without having stopped it.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
