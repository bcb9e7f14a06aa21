package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"hotpath.dev/go-shim/examples/wallet/internal/probe"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// drill is one fault, and how it is found and mended.
type drill struct {
	name string
	// fault says what is broken, shows where an operator sees it.
	fault, shows string
	// short says whether the drill is part of the short form.
	short bool
	setup setup
	// strike breaks something. seen then says whether that shows.
	strike step
	seen   sign
	// checks come after that, while the fault is still there.
	checks step
	// mend repairs it. A fault without mend has to be mended by the programs themselves.
	mend step
	// back says whether it is over, after which the sidecar must answer again.
	back sign
	// stays, if set, must hold at the end of the load that follows. before is what walletd showed when it was over.
	stays func(before, now view) bool
	// rounds is how often all of this is done; 0 means once.
	rounds int
	// tellsAnswers has wrong answers counted but not judged.
	tellsAnswers bool
	// goDies says that Go itself is down for a while. Then it could not have answered either.
	goDies bool
}

// setup says what is started.
type setup struct {
	// sidecar is rig.Supervise or rig.Attach.
	sidecar rig.Sidecar
	// faulty has the sidecar be the faulty one, with this fault.
	faulty string
	// mode is what the modes file says at first; empty means that the sidecar answers.
	mode rig.Mode
	// proxied puts a proxy between walletd and an attached sidecar.
	proxied bool
	// replaceable has walletd supervise a program in the drill's folder, which release puts there.
	replaceable bool
	// args are further flags of walletd, sidecarArgs those of an attached sidecar.
	args, sidecarArgs []string
	// env is added to the environment of walletd and of a sidecar.
	env func(s *stage) ([]string, error)
	// prepare comes before anything is started.
	prepare step
}

// step does something to what runs.
type step func(ctx context.Context, s *stage) error

// sign says whether something can be seen. before is what walletd showed just before the last step.
type sign func(ctx context.Context, s *stage, before view) bool

// view is what walletd's metrics show.
type view struct {
	rig.Shim
	page probe.Page
}

// value returns a metric, or the sum of those with the labels.
func (v view) value(name string, labels probe.Labels) float64 { return v.page.Value(name, labels) }

// metrics makes a sign of walletd's metrics, before and now. Metrics that cannot be read show nothing.
func metrics(good func(before, now view) bool) sign {
	return func(ctx context.Context, s *stage, before view) bool {
		now, err := s.view(ctx)
		return err == nil && good(before, now)
	}
}

// logged makes a sign of a text in walletd's log, which is not taken from before the last step.
func logged(text string) sign {
	return func(_ context.Context, s *stage, _ view) bool { return strings.Contains(s.newLog(), text) }
}

// all makes one sign of several.
func all(signs ...sign) sign {
	return func(ctx context.Context, s *stage, before view) bool {
		for _, one := range signs {
			if !one(ctx, s, before) {
				return false
			}
		}
		return true
	}
}

// steps makes one step of several.
func steps(several ...step) step {
	return func(ctx context.Context, s *stage) error {
		for _, one := range several {
			if err := one(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
}

// drills returns all drills, in the order in which they are done.
func drills() []drill {
	return slices.Concat(processDrills(), slowDrills(), sidecarDrills(), fileDrills(), goDrills(), upgradeDrills())
}

// listed is what --list prints.
func listed() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "drill\tshort\tfault\tshows")
	for _, d := range drills() {
		short := ""
		if d.short {
			short = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", d.name, short, d.fault, d.shows)
	}
	_ = w.Flush()
	return strings.TrimRight(b.String(), "\n")
}
