package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
)

// flags is a [flag.FlagSet] that reports every mistake of a command line, not only the first.
type flags struct {
	*flag.FlagSet
	usage    string
	required []string
	operands bool
	seen     map[string]bool
	mistakes []string
}

// newFlags returns the flags of a command. usage is the help text above the list of flags. operands allows arguments
// that are not flags.
func newFlags(name, usage string, operands bool) *flags {
	f := &flags{
		FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), usage: usage, operands: operands, seen: make(map[string]bool),
	}
	f.SetOutput(io.Discard)
	return f
}

// parse returns the operands. Its only error is [errHelp], after it has printed the help text. check returns the
// mistakes.
func (f *flags) parse(args []string, out streams) (operands []string, err error) {
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
			args = f.parseOne(arg, args)
		case f.operands:
			operands = append(operands, arg)
		default:
			f.mistake("unexpected argument %q", arg)
		}
	}
	for _, name := range f.required {
		switch {
		case !f.given(name):
			f.mistake("--%s is required", name)
		case f.Lookup(name).Value.String() == "" && len(f.mistakes) == 0:
			f.mistake("--%s must not be empty", name)
		}
	}
	return operands, nil
}

// given returns whether the command line has a flag.
func (f *flags) given(name string) bool { return f.seen[name] }

func (f *flags) parseOne(arg string, rest []string) []string {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
	known := f.Lookup(name)
	if known == nil {
		f.mistake("there is no flag --%s", name)
		// The next argument is probably the unknown flag's value. It is skipped, so that there is one mistake, not two.
		if !hasValue && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") && !f.operands {
			return rest[1:]
		}
		return rest
	}
	if f.seen[name] {
		f.mistake("--%s is given twice", name)
	}
	f.seen[name] = true
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

// check returns an error with all mistakes, including those that the command added itself.
func (f *flags) check() error {
	if len(f.mistakes) == 0 {
		return nil
	}
	return usageError(fmt.Sprintf("%s\n\"walletd help %s\" explains the flags", strings.Join(f.mistakes, "\nwalletd: "), f.Name()))
}

func (f *flags) help() string {
	var b strings.Builder
	b.WriteString(f.usage)
	width := 0
	f.VisitAll(func(each *flag.Flag) { width = max(width, len(each.Name)) })
	if width > 0 {
		b.WriteString("\n\nflags:\n")
	}
	f.VisitAll(func(each *flag.Flag) {
		fmt.Fprintf(&b, "  --%-*s  %s", width, each.Name, each.Usage)
		if n, ok := each.Value.(*number); ok {
			fmt.Fprintf(&b, ", %d to %d", n.min, n.max)
		}
		switch {
		case slices.Contains(f.required, each.Name):
			b.WriteString(" (required)")
		case each.DefValue != "" && each.DefValue != "false":
			fmt.Fprintf(&b, " (default %s)", each.DefValue)
		}
		b.WriteByte('\n')
	})
	return strings.TrimRight(b.String(), "\n")
}

// takeEmpty adds the flag --new, which all commands have that may make a store.
func (f *flags) takeEmpty(to *bool) {
	f.BoolVar(to, "new", false, "begin a new ledger also in an empty file, which is refused otherwise because a lost ledger may look like it")
}

// address checks the value of a flag with an address to listen on.
func (f *flags) address(name, value string) {
	_, port, err := net.SplitHostPort(value)
	if err != nil {
		f.mistake("--%s %q: must be host:port, such as 127.0.0.1:7450", name, value)
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		f.mistake("--%s %q: the port must be a number from 0 to 65535", name, value)
	}
}

// number is the value of a flag with a number between min and max.
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
