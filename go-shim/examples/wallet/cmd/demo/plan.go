package main

import "time"

// plan divides the time for traffic.
type plan struct {
	// baseline is posting without questions, once in each mode.
	baseline time.Duration
	// rounds of four windows: sidecar, legacy, legacy, sidecar.
	rounds int
	// mixed is the part of a window that asks the mix; pure is the part of each method alone.
	mixed, pure time.Duration
	// compare bounds each re-asking.
	compare time.Duration
	// keep is how many answers per method a window keeps to compare.
	keep int
	// beforeKill and afterReturn are traffic around a kill; kills is how many are tried while time is left.
	beforeKill, afterReturn time.Duration
	kills                   int
}

// windows of a round, in an order that spreads a drift of the machine evenly over both modes.
const windows = 4

// planFor gives a kill a fifth of the time, a second one another if there is much, and the windows the rest.
func planFor(traffic time.Duration) plan {
	p := plan{rounds: 1, kills: 1, keep: 3000}
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
	// Two of four windows compare, so this is three tenths of the whole on average.
	p.compare = window * 60 / 100
	return p
}

// longest is how long the windows take at most.
func (p plan) longest() time.Duration {
	perRound := windows*(p.mixed+time.Duration(methods)*p.pure) + 2*p.compare
	return time.Duration(p.rounds) * perRound
}
