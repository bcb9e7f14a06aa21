package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	shim "hotpath.dev/go-shim"
	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/readmodel"
	"hotpath.dev/go-shim/examples/wallet/service"
	"hotpath.dev/go-shim/examples/wallet/store"
	"hotpath.dev/go-shim/frontdoor"
	"hotpath.dev/go-shim/shimprom"
)

const serveUsage = `usage: walletd serve --db PATH [flags]

Answers the wallet API over gRPC, with reflection and health checks. The ledger is loaded into memory first; until then
calls are UNAVAILABLE and health is NOT_SERVING. A database that is read-only, or on a full disk, is served for reads; the
log says so. SIGTERM and SIGINT let running calls finish, for up to --drain-ms; a second one ends the process at once.

What callers can make it hold is bounded, by --max-connections, --max-streams, --max-running and --max-unread-bytes, and
in time: a request must arrive within 10 s, and a caller that takes nothing of its replies for a minute is cut off. Clocks of these
have steps of 2.5 s.

The admin address serves /metrics (Prometheus), /healthz, /readyz and /debug/pprof/. Anyone who reaches it can read
them: keep it on loopback. With a sidecar, /hotpath/ shows who answers, and on loopback and on --admin-socket it also changes
modes and rolls back.

A sidecar, hotpathd, can answer the CPU-heavy reads, with the same bytes; whenever it cannot, walletd does:
  --sidecar supervise   walletd starts it, restarts it, and ends it with itself; its settings are HOTPATHD_* in the
                        environment (see hotpathd --help)
  --sidecar attach      something else runs it, with the same socket: hotpathd --socket PATH
With --sidecars 2 there are two, both fed. One is asked; when it dies, hangs or is refused, the other takes over, and the
first stands by in its turn. That is for --read-model store, which cannot stand in for a sidecar under load. With attach
the second listens on PATH.1; with supervise both get the same HOTPATHD_*, where an address needs port 0.
A supervised sidecar is upgraded without a gap: replace its program, then hotpathctl upgrade --admin URL.
--modes FILE says, per method, whether it is asked, and may be edited meanwhile:
  default = "sidecar"
  [methods]
  "/wallet.v1.WalletService/GetBalance" = "legacy"
  "/wallet.v1.WalletService/GetStatistics" = "canary 25%"
A canary asks the sidecar about so many of a hundred accounts, always the same ones, and more of them if the number rises.
"shadow" has walletd answer, and compares its answers with the sidecar's; docs/rollout.md has the other modes. One real
difference has walletd answer that read, whatever --modes says, until hotpathctl lifts it (not with --keep-forwarding).
HOTPATH_MODES in the environment has modes for the reads that the file does not name, if it names no default:
  HOTPATH_MODES="default=legacy; /wallet.v1.WalletService/GetBalance=shadow 10%"
While the file of --kill-file exists, walletd answers everything itself: touch it to go back at once.
--otlp URL sends a span of each read that goes to the sidecar, if its caller traces it, to an OpenTelemetry collector. The
variables OTEL_EXPORTER_OTLP_* and OTEL_RESOURCE_ATTRIBUTES are obeyed.

--front-door spliced reads calls of those reads below grpc-go, for less CPU, and forwards them. With --front-local it also
has walletd's own reads answer there, with the same interceptors, metrics and bytes. A walletd without any sidecar gains
by the latter, too:
  --sidecar alone --front-door spliced --front-local

--read-model says how this process answers those reads itself, with the same bytes either way:
  legacy     behind a lock, from maps, slices and scans
  best-scan  immutable versions, so that readers never lock, and compact entries, which statistics scan
  best       as the sidecar does, as well as Go can: the same, with an index, so that statistics need not scan
  store      from the database, with nothing in memory: for a walletd that has a sidecar, and answers seldom. Newest
             balances are one row each; the rest is scanned. --store-reads answers are made at once, and more wait within
             the caller's time and are then RESOURCE_EXHAUSTED. The first start builds the tables for it, which takes
             about half as much room as the ledger; later ones add what was posted without them
With a sidecar, it is changed while walletd serves, either way, by hotpathctl (docs/rollout.md, "Decommission"):
  hotpathctl read-model --admin http://127.0.0.1:7451 store
Reads and posts go on meanwhile. A restart begins with --read-model again.

examples:
  walletd serve --db wallet.db
  walletd serve --db wallet.db --sidecar supervise --sidecar-bin target/bin/hotpathd --modes modes.toml
  walletd serve --db wallet.db --read-model store --sidecar supervise --sidecars 2
  walletd serve --db wallet.db --read-model best --sidecar alone --front-door spliced --front-local
  grpcurl -plaintext -d '{"account_id":"acct-1"}' 127.0.0.1:7450 wallet.v1.WalletService/GetBalance`

// maxStreamWorkers bounds the memory of the workers: each takes a few kilobytes, even when it has no work.
const maxStreamWorkers = 1 << 16

// serveConfig is the parsed and checked command line of serve.
type serveConfig struct {
	db, listen, admin, adminSocket, readModel, readyFile string
	drain                                                time.Duration
	maxMessageBytes                                      int
	door                                                 frontdoor.Limits
	// streamWorkers is how many goroutines wait for calls. 0 starts a new goroutine for each call.
	streamWorkers uint32
	lifeline      bool
	newStore      bool
	// storeReads is how many reads of the read model "store" run at once.
	storeReads int
	sidecar    sidecarConfig
}

func parseServe(args []string, out streams) (serveConfig, error) {
	var c serveConfig
	f := newFlags("serve", serveUsage, false)
	f.StringVar(&c.db, "db", "", "the store, a file that is created if need be")
	f.takeEmpty(&c.newStore)
	f.StringVar(&c.listen, "listen", "127.0.0.1:7450", "host:port for gRPC; port 0 takes a free one")
	f.StringVar(&c.admin, "admin", "127.0.0.1:7451", "host:port for the admin pages; port 0 takes a free one")
	f.StringVar(&c.adminSocket, "admin-socket", "", "a Unix socket for the admin pages, which only the same user can open")
	models := readmodel.AllNames()
	f.StringVar(&c.readModel, "read-model", readmodel.NameLegacy, "what answers the reads: "+strings.Join(models, ", "))
	storeReads := f.number("store-reads", store.DefaultViews, 1, 256, "reads of the database at once, with --read-model store")
	f.StringVar(&c.readyFile, "ready-file", "", "written once the ledger is loaded: JSON of pid, listen and admin")
	drainMS := f.number("drain-ms", 5000, 0, 600_000, "milliseconds that running calls may take to finish on shutdown")
	maxMessage := f.number("max-message-bytes", 4<<20, 64<<10, 64<<20, "bytes of the largest request and reply")
	connections := f.number("max-connections", frontdoor.DefaultConnections, 1, 1_000_000, "connections at once; more are closed at once")
	calls := f.number("max-streams", frontdoor.DefaultStreams, 1, 1<<16, "calls of one connection at once; well-behaved clients wait")
	running := f.number("max-running", frontdoor.DefaultRunning, 1, 1<<20, "handlers at once; further calls wait for their turn until their deadlines. Calls that a spliced front door answers don't count")
	unread := f.number("max-unread-bytes", frontdoor.DefaultUnreadBytes, 1<<20, 1<<40, "bytes of replies that callers have yet to take; more are RESOURCE_EXHAUSTED. One connection has at most a quarter")
	workers := f.number("stream-workers", frontdoor.StreamWorkers, 0, maxStreamWorkers, "goroutines kept to run calls on; 0 starts a new one for each call")
	f.BoolVar(&c.lifeline, "lifeline", false, "shut down when standard input ends, for programs that start walletd; what it reads there means nothing")
	c.sidecar.flags(f)
	f.required = []string{"db"}
	if _, err := f.parse(args, out); err != nil {
		return c, err
	}
	if !slices.Contains(models, c.readModel) {
		f.mistake("--read-model %q: must be one of %s", c.readModel, strings.Join(models, ", "))
	}
	f.address("listen", c.listen)
	f.address("admin", c.admin)
	if f.given("admin-socket") && len(c.adminSocket) > shim.MaxSocketBytes {
		f.mistake("--admin-socket: must be at most %d bytes: choose a shorter path", shim.MaxSocketBytes)
	}
	c.sidecar.check(f)
	if f.given("store-reads") && c.readModel != readmodel.NameStore && c.sidecar.run == shim.Off {
		f.mistake("--store-reads does nothing without --read-model store, or a sidecar, with which the model can change")
	}
	c.drain, c.maxMessageBytes = time.Duration(*drainMS)*time.Millisecond, int(*maxMessage)
	c.streamWorkers, c.storeReads = uint32(*workers), int(*storeReads)
	c.door = frontdoor.Limits{Connections: int(*connections), Streams: uint32(*calls), Running: int(*running), UnreadBytes: *unread}
	if *unread < *maxMessage {
		f.mistake("--max-unread-bytes %d: must be at least --max-message-bytes, which is %d", *unread, *maxMessage)
	}
	return c, f.check()
}

func runServe(ctx context.Context, args []string, out streams) error {
	c, err := parseServe(args, out)
	if err != nil {
		return err
	}
	ignoreBrokenPipes()
	log := slog.New(slog.NewTextHandler(out.stderr, nil))
	if c.lifeline {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		go awaitLifelineEnd(out.stdin, log, cancel)
	}
	telemetry := newTelemetry(log)
	ledger, err := store.Open(ctx, c.db, store.Options{
		OnCommit: telemetry.committed, New: c.newStore, ReadAnyway: true, Views: c.storeReads,
	})
	if err != nil {
		return err
	}
	if ledger.Created() {
		log.Warn("there was no store, so a new, empty one was created", "db", c.db)
	}
	if writeBlocked := ledger.WriteBlocked(); writeBlocked != nil {
		log.Error("only reads are served", "db", c.db, "cause", writeBlocked)
	}
	err = serve(ctx, c, ledger, telemetry, log)
	return errors.Join(err, ledger.Close())
}

// awaitLifelineEnd waits for the end of the lifeline, or an error on it, and then calls end.
func awaitLifelineEnd(lifeline io.Reader, log *slog.Logger, end func()) {
	_, _ = io.Copy(io.Discard, lifeline)
	log.Info("standard input has ended, which --lifeline takes as the order to shut down")
	end()
}

func serve(ctx context.Context, c serveConfig, ledger *store.Store, telemetry *telemetry, log *slog.Logger) error {
	model, err := readmodel.For(ledger, c.readModel)
	if err != nil {
		return err
	}
	wallet := service.New(ledger, model)
	models := readmodel.NewSwitcher(ledger, c.readModel, model, wallet.Use, log)
	telemetry.watch(ledger, models)
	listener, err := listen("listen", c.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	admin, err := startAdmin(c.admin, telemetry)
	if err != nil {
		return err
	}
	defer admin.close()

	checks := health.NewServer()
	setHealth(checks, healthpb.HealthCheckResponse_NOT_SERVING)
	loaded := make(chan struct{})
	var endTracing func()
	if telemetry.tracer, endTracing, err = openTracing(ctx, c.sidecar.otlp, log); err != nil {
		return err
	}
	defer endTracing()
	side, err := openSidecar(ctx, c, ledger, loaded, telemetry, log)
	if err != nil {
		return err
	}
	defer side.Close()
	defer models.Close()
	if err := admin.offer(c, side, models, log); err != nil {
		return err
	}
	c.door.Logger, c.door.Metrics = log, shimprom.New(telemetry.registry)
	door := frontdoor.New(c.door)
	server := newServer(wallet, side, door, serverOptions(c, telemetry, log)...)
	healthpb.RegisterHealthServer(door.Wrap(server), checks)
	reflection.Register(server)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(door.Listen(listener)) }()
	defer server.Stop()

	if err := load(ctx, ledger, model, log); err != nil {
		return err
	}
	close(loaded)
	models.Loaded()
	telemetry.loaded.Store(true)
	telemetry.ready.Store(true)
	setHealth(checks, healthpb.HealthCheckResponse_SERVING)
	if c.readyFile != "" {
		if err := writeReadyFile(c.readyFile, listener.Addr(), admin.address()); err != nil {
			return err
		}
	}
	log.Info("serving", "grpc", listener.Addr().String(), "admin", admin.address().String(), "position", ledger.Head())
	select {
	case err := <-failed:
		return fmt.Errorf("serve gRPC: %w", err)
	case <-ctx.Done():
	}
	telemetry.ready.Store(false)
	checks.Shutdown()
	drain(server, c.drain, log)
	return nil
}

// listen binds the address of a flag.
func listen(flag, address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w: %w", flag, errListen, err)
	}
	return listener, nil
}

// newServer returns a gRPC server with the wallet's service, behind the shim and the front door.
func newServer(wallet *service.Service, side *shim.Side, door *frontdoor.Door, options ...grpc.ServerOption) *grpc.Server {
	server := grpc.NewServer(side.ServerOptions(append(door.ServerOptions(), options...))...)
	walletv1.RegisterWalletServiceServer(side.Wrap(door.Wrap(server)), wallet)
	return server
}

func serverOptions(c serveConfig, telemetry *telemetry, log *slog.Logger) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.NumStreamWorkers(c.streamWorkers),
		grpc.ChainUnaryInterceptor(service.Interceptors(telemetry.calls, &telemetry.loaded, log)...),
		grpc.MaxRecvMsgSize(c.maxMessageBytes),
		grpc.MaxSendMsgSize(c.maxMessageBytes),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
}

func setHealth(checks *health.Server, state healthpb.HealthCheckResponse_ServingStatus) {
	checks.SetServingStatus("", state)
	checks.SetServingStatus(walletv1.WalletService_ServiceDesc.ServiceName, state)
}

func load(ctx context.Context, ledger *store.Store, model readmodel.ReadModel, log *slog.Logger) error {
	start := time.Now()
	reported := start
	err := ledger.Load(ctx, model, func(done, total uint64) {
		if time.Since(reported) >= time.Second {
			reported = time.Now()
			log.Info("loading the ledger", "position", done, "of", total)
		}
	})
	if err != nil {
		return err
	}
	size := model.Size()
	log.Info("loaded the ledger", "id", ledger.LedgerID(), "position", ledger.Head(), "accounts", size.Accounts,
		"entries", size.Entries, "took", time.Since(start).Round(time.Millisecond))
	return nil
}

// drain lets running calls finish, for at most longest.
func drain(server *grpc.Server, longest time.Duration, log *slog.Logger) {
	log.Info("stopping: finishing the calls that run", "longest", longest)
	timer := time.AfterFunc(longest, server.Stop)
	defer timer.Stop()
	server.GracefulStop()
}
