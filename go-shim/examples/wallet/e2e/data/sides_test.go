//go:build datatest

package data

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/mix"
	"hotpath.dev/go-shim/examples/wallet/internal/rig"
)

const (
	// The three ledgers get 21,000 questions together, each of them on all sides. The large one gets fewer, because the
	// side that reads the database needs up to a second for one.
	ofSmall, ofLarge = 1_600, 1_000
	// biggest is the number of largest accounts, which get every tenth question of the mix.
	biggest = 10
	// samples is the number of transactions by which the mix finds accounts.
	samples = 5_000
	// startWithin is long, because the store makes its tables at the first start.
	startWithin = 20 * time.Minute
)

// inquiry is the questions about one ledger.
type inquiry struct {
	seed      uint64
	questions []ask.Question
}

// inquire draws ofEach questions of each hot read. Every other one has a window at the edges of runs and blocks, unless the
// ledger has no account that is long enough.
func (s *served) inquire(seed uint64, ofEach int, at *edges) inquiry {
	s.t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	of, err := mix.Survey(s.t.Context(), walletv1.NewWalletServiceClient(s.legacy[0]), s.head, samples, random)
	if err != nil {
		s.t.Fatal(err)
	}
	q := inquiry{seed: seed}
	for m := range ask.Hot {
		for n := range ofEach {
			switch {
			case n%2 == 1 && m != 1 && len(at.places) > 0:
				q.questions = append(q.questions, at.question(random, m))
			case n%20 == 0:
				q.questions = append(q.questions, of.About(random, m, of.Busiest(biggest)[n/20%biggest]))
			default:
				q.questions = append(q.questions, of.Question(random, m))
			}
		}
	}
	return q
}

// everySideAnswersAlike asks legacy Go, the sidecar with and without its index, the best Go with and without its index, and
// Go from its database. copied is the folder of a copy of the ledger, on which the other walletds run one after the other.
func (s *served) everySideAnswersAlike(copied string, q inquiry) {
	s.t.Helper()
	start := time.Now()
	truth := make([]digest, len(q.questions))
	s.ask("legacy", s.legacy, q, func(n int, got ask.Answer) string {
		truth[n] = digestOf(got)
		return ""
	})
	compare := func(name string, conns []*grpc.ClientConn) {
		s.ask(name, conns, q, func(n int, got ask.Answer) string {
			if digestOf(got) == truth[n] {
				return ""
			}
			question := q.questions[n]
			want := put(s.legacy[0], question, ask.At(s.head))
			return fmt.Sprintf("seed %d, question %d: %s\n%s\nlegacy %s\n%s %s", q.seed, n, ask.Differ(want, got), question.Text(),
				question.AnswerText(want), name, question.AnswerText(got))
		})
	}
	compare("sidecar", s.direct)
	s.verified(q.seed)
	sides := 2
	for _, model := range []string{"best", "best-scan", "store"} {
		other := beside(s.t, copied, model, s.head)
		compare(model, other.legacy)
		sides++
		if other.sidecar != nil {
			compare("sidecar with --statistics scan", other.direct)
			sides++
		}
		other.stop()
	}
	s.t.Logf("%d questions, each on %d sides, all equal, in %.0f s (seed %d)", len(q.questions), sides,
		time.Since(start).Seconds(), q.seed)
}

// verified has `hotpathd verify` audit the sidecar, against legacy Go and against itself.
func (s *served) verified(seed uint64) {
	s.t.Helper()
	start := time.Now()
	output, err := exec.Command(found.hotpathd, "verify", "--socket", s.sidecar.Socket, "--go", s.walletd.GRPC,
		"--go-admin", s.walletd.Admin, "--admin", s.sidecar.Addresses.Admin, "--seed", strconv.FormatUint(seed, 10),
		"--questions", "2000", "--deadline-s", "1200").CombinedOutput()
	if err != nil {
		s.t.Fatalf("hotpathd verify: %v\n%s", err, output)
	}
	s.t.Logf("hotpathd verify, in %.0f s:\n%s", time.Since(start).Seconds(), output)
}

// ask asks one side everything, and logs how long each read took on average.
func (s *served) ask(name string, conns []*grpc.ClientConn, q inquiry, check func(n int, got ask.Answer) string) {
	s.t.Helper()
	var took [len(ask.Hot)]atomic.Int64
	s.each(len(q.questions), name+": answers", func(n, asker int) string {
		question, begun := q.questions[n], time.Now()
		got := put(conns[asker%len(conns)], question, ask.At(s.head))
		took[question.Method].Add(int64(time.Since(begun)))
		if !got.Decided() {
			return fmt.Sprintf("seed %d, question %d\n%s\n%s %s", q.seed, n, question.Text(), name, question.AnswerText(got))
		}
		return check(n, got)
	})
	ofEach := int64(len(q.questions) / len(ask.Hot))
	for m := range ask.Hot {
		mean := time.Duration(took[m].Load() / ofEach).Round(time.Microsecond)
		s.t.Logf("  %s: %v on average (%d in flight)", ask.Name(m), mean, askers)
	}
}

// digest stands for an answer. The answers of a whole ledger would take gigabytes.
type digest struct {
	status string
	reply  [sha256.Size]byte
}

func digestOf(a ask.Answer) digest {
	// An invalid argument is the same at every position, and names the newest one.
	return digest{fmt.Sprintf("%s %q %x %d", a.Code, a.Message, a.Details, a.Position), sha256.Sum256(a.Reply)}
}

// beside starts a walletd with another read model on the copy. The best one feeds a sidecar that scans.
func beside(t *testing.T, copied, model string, want uint64) *served {
	t.Helper()
	spec := rig.WalletdSpec{
		Bin: found.walletd, Dir: copied, DB: filepath.Join(copied, "ledger.db"), Args: []string{"--read-model", model},
		StartWithin: startWithin,
	}
	switch model {
	case "best":
		return start(t, spec, []string{"--statistics", "scan"}, want)
	case "store":
		// A caller whose turn does not come within 5 s is refused. Here none has to wait.
		spec.Args = append(spec.Args, "--store-reads", strconv.Itoa(askers))
	}
	return start(t, spec, nil, want)
}

// copyLedger copies a ledger that nobody serves.
func copyLedger(t *testing.T, from string) string {
	t.Helper()
	to := shortDir(t)
	source, err := os.Open(filepath.Join(from, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target, err := os.Create(filepath.Join(to, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(target, source); err != nil {
		t.Fatal(err)
	}
	if err := target.Close(); err != nil {
		t.Fatal(err)
	}
	return to
}
