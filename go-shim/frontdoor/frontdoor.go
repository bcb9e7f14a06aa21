// Package frontdoor bounds what callers can make a grpc-go server hold: connections, calls whose message is still to
// come, handlers that run at once, and replies that are not read. grpc-go itself bounds none of them. The package has
// nothing to do with a sidecar.
//
//	door := frontdoor.New(frontdoor.Limits{})
//	server := grpc.NewServer(append(door.ServerOptions(), options...)...)
//	walletv1.RegisterWalletServiceServer(door.Wrap(server), wallet)
//	server.Serve(door.Listen(listener))
package frontdoor

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/keepalive"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/internal/ratelog"
	"hotpath.dev/go-shim/metrics"
)

// StreamWorkers is the number of goroutines that Options keeps for running calls.
const StreamWorkers = 128

// Defaults of Limits.
const (
	DefaultConnections = 10_000
	DefaultStreams     = 256
	DefaultWaiting     = 4_096
	DefaultRunning     = 1_024
	DefaultUnreadBytes = 128 << 20
	DefaultHeaderBytes = 64 << 10
	DefaultArrival     = 10 * time.Second
	DefaultStall       = time.Minute
)

// handshake is the time within which a connection must be ready for its first call.
const handshake = 10 * time.Second

// Limits are the limits of a server, over all its listeners. Zero means the default.
type Limits struct {
	// Connections is the number of open connections. The door closes further ones at once.
	Connections int
	// Streams is the number of concurrent streams of one connection. Well-behaved clients wait. A stream can cost some
	// 10 kB while its message is still to come, and some 4 kB while a short reply is not read.
	Streams uint32
	// Waiting is the number of calls whose message has not arrived yet. If there are more, the one that has waited longest is
	// RESOURCE_EXHAUSTED.
	Waiting int
	// Running is the number of handlers of unary calls that run at once. Further calls wait for their turn, in the order in
	// which their messages came, until their deadlines. Streams don't count: flow control holds up a handler that sends more
	// than its caller takes. Raise it if handlers wait long for something else, such as a database.
	Running int
	// UnreadBytes is the number of bytes of replies over 1 KiB that flow control has not let leave. Further replies are
	// RESOURCE_EXHAUSTED. One connection has at most a quarter, or one reply. Resident memory may grow by twice as much, because
	// Go's collector lets the heap grow to twice of what is in use.
	UnreadBytes int64
	// HeaderBytes is the size of the headers of one call.
	HeaderBytes uint32
	// Arrival is how long a message may take to arrive. Then its call is DEADLINE_EXCEEDED. Clocks in this package have
	// steps of a quarter of Arrival, and never end anything early.
	Arrival time.Duration
	// Stall is how long a caller may take nothing of what it is owed. Then the door closes its connection.
	Stall time.Duration

	// Codec is the codec that the server would otherwise get by grpc.ForceServerCodecV2. The default is the one that is
	// registered for proto. Name it here, and in a shim's Config too. Do not give it among the options that follow the
	// door's, because it does not know the messages that the door makes.
	Codec encoding.CodecV2
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Metrics receives the door's metrics. For Prometheus, use shimprom.New(registerer). Nil means that nobody gets
	// them. Each door needs a Meter of its own.
	Metrics metrics.Meter
}

// Door stands before one server.
type Door struct {
	limits   Limits
	metrics  *counters
	arrivals arrivals
	running  running
	unread   atomic.Int64
	warn     *ratelog.Limiter

	// callers maps the address that grpc-go shows for a connection to its caller. The key is a pointer, and each
	// connection has its own.
	callers sync.Map

	mu        sync.Mutex
	open      int
	listeners int
	ticking   bool
}

// New makes a door.
func New(limits Limits) *Door {
	set(&limits.Connections, DefaultConnections)
	set(&limits.Streams, DefaultStreams)
	set(&limits.Waiting, DefaultWaiting)
	set(&limits.Running, DefaultRunning)
	set(&limits.UnreadBytes, DefaultUnreadBytes)
	set(&limits.HeaderBytes, DefaultHeaderBytes)
	set(&limits.Arrival, DefaultArrival)
	set(&limits.Stall, DefaultStall)
	if limits.Logger == nil {
		limits.Logger = slog.Default()
	}
	d := &Door{limits: limits, warn: ratelog.New(limits.Logger, time.Second)}
	d.arrivals.most, d.arrivals.within = limits.Waiting, limits.Arrival
	d.running.turns = make(chan struct{}, limits.Running)
	d.metrics = newCounters(d, limits.Metrics)
	return d
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Options returns the options that a grpc-go server should have if it answers many cheap calls, whoever calls. Options
// that follow override them. A Door, whose options include these, bounds what options can't.
//
// The options bound what one connection may do, which grpc-go does not: MaxConcurrentStreams, MaxHeaderListSize,
// ConnectionTimeout and KeepaliveParams, with the defaults above.
//
// They also include grpc.NumStreamWorkers, which grpc-go calls experimental. A call on a new goroutine grows a stack
// each time, by copying it; a worker's stack has grown already. The table shows the CPU of all server processes per
// balance, with 128 calls in flight, divided by that of Go without workers. Go without workers divided by itself is
// 0.90-1.15 (loadtest/results/2026-11-21-linux-2-cores/front-door):
//
//	workers              none   32     64     128    256    512
//	answered locally     1      0.97   0.93   0.83   0.91   1.19
//	by the sidecar       1.40   -      -      1.01   -      1.22
//
// The best number of workers is about the number of concurrent calls. Workers take turns. If there are too many, their
// stacks leave the cache, and the collector shrinks them, before they are used again. When all workers are busy, a call
// gets a goroutine of its own, as without workers.
//
// Larger windows, larger read or write buffers and a shared write buffer were tried with small messages and gained
// nothing.
func Options() []grpc.ServerOption { return options(DefaultStreams, DefaultHeaderBytes) }

// ServerOptions returns options for grpc.NewServer: Options with the door's limits, and a codec that can tell when a
// reply has left and is otherwise Limits.Codec. Give them to Side.ServerOptions if there is a shim. Of two options of a
// kind, grpc-go takes the last.
func (d *Door) ServerOptions() []grpc.ServerOption {
	return append(options(d.limits.Streams, d.limits.HeaderBytes), grpc.ForceServerCodecV2(codec.New(d.limits.Codec)))
}

func options(streams, headerBytes uint32) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.NumStreamWorkers(StreamWorkers),
		grpc.MaxConcurrentStreams(streams),
		grpc.MaxHeaderListSize(headerBytes),
		grpc.ConnectionTimeout(handshake),
		// This gives up a peer that is silent, or whose kernel takes nothing.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
	}
}
