package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
	"hotpath.dev/go-shim/examples/wallet/oracle"
	"hotpath.dev/go-shim/examples/wallet/walletgen"
)

// seedVariable, if set, makes the test run with this seed only. A failure names its seed.
const seedVariable = "E2E_SEED"

// heavySeed is the first seed whose ledger has sums beyond int64.
const heavySeed = 100

// TestEverySideGivesTheSameBytes checks that legacy Go, the best Go with and without its index, Go from its database, the
// sidecar through the shim, the sidecar asked directly and the oracle give the same bytes for the same question at the
// same position, while transactions keep coming.
func TestEverySideGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	seeds := []uint64{1, 2, 3, 4, heavySeed}
	if text := os.Getenv(seedVariable); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			newEquality(t, seed).run()
		})
	}
}

// equality is one random ledger on all sides.
type equality struct {
	t      *testing.T
	seed   uint64
	gen    *walletgen.Gen
	random *rand.Rand
	truth  oracle.Oracle
	// legacy, best, scan and stored have no sidecar. shimmed forwards to the sidecar, and has nothing else in memory. direct is
	// a connection to the sidecar itself.
	legacy, best, scan, stored, shimmed *service
	direct                              *grpc.ClientConn
	seen                                map[codes.Code]int
	asked                               uint64
}

func newEquality(t *testing.T, seed uint64) *equality {
	t.Helper()
	p := newPlace(t)
	sidecar := p.hotpathd("--retain-ms", "3600000", "--retain-versions", "100000")
	e := &equality{
		t: t, seed: seed, gen: walletgen.New(seed, seed >= heavySeed), random: rand.New(rand.NewPCG(seed, 1)),
		legacy:  newPlace(t).walletd(rig.Off),
		best:    newPlace(t).walletd(rig.Off, "--read-model", "best", "--stream-workers", "4"),
		scan:    newPlace(t).walletd(rig.Off, "--read-model", "best-scan"),
		stored:  newPlace(t).walletd(rig.Off, "--read-model", "store"),
		shimmed: p.walletd(rig.Attach, "--read-model", "store"), direct: dial(t, sidecar.Listen),
		seen: make(map[codes.Code]int),
	}
	e.shimmed.caughtUp()
	return e
}

func (e *equality) run() {
	rounds, posts, questions := 10, 5, 20
	if e.seed >= heavySeed {
		// Sums exceed int64 only after many large transactions.
		rounds, posts, questions = 40, 12, 8
	}
	if testing.Short() && e.seed < heavySeed {
		rounds = 4
	}
	before := e.shimmed.shim()
	for range rounds {
		for range posts {
			e.post()
		}
		for range questions {
			e.ask()
		}
	}
	if e.seen[codes.OK] < rounds*questions/2 || e.seen[codes.InvalidArgument] == 0 || e.seen[codes.NotFound] == 0 ||
		e.seed >= heavySeed && e.seen[codes.OutOfRange] == 0 {
		e.t.Errorf("seed %d: the questions prove little: %v", e.seed, e.seen)
	}
	served := e.shimmed.shim().Served[rig.SidecarMode] - before.Served[rig.SidecarMode]
	if served < e.asked/2 {
		e.t.Errorf("seed %d: the sidecar answered only %d of %d through the shim", e.seed, served, e.asked)
	}
	e.t.Logf("%d transactions, %d questions on seven sides, %d by the sidecar through the shim: %v", e.truth.Position(),
		e.asked, served, e.seen)
}

// post posts the same transaction to all services and the oracle. They must agree on it, whether it is good or bad.
func (e *equality) post() {
	e.t.Helper()
	request := e.gen.Post()
	encoded := encode(e.t, request)
	want := e.truth.Post(request)
	for name, conn := range map[string]*grpc.ClientConn{
		"legacy": e.legacy.conn, "best": e.best.conn, "scan": e.scan.conn, "stored": e.stored.conn,
		"with the shim": e.shimmed.conn,
	} {
		ctx, cancel := withTimeout()
		got := ask.Call(ctx, conn, walletv1.WalletService_PostTransaction_FullMethodName, encoded, nil)
		cancel()
		if got.Code != want.Code || got.Message != want.Message || string(got.Reply) != string(want.Response) {
			e.t.Fatalf("seed %d: %s: post %v\n%s %x\noracle: %v %q %x", e.seed, name, request, got, got.Reply,
				want.Code, want.Message, want.Response)
		}
	}
}

// ask asks all sides one question at a random position. In one of three cases it is the newest.
func (e *equality) ask() {
	e.t.Helper()
	at := e.random.Uint64N(e.truth.Position() + 1)
	if e.random.IntN(3) == 0 {
		at = e.truth.Position()
	}
	one := e.gen.Question()
	question := ask.Question{Method: methodIndex(e.t, one.Method), Request: one.Encoded}
	truth := e.truth.Ask(at, one.Method, one.Encoded)
	want := ask.Answer{
		Code: truth.Code, Message: truth.Message, Reply: truth.Response, Position: at, HasPosition: true,
	}
	for name, conn := range map[string]*grpc.ClientConn{
		"legacy": e.legacy.conn, "best": e.best.conn, "scan": e.scan.conn, "stored": e.stored.conn,
		"sidecar through the shim": e.shimmed.conn, "sidecar directly": e.direct,
	} {
		got := put(conn, question, true, at)
		if what := ask.Differ(want, got); what != "" {
			e.t.Fatalf("seed %d: %s at position %d is not the oracle: %s\n%s\noracle: %s\n%s: %s\nagain: %s=%d go test -run %s",
				e.seed, name, at, what, question.Text(), question.AnswerText(want), name, question.AnswerText(got),
				seedVariable, e.seed, e.t.Name())
		}
	}
	e.seen[want.Code]++
	e.asked++
}

func methodIndex(t *testing.T, full string) int {
	t.Helper()
	for i, method := range ask.Hot {
		if method == full {
			return i
		}
	}
	t.Fatalf("%s is not a hot method", full)
	return 0
}
