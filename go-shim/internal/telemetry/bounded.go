package telemetry

import "sync"

// bounded says which values a label may have that others choose, because each costs memory for ever: the first ones.
type bounded struct {
	most int
	// other stands for all further values.
	other string

	mu    sync.Mutex
	known map[string]bool
}

func newBounded(most int, other string) *bounded {
	return &bounded{most: most, other: other, known: map[string]bool{}}
}

// label returns the value if the metrics may show it, and other if not.
func (b *bounded) label(value string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.known[value] && len(b.known) == b.most {
		return b.other
	}
	b.known[value] = true
	return value
}
