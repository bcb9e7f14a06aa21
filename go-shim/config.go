package shim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc/encoding"

	"hotpath.dev/go-shim/internal/experiment"
	"hotpath.dev/go-shim/internal/modes"
	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/metrics"
	"hotpath.dev/go-shim/tracing"
)

// Run says who starts and stops the sidecar.
type Run uint8

const (
	// Off leaves the service as it is: Wrap and ServerOptions change nothing.
	Off Run = iota
	// Supervise starts a sidecar, restarts it, and ends it with this process.
	Supervise
	// Attach uses a sidecar that something else runs. The shim never starts or stops it.
	Attach
	// Alone means that there is no sidecar, and never will be: the local handlers answer all requests. It is for a service
	// that only wants the spliced front door with SplicedDoor.Local. The Source may be nil.
	Alone
)

// ErrUnknownRun is the error of ParseRun for any other word.
var ErrUnknownRun = errors.New("must be off, supervise, attach or alone")

// ParseRun reads a Run as String writes it.
func ParseRun(text string) (Run, error) {
	for _, run := range []Run{Off, Supervise, Attach, Alone} {
		if text == run.String() {
			return run, nil
		}
	}
	return Off, ErrUnknownRun
}

func (r Run) String() string {
	switch r {
	case Off:
		return "off"
	case Supervise:
		return "supervise"
	case Attach:
		return "attach"
	case Alone:
		return "alone"
	default:
		return fmt.Sprintf("run(%d)", uint8(r))
	}
}

// Mode says who answers a hot method.
type Mode = modes.Mode

const (
	// Legacy leaves a method to the local handler.
	Legacy = modes.Legacy
	// Sidecar forwards a method, with the local handler as the fallback.
	Sidecar = modes.Sidecar
)

// Canary forwards percent (0-100) of the keys of a method, like Sidecar, and leaves the others to the local handler. Which
// ones depends on nothing but Config.CanaryKey: the same in every process, and a higher percentage forwards all keys that a
// lower one does.
func Canary(percent int) Mode {
	if percent < 0 || percent > 100 {
		return 0 // Open says that this is not a mode
	}
	return modes.Canary(percent)
}

// Shadow leaves a method to the local handler, like Legacy. Afterwards the sidecar is asked for percent (1-100) of the requests
// as well, and the two answers are compared. See Comparison.
func Shadow(percent int) Mode { return checked(modes.Shadow, percent) }

// ReverseShadow forwards a method, like Sidecar. Afterwards the local handler is asked for percent (1-100) of the requests as
// well, and the two answers are compared.
func ReverseShadow(percent int) Mode { return checked(modes.ReverseShadow, percent) }

// Again leaves a method to the local handler, like Legacy, which is asked once more for percent (1-100) of the requests. It
// shows how often the local handler disagrees with itself, and so what to expect of Shadow.
func Again(percent int) Mode { return checked(modes.Again, percent) }

func checked(mode func(int) Mode, percent int) Mode {
	if percent < 1 || percent > 100 {
		return 0 // Open says that this is not a mode
	}
	return mode(percent)
}

// ParseModes reads modes as a variable of the environment may have them: "default=legacy; /a.B/C=canary 5%". usual is the mode
// of default, or 0. An empty text names none.
func ParseModes(text string) (usual Mode, named map[string]Mode, err error) {
	named = make(map[string]Mode)
	for part := range strings.SplitSeq(text, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		key, value, found := strings.Cut(part, "=")
		key = strings.TrimSpace(key)
		mode, bad := modes.Parse(strings.TrimSpace(value))
		switch _, twice := named[key]; {
		case !found:
			return 0, nil, fmt.Errorf("%q must be METHOD=MODE or default=MODE", part)
		case bad != nil:
			return 0, nil, fmt.Errorf("%s: %w", key, bad)
		case twice || key == modes.DefaultKey && usual != 0:
			return 0, nil, fmt.Errorf("%s is named twice", key)
		case key == modes.DefaultKey:
			usual = mode
		default:
			named[key] = mode
		}
	}
	return usual, named, nil
}

// ParseMode reads a mode as the modes file has it, such as "canary 5% check 10%".
func ParseMode(text string) (Mode, error) { return modes.Parse(text) }

// Interceptors says what server interceptors see of a request of a hot method.
type Interceptors uint8

const (
	// Decoded shows them the typed request and reply, as without a shim. The shim forwards what they pass on.
	Decoded Interceptors = iota
	// Raw shows them a *codec.Raw, whoever answers. It is cheaper, for services whose interceptors do not look at
	// messages.
	Raw
)

// Freshness says how old an answer may be, in positions behind the last event that this process committed.
type Freshness uint64

// ReadYourWrites allows no answer that is older than the last event that this process committed.
const ReadYourWrites Freshness = 0

// MaxLag allows answers that are up to this number of positions older than that event.
func MaxLag(positions uint64) Freshness { return Freshness(positions) }

// Config describes a shim. A zero value means the default, where a default is named.
type Config struct {
	Run Run
	// Methods names the hot methods as "/package.Service/Method", at most 256. They are named nowhere else.
	//
	// The sidecar answers with a message or a status, and nothing else. Response headers and trailers that the service's
	// handler sets (grpc.SetHeader, grpc.SendHeader, grpc.SetTrailer) are missing whenever the sidecar answers. Leave
	// such a method out, or keep the requests that need them local by Forwardable. What interceptors set is not lost. If
	// a handler sets such metadata all the same, the shim logs each key once and counts the answers
	// (hotpath_shim_local_metadata_total).
	Methods []string
	// Forwardable, if not nil, says whether a request to a hot method may be forwarded, by its context: its metadata, its
	// peer, or what an interceptor put there. If not, the local handler answers. The shim calls it for each request that
	// it would forward, after the interceptors, from many goroutines, and may call it twice for one request. If it
	// panics, the local handler answers.
	Forwardable func(ctx context.Context, method string) bool
	// Socket is the path of the sidecar's Unix socket. Attach needs it; Supervise makes a private folder if it is
	// empty. The socket of a second sidecar is beside it, with ".1" at the end of its name.
	Socket string
	// Sidecars is how many sidecars there are, 1 or 2; default 1. Of two, both are fed and one is asked. The other takes over
	// when that one is lost, keeps failing, or is refused; later the first stands by in its turn. It is for a service whose
	// own handlers cannot stand in for a sidecar under load. A request to which the first gives no answer may wait for the
	// second as well, and so leave the local handler a quarter of the caller's time instead of a half.
	Sidecars int
	// Supervisor applies if Run is Supervise.
	Supervisor Supervisor

	// ModesFile is a file with a mode per method, which the shim reads again when it changes. Empty means no file.
	ModesFile string
	// ModesPoll is how often the shim looks at the file; default 250 ms.
	ModesPoll time.Duration
	// DefaultMode is the mode of methods that neither the file nor Modes names; default Sidecar, or Legacy if Run is Alone.
	DefaultMode Mode
	// Modes are the modes of some methods, by "/package.Service/Method". They count unless the file names the method, or a
	// default. ParseModes reads them from a variable of the environment.
	Modes map[string]Mode

	// KillFile is the path of a file that need not exist. While it exists, all hot methods are Legacy, whatever else says
	// otherwise: `touch` is a rollback that needs neither the sidecar nor anything of this process but its file system. The
	// shim looks for it before it serves, and then every ModesPoll, at least every 250 ms. Empty means no such file.
	KillFile string
	// CanaryKey, if not nil, returns the part of an encoded request by which a Canary chooses, such as the account's id, so
	// that all requests about an account are answered by the same side. The shim calls it from many goroutines, for each
	// request of a method in such a mode. If it returns nothing, or is nil, all bytes of the request are the key; then set it
	// if requests have map fields, which have no order. If it panics, the local handler answers. It must not keep or change
	// the bytes.
	CanaryKey func(method string, request []byte) []byte

	// Comparison applies to modes that compare the two sides.
	Comparison Comparison

	// Hedge names hot methods whose requests the local handler gets as well if the sidecar has not answered within the time in
	// which it answers 95 in a hundred. The first answer counts. It shortens the slowest calls for work of the service: at most
	// one request in ten is hedged, and none before the sidecar has answered 100. The handler must bear that its call is
	// cancelled and that its context ends while it runs. A spliced front door leaves these methods to the handler.
	Hedge []string

	// HopTimeout is the longest time that a request waits for the sidecar; default 100 ms. A request also never waits
	// for more than half of the caller's remaining time, so that the local handler has the other half.
	HopTimeout time.Duration
	// Freshness is ReadYourWrites by default.
	Freshness Freshness
	// CallerPositions lets callers choose by x-hotpath-* metadata which position answers, and learn which one did. By
	// default they may not: the shim removes such keys from requests of hot methods before interceptors and handlers
	// see them, whoever answers. Set it only if the service's own handlers obey the keys too, by package position.
	// Otherwise an answer would depend on who gives it.
	CallerPositions bool
	// SourceReady, if not nil, must be closed once the Source has loaded its ledger. Until then the shim neither feeds
	// nor asks the sidecar, because a ledger that is still loading looks like an empty one.
	SourceReady <-chan struct{}
	// Codec is the codec that the service would otherwise give to grpc.ForceServerCodecV2. The default is the one that
	// is registered for proto. Side.ServerOptions puts it into force, except that the shim's own messages pass through
	// undecoded.
	Codec encoding.CodecV2
	// Interceptors is Decoded by default.
	Interceptors Interceptors
	// Connections is the number of connections for requests, 1-64; default 2. There is one more for the feed, and one for
	// requests of more than 64 KiB and statuses that are too long for a lane.
	Connections int
	// StaleAfter is how long a sidecar that makes no progress towards the ledger's head is still asked; default 1 s.
	StaleAfter time.Duration
	// Breaker says when to stop asking a sidecar that keeps failing.
	Breaker Breaker

	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Metrics receives the shim's metrics. For Prometheus, use shimprom.New(registerer). Nil means that nobody gets
	// them. Each shim needs a Meter of its own.
	Metrics metrics.Meter
	// Tracer, if not nil, makes a span for each request that goes to the sidecar. For OpenTelemetry, use shimotel.New(provider).
	Tracer tracing.Tracer

	// FrontDoor is Stock by default. docs/front-door.md tells when to use which.
	FrontDoor FrontDoor
	// Spliced applies if FrontDoor is Spliced.
	Spliced SplicedDoor

	// Experiment is for measurements of this repository. Its type is internal, and it may change in any release.
	Experiment experiment.Config
	// newTransport makes the transport of a session; by default Experiment.Hop says which.
	newTransport func(transport.Peer) transport.Transport
}

// Supervisor describes the sidecar that Supervise runs.
type Supervisor struct {
	// Bin is a name to look up on PATH, or a path; default "hotpathd".
	Bin string
	// Args are flags that follow --socket, --lifeline and --ready-file, which the shim itself sets. Two sidecars get the
	// same, so an address among them must have the port 0.
	Args []string
	// StartTimeout is how long a sidecar may take to listen before it is replaced; default 15 s.
	StartTimeout time.Duration
	// DrainTimeout is the time between SIGTERM and SIGKILL; default 5 s.
	DrainTimeout time.Duration
}

// Breaker says when to stop asking a failing sidecar, for one method or for all. Package breaker has the rule.
type Breaker struct {
	// Failures is the number of failures in a row that open a breaker; default 5. A failure for which the request
	// itself may be to blame counts as a twentieth: the sidecar said INTERNAL, or had less than a tenth of HopTimeout.
	Failures int
	// MinBackoff and MaxBackoff bound the time until a single request probes again; default 100 ms and 5 s. A request
	// of a method that has failed itself may probe the whole side only after one and a half times as long.
	MinBackoff, MaxBackoff time.Duration
	// Budget is the share of the hops of a method that may end without an answer, above 0 and at most 1; default 0.1. While there
	// are more, only one request in ten is forwarded, so that a sidecar that is too slow for a part of them costs the service
	// little beyond what it would do without one. Below zero, there is no bound. Package budget has the rule.
	Budget float64
}

func (c Config) withDefaults() Config {
	set(&c.ModesPoll, 250*time.Millisecond)
	if c.Run == Alone {
		set(&c.DefaultMode, Legacy)
	}
	set(&c.DefaultMode, Sidecar)
	set(&c.HopTimeout, 100*time.Millisecond)
	set(&c.Sidecars, 1)
	set(&c.Connections, 2)
	set(&c.StaleAfter, time.Second)
	set(&c.Breaker.Failures, 5)
	set(&c.Breaker.Budget, 0.1)
	set(&c.Breaker.MinBackoff, 100*time.Millisecond)
	set(&c.Breaker.MaxBackoff, 5*time.Second)
	set(&c.Supervisor.Bin, "hotpathd")
	set(&c.Supervisor.StartTimeout, 15*time.Second)
	set(&c.Supervisor.DrainTimeout, 5*time.Second)
	c.Comparison = c.Comparison.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Metrics == nil {
		c.Metrics = metrics.Discard{}
	}
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
