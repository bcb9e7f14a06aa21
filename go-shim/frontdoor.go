package shim

import (
	"google.golang.org/grpc"

	"hotpath.dev/go-shim/frontdoor"
)

// StreamWorkers is how many goroutines FrontDoor keeps to run calls on.
const StreamWorkers = frontdoor.StreamWorkers

// FrontDoor are the options that a grpc-go server should have that answers many cheap calls, forwarded or not, whoever
// calls. They have nothing to do with the sidecar: give them to a server without one too. Options that follow override
// them. What they can't bound, a frontdoor.Door does, whose options include these.
//
// They bound what one connection may do, which grpc-go does not: MaxConcurrentStreams, MaxHeaderListSize,
// ConnectionTimeout and KeepaliveParams, with the defaults of package frontdoor.
//
// And there is grpc.NumStreamWorkers, which grpc-go calls experimental. A call on a new goroutine grows a stack each time,
// by copying it; a worker's has grown already. CPU of all server processes a balance with 128 calls in flight, over Go
// without workers, which over itself is 0.90-1.15 (loadtest/results/2026-11-21-linux-2-cores/front-door):
//
//	workers              none   32     64     128    256    512
//	answered locally     1      0.97   0.93   0.83   0.91   1.19
//	by the sidecar       1.40   -      -      1.01   -      1.22
//
// Best are about as many as there are calls at once. Workers take turns, so that the stacks of too many leave the cache,
// and are shrunk by the collector, before they are used again. When all are busy, a call gets a goroutine of its own, as
// without them.
//
// Larger windows, larger read or write buffers and a shared write buffer were tried with small messages: no gain was seen.
func FrontDoor() []grpc.ServerOption { return frontdoor.Options() }
