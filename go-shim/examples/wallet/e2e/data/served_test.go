//go:build datatest

package data

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/proc"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

const (
	// testTimeout bounds waits. They reach it only if something is broken.
	testTimeout = 5 * time.Minute
	askers      = 16
)

// served is a ledger that walletd serves, mostly with an attached sidecar.
type served struct {
	t       *testing.T
	walletd *rig.Walletd
	sidecar *rig.Hotpathd
	// legacy has connections to walletd, which answers by itself until finalBalances switches it. direct has
	// connections to the sidecar itself. So it is always clear who answered. sidecar may be nil.
	legacy, direct []*grpc.ClientConn
	head           uint64
}

// imported runs `walletd import` and returns what it printed.
func imported(t *testing.T, dir, ledger, format string, rows int) string {
	t.Helper()
	log := filepath.Join(dir, "import.log")
	start := time.Now()
	err := proc.Run(proc.Spec{
		Name: "walletd import", Bin: found.walletd, Log: log,
		Args: []string{"import", "--db", filepath.Join(dir, "ledger.db"), "--format", format, file(found.data, ledger)},
	}, t.Context().Done())
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(start).Seconds()
	t.Logf("%s: %d rows imported in %.1f s (%.0f/s)", ledger, rows, took, float64(rows)/took)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// skippedRows returns the number of skipped rows from the import's output.
func skippedRows(t *testing.T, printed string) int {
	t.Helper()
	plain := strings.ReplaceAll(printed, ",", "")
	match := regexp.MustCompile(`(\d+) (?:rows? )?skipped|skipped[:= ]+(\d+)`).FindAllStringSubmatch(plain, -1)
	if match == nil {
		t.Fatalf("the import does not say how many rows it skipped:\n%s", printed)
	}
	last := match[len(match)-1]
	n, err := strconv.Atoi(last[1] + last[2])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// serve starts both processes on a ledger and waits until the sidecar has all of it, and every version from then on.
func serve(t *testing.T, dir string, want uint64) *served {
	t.Helper()
	spec := rig.WalletdSpec{
		Bin: found.walletd, Dir: dir, DB: filepath.Join(dir, "ledger.db"), StartWithin: testTimeout,
	}
	return start(t, spec, []string{"--retain-versions", "1000000", "--retain-events", "1000000", "--retain-ms", "3600000"}, want)
}

// start starts a walletd that answers by itself. With arguments of a sidecar it feeds one.
func start(t *testing.T, spec rig.WalletdSpec, sidecarArgs []string, want uint64) *served {
	t.Helper()
	s := &served{t: t}
	var err error
	if sidecarArgs != nil {
		spec.Sidecar, spec.Socket = rig.Attach, filepath.Join(spec.Dir, "s.sock")
		spec.Modes = filepath.Join(spec.Dir, "modes.toml")
		if err = rig.WriteModes(spec.Modes, rig.Legacy); err != nil {
			t.Fatal(err)
		}
		s.sidecar, err = rig.StartHotpathd(rig.HotpathdSpec{
			Bin: found.hotpathd, Dir: spec.Dir, Socket: spec.Socket, Args: sidecarArgs,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.stop)
	begun := time.Now()
	if s.walletd, err = rig.StartWalletd(spec); err != nil {
		t.Fatal(err)
	}
	listening := time.Since(begun)
	if s.head = want; s.sidecar != nil {
		shim, err := s.walletd.AwaitShim("the sidecar has the whole ledger", testTimeout, func(now rig.Shim) bool {
			return now.CaughtUp() && now.Head >= want
		})
		if err != nil {
			t.Fatal(err)
		}
		if s.head = shim.Head; s.head != want {
			t.Fatalf("the ledger is at %d, not %d", s.head, want)
		}
	}
	s.connect()
	s.sizes(strings.Join(spec.Args, " "), listening, time.Since(begun))
	return s
}

// stop ends both processes. It may be called again.
func (s *served) stop() {
	if s.walletd != nil {
		s.walletd.Stop(10 * time.Second)
	}
	if s.sidecar != nil {
		s.sidecar.Stop(10 * time.Second)
	}
}

func (s *served) connect() {
	targets := map[*[]*grpc.ClientConn]string{&s.legacy: s.walletd.GRPC}
	if s.sidecar != nil {
		targets[&s.direct] = s.sidecar.Listen
	}
	for into, target := range targets {
		for range 4 {
			conn, err := ask.Dial(target)
			if err != nil {
				s.t.Fatal(err)
			}
			s.t.Cleanup(func() { _ = conn.Close() })
			*into = append(*into, conn)
		}
	}
}

func (s *served) sizes(args string, listening, loaded time.Duration) {
	s.t.Helper()
	s.t.Logf("walletd %s has loaded the ledger after %.1f s", args, listening.Seconds())
	pids := map[string]int{"walletd": s.walletd.Pid()}
	if s.sidecar != nil {
		// The feed begins only after walletd has loaded the ledger itself.
		s.t.Logf("the sidecar has all %d transactions %.1f s later (%.0f/s)", s.head, (loaded - listening).Seconds(),
			float64(s.head)/(loaded-listening).Seconds())
		pids["hotpathd"] = s.sidecar.Pid()
	}
	for name, pid := range pids {
		account, err := proc.AccountOf(pid)
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Logf("%s: %.0f MB resident, %.1f s of CPU", name, float64(account.RSS)/1e6, account.CPU.Seconds())
	}
}

// each runs check for 0 to n-1 on several goroutines. It stops, and fails the test, when a check returns a text.
func (s *served) each(n int, what string, check func(n, asker int) string) {
	s.t.Helper()
	start := time.Now()
	var next atomic.Int64
	var wrong atomic.Pointer[string]
	var group sync.WaitGroup
	for asker := range askers {
		group.Go(func() {
			for at := int(next.Add(1)) - 1; at < n && wrong.Load() == nil; at = int(next.Add(1)) - 1 {
				if text := check(at, asker); text != "" {
					wrong.CompareAndSwap(nil, &text)
				}
			}
		})
	}
	group.Wait()
	if text := wrong.Load(); text != nil {
		s.t.Fatalf("%s: %s", what, *text)
	}
	took := time.Since(start)
	s.t.Logf("%s: %d in %.1f s (%.0f/s)", what, n, took.Seconds(), float64(n)/took.Seconds())
}

func put(conn *grpc.ClientConn, q ask.Question, md metadata.MD) ask.Answer {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	return ask.Put(ctx, conn, q, md)
}

// balanceAt returns "" if an account has this posted balance at a position. Otherwise it returns the difference.
func balanceAt(conn *grpc.ClientConn, account string, at uint64, posted int64) string {
	question := ask.New(0, &walletv1.GetBalanceRequest{AccountId: account})
	answer := put(conn, question, ask.At(at))
	reply := new(walletv1.GetBalanceResponse)
	if answer.Code != codes.OK || proto.Unmarshal(answer.Reply, reply) != nil || answer.Position != at {
		return fmt.Sprintf("%s at %d: %s", account, at, question.AnswerText(answer))
	}
	if rows := reply.GetBalances(); len(rows) != 1 || rows[0].GetPosted() != posted {
		return fmt.Sprintf("%s at %d: %v, not %d", account, at, rows, posted)
	}
	return ""
}

func (s *served) rowsHaveTheBanksBalance(name string, conns []*grpc.ClientConn, all []row) {
	s.t.Helper()
	s.each(len(all), name+": rows with the bank's balance", func(n, asker int) string {
		one := all[n]
		return balanceAt(conns[asker%len(conns)], "berka:"+one.account, one.position, one.balance)
	})
}

// postInOrderOfEachAccount posts what the importer would, for many accounts at once, and sets the rows' positions. The
// positions of one account's rows ascend, as its balances need. Rows of different accounts are in no order.
func (s *served) postInOrderOfEachAccount(all []row) {
	s.t.Helper()
	byAccount := make(map[string][]*row)
	for i := range all {
		byAccount[all[i].account] = append(byAccount[all[i].account], &all[i])
	}
	accounts := slices.Sorted(maps.Keys(byAccount))
	s.each(len(accounts), "accounts posted live", func(n, asker int) string {
		wallet := walletv1.NewWalletServiceClient(s.legacy[asker%len(s.legacy)])
		var position uint64
		for seq, one := range byAccount[accounts[n]] {
			if !one.skipped {
				reply, err := wallet.PostTransaction(s.t.Context(), &walletv1.PostTransactionRequest{
					TransactionId: fmt.Sprintf("berka:%s:%d", one.account, seq+1), OccurredAtUs: one.occurredAt, External: true,
					Entries: []*walletv1.Entry{{
						AccountId: "berka:" + one.account, Asset: "CZK", Amount: one.amount, Phase: walletv1.Phase_PHASE_POSTED,
					}},
				})
				if err != nil {
					return fmt.Sprintf("%+v: %v", *one, err)
				}
				position = reply.GetPosition()
			}
			one.position = position
		}
		return ""
	})
}

// finalBalances checks the balances of all accounts, a thousand in a question, with legacy Go, the sidecar, and the
// sidecar through the shim.
func (s *served) finalBalances(expected map[string]int64) {
	s.t.Helper()
	s.balances("legacy", s.legacy, expected)
	s.balances("sidecar", s.direct, expected)
	if err := s.walletd.Switch(rig.SidecarMode, testTimeout); err != nil {
		s.t.Fatal(err)
	}
	s.balances("sidecar through the shim", s.legacy, expected)
	shim, err := s.walletd.Shim(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	if shim.Served[rig.SidecarMode] == 0 {
		s.t.Errorf("the shim forwarded nothing: %+v", shim)
	}
}

func (s *served) balances(name string, conns []*grpc.ClientConn, expected map[string]int64) {
	s.t.Helper()
	ids := slices.Sorted(maps.Keys(expected))
	s.each((len(ids)+999)/1000, name+": batches of final balances", func(n, asker int) string {
		batch := ids[n*1000 : min(len(ids), (n+1)*1000)]
		question := ask.New(1, &walletv1.BatchGetBalancesRequest{AccountIds: batch})
		answer := put(conns[asker%len(conns)], question, ask.At(s.head))
		reply := new(walletv1.BatchGetBalancesResponse)
		if answer.Code != codes.OK || proto.Unmarshal(answer.Reply, reply) != nil || len(reply.GetAccounts()) != len(batch) {
			return question.AnswerText(answer)
		}
		for i, one := range reply.GetAccounts() {
			if rows := one.GetBalances(); len(rows) != 1 || rows[0].GetPosted() != expected[batch[i]] {
				return fmt.Sprintf("%s: %v, not %d", batch[i], rows, expected[batch[i]])
			}
		}
		return ""
	})
}
