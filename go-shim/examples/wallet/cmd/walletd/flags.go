package main

import (
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// flags is a [flag.FlagSet] that reports every mistake of a command line, not only the first.
type flags struct {
	*flag.FlagSet
	usage    string
	required []string
	operands bool
	mistakes []string
}

// newFlags: usage is the text above the list of flags; with operands, arguments that are no flags are allowed.
func newFlags(name, usage string, operands bool) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), usage: usage, operands: operands}
	f.SetOutput(io.Discard)
	return f
}

// parse returns the operands. Its error is [errHelp], after printing help, or names every mistake so far.
func (f *flags) parse(args []string, out streams) (operands []string, err error) {
	seen := make(map[string]bool)
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--help" || arg == "-help" || arg == "-h":
			fmt.Fprintln(out.stdout, f.help())
			return nil, errHelp
		case arg == "--" && f.operands:
			operands = append(operands, args...)
			args = nil
		case strings.HasPrefix(arg, "-") && arg != "-":
			args = f.parseOne(arg, args, seen)
		case f.operands:
			operands = append(operands, arg)
		default:
			f.mistake("unexpected argument %q", arg)
		}
	}
	for _, name := range f.required {
		if !seen[name] {
			f.mistake("--%s is required", name)
		}
	}
	return operands, nil
}

func (f *flags) parseOne(arg string, rest []string, seen map[string]bool) []string {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
	known := f.Lookup(name)
	if known == nil {
		f.mistake("there is no flag --%s", name)
		// What follows is more likely the unknown flag's value than an operand: report one mistake, not two.
		if !hasValue && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") && !f.operands {
			return rest[1:]
		}
		return rest
	}
	if seen[name] {
		f.mistake("--%s is given twice", name)
	}
	seen[name] = true
	switch {
	case hasValue:
	case isSwitch(known):
		value = "true"
	case len(rest) == 0 || strings.HasPrefix(rest[0], "--"):
		f.mistake("--%s needs a value: %s", name, known.Usage)
		return rest
	default:
		value, rest = rest[0], rest[1:]
	}
	if err := known.Value.Set(value); err != nil {
		f.mistake("--%s %q: %v", name, value, err)
	}
	return rest
}

func isSwitch(known *flag.Flag) bool {
	b, ok := known.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

func (f *flags) mistake(format string, args ...any) {
	f.mistakes = append(f.mistakes, fmt.Sprintf(format, args...))
}

// check is the error over all mistakes, those that the command found itself included.
func (f *flags) check() error {
	if len(f.mistakes) == 0 {
		return nil
	}
	return usageError(fmt.Sprintf("%s\n\"walletd help %s\" explains the flags", strings.Join(f.mistakes, "\nwalletd: "), f.Name()))
}

func (f *flags) help() string {
	var b strings.Builder
	b.WriteString(f.usage)
	b.WriteString("\n\nflags:\n")
	f.VisitAll(func(each *flag.Flag) {
		fmt.Fprintf(&b, "  --%-14s %s", each.Name, each.Usage)
		if each.DefValue != "" && each.DefValue != "0" && each.DefValue != "false" {
			fmt.Fprintf(&b, " (default %s)", each.DefValue)
		}
		b.WriteByte('\n')
	})
	return strings.TrimRight(b.String(), "\n")
}

// number is a flag with bounds that are checked, and reported, like everything else.
type number struct {
	value    int64
	min, max int64
}

func (f *flags) number(name string, def, low, high int64, usage string) *int64 {
	n := &number{def, low, high}
	f.Var(n, name, usage)
	return &n.value
}

func (n *number) String() string { return strconv.FormatInt(n.value, 10) }

func (n *number) Set(text string) error {
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < n.min || v > n.max {
		return fmt.Errorf("must be a number from %d to %d", n.min, n.max)
	}
	n.value = v
	return nil
}
