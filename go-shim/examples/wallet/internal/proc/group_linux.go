package proc

import "syscall"

// ownGroup puts a child into its own process group. The kernel also kills the child if this process dies.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
