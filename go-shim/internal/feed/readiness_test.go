package feed_test

import (
	"testing"
	"time"

	"hotpath.dev/go-shim/internal/feed"
)

func TestReadiness(t *testing.T) {
	type step struct {
		what  string
		at    time.Duration
		value uint64
		ready bool
	}
	for name, steps := range map[string][]step{
		"ready once the opening's head is published": {{"open", 0, 10, false}, {"mark", 1, 9, false}, {"mark", 2, 10, true}},
		"an empty ledger is ready at once":           {{"open", 0, 0, true}},
		"loading may take long":                      {{"open", 0, 10, false}, {"head", 90, 50, false}, {"mark", 91, 10, true}},
		"idle is not stale":                          {{"open", 0, 0, true}, {"head", 500, 0, true}, {"head", 900, 0, true}},
		"no progress towards an old head": {{"open", 0, 0, true}, {"head", 1, 5, true}, {"head", 11, 5, true},
			{"head", 12, 9, false}},
		"progress, however slow, is enough": {{"open", 0, 0, true}, {"head", 1, 5, true}, {"mark", 9, 1, true},
			{"head", 18, 9, true}, {"mark", 19, 2, true}, {"head", 29, 9, true}, {"head", 30, 9, false}},
		"trusted again at the head that it missed": {{"open", 0, 0, true}, {"head", 1, 5, true}, {"head", 99, 9, false},
			{"mark", 100, 4, false}, {"mark", 101, 5, true}, {"head", 102, 9, true}},
		"lost": {{"open", 0, 0, true}, {"lose", 1, 0, false}, {"mark", 2, 9, false}, {"head", 99, 9, false}},
		"a feed that opens after the loss": {{"open", 0, 5, false}, {"lose", 1, 0, false}, {"open", 2, 0, false},
			{"mark", 3, 9, false}, {"head", 99, 9, false}, {"begin", 100, 0, false}, {"mark", 101, 9, false}, {"open", 102, 0, true}},
		"a new feed starts over":     {{"open", 0, 0, true}, {"open", 1, 5, false}, {"mark", 2, 5, true}},
		"readiness of a busy ledger": {{"open", 0, 0, true}, {"head", 1, 5, true}, {"mark", 2, 5, true}, {"head", 50, 9, true}},
	} {
		t.Run(name, func(t *testing.T) {
			changes := 0
			r := feed.Readiness{StaleAfter: 10, Changed: func(bool) { changes++ }}
			start := time.Unix(0, 0)
			for _, s := range steps {
				now := start.Add(s.at)
				switch s.what {
				case "open":
					r.Open(now, s.value, 0)
				case "mark":
					r.Watermark(now, s.value)
				case "head":
					r.Tick(now, s.value)
				case "begin":
					r.Begin()
				case "lose":
					r.Lose()
				}
				if r.Ready() != s.ready {
					t.Fatalf("%s at %d: ready is %v", s.what, s.at, r.Ready())
				}
			}
		})
	}
}
