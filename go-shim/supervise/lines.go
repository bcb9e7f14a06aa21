package supervise

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
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
		level, message := levelled(string(text))
		l.log.Log(context.Background(), level, "sidecar: "+message)
	}
	l.partial = l.partial[:0]
}

// levelled takes apart a line of hotpathd's log, "TIME LEVEL MESSAGE": the time is about to be written again, and a
// warning must stay one. Other lines are information.
func levelled(line string) (slog.Level, string) {
	_, rest, _ := strings.Cut(line, " ")
	name, message, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	switch name {
	case "ERROR":
		return slog.LevelError, message
	case "WARN":
		return slog.LevelWarn, message
	case "INFO":
		return slog.LevelInfo, message
	case "DEBUG", "TRACE":
		return slog.LevelDebug, message
	}
	return slog.LevelInfo, line
}
