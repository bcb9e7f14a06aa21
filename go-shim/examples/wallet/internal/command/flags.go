package command

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrUsage means that the command line or the environment has mistakes.
var ErrUsage = errors.New("usage")

// Flags reads a whole command line, so that one message lists all mistakes.
type Flags struct {
	*flag.FlagSet
	checks   []func()
	mistakes []error
}

// NewFlags returns the flags of one program.
func NewFlags(name string, output io.Writer) *Flags {
	f := &Flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError)}
	f.SetOutput(output)
	return f
}

// Built adds a flag with the path of a built program. The file must exist.
func (f *Flags) Built(path *string, name, byDefault string) {
	f.StringVar(path, name, byDefault, "the built "+name)
	f.checks = append(f.checks, func() {
		if info, err := os.Stat(*path); err != nil || info.IsDir() {
			f.mistake("--%s %s: is no file; build it first (`make %s` does)", name, *path, f.Name())
		}
	})
}

// Count adds a flag with a number of at least 1.
func (f *Flags) Count(n *int, name string, byDefault int, usage string) {
	f.IntVar(n, name, byDefault, usage)
	f.checks = append(f.checks, func() {
		if *n < 1 {
			f.mistake("--%s: must be at least 1", name)
		}
	})
}

// Range adds a flag with a number from low, which is the default, to high.
func (f *Flags) Range(n *int, name string, low, high int, usage string) {
	f.Between(n, name, low, low, high, usage)
}

// Between adds a flag with a number from low to high.
func (f *Flags) Between(n *int, name string, byDefault, low, high int, usage string) {
	f.IntVar(n, name, byDefault, usage)
	f.checks = append(f.checks, func() {
		if *n < low || *n > high {
			f.mistake("--%s: must be from %d to %d", name, low, high)
		}
	})
}

// Choice adds a flag with one of some words.
func (f *Flags) Choice(word *string, name, byDefault string, of []string, usage string) {
	f.StringVar(word, name, byDefault, usage+" ("+strings.Join(of, ", ")+")")
	f.checks = append(f.checks, func() {
		if !slices.Contains(of, *word) {
			f.mistake("--%s %q: must be one of %s", name, *word, strings.Join(of, ", "))
		}
	})
}

// Parse reads the arguments. It returns mistakes of syntax only. Err returns the others.
func (f *Flags) Parse(args []string) error {
	if err := f.FlagSet.Parse(args); err != nil {
		return errors.Join(ErrUsage, err)
	}
	if f.NArg() > 0 {
		f.mistake("unexpected argument %q", f.Arg(0))
	}
	for _, check := range f.checks {
		check()
	}
	return nil
}

// Seconds describes an environment variable with a number of seconds. Why is added to the message about a wrong value.
type Seconds struct {
	Variable          string
	Default, Min, Max int
	Why               string
}

// Seconds reads the variable.
func (f *Flags) Seconds(env func(string) string, s Seconds) time.Duration {
	seconds := s.Default
	if text := env(s.Variable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < s.Min || n > s.Max {
			f.mistake("%s=%s: must be a whole number from %d to %d%s", s.Variable, text, s.Min, s.Max, s.Why)
		}
		seconds = n
	}
	return time.Duration(seconds) * time.Second
}

func (f *Flags) mistake(format string, a ...any) {
	f.mistakes = append(f.mistakes, fmt.Errorf(format, a...))
}

// Err returns all mistakes but those of syntax, or nil.
func (f *Flags) Err() error {
	if len(f.mistakes) == 0 {
		return nil
	}
	return errors.Join(append([]error{ErrUsage}, f.mistakes...)...)
}
