package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// console prints progress: lines that stay, and on a terminal one line that changes.
type console struct {
	to       io.Writer
	terminal bool
	start    time.Time
	// shown is the length of the changing line.
	shown int
}

func newConsole(to *os.File) *console {
	info, err := to.Stat()
	return &console{to: to, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, start: time.Now()}
}

// step is a line with the time since the start.
func (c *console) step(format string, a ...any) {
	c.line("%5.1f s  %s", time.Since(c.start).Seconds(), fmt.Sprintf(format, a...))
}

// line is a line that stays.
func (c *console) line(format string, a ...any) {
	c.clear()
	fmt.Fprintf(c.to, format+"\n", a...)
}

// passing is overwritten by what comes next, and left out where that can't be done.
func (c *console) passing(format string, a ...any) {
	if !c.terminal {
		return
	}
	c.clear()
	text := fmt.Sprintf("%5.1f s  %s", time.Since(c.start).Seconds(), fmt.Sprintf(format, a...))
	fmt.Fprint(c.to, text)
	c.shown = len(text)
}

func (c *console) clear() {
	if c.shown > 0 {
		fmt.Fprintf(c.to, "\r%s\r", strings.Repeat(" ", c.shown))
		c.shown = 0
	}
}

// count writes 1234567 as 1,234,567.
func count[N int | int64 | uint64](n N) string {
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

// megabytes writes a size.
func megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }
