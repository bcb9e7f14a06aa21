package supervise

import (
	"bytes"
	"log/slog"
	"sync"
)

// maxLineBytes bounds what is kept of a line that doesn't end.
const maxLineBytes = 8 << 10

// lines logs what is written to it, line by line.
type lines struct {
	log *slog.Logger

	mu      sync.Mutex
	partial []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		p = rest
		l.partial = append(l.partial, line...)
		if ended || len(l.partial) >= maxLineBytes {
			l.put()
		}
	}
	return n, nil
}

// flush logs what came without an end of line: the last words of a process that crashed.
func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put()
}

func (l *lines) put() {
	if text := bytes.TrimRight(l.partial, "\r"); len(text) > 0 {
		l.log.Info("sidecar: " + string(text))
	}
	l.partial = l.partial[:0]
}
