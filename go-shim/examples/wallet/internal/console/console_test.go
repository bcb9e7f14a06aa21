package console

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestNumbersAndLinesForPeople(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -100: "-100"} {
		if got := Count(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	var out bytes.Buffer
	c := &Console{to: &out, terminal: true, start: time.Now()}
	c.Passing("half way")
	c.Line("done")
	if got := out.String(); !strings.HasSuffix(got, "\rdone\n") {
		t.Errorf("got %q", got)
	}
	out.Reset()
	c.terminal = false
	c.Passing("half way")
	if out.Len() > 0 {
		t.Errorf("progress in a file: %q", out.String())
	}
}
