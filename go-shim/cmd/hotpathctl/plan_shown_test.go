package main

import (
	"testing"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimadmin"
)

// The status page reads the file that a plan leaves.
func TestTheStatusPageShowsThePlan(t *testing.T) {
	f := newFleet(t, 1)
	if out, code, err := f.plan(t.Context(), f.args()...); code != 0 {
		t.Fatalf("exit %d, %v:\n%s", code, err, out)
	}
	p := shimadmin.StatusOf(shim.Status{}, shimadmin.Config{PlanState: f.state()}).Plan
	if p == nil || p.Error != "" || p.Status != "done" || len(p.Stages) != 3 || p.Stages[2].Outcome != "passed" || p.Stages[2].Compared == 0 {
		t.Errorf("%+v", p)
	}
}
