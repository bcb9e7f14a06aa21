package main

import (
	"fmt"
	"sync"
)

// kept bounds how many failures are shown; all are counted.
const kept = 5

// failures counts what failed and keeps the first few messages.
type failures struct {
	mu    sync.Mutex
	n     int
	first []string
}

func (f *failures) add(format string, a ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if len(f.first) < kept {
		f.first = append(f.first, fmt.Sprintf(format, a...))
	}
}

func (f *failures) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func (f *failures) messages() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.first...)
}
