package e2e

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
)

// load posts and asks in the background. It checks every answer: none may fail, be older than what the same caller has
// posted, or be wrong.
type load struct {
	s      *service
	cancel context.CancelFunc
	group  sync.WaitGroup
	asked  atomic.Int64
	// wrong describes the first wrong answer or failed post.
	wrong atomic.Pointer[string]
}

// busy starts callers that each post to their own account and at once read its balance.
func (s *service) busy(name string, callers int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{s: s, cancel: cancel}
	for n := range callers {
		l.group.Go(func() { l.caller(ctx, fmt.Sprintf("%s-%d", name, n)) })
	}
	s.t.Cleanup(func() { l.cancel(); l.group.Wait() })
	return l
}

func (l *load) caller(ctx context.Context, account string) {
	var sum int64
	for n := int64(1); ctx.Err() == nil; n++ {
		if _, err := l.s.tryPost(fmt.Sprintf("%s-%d", account, n), account, n); err != nil {
			l.report("%v", err)
			return
		}
		sum += n
		for range 3 {
			l.asked.Add(1)
			if wrong := holds(l.s.balance(account), sum); wrong != "" {
				l.report("%s after %d posts: %s", account, n, wrong)
				return
			}
		}
	}
}

// holds returns why an answer is not this one balance, or "".
func holds(answer ask.Answer, posted int64) string {
	if !answer.Decided() || answer.Code != 0 {
		return answer.String()
	}
	balance := new(walletv1.GetBalanceResponse)
	if err := proto.Unmarshal(answer.Reply, balance); err != nil {
		return err.Error()
	}
	if rows := balance.GetBalances(); len(rows) != 1 || rows[0].GetPosted() != posted {
		return fmt.Sprintf("%v, not %d (%s)", rows, posted, answer)
	}
	return ""
}

func (l *load) report(format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	l.wrong.CompareAndSwap(nil, &text)
}

// more waits for n further questions, so that the test goes on under load.
func (l *load) more(n int64) {
	l.s.t.Helper()
	until := l.asked.Load() + n
	err := l.s.Await(fmt.Sprintf("%d more questions", n), testTimeout, func() bool {
		return l.asked.Load() >= until || l.wrong.Load() != nil
	})
	if err != nil {
		l.s.t.Fatal(err)
	}
	l.check()
}

func (l *load) check() {
	l.s.t.Helper()
	if wrong := l.wrong.Load(); wrong != nil {
		l.s.t.Fatal(*wrong)
	}
}

// end stops the callers, and fails the test if any answer was wrong.
func (l *load) end() {
	l.s.t.Helper()
	l.cancel()
	l.group.Wait()
	l.check()
	l.s.t.Logf("%d questions, none wrong", l.asked.Load())
}
