package modes

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrUnknownMode is the error of Parse for anything else.
var ErrUnknownMode = errors.New(`must be "legacy", "shadow", "shadow N%", "canary N%", "canary N% check M%", "sidecar", ` +
	`"reverse-shadow N%", "aa" or "aa N%", with N and M from 1 to 100, or N = 0 for a canary`)

// Parse reads a mode as String writes it, and one with a percentage that String leaves out.
func Parse(text string) (Mode, error) {
	words := strings.Split(text, " ")
	kind := Mode(0)
	for i, name := range Kinds() {
		if name == words[0] {
			kind = Legacy + Mode(i)
		}
	}
	mode, ok := kind, len(words) == 1 && kind != canary
	switch {
	case kind == shadow || kind == reverse || kind == again:
		percent := usualCheck(kind)
		if len(words) == 2 {
			percent, ok = parsePercent(words[1])
		}
		mode = kind.Checked(percent)
	case kind == canary && len(words) >= 2:
		var share, check int
		share, ok = parsePercent(words[1])
		if ok && len(words) == 4 && words[2] == "check" {
			check, ok = parsePercent(words[3])
			ok = ok && check > 0
		} else {
			ok = ok && len(words) == 2
		}
		mode = Canary(share).Checked(check)
	}
	if !ok || !mode.Valid() {
		return 0, ErrUnknownMode
	}
	return mode, nil
}

// parsePercent reads a percentage from 0 to 100, without a sign or leading zeros.
func parsePercent(word string) (int, bool) {
	digits, found := strings.CutSuffix(word, "%")
	percent, err := strconv.ParseUint(digits, 10, 8)
	return int(percent), found && err == nil && percent <= mostPercent && strconv.FormatUint(percent, 10) == digits
}

func usualCheck(kind Mode) int {
	if kind == reverse {
		return reverseCheck
	}
	return mostPercent
}

func (m Mode) String() string {
	switch kind := m.kind(); {
	case !m.Valid(), kind == Legacy, kind == Sidecar:
		return m.Kind()
	case kind == canary && m.check() == 0:
		return fmt.Sprintf("canary %d%%", m.share())
	case kind == canary:
		return fmt.Sprintf("canary %d%% check %d%%", m.share(), m.check())
	case kind != reverse && m.check() == mostPercent:
		return m.Kind()
	default:
		return fmt.Sprintf("%s %d%%", m.Kind(), m.check())
	}
}
