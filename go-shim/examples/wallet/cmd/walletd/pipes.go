package main

import (
	"os"
	"os/signal"
	"syscall"
)

// ignoreBrokenPipes lets the process go on after the reader of its log has gone. Without it, SIGPIPE on standard output or
// error would end a Go program. It does not use signal.Ignore, which a supervised sidecar would inherit.
func ignoreBrokenPipes() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}
