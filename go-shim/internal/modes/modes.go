// Package modes reads a file that says who answers each hot method. The file may change while the service runs.
package modes

import (
	"fmt"
	"strings"
)

// Mode says who answers a method, and how many of its requests are compared. It is one word, so that requests read it by one
// atomic load: the kind, above it the percentage that is forwarded, and above that the percentage that is checked. The zero
// value is not a mode.
type Mode uint32

const (
	// Legacy leaves the method to the local handler, exactly as without the shim.
	Legacy Mode = iota + 1
	// Sidecar forwards the method, with the local handler as the fallback.
	Sidecar
	canary
	shadow
	reverse
	again
)

const (
	kindBits    = 8
	checkBits   = 2 * kindBits
	mostPercent = 100
	// reverseCheck is what a reverse shadow checks if it does not say how much. A check costs Go what the sidecar saves.
	reverseCheck = 1
)

// Canary forwards percent of the keys, 0-100, and leaves the others to the local handler. See Mode.Takes.
func Canary(percent int) Mode { return canary | Mode(percent)<<kindBits }

// Shadow leaves the method to the local handler. Afterwards the sidecar is asked the same for percent of the requests, 1-100.
func Shadow(percent int) Mode { return shadow.Checked(percent) }

// ReverseShadow forwards the method. Afterwards the local handler is asked the same for percent of the requests, 1-100.
func ReverseShadow(percent int) Mode { return reverse.Checked(percent) }

// Again leaves the method to the local handler, and afterwards asks it the same again for percent of the requests, 1-100.
func Again(percent int) Mode { return again.Checked(percent) }

// Checked is the same mode with another percentage of requests that are compared. Legacy and Sidecar compare none.
func (m Mode) Checked(percent int) Mode {
	return m&(1<<checkBits-1) | Mode(percent)<<checkBits
}

// Kinds returns the kinds of modes. The metrics show each of them.
func Kinds() []string {
	return []string{"legacy", "sidecar", "canary", "shadow", "reverse-shadow", "aa"}
}

// Kind is the mode without its percentages, as in Kinds.
func (m Mode) Kind() string {
	if kind := m.kind(); kind >= Legacy && kind <= again {
		return Kinds()[kind-Legacy]
	}
	return fmt.Sprintf("mode(%d)", uint32(m))
}

func (m Mode) kind() Mode { return m & (1<<kindBits - 1) }

func (m Mode) share() int { return int(m >> kindBits & (1<<kindBits - 1)) }

func (m Mode) check() int { return int(m >> checkBits) }

// Valid says whether it is one of the modes.
func (m Mode) Valid() bool {
	checks := m.check() >= 1 && m.check() <= mostPercent
	switch m.kind() {
	case Legacy, Sidecar:
		return m == m.kind()
	case canary:
		return m.share() <= mostPercent && (checks || m.check() == 0)
	case shadow, reverse, again:
		return m.share() == 0 && checks
	default:
		return false
	}
}

// Percent is the percentage of keys that are forwarded.
func (m Mode) Percent() int {
	switch m.kind() {
	case Sidecar, reverse:
		return mostPercent
	case canary:
		return m.share()
	default:
		return 0
	}
}

// Check is the percentage of requests that are compared afterwards.
func (m Mode) Check() int { return m.check() }

// AsksAgain says whether the local handler is compared with itself, which shows how often it disagrees with itself.
func (m Mode) AsksAgain() bool { return m.kind() == again }

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
