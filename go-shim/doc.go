// Package shim forwards chosen unary methods of a grpc-go service to a sidecar and answers them itself whenever the
// sidecar can't: a caller sees an answer, never the hop.
//
// Adopting it takes three lines: Open (and Close), the options, and the registrar that wraps the server:
//
//	side, err := shim.Open(ctx, shim.Config{Run: shim.Supervise, Methods: hot}, ledger)
//	server := grpc.NewServer(side.ServerOptions(options)...)
//	walletv1.RegisterWalletServiceServer(side.Wrap(server), service)
//
// # What is an answer
//
// A status is an answer if the sidecar names the ledger position that decided it, in header or trailer, and if that
// position is one that was asked for. Everything else is a failure of the infrastructure: the same request bytes then go
// to the local handler, within what is left of the caller's deadline. A caller sees x-hotpath-position only if its own
// request carried an x-hotpath-* key, and Config.CallerPositions lets it.
//
// # Who sees what
//
// What server interceptors see of a hot method depends on Config.Interceptors alone, not on who answers: typed messages
// (Decoded), or *codec.Raw (Raw). Without interceptors bytes pass through undecoded. Except with Raw interceptors, a
// method in mode Legacy, or without a ready sidecar, runs through the untouched generated handler. stats.Handlers see
// *codec.Raw as the payload of a message that passed through undecoded.
//
// # Parts
//
// Beside this package a service may use position, for the metadata that its own handlers obey; codec, for what Raw
// interceptors see; frontdoor, which bounds what callers can make any grpc-go server hold; metrics, an interface, and
// shimprom, which implements it for Prometheus; and shimtest, a scripted sidecar for its tests.
//
// This package composes; each technology has a package under internal that knows none above it: schema, modes, breaker,
// telemetry, transport with transport/lane and transport/unary, feed, link (connections and Hello), supervise.
package shim
