package e2e

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

// TestWalletdIsKilledUnderLoad kills the Go process, not the sidecar, while callers post and read. Then the next walletd
// and the sidecar that stayed know every post that was acknowledged, and the sidecar keeps nothing of the calls that were
// under way.
func TestWalletdIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	sidecar := p.hotpathd()
	s := p.walletd(rig.Attach)
	var known [callers]int64
	for life := range 3 {
		s.caughtUp()
		s.postUntilKilled(fmt.Sprint("life-", life), &known)
		stillRuns(t, "hotpathd", sidecar.Done())
		s = p.walletd(rig.Attach)
		s.caughtUp()
		for n := range known {
			// The last post may have been committed without an acknowledgement.
			account := fmt.Sprint("kept-", n)
			if wrong := holds(s.balance(account), known[n]); wrong != "" {
				if holds(s.balance(account), known[n]+1) != "" {
					t.Errorf("after life %d, %s: %s", life, account, wrong)
				}
				known[n]++
			}
		}
	}
	s.mustServe("kept-0")
	awaitTrue(t, "nothing is under way", func() bool { return metric(t, sidecar.Admin, "hotpathd_in_flight") == 0 })
}

// postUntilKilled has callers post and read, and kills walletd meanwhile. known are the acknowledged posts of 1 of each caller.
func (s *service) postUntilKilled(life string, known *[callers]int64) {
	s.t.Helper()
	var group sync.WaitGroup
	var asked atomic.Int64
	var killed atomic.Bool
	for n := range known {
		group.Go(func() {
			account := fmt.Sprint("kept-", n)
			for post := 0; ; post++ {
				if _, err := s.tryPost(fmt.Sprintf("%s-%s-%d", account, life, post), account, 1); err != nil {
					if !killed.Load() {
						s.t.Error(err)
					}
					return
				}
				known[n]++
				for range 4 {
					answer := s.balance(account)
					if killed.Load() {
						return
					}
					asked.Add(1)
					if wrong := holds(answer, known[n]); wrong != "" {
						s.t.Errorf("%s: %s", account, wrong)
						return
					}
				}
			}
		})
	}
	awaitTrue(s.t, "many were answered", func() bool { return asked.Load() > 300 || s.t.Failed() })
	killed.Store(true)
	s.Kill()
	group.Wait()
}
