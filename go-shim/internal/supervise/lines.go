package supervise

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
)

// maxLineBytes bounds how much of a line without an end is kept.
const maxLineBytes = 8 << 10

// How much of the last output of a process is kept.
const (
	lastLines     = 12
	lastLineBytes = 512
)

// lines is a writer that logs its input line by line.
type lines struct {
	log *slog.Logger

	mu      sync.Mutex
	partial []byte
	last    []string
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

// flush logs a last line without an end, as a crashed process leaves it, and returns the last lines.
func (l *lines) flush() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put()
	return strings.Join(l.last, "\n")
}

func (l *lines) put() {
	if text := bytes.TrimRight(l.partial, "\r"); len(text) > 0 {
		l.keep(string(text))
		level, message := levelled(string(text))
		l.log.Log(context.Background(), level, "sidecar: "+message)
	}
	l.partial = l.partial[:0]
}

func (l *lines) keep(line string) {
	if len(line) > lastLineBytes {
		line = strings.ToValidUTF8(line[:lastLineBytes], "") + "..."
	}
	if len(l.last) == lastLines {
		l.last = l.last[:copy(l.last, l.last[1:])]
	}
	l.last = append(l.last, line)
}

// levelled splits a line of hotpathd's log, "TIME LEVEL MESSAGE". The logger writes the time again, and a warning must
// stay a warning. Other lines are logged at level info.
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
