package oracle_test

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"hotpath.dev/go-shim/examples/wallet/internal/modeltest"
	"hotpath.dev/go-shim/examples/wallet/oracle"
	"hotpath.dev/go-shim/examples/wallet/readmodel"
	"hotpath.dev/go-shim/examples/wallet/service"
	"hotpath.dev/go-shim/examples/wallet/store"
	"hotpath.dev/go-shim/examples/wallet/walletgen"
	"hotpath.dev/go-shim/position"
)

// TestAnswersEqualOracleWhileTheReadModelChanges asks a service whose read model changes again and again, while a writer
// adds transactions. Every answer must be the oracle's at the position that it names, which must not be before the head
// that the caller had seen.
func TestAnswersEqualOracleWhileTheReadModelChanges(t *testing.T) {
	gen := walletgen.New(8, false)
	truth, booked := bookAll(gen)
	ledger := modeltest.Open(t)
	model := modeltest.Load(t, ledger, readmodel.NameLegacy)
	wallet := service.New(ledger, model)
	switcher := readmodel.NewSwitcher(ledger, readmodel.NameLegacy, model, wallet.Use, slog.New(slog.DiscardHandler))
	switcher.Loaded()
	t.Cleanup(switcher.Close)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var over atomic.Bool
	answered := make(chan struct{})
	var readers sync.WaitGroup
	for i := range concurrentReaders {
		var questions []walletgen.Question
		for range concurrentQuestions {
			questions = append(questions, gen.Question())
		}
		readers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 3))
			for n := 0; !over.Load() && !t.Failed(); n++ {
				askWhileItChanges(t, truth, wallet, ledger, questions[n%len(questions)], random)
				answered <- struct{}{}
			}
		})
	}
	go func() {
		readers.Wait()
		close(answered)
	}()
	var changes sync.WaitGroup
	changes.Go(func() {
		defer over.Store(true)
		for range 3 {
			for _, name := range []string{readmodel.NameStore, readmodel.NameBest, readmodel.NameStore, readmodel.NameLegacy, readmodel.NameBestScan} {
				before := ledger.Head()
				if err := switcher.Switch(name, "test", nil); err != nil {
					t.Error(err)
					return
				}
				// A share of the transactions comes in each model.
				until := min(before+uint64(len(booked)/15), uint64(len(booked)))
				if err := ledger.WaitHead(ctx, until); err != nil {
					t.Error(err)
					return
				}
				for switcher.Change().UnderWay {
					time.Sleep(time.Millisecond)
				}
				if c := switcher.Change(); c.Err != nil {
					t.Errorf("to %s: %v", name, c.Err)
				}
			}
		}
	})
	n, next := 0, 0
	for range answered {
		if n++; n%3 == 0 && next < len(booked) {
			if at, _, err := ledger.Post(context.Background(), booked[next]); err != nil || at != uint64(next+1) {
				t.Errorf("posted at %d: %v", at, err)
			}
			next++
		}
	}
	cancel()
	changes.Wait()
	t.Logf("%d answers, %d posts", n, next)
}

func askWhileItChanges(t *testing.T, truth *oracle.Oracle, wallet *service.Service, ledger *store.Store, question walletgen.Question, random *rand.Rand) {
	seen := ledger.Head()
	asked := metadata.Pairs(position.Key, "want", position.MinKey, uintText(seen))
	exact := random.IntN(3) == 0
	if exact {
		seen = random.Uint64N(seen + 1)
		asked = metadata.Pairs(position.AtKey, uintText(seen))
	}
	answer := new(header)
	got := call(metadata.NewIncomingContext(context.Background(), asked), wallet, answer, question)
	named := answer.md.Get(position.Key)
	if len(named) != 1 {
		t.Errorf("%v: no position: %v %s", asked, got.Code, got.Message)
		return
	}
	at, err := strconv.ParseUint(named[0], 10, 64)
	// A malformed request has the same answer at every position.
	if err != nil || at < seen || exact && at != seen && got.Code == codes.OK {
		t.Errorf("from %d on, exactly %v: answered at %d, %v", seen, exact, at, err)
		return
	}
	want := truth.Ask(at, question.Method, question.Encoded)
	if want.Code != got.Code || want.Message != got.Message || !bytes.Equal(want.Response, got.Response) {
		t.Errorf("%v at %d: %s %v\noracle:  %v %q %x\nservice: %v %q %x", asked, at, question.Method, question.Request,
			want.Code, want.Message, want.Response, got.Code, got.Message, got.Response)
	}
}
