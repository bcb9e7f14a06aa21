// Package failures counts what fails.
package failures

import (
	"fmt"
	"sync"
)

// kept bounds how many failures are shown; all are counted.
const kept = 5

// Failures counts what failed and keeps the first few messages.
type Failures struct {
	mu    sync.Mutex
	n     int
	first []string
}

// Add counts one.
func (f *Failures) Add(format string, a ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if len(f.first) < kept {
		f.first = append(f.first, fmt.Sprintf(format, a...))
	}
}

// Count is how many there were.
func (f *Failures) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// Messages are the first few.
func (f *Failures) Messages() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.first...)
}
