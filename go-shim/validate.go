package shim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/internal/modes"
	"hotpath.dev/go-shim/internal/schema"
	"hotpath.dev/go-shim/internal/supervise"
)

// MaxSocketBytes is the longest path of a Unix socket that every system accepts.
const MaxSocketBytes = 103

// maxSidecars is what standby means here: one is asked, one takes over.
const maxSidecars = 2

// ErrConfig is wrapped by the error of Open if the Config is wrong. The error's text lists every mistake.
var ErrConfig = errors.New("shim: the configuration must be corrected")

// ErrNoBinary is wrapped by the error of Open if the sidecar's program cannot be found.
var ErrNoBinary = supervise.ErrNoBinary

type mistakes []error

func (m *mistakes) check(ok bool, field, rule string) {
	if !ok {
		*m = append(*m, errors.New(field+": "+rule))
	}
}

func (m mistakes) join() error {
	if len(m) == 0 {
		return nil
	}
	return errors.Join(append([]error{ErrConfig}, m...)...)
}

// validate expects the defaults to be filled in. It returns the hot methods and their modes at the start.
func (c *Config) validate(source Source) ([]protoreflect.MethodDescriptor, modes.Table, error) {
	var m mistakes
	m.check(c.Run <= Alone, "Run", "must be Off, Supervise, Attach or Alone")
	m.check(c.Run != Alone || c.FrontDoor == Spliced && c.Spliced.Local, "Run", "Alone does nothing without FrontDoor Spliced and Spliced.Local")
	m.check(c.Spliced.MaxRecvMsgSize >= 0 && c.Spliced.MaxSendMsgSize >= 0, "Spliced.MaxRecvMsgSize, .MaxSendMsgSize", "must not be below zero")
	m.check(c.DefaultMode.Valid(), "DefaultMode", "must be Legacy, Sidecar, Canary of 0-100, or Shadow, ReverseShadow or Again of 1-100")
	c.Comparison.validate(&m)
	m.check(c.Interceptors <= Raw, "Interceptors", "must be Decoded or Raw")
	m.check(c.FrontDoor <= Spliced, "FrontDoor", "must be Stock or Spliced")
	m.check(c.Experiment.Hop <= experiment.Unary, "Experiment.Hop", "must be Batched or Unary")
	m.check(c.Run != Attach || c.Socket != "", "Socket", "must name the sidecar's socket to attach to")
	m.check(c.Sidecars >= 1 && c.Sidecars <= maxSidecars, "Sidecars", "must be 1 or 2")
	m.check(c.Sidecars <= 1 || c.Run != Alone, "Sidecars", "must be 1 with Run Alone, which has no sidecar")
	m.check(c.Sidecars != maxSidecars || len(c.Socket) > MaxSocketBytes || len(SocketOf(c.Socket, 1)) <= MaxSocketBytes, "Socket",
		fmt.Sprintf("must be at most %d bytes with two sidecars, because the second's has %s at its end", MaxSocketBytes-len(SocketOf("", 1)), SocketOf("", 1)))
	m.check(len(c.Socket) <= MaxSocketBytes, "Socket", fmt.Sprintf("must be at most %d bytes", MaxSocketBytes))
	m.check(c.Connections >= 1 && c.Connections <= 64, "Connections", "must be 1-64")
	m.check(c.Breaker.Failures >= 1, "Breaker.Failures", "must be at least 1")
	m.check(c.Breaker.Budget <= 1, "Breaker.Budget", "must be at most 1")
	m.check(c.Breaker.MinBackoff <= c.Breaker.MaxBackoff, "Breaker.MinBackoff", "must not be above MaxBackoff")
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"ModesPoll", c.ModesPoll}, {"HopTimeout", c.HopTimeout}, {"StaleAfter", c.StaleAfter},
		{"Breaker.MinBackoff", c.Breaker.MinBackoff}, {"Supervisor.StartTimeout", c.Supervisor.StartTimeout},
		{"Supervisor.DrainTimeout", c.Supervisor.DrainTimeout},
	} {
		m.check(d.value > 0, d.field, "must be above zero")
	}
	if source == nil {
		m.check(c.Run == Alone, "Source", "must not be nil")
	} else {
		m.check(printable(source.LedgerID()), "Source.LedgerID", "must be 1-64 bytes of printable ASCII without spaces")
	}
	methods := c.findMethods(&m)
	for name, mode := range c.Modes {
		m.check(slices.Contains(c.Methods, name), "Modes", name+" is not one of the Methods")
		m.check(mode.Valid(), "Modes", name+" must have a mode that ParseMode returns")
	}
	for _, name := range c.Hedge {
		m.check(slices.Contains(c.Methods, name), "Hedge", name+" is not one of the Methods")
	}
	table := c.table()
	if c.ModesFile != "" {
		var err error
		if table, err = modes.Load(c.ModesFile, c.Methods, table); err != nil {
			m = append(m, fmt.Errorf("ModesFile: %w", err))
		}
	}
	return methods, table, m.join()
}

// table holds the modes of methods that no file names.
func (c *Config) table() modes.Table {
	table := modes.Uniform(len(c.Methods), c.DefaultMode)
	for i, name := range c.Methods {
		if mode, named := c.Modes[name]; named {
			table[i] = mode
		}
	}
	return table
}

func (c *Config) findMethods(m *mistakes) []protoreflect.MethodDescriptor {
	m.check(len(c.Methods) >= 1 && len(c.Methods) <= 256, "Methods", "must be 1-256")
	found := make([]protoreflect.MethodDescriptor, len(c.Methods))
	for i, name := range c.Methods {
		field := fmt.Sprintf("Methods[%d]", i)
		method, err := schema.Find(name)
		switch {
		case slices.Contains(c.Methods[:i], name):
			m.check(false, field, name+" must not repeat")
		case err != nil:
			m.check(false, field, fmt.Sprintf("%q %s", name, err))
		case method.IsStreamingClient() || method.IsStreamingServer():
			m.check(false, field, name+" is streaming: only unary methods can be hot")
		}
		found[i] = method
	}
	return found
}

func printable(id string) bool {
	for _, b := range []byte(id) {
		if b < 0x21 || b > 0x7e {
			return false
		}
	}
	return len(id) >= 1 && len(id) <= 64
}

// CheckModesFile says what Open would say of a Config.ModesFile for these methods: a service can check its command line
// by it before it opens anything.
func CheckModesFile(path string, methods []string) error {
	_, err := modes.Load(path, methods, modes.Uniform(len(methods), Sidecar))
	return err
}

// killed says whether the kill file is there.
func (c *Config) killed() (bool, error) {
	if c.KillFile == "" || c.Run == Off {
		return false, nil
	}
	there, err := modes.IsThere(c.KillFile)
	if err != nil {
		return false, errors.Join(ErrConfig, fmt.Errorf("KillFile: %w", err))
	}
	return there, nil
}
