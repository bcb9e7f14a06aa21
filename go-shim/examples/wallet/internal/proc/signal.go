package proc

import (
	"os"
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
