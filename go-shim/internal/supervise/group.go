package supervise

import (
	"errors"
	"syscall"
	"time"
)

// How long the end of a process group is waited for, and how often it is looked for.
const (
	groupGone  = time.Second
	groupLooks = 200
)

// endGroup kills what a sidecar has left behind in its process group, and reaps it. hotpathd starts no process, but a script in
// its place may. Its orphans become children of this process if this is PID 1 of a container, and nobody else would reap them
// there. Children that other parts of this process have started are in other groups.
func endGroup(group int) {
	for range groupLooks {
		if syscall.Kill(-group, syscall.SIGKILL) != nil {
			return // it has no process
		}
		for {
			pid, err := syscall.Wait4(-group, nil, syscall.WNOHANG, nil)
			if pid <= 0 && !errors.Is(err, syscall.EINTR) {
				break
			}
		}
		time.Sleep(groupGone / groupLooks)
	}
}
