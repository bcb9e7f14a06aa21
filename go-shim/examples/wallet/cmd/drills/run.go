package main

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/console"
)

// drillAll does one drill after the other, each behind all front doors at the same time, and writes the report.
func drillAll(ctx context.Context, c config, say *console.Console) (*report, error) {
	start := time.Now()
	say.Line("%d drills behind %d front doors, %v of load each (in %s)", len(c.drills), len(c.doors), c.lasts, c.Out)
	if err := c.Clear(reportJSON, reportText); err != nil {
		return nil, err
	}
	// Folders of drills that are not done now must not be taken for results of this run.
	for _, d := range drills() {
		if err := os.RemoveAll(filepath.Join(c.Out, d.name)); err != nil {
			return nil, err
		}
	}
	if err := c.Generate(ctx); err != nil {
		return nil, err
	}
	found := &report{Short: c.short, Load: c.lasts.Seconds()}
	for _, d := range c.drills {
		say.Passing("%s: %s", d.name, d.fault)
		for _, one := range behindAll(ctx, c, d) {
			found.Drills = append(found.Drills, one)
			say.Step("%s", one.line())
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	found.judge()
	found.Seconds = time.Since(start).Seconds()
	say.Line("\n%s", found.text())
	return found, found.write(c.Out)
}

// behindAll does a drill behind all front doors.
func behindAll(ctx context.Context, c config, d drill) []*result {
	all := make([]*result, len(c.doors))
	var group sync.WaitGroup
	for i, door := range c.doors {
		group.Go(func() { all[i] = play(ctx, c, d, door) })
	}
	group.Wait()
	return all
}
