//go:build !linux

package supervise

import "syscall"

// attributes gives the sidecar a process group of its own. On this system only the lifeline ends it with its parent.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
