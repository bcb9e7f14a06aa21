package main

import (
	"os"
	"os/signal"
	"syscall"
)

// outliveReaders has the process go on when who read its log has gone: otherwise Go dies of the SIGPIPE of standard output
// and error. Not signal.Ignore, which a supervised sidecar would inherit.
func outliveReaders() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}
