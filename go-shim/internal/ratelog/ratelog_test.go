package ratelog

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestOneRecordPerKeyAndInterval(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	l := New(slog.New(slog.NewTextHandler(&out, nil)), time.Second)
	l.now = func() time.Time { return now }
	for range 5 {
		l.Warn("a", "first")
	}
	l.Warn("b", "second")
	now = now.Add(time.Second)
	l.Warn("a", "third")
	for text, want := range map[string]int{"first": 1, "second": 1, "third held_back=4": 1, "held_back": 1} {
		if n := strings.Count(out.String(), text); n != want {
			t.Errorf("%q %d times, want %d, in\n%s", text, n, want, out.String())
		}
	}
}
