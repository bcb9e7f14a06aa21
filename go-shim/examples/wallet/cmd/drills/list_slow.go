package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

const (
	// hopTimeout is walletd's default, and slowReply is longer.
	hopTimeout = 100 * time.Millisecond
	slowReply  = 3 * hopTimeout
)

// slowDrills have a sidecar that answers late or not at all, or does not hear of events.
func slowDrills() []drill {
	proxied := setup{sidecar: rig.Attach, proxied: true}
	return []drill{
		{
			name: "slow", fault: "replies of the sidecar take 300 ms longer", short: true,
			shows: "hotpath_shim_fallbacks_total by hop_timeout, and hotpath_shim_breaker_open",
			setup: proxied, strike: func(_ context.Context, s *stage) error {
				s.proxy.delay.Store(int64(slowReply))
				return nil
			},
			seen: metrics(func(before, now view) bool {
				return now.Reasons["hop_timeout"] > before.Reasons["hop_timeout"] && now.BreakersOpen > 0
			}),
			mend: func(_ context.Context, s *stage) error {
				s.proxy.delay.Store(0)
				return nil
			},
			back: metrics(wellAgain),
		},
		{
			name: "stale", fault: "the connection with the feed stalls", shows: "hotpath_shim_sidecar_ready is 0", short: true,
			setup: proxied, strike: holdFeed(true), seen: metrics(func(_, now view) bool { return !now.Ready }),
			mend: holdFeed(false), back: metrics(wellAgain),
		},
		{
			name: "full-queue", fault: "in shadow, the sidecar does not answer and comparisons are flooded",
			shows: "hotpath_shim_comparisons_dropped_total by queue_full", short: true,
			setup:  setup{sidecar: rig.Attach, proxied: true, mode: "shadow"},
			strike: steps(holdCalls(true), flood),
			seen: metrics(func(before, now view) bool {
				return now.Uncompared["queue_full"] > before.Uncompared["queue_full"]
			}),
			mend: steps(endFlood, holdCalls(false)), back: metrics(wellAgain),
		},
		{
			name: "full-lanes", fault: "the sidecar takes no bytes while many long requests come",
			shows: "hotpath_shim_fallbacks_total by busy", short: true,
			// The requests must come before a breaker opens.
			setup:  setup{sidecar: rig.Attach, proxied: true, args: []string{"--hop-timeout-ms", "3000"}},
			strike: steps(holdCalls(true), floodLong),
			seen:   metrics(func(before, now view) bool { return now.Reasons["busy"] > before.Reasons["busy"] }),
			mend:   steps(endFlood, holdCalls(false)), back: metrics(wellAgain),
		},
	}
}

func holdFeed(held bool) step {
	return func(_ context.Context, s *stage) error {
		s.proxy.feedHeld.Store(held)
		return nil
	}
}

func holdCalls(held bool) step {
	return func(_ context.Context, s *stage) error {
		s.proxy.callsHeld.Store(held)
		return nil
	}
}

const (
	// flooders are callers without a pause. Longest have requests of nearly 64 KiB, the most that a lane carries; as many
	// at once are twice as much as two lanes take.
	flooders, longest64 = 16, 160
	// batchAccounts of idBytes each make such a request.
	batchAccounts, idBytes = 900, 60
)

// flood adds callers who ask for balances.
func flood(ctx context.Context, s *stage) error {
	ctx, s.burst = context.WithCancel(ctx)
	s.callers.flood(ctx, flooders, func(random *rand.Rand) ask.Question { return s.callers.mix.Question(random, 0) })
	return nil
}

// floodLong adds callers with long requests.
func floodLong(ctx context.Context, s *stage) error {
	ctx, s.burst = context.WithCancel(ctx)
	request := new(walletv1.BatchGetBalancesRequest)
	for n := range batchAccounts {
		id := fmt.Sprintf("nobody-%d-", n)
		request.AccountIds = append(request.AccountIds, id+strings.Repeat("x", idBytes-len(id)))
	}
	question := ask.New(1, request)
	s.callers.flood(ctx, longest64, func(*rand.Rand) ask.Question { return question })
	return nil
}

// endFlood returns when no call of the flood is under way.
func endFlood(_ context.Context, s *stage) error {
	s.burst()
	s.callers.flooding.Wait()
	return nil
}
