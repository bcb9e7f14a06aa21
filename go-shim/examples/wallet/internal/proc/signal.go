package proc

import (
	"os"
	"os/signal"
	"time"
)

// SignalUntilEnded sends a signal repeatedly until the process has ended, and returns the error from ended. One repeat
// is not enough for tests of a second signal: the process may not have handled the first one yet, and nothing shows
// that.
func SignalUntilEnded(ended <-chan error, process *os.Process, signal os.Signal) error {
	for {
		_ = process.Signal(signal)
		select {
		case err := <-ended:
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// NotIgnored makes sure that the processes started before restore is called do not ignore a signal, even if this process
// does. A shell starts background jobs with SIGINT ignored, and their children inherit that. They never inherit a handler.
func NotIgnored(which os.Signal) (restore func()) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, which)
	return func() { signal.Stop(caught) }
}
