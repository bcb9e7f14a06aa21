// Package modes reads a file that says who answers each hot method. The file may change while the service runs.
package modes

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Mode says who answers a method. It is one word, so that requests read it by one atomic load: the kind, and above it the
// percentage of a canary. The zero value is not a mode.
type Mode uint32

const (
	// Legacy leaves the method to the local handler, exactly as without the shim.
	Legacy Mode = iota + 1
	// Sidecar forwards the method, with the local handler as the fallback.
	Sidecar
	canary
)

const (
	kindBits    = 8
	mostPercent = 100
)

// Canary forwards percent of the keys, 0-100, and leaves the others to the local handler. See Mode.Takes.
func Canary(percent int) Mode { return canary | Mode(percent)<<kindBits }

// Kinds returns the kinds of modes. The metrics show each of them.
func Kinds() []string { return []string{"legacy", "sidecar", "canary"} }

// Kind is the mode without its percentage, as in Kinds.
func (m Mode) Kind() string {
	if kind := m.kind(); kind >= Legacy && kind <= canary {
		return Kinds()[kind-Legacy]
	}
	return fmt.Sprintf("mode(%d)", uint32(m))
}

func (m Mode) kind() Mode { return m & (1<<kindBits - 1) }

// Valid says whether it is one of the modes.
func (m Mode) Valid() bool {
	switch m.kind() {
	case Legacy, Sidecar:
		return m == m.kind()
	case canary:
		return m>>kindBits <= mostPercent
	default:
		return false
	}
}

// Percent is the percentage of keys that are forwarded.
func (m Mode) Percent() int {
	switch m.kind() {
	case Sidecar:
		return mostPercent
	case canary:
		return int(m >> kindBits)
	default:
		return 0
	}
}

// ErrUnknownMode is the error of Parse for anything else.
var ErrUnknownMode = errors.New(`must be "legacy", "sidecar" or "canary N%" with N from 0 to 100`)

// Parse reads a mode as String writes it.
func Parse(text string) (Mode, error) {
	for _, mode := range []Mode{Legacy, Sidecar} {
		if text == mode.String() {
			return mode, nil
		}
	}
	digits, found := strings.CutPrefix(text, "canary ")
	digits, ends := strings.CutSuffix(digits, "%")
	percent, err := strconv.ParseUint(digits, 10, 8)
	if mode := Canary(int(percent)); found && ends && err == nil && mode.Valid() && mode.String() == text {
		return mode, nil
	}
	return 0, ErrUnknownMode
}

func (m Mode) String() string {
	if m.kind() == canary {
		return fmt.Sprintf("canary %d%%", m.Percent())
	}
	return m.Kind()
}

// Table holds a mode for each hot method, in the order of the methods.
type Table []Mode

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
