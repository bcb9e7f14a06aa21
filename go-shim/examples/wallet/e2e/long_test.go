package e2e

import (
	"sync"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/probe"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// TestManyLongRepliesAtOnceComeFromTheSidecar asks for 128 series of some 170 kB each, at once. With a long hop timeout
// the sidecar must answer all of them, and compute each only once.
func TestManyLongRepliesAtOnceComeFromTheSidecar(t *testing.T) {
	t.Parallel()
	const many = 128
	p := newPlace(t)
	sidecar := p.hotpathd()
	s := p.walletd(rig.Attach, "--hop-timeout-ms", "60000")
	s.caughtUp()
	s.post("t-1", "acc", 7)
	s.mustServe("acc")
	before := s.shim()
	request := &walletv1.GetTimeSeriesRequest{AccountId: "acc", Asset: "GBP", ToUs: 10_000 * 3_600_000_000,
		Step: walletv1.Step_STEP_HOUR}
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			ctx, cancel := withTimeout()
			defer cancel()
			reply, err := s.wallet.GetTimeSeries(ctx, request)
			if err != nil || len(reply.GetBuckets()) != 10_000 {
				t.Errorf("%d buckets, %v", len(reply.GetBuckets()), err)
			}
		})
	}
	all.Wait()
	now := s.shim()
	if served := now.Served[rig.SidecarMode] - before.Served[rig.SidecarMode]; served != many || now.Fallbacks != before.Fallbacks {
		t.Errorf("%d of %d by the sidecar; fallbacks %v, before %v", served, many, now.Reasons, before.Reasons)
	}
	ctx, cancel := withTimeout()
	defer cancel()
	page, err := probe.Scrape(ctx, sidecar.Addresses.Admin)
	if err != nil {
		t.Fatal(err)
	}
	if n := page.Value("hotpathd_requests_total", probe.Labels{"method": "GetTimeSeries"}); n != many {
		t.Errorf("%v were computed for %d", n, many)
	}
}
