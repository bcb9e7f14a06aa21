package supervise

import (
	"bytes"
	"log/slog"
)

// maxLineBytes bounds what is kept of a line that doesn't end.
const maxLineBytes = 8 << 10

// lines logs what is written to it, line by line. It is for one writer at a time, which os/exec guarantees for a
// writer that serves both stdout and stderr.
type lines struct {
	log     *slog.Logger
	partial []byte
}

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		p = rest
		l.partial = append(l.partial, line...)
		if ended || len(l.partial) >= maxLineBytes {
			l.flush()
		}
	}
	return n, nil
}

func (l *lines) flush() {
	if text := bytes.TrimRight(l.partial, "\r"); len(text) > 0 {
		l.log.Info("sidecar: " + string(text))
	}
	l.partial = l.partial[:0]
}
