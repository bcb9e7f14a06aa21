package runs

import (
	"sync"

	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/readmodel/internal/packed"
)

// cursor reads a run from its beginning, block by block.
type cursor struct {
	run    *Run
	next   int   // the first row that is not decoded
	rows   []row // those that are decoded and not yet merged
	memory [packed.Block]row
}

var cursors = sync.Pool{New: func() any { return new(cursor) }}

// refill decodes the next block, and returns false if there is none.
func (c *cursor) refill() bool {
	r, from := c.run, c.next
	to := min(r.count, from+packed.Block)
	if from == to {
		return false
	}
	c.rows, c.next = c.memory[:to-from], to
	var decoded [packed.Block]int64
	for i, us := range r.times.Read(from, to, &decoded) {
		c.rows[i].us = us
	}
	for i, amount := range r.amounts.Read(from, to, &decoded) {
		c.rows[i].amount = amount
	}
	for i, position := range r.positions.Read(from, to, &decoded) {
		c.rows[i].position = uint64(position)
	}
	if r.posted() {
		for i, code := range r.codes.Read(from, to, &decoded) {
			c.rows[i].code = uint32(code)
		}
	}
	return true
}

// merge returns one run with the entries of several that follow each other.
func merge(inputs []*Run, indexed int) *Run {
	p := plan{phase: inputs[0].phase, first: inputs[0].first, last: inputs[len(inputs)-1].last}
	open := make([]*cursor, len(inputs))
	for i, r := range inputs {
		p.count += r.count
		p.highest = max(p.highest, r.highest)
		p.total = p.total.Add(r.Total())
		c := cursors.Get().(*cursor)
		c.run, c.next = r, 0
		c.refill()
		open[i] = c
	}
	b := newBuilder(&p, indexed)
	for len(open) > 0 {
		first, until := front(open)
		c := open[first]
		n := 1
		for n < len(c.rows) && c.rows[n].us <= until {
			n++
		}
		b.add(c.rows[:n])
		if c.rows = c.rows[n:]; len(c.rows) == 0 && !c.refill() {
			open = append(open[:first], open[first+1:]...)
			c.run = nil // the pool must not keep it alive
			cursors.Put(c)
		}
	}
	return b.end()
}

// front returns which cursor has the next row, and the latest time of rows that it may give before another's turn.
func front(open []*cursor) (first int, until int64) {
	for i, c := range open {
		if c.rows[0].us < open[first].rows[0].us {
			first = i
		}
	}
	until = ledger.MaxTimeUS
	for i, c := range open {
		switch {
		case i < first:
			// Its entries were booked before, so they come first at equal times.
			until = min(until, c.rows[0].us-1)
		case i > first:
			until = min(until, c.rows[0].us)
		}
	}
	return first, until
}

// fanIn is how many runs of about the same size are merged.
const fanIn = 4

// due returns a range of runs that should be merged to one of more than least and at most most entries, or an empty
// range. A class is runs that follow each other, of which none is twice as long as those behind it in the class or
// longer. A class of fanIn runs is merged. So there are fewer than fanIn runs of each class, and each class has runs at
// least twice as long as the next, mostly fanIn times.
func due(runs []*Run, least, most int) (from, to int) {
	for to = len(runs); to > 0; to = from {
		from = to - 1
		longest, total := runs[from].count, runs[from].count
		for from > 0 && runs[from-1].count < 2*longest {
			from--
			longest = max(longest, runs[from].count)
			total += runs[from].count
		}
		if to-from >= fanIn && total > least && total <= most {
			return from, to
		}
	}
	return 0, 0
}
