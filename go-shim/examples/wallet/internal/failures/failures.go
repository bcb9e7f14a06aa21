// Package failures counts failures.
package failures

import (
	"fmt"
	"sync"
)

// kept is how many messages are kept. All failures are counted.
const kept = 5

// Failures counts failures and keeps the first few messages.
type Failures struct {
	mu    sync.Mutex
	n     int
	first []string
}

// Add counts a failure.
func (f *Failures) Add(format string, a ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if len(f.first) < kept {
		f.first = append(f.first, fmt.Sprintf(format, a...))
	}
}

// Count returns the number of failures.
func (f *Failures) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// Messages returns the first few messages.
func (f *Failures) Messages() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.first...)
}
