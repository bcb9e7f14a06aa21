package proc

import (
	"os"
	"time"
)

// SignalUntilEnded goes on until the process has ended, and returns what ended says. A second signal counts only once the
// first was taken in, which does not show.
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
