package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"hotpath.dev/go-shim/internal/modes"
)

func need(flag, value string) error {
	if value == "" {
		return mistake("%s is required", flag)
	}
	return nil
}

// read returns the modes that the modes file names.
func (c *command) read() (map[string]string, error) {
	content, err := modes.Read(c.modes)
	if err != nil {
		return nil, failure{exitFile, fmt.Errorf("--modes: %w", err)}
	}
	named, err := modes.Entries(content)
	if err != nil {
		return nil, failure{exitFile, fmt.Errorf("--modes: %w", err)}
	}
	return named, nil
}

func (c *command) show(context.Context) error {
	if err := need("--modes", c.modes); err != nil {
		return err
	}
	named, err := c.read()
	if err != nil {
		return err
	}
	names := slices.SortedFunc(maps.Keys(named), func(a, b string) int {
		return cmp.Or(-cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	for _, name := range names {
		fmt.Fprintf(c.out, "%-12s %s\n", named[name], name)
	}
	if c.kill == "" {
		return nil
	}
	there, err := modes.IsThere(c.kill)
	if err != nil {
		return failure{exitFile, err}
	}
	if there {
		fmt.Fprintf(c.out, "\nThe kill file %s is there: all hot methods are legacy, whatever is said above.\n", c.kill)
	}
	return nil
}

// rank puts the default before the methods.
func rank(name string) int {
	if name == modes.DefaultKey {
		return 1
	}
	return 0
}

func (c *command) set(ctx context.Context) error {
	if err := need("--modes", c.modes); err != nil {
		return err
	}
	if len(c.args) != 2 {
		return mistake("set needs a method, or default, and a mode")
	}
	key := c.args[0]
	mode, err := modes.Parse(c.args[1])
	if err != nil {
		return mistake("mode %q: %w", c.args[1], err)
	}
	named, err := c.read()
	if err != nil {
		return err
	}
	before, err := modes.Change(c.modes, key, mode, whoami(), time.Now())
	if err != nil {
		return failure{exitFile, fmt.Errorf("--modes: %w", err)}
	}
	was := before
	if was == "" {
		was = "not named"
	}
	fmt.Fprintf(c.out, "%s: %s, was %s\n", key, mode, was)
	concerned := func(labels string) bool {
		if key != modes.DefaultKey {
			return strings.Contains(labels, strconv.Quote(key))
		}
		for name := range named {
			if strings.Contains(labels, strconv.Quote(name)) {
				return false // it has a mode of its own
			}
		}
		return true
	}
	err = c.await(ctx, shown{"hotpath_shim_forwarded_percent", concerned, fmt.Sprint(mode.Percent())},
		shown{"hotpath_shim_checked_percent", concerned, fmt.Sprint(mode.Check())})
	if err != nil {
		return fmt.Errorf("%w (a rollback and a demotion go before: see hotpath_shim_killed and hotpath_shim_demoted)", err)
	}
	return nil
}

// whoami is who runs this program.
func whoami() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "user " + strconv.Itoa(os.Getuid())
}

func (c *command) rollback(ctx context.Context) error {
	if err := need("--kill-file", c.kill); err != nil {
		return err
	}
	if err := modes.Kill(c.kill, whoami(), time.Now()); err != nil {
		return failure{exitFile, fmt.Errorf("--kill-file: %w", err)}
	}
	fmt.Fprintf(c.out, "rolled back: Go answers all hot methods while %s is there\n", c.kill)
	return c.await(ctx, shown{"hotpath_shim_killed", all, "1"})
}

func (c *command) resume(ctx context.Context) error {
	if err := need("--kill-file", c.kill); err != nil {
		return err
	}
	was, err := modes.Resume(c.kill)
	switch {
	case err != nil:
		return failure{exitFile, fmt.Errorf("--kill-file: %w", err)}
	case !was:
		fmt.Fprintf(c.out, "there was no rollback: %s is not there\n", c.kill)
	default:
		fmt.Fprintf(c.out, "%s is removed: the modes count again\n", c.kill)
	}
	return c.await(ctx, shown{"hotpath_shim_killed", all, "0"})
}
