package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	shim "hotpath.dev/go-shim"
	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/store"
	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/shimprom"
)

// hotMethods are the reads that the sidecar takes over.
var hotMethods = []string{
	walletv1.WalletService_GetBalance_FullMethodName,
	walletv1.WalletService_BatchGetBalances_FullMethodName,
	walletv1.WalletService_GetStatistics_FullMethodName,
	walletv1.WalletService_GetTopCounterparties_FullMethodName,
	walletv1.WalletService_GetTimeSeries_FullMethodName,
}

// modesVariable holds modes that the modes file goes before.
const modesVariable = "HOTPATH_MODES"

// sidecarConfig is what the command line says about the sidecar.
type sidecarConfig struct {
	who, bin, socket, modes, kill, how, through, evidence, planState, otlp string
	hopTimeoutMS, sidecars                                                 *int64
	local, keepForwarding, upgradeOnChange                                 bool
	// run is the parsed who, hop the parsed how, and frontDoor the parsed through.
	run       shim.Run
	hop       experiment.Hop
	frontDoor shim.FrontDoor
	// usual and named are the modes of the environment.
	usual shim.Mode
	named map[string]shim.Mode
}

func (c *sidecarConfig) flags(f *flags) {
	f.StringVar(&c.who, "sidecar", shim.Off.String(), "who runs the sidecar: off (nobody), supervise (walletd), attach (something else), alone (there is none, for --front-local)")
	f.StringVar(&c.bin, "sidecar-bin", "hotpathd", "the program to supervise, a path or a name on PATH")
	f.StringVar(&c.socket, "sidecar-socket", "", fmt.Sprintf(
		"the sidecar's Unix socket, at most %d bytes; attach needs it, supervise makes one up without it", shim.MaxSocketBytes))
	c.sidecars = f.number("sidecars", 1, 1, 2,
		"how many sidecars to feed; one is asked, a second takes over when that one fails. Its socket is the first's with .1 at the end")
	f.BoolVar(&c.upgradeOnChange, "upgrade-on-change", false,
		"start the sidecar's program beside the one that runs, and let it take over, when its file was replaced (supervise only)")
	f.StringVar(&c.how, "hop", experiment.Batched.String(), "how requests cross to the sidecar: batched, or unary to compare with")
	f.StringVar(&c.through, "front-door", shim.Stock.String(),
		"who reads hot reads from callers: stock (grpc-go), or spliced (the shim, below grpc-go, without interceptors and their metrics)")
	f.BoolVar(&c.local, "front-local", false,
		"the spliced front door also runs this process's own hot reads, with interceptors, where grpc-go would do so for more CPU")
	c.hopTimeoutMS = f.number("hop-timeout-ms", 100, 1, 60_000,
		"milliseconds that a read waits for the sidecar before Go answers; many long replies at once need more")
	f.StringVar(&c.modes, "modes", "", "TOML file that says who answers a hot read: legacy, shadow, canary N%, sidecar and others; read again when it changes")
	f.StringVar(&c.evidence, "evidence", "",
		"folder for hot reads that the sidecar answered otherwise than Go, in modes that compare; made if need be. hotpathctl explain prints them")
	f.BoolVar(&c.keepForwarding, "keep-forwarding", false,
		"leave the modes as they are when the sidecar answers otherwise than Go; by default one such answer has Go answer that method")
	f.StringVar(&c.planState, "plan-state", "", "the file of hotpathctl plan --state, which need not be there yet: /hotpath/ then shows the plan")
	f.StringVar(&c.kill, "kill-file", "", "while this file exists, walletd answers all hot reads itself, whatever --modes says")
	f.StringVar(&c.otlp, "otlp", "", "URL of an OpenTelemetry collector (OTLP by gRPC) for spans of the hops whose callers trace")
}

// check reports mistakes that would otherwise show only after the store is open. With --sidecar off the other flags may
// stay, so that one word switches the sidecar off.
func (c *sidecarConfig) check(f *flags) {
	var err error
	if c.run, err = shim.ParseRun(c.who); err != nil {
		f.mistake("--sidecar %q: %v", c.who, err)
	}
	var unknown error
	if c.hop, unknown = experiment.ParseHop(c.how); unknown != nil {
		f.mistake("--hop %q: %v", c.how, unknown)
	}
	if c.frontDoor, unknown = shim.ParseFrontDoor(c.through); unknown != nil {
		f.mistake("--front-door %q: %v", c.through, unknown)
	}
	if !f.given("sidecar") {
		for _, name := range []string{"sidecar-bin", "sidecar-socket", "sidecars", "upgrade-on-change", "hop", "hop-timeout-ms", "front-door", "front-local", "modes", "kill-file", "evidence",
			"keep-forwarding", "plan-state", "otlp"} {
			if f.given(name) {
				f.mistake("--%s does nothing without --sidecar supervise or --sidecar attach", name)
			}
		}
	}
	if f.given("otlp") {
		if err := checkOTLP(c.otlp); err != nil {
			f.mistake("--otlp %q: %v", c.otlp, err)
		}
	}
	if c.local && c.run != shim.Off && c.frontDoor != shim.Spliced {
		f.mistake("--front-local does nothing without --front-door spliced")
	}
	if c.upgradeOnChange && c.run != shim.Supervise && c.run != shim.Off {
		f.mistake("--upgrade-on-change does nothing without --sidecar supervise")
	}
	switch c.run {
	case shim.Alone:
		c.checkAlone(f)
	case shim.Attach:
		if c.socket == "" {
			f.mistake("--sidecar attach needs --sidecar-socket: the path that hotpathd listens on")
		}
		if f.given("sidecar-bin") {
			f.mistake("--sidecar-bin does nothing with --sidecar attach, which starts no program")
		}
	case shim.Supervise:
		if _, err := exec.LookPath(c.bin); err != nil {
			f.mistake("--sidecar-bin %q: no such program: build hotpathd with \"make build\" and give its path (%v)", c.bin, err)
		}
	}
	if added := len(c.lastSocket()) - len(c.socket); len(c.socket)+added > shim.MaxSocketBytes {
		f.mistake("--sidecar-socket: must be at most %d bytes: choose a shorter path", shim.MaxSocketBytes-added)
	}
	if f.given("modes") && (c.run != shim.Off || err != nil) {
		c.checkModes(f)
	}
	if c.run != shim.Off {
		c.checkEnvironment(f)
	}
}

// lastSocket is the longest path of a socket.
func (c *sidecarConfig) lastSocket() string {
	last := int(*c.sidecars) - 1
	if c.upgradeOnChange {
		last++ // that of the new one
	}
	return shim.SocketOf(c.socket, last)
}

func (c *sidecarConfig) checkAlone(f *flags) {
	if !c.local {
		f.mistake("--sidecar alone does nothing without --front-door spliced --front-local")
	}
	for _, name := range []string{"sidecar-bin", "sidecar-socket", "sidecars", "hop", "hop-timeout-ms", "modes", "kill-file", "evidence",
		"keep-forwarding", "plan-state", "otlp"} {
		if f.given(name) {
			f.mistake("--%s does nothing with --sidecar alone", name)
		}
	}
}

func (c *sidecarConfig) checkEnvironment(f *flags) {
	var err error
	if c.usual, c.named, err = shim.ParseModes(os.Getenv(modesVariable)); err != nil {
		f.mistake("%s: %v", modesVariable, err)
	}
	for name := range c.named {
		if !slices.Contains(hotMethods, name) {
			f.mistake("%s: %s is not one of the hot reads", modesVariable, name)
		}
	}
}

func (c *sidecarConfig) checkModes(f *flags) {
	if err := shim.CheckModesFile(c.modes, hotMethods); err != nil {
		for line := range strings.Lines(err.Error()) {
			f.mistake("--modes: %s", strings.TrimSpace(line))
		}
	}
}

// openSidecar opens the shim. The caller closes loaded once the ledger is loaded; the sidecar gets no events before.
func openSidecar(
	ctx context.Context, c serveConfig, ledger *store.Store, loaded <-chan struct{}, t *telemetry, log *slog.Logger,
) (*shim.Side, error) {
	hot := c.sidecar
	return shim.Open(ctx, shim.Config{
		Run: hot.run, Methods: hotMethods, Socket: hot.socket, Sidecars: int(*hot.sidecars), Supervisor: shim.Supervisor{Bin: hot.bin, UpgradeOnChange: hot.upgradeOnChange}, ModesFile: hot.modes,
		DefaultMode: hot.usual, Modes: hot.named, KillFile: hot.kill, CanaryKey: accountOf, Tracer: t.tracer,
		Comparison: shim.Comparison{Folder: hot.evidence, KeepForwarding: hot.keepForwarding},
		// The service's own reads support the callers' positions too.
		CallerPositions: true,
		HopTimeout:      time.Duration(*hot.hopTimeoutMS) * time.Millisecond,
		// None of the interceptors looks at messages.
		Interceptors: shim.Raw, FrontDoor: hot.frontDoor,
		// They count calls, recover panics of handlers, and wait until the ledger is loaded. The sidecar is fed only then.
		// They do run for this process's own answers.
		Spliced: shim.SplicedDoor{
			SkipInterceptors: true, Local: hot.local, MaxRecvMsgSize: c.maxMessageBytes, MaxSendMsgSize: c.maxMessageBytes,
		},
		SourceReady: loaded, Logger: log, Metrics: shimprom.New(t.registry),
		Experiment: experiment.Config{Hop: hot.hop},
	}, ledger)
}
