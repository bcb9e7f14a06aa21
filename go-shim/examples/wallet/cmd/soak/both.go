package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"hotpath.dev/go-shim/examples/wallet/internal/console"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// verdict is the content of summary.json.
type verdict struct {
	Passed bool       `json:"passed"`
	Doors  []*summary `json:"front_doors"`
}

// soakBoth soaks a walletd behind each front door, both at the same time. Each has a ledger, a sidecar, half of the callers
// and a folder of its own.
func soakBoth(ctx context.Context, c config, say *console.Console) (*verdict, error) {
	say.Line("soak of %s: load, faults and rests, behind both front doors at once (in %s)", c.length(), c.Out)
	if err := c.Clear("summary.json", "summary.txt"); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	doors := rig.Doors()
	v := &verdict{Doors: make([]*summary, len(doors))}
	failed := make([]error, len(doors))
	var group sync.WaitGroup
	for i, door := range doors {
		group.Go(func() {
			sum, err := newSoak(c.behind(door), door, say).run(ctx)
			if v.Doors[i] = sum; err != nil {
				failed[i] = fmt.Errorf("behind the %s front door: %w", door, err)
				stop() // the other soak shows nothing more
			}
		})
	}
	group.Wait()
	if err := cause(failed); err != nil {
		return nil, err
	}
	v.Passed = true
	for _, sum := range v.Doors {
		v.Passed = v.Passed && sum.Passed
	}
	say.Line("\n%s", v.text())
	return v, v.write(c)
}

// cause returns the first error that is not the end of the run, or else the end of the run, or nil.
func cause(failed []error) error {
	for _, err := range failed {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return errors.Join(failed...)
}

// behind returns the settings of the soak behind one of the doors.
func (c config) behind(door rig.Door) config {
	c.Out = c.Path(string(door))
	c.callers = (c.callers + 1) / len(rig.Doors())
	return c
}

func (c config) length() string {
	if c.brief {
		return "a few seconds (--brief)"
	}
	return c.lasts.String()
}

func (v *verdict) write(c config) error {
	encoded, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("summary: %w", err)
	}
	for name, content := range map[string][]byte{"summary.json": append(encoded, '\n'), "summary.txt": []byte(v.text())} {
		if err := os.WriteFile(c.Path(name), content, 0o644); err != nil {
			return fmt.Errorf("summary: %w", err)
		}
	}
	return nil
}

func (v *verdict) text() string {
	var b strings.Builder
	for _, sum := range v.Doors {
		fmt.Fprintf(&b, "behind the %s front door\n%s\n", sum.Door, sum.text())
	}
	if v.Passed {
		b.WriteString("PASSED\n")
	} else {
		b.WriteString("FAILED\n")
	}
	return b.String()
}
