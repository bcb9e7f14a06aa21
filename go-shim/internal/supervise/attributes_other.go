//go:build !linux

package supervise

import "syscall"

// attributes give the sidecar a process group of its own. Here only the lifeline ends it with its parent.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
