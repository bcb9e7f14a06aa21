// Package ratelog logs events that could happen with every request, without flooding the log.
package ratelog

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Limiter logs one record per key and interval. The next record of the key says how many were held back.
type Limiter struct {
	log   *slog.Logger
	every time.Duration
	now   func() time.Time

	mu   sync.Mutex
	keys map[string]*window
}

type window struct {
	until time.Time
	held  int
}

// New makes a limiter whose interval is every. It never forgets a key, so take keys from a fixed set.
func New(log *slog.Logger, every time.Duration) *Limiter {
	return &Limiter{log: log, every: every, now: time.Now, keys: map[string]*window{}}
}

// Warn logs at level warn, unless a record of this key was logged within the interval before.
func (l *Limiter) Warn(key, message string, args ...any) {
	l.Log(slog.LevelWarn, key, message, args...)
}

// Log is like Warn, at another level.
func (l *Limiter) Log(level slog.Level, key, message string, args ...any) {
	held, ok := l.admit(key)
	if !ok {
		return
	}
	if held > 0 {
		args = append(args, "held_back", held)
	}
	l.log.Log(context.Background(), level, message, args...)
}

func (l *Limiter) admit(key string) (held int, ok bool) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.keys[key]
	if w == nil {
		w = &window{}
		l.keys[key] = w
	}
	if now.Before(w.until) {
		w.held++
		return 0, false
	}
	held, w.held = w.held, 0
	w.until = now.Add(l.every)
	return held, true
}
