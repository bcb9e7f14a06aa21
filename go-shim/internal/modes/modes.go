// Package modes reads a file that says who answers each hot method. The file may change while the service runs.
package modes

import (
	"errors"
	"fmt"
	"strings"
)

// Mode says who answers a method. The zero value is not a mode.
type Mode uint8

const (
	// Legacy leaves the method to the local handler, exactly as without the shim.
	Legacy Mode = iota + 1
	// Sidecar forwards the method, with the local handler as the fallback.
	Sidecar
)

// All returns every mode. The metrics show each of them.
func All() []Mode { return []Mode{Legacy, Sidecar} }

// ErrUnknownMode is the error of Parse for any other word.
var ErrUnknownMode = errors.New(`must be "legacy" or "sidecar"`)

// Parse reads a mode as String writes it.
func Parse(text string) (Mode, error) {
	for _, mode := range All() {
		if text == mode.String() {
			return mode, nil
		}
	}
	return 0, ErrUnknownMode
}

func (m Mode) String() string {
	switch m {
	case Legacy:
		return "legacy"
	case Sidecar:
		return "sidecar"
	default:
		return fmt.Sprintf("mode(%d)", uint8(m))
	}
}

// Table holds a mode for each hot method, in the order of the methods.
type Table []Mode

// Count returns the number of methods in a mode.
func (t Table) Count(mode Mode) int {
	n := 0
	for _, m := range t {
		if m == mode {
			n++
		}
	}
	return n
}

// Uniform gives every method the same mode.
func Uniform(methods int, mode Mode) Table {
	table := make(Table, methods)
	for i := range table {
		table[i] = mode
	}
	return table
}

// Mistake is one broken rule of the file.
type Mistake struct {
	Path string
	// Line counts from 1; 0 if unknown.
	Line int
	Key  string
	Rule string
}

func (m *Mistake) Error() string {
	var where strings.Builder
	where.WriteString(m.Path)
	if m.Line > 0 {
		fmt.Fprintf(&where, ":%d", m.Line)
	}
	if m.Key != "" {
		fmt.Fprintf(&where, ": %s", m.Key)
	}
	return where.String() + ": " + m.Rule
}
