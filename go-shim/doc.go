// Package shim forwards chosen unary methods of a grpc-go service to a sidecar. Whenever the sidecar can't answer, the
// service's own handler does: a caller sees an answer, never the hop.
//
// Adopting it takes three lines: Open (and Close), the server options, and the registrar that wraps the server:
//
//	side, err := shim.Open(ctx, shim.Config{Run: shim.Supervise, Methods: hot}, ledger)
//	server := grpc.NewServer(side.ServerOptions(options)...)
//	walletv1.RegisterWalletServiceServer(side.Wrap(server), service)
//
// # What is an answer
//
// A status is an answer if the sidecar names the ledger position that decided it, in header or trailer, and if the
// request allows that position. Everything else is a failure of the infrastructure. The local handler then gets the
// same request bytes and what is left of the caller's deadline. A caller sees x-hotpath-position only if its own
// request carried an x-hotpath-* key and Config.CallerPositions is set.
//
// # Who sees what
//
// What server interceptors see of a hot method depends on Config.Interceptors alone, not on who answers: typed messages
// (Decoded), or *codec.Raw (Raw). Without interceptors, bytes pass through undecoded. A method in mode Legacy, or
// without a ready sidecar, runs through the untouched generated handler, except with Raw interceptors or in a mode that
// compares. A stats.Handler sees *codec.Raw as the payload of a message that passed through undecoded.
//
// # Parts
//
// A service may also use package position, for the metadata that its own handlers obey; codec, for what Raw interceptors
// see; metrics, the interface that the shim reports to, and shimprom, which implements it for Prometheus; tracing, the
// interface for spans, and shimotel, which implements it for OpenTelemetry; shimtest, a scripted sidecar for tests; and
// frontdoor, which bounds what callers can make any grpc-go server hold.
//
// This package composes packages under internal, one per technology, none of which imports this one: schema, modes,
// breaker, shadow (comparisons) and evidence (what they leave), telemetry, transport with transport/lane and
// transport/unary, feed, link (connections and Hello), wire, h2 and quiet (what lanes are made of), splice (the spliced
// door, also made of h2 and quiet), workers (which run local handlers behind it), supervise and rundir (its folder),
// standby (which of two sidecars is asked), and backoff, ratelog and experiment, which several of them use.
//
// Files of this package:
//
//	config.go, validate.go                    Config, and all mistakes in it
//	open.go, shim.go                          Open and Close
//	registrar.go                              Wrap, ServerOptions, Check
//	sidecar.go, either.go                     one sidecar, or two; which one gets a request
//	handler.go, forward.go                    the way of one request: budget, call, judgement, fallback, panics
//	hedge.go                                  a request for both sides
//	reason.go, decline.go, breakers.go        why Go answered, and when the sidecar is not asked
//	comparison.go, compare.go, demote.go      answers of the two sides compared, and what follows from a difference
//	local.go, foreign.go                      headers that would be lost; a codec that is not the shim's
//	trace.go, tracer.go, status.go, creds.go  trace context, spans, statuses, sockets
//	front_door.go, door.go, door_hop.go       the settings and the policy of the spliced door; its calls' way to a sidecar
//	door_local.go, door_local_stream.go       local handlers behind it, without grpc-go
package shim
