package main

import "time"

// plan divides the time for traffic behind one front door.
type plan struct {
	// lasts is all of the time.
	lasts time.Duration
	// baseline is how long transactions are posted without questions, once in each mode.
	baseline time.Duration
	// rounds is the number of rounds. A round has four windows: sidecar, legacy, legacy, sidecar.
	rounds int
	// mixed is the part of a window that asks the mix. pure is the part for each method alone.
	mixed, pure time.Duration
	// compare bounds the time of each comparison.
	compare time.Duration
	// keep is how many answers per method a window keeps to compare.
	keep int
	// beforeKill and afterReturn are the times of traffic around a kill. kills is how many kills are tried while time
	// is left.
	beforeKill, afterReturn time.Duration
	kills                   int
}

// windows is the number of windows in a round. Their order spreads a drift of the machine's speed evenly over both
// modes.
const windows = 4

// planFor gives each kill a fifth of the time and the windows the rest. There is a second kill from 25 s on.
func planFor(traffic time.Duration) plan {
	p := plan{lasts: traffic, rounds: 1, kills: 1, keep: 3000}
	if traffic >= 25*time.Second {
		p.kills, p.rounds = 2, 2
	}
	if traffic >= 90*time.Second {
		p.rounds = int(traffic / (30 * time.Second))
	}
	p.baseline = traffic / 40
	p.beforeKill, p.afterReturn = traffic/70, traffic/50
	left := traffic - 2*p.baseline - time.Duration(p.kills)*traffic/5
	window := left / time.Duration(p.rounds*windows)
	p.mixed = window * 25 / 100
	p.pure = window * 40 / 100 / time.Duration(methods)
	// Two of four windows have a comparison, so comparisons take three tenths of the windows' time on average.
	p.compare = window * 60 / 100
	return p
}

// planKills is for a demo that only kills sidecars. Reads of the database are slow, so few answers are kept to compare.
func planKills(traffic time.Duration) plan {
	return plan{lasts: traffic, kills: 2, keep: 150, beforeKill: traffic / 8, afterReturn: traffic / 8, compare: traffic / 4}
}

// longest returns the longest time that the windows may take.
func (p plan) longest() time.Duration {
	perRound := windows*(p.mixed+time.Duration(methods)*p.pure) + 2*p.compare
	return time.Duration(p.rounds) * perRound
}
