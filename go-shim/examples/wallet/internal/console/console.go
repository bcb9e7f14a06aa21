// Package console prints the progress of a long run, and formats numbers for people.
package console

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// Console prints progress: lines that stay, and on a terminal one line that changes. Several goroutines may print.
type Console struct {
	to       io.Writer
	terminal bool
	start    time.Time

	mu sync.Mutex
	// shown is the length of the changing line, or 0 if there is none.
	shown int
}

// New returns a console that prints to a file or terminal.
func New(to *os.File) *Console {
	info, err := to.Stat()
	return &Console{to: to, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, start: time.Now()}
}

// Step prints a line with the time since the start.
func (c *Console) Step(format string, a ...any) {
	c.Line("%5.1f s  %s", time.Since(c.start).Seconds(), fmt.Sprintf(format, a...))
}

// Line prints a line that stays.
func (c *Console) Line(format string, a ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
	fmt.Fprintf(c.to, format+"\n", a...)
}

// Passing prints a text that the next call overwrites. It prints nothing if the output is not a terminal.
func (c *Console) Passing(format string, a ...any) {
	if !c.terminal {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
	text := fmt.Sprintf("%5.1f s  %s", time.Since(c.start).Seconds(), fmt.Sprintf(format, a...))
	fmt.Fprint(c.to, text)
	c.shown = len(text)
}

func (c *Console) clear() {
	if c.shown > 0 {
		fmt.Fprintf(c.to, "\r%s\r", strings.Repeat(" ", c.shown))
		c.shown = 0
	}
}

// Count formats 1234567 as 1,234,567.
func Count[N int | int64 | uint64](n N) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, digit := range digits {
		if left := len(digits) - i; i > 0 && left%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}

// Megabytes formats a number of bytes.
func Megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }
