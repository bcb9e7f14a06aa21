package attack

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Outcome is what peers got.
type Outcome struct {
	// Peers is how many there were, and Closed on how many of them the server ended the connection. Stuck is how many waited
	// in vain for what they should have got.
	Peers, Closed, Stuck int
	// Begun counts replies of which more than a status has come.
	Begun int
	// Answers are replies with the status OK, and Wrong those among them whose message was not the expected one. Ends counts
	// other ends of streams: statuses, resets.
	Answers, Wrong int
	Ends           map[string]int
	// GoAways counts connections by the code with which they ended.
	GoAways map[string]int
	// Acks and Pongs are acknowledged SETTINGS and PINGs.
	Acks, Pongs int
	// Sent and Received are bytes.
	Sent, Received int64
}

// Ended is how many streams have ended.
func (o *Outcome) Ended() int {
	n := o.Answers
	for _, count := range o.Ends {
		n += count
	}
	return n
}

func (o *Outcome) add(other *Outcome) {
	o.Peers += other.Peers
	o.Closed += other.Closed
	o.Stuck += other.Stuck
	o.Begun += other.Begun
	o.Answers += other.Answers
	o.Wrong += other.Wrong
	o.Acks += other.Acks
	o.Pongs += other.Pongs
	o.Sent += other.Sent
	o.Received += other.Received
	for _, both := range []struct{ to, from *map[string]int }{{&o.Ends, &other.Ends}, {&o.GoAways, &other.GoAways}} {
		for key, n := range *both.from {
			count(both.to, key, n)
		}
	}
}

func count(m *map[string]int, key string, n int) {
	if *m == nil {
		*m = map[string]int{}
	}
	(*m)[key] += n
}

// String tells the outcome without numbers of bytes.
func (o Outcome) String() string {
	parts := []string{fmt.Sprintf("%d answers", o.Answers)}
	for _, all := range []map[string]int{o.Ends, o.GoAways} {
		for _, key := range slices.Sorted(maps.Keys(all)) {
			parts = append(parts, fmt.Sprintf("%d %s", all[key], key))
		}
	}
	for _, n := range []struct {
		count int
		what  string
	}{{o.Acks, "acks"}, {o.Pongs, "pongs"}, {o.Closed, "closed"}, {o.Wrong, "WRONG ANSWERS"}, {o.Stuck, "STUCK"}} {
		if n.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n.count, n.what))
		}
	}
	return strings.Join(parts, ", ")
}
