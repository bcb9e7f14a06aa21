package shim

import (
	"google.golang.org/grpc"

	"hotpath.dev/go-shim/frontdoor"
)

// StreamWorkers is the number of goroutines that FrontDoor keeps for running calls.
const StreamWorkers = frontdoor.StreamWorkers

// FrontDoor returns the options that a grpc-go server should have if it answers many cheap calls, forwarded or not,
// whoever calls. The options have nothing to do with the sidecar, and suit a server without one too. Options that
// follow override them. A frontdoor.Door, whose options include these, bounds what options can't.
//
// The options bound what one connection may do, which grpc-go does not: MaxConcurrentStreams, MaxHeaderListSize,
// ConnectionTimeout and KeepaliveParams, with the defaults of package frontdoor.
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
func FrontDoor() []grpc.ServerOption { return frontdoor.Options() }
