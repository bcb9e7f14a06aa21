package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/oracle"
)

// made returns a source with so many events of 0 to 9 bytes, and the same events.
func madeOf(random *rand.Rand, n int) (*source, [][]byte) {
	s := newSource("x")
	var all [][]byte
	for range n {
		event := bytes.Repeat([]byte{byte(random.IntN(256))}, random.IntN(10))
		s.add(random.IntN(4), func(b []byte, _ uint64) []byte { return append(b, event...) })
		all = append(all, event)
	}
	return s, all
}

func TestReadGivesWhatWasAdded(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		s, all := madeOf(random, 2*perChunk+random.IntN(perChunk))
		head := 1 + random.IntN(len(all))
		s.commit(uint64(head))
		for range 300 {
			from, limit, most := 1+random.IntN(head), 1+random.IntN(200), random.IntN(300)
			var want [][]byte
			size := 0
			for _, event := range all[from-1 : head] {
				if size += len(event); len(want) == limit || size > most && len(want) > 0 {
					break
				}
				want = append(want, event)
			}
			got, err := s.Read(t.Context(), uint64(from), limit, most)
			if err != nil || len(got) != len(want) || !bytes.Equal(bytes.Join(got, []byte("|")), bytes.Join(want, []byte("|"))) {
				t.Fatalf("seed %d, head %d, from %d, limit %d, at most %d bytes: %d events, not %d: %v", seed, head, from, limit, most,
					len(got), len(want), err)
			}
		}
	}
}

func TestReadWaitsForACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := madeOf(rand.New(rand.NewPCG(1, 1)), 10)
		s.commit(4)
		ctx, cancel := context.WithCancel(t.Context())
		read := make(chan int, 1)
		var failed error
		go func() {
			events, err := s.Read(ctx, 5, 100, 1000)
			failed = err
			read <- len(events)
		}()
		synctest.Wait()
		if len(read) != 0 {
			t.Fatal("it read what is not committed")
		}
		s.commit(7)
		if n := <-read; n != 3 || failed != nil {
			t.Errorf("%d events, %v", n, failed)
		}
		go func() {
			_, err := s.Read(ctx, 8, 100, 1000)
			failed = err
			read <- 0
		}()
		synctest.Wait()
		cancel()
		if <-read; !errors.Is(failed, context.Canceled) {
			t.Errorf("%v", failed)
		}
	})
}

func TestLentEventsAreCommittedAsTheyAreTaken(t *testing.T) {
	s, _ := madeOf(rand.New(rand.NewPCG(2, 2)), 100)
	s.commit(10)
	s.lend(70, 25)
	for from, heads := uint64(1), []uint64{10, 35, 60, 70}; len(heads) > 0; heads = heads[1:] {
		events, err := s.Read(t.Context(), from, 1000, 1<<20)
		if from += uint64(len(events)); err != nil || s.Head() != heads[0] || from != heads[0]+1 {
			t.Fatalf("head %d, read up to %d, want %d: %v", s.Head(), from-1, heads[0], err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if events, err := s.Read(ctx, 71, 1000, 1<<20); err == nil || s.Head() != 70 {
		t.Errorf("%d events beyond what was lent, head %d", len(events), s.Head())
	}
}

func TestTheMakerAddsUpAsTheOracleDoes(t *testing.T) {
	for seed := range uint64(12) {
		addsUp(t, seed)
	}
}

func addsUp(t *testing.T, seed uint64) {
	t.Helper()
	s, m, truth := newSource("x"), newMaker(seed, 2_000), new(oracle.Oracle)
	m.fill(s, 1_500)
	for m.made < 2_000 {
		last := m.toUS
		if m.add(s); m.toUS < last {
			t.Errorf("seed %d: the end went back from %d to %d", seed, last, m.toUS)
		}
	}
	s.commit(s.made())
	counted := 0
	for position := uint64(1); position <= s.made(); position++ {
		tx, err := ledger.DecodeEvent(s.event(position))
		if err != nil || tx.GetPosition() != position {
			t.Fatalf("position %d: %v, %v", position, tx, err)
		}
		if err := ledger.Validate(tx); err != nil {
			t.Fatal(err)
		}
		truth.Add(tx)
		counted += len(tx.GetEntries())
		if at := tx.GetOccurredAtUs(); at < m.fromUS || at >= m.toUS {
			t.Errorf("seed %d: %d is not from %d to %d", seed, at, m.fromUS, m.toUS)
		}
		if n := s.entriesUpTo(position); n != counted {
			t.Fatalf("%d entries up to %d, not %d", n, position, counted)
		}
	}
	if counted != m.made || counted < 2_000 || counted > 2_010 {
		t.Errorf("%d entries, %d counted", m.made, counted)
	}
	of := 0
	for _, id := range m.byLength() {
		of += m.accounts[id].entries
		request, err := proto.Marshal(&walletv1.GetBalanceRequest{AccountId: id})
		if err != nil {
			t.Fatal(err)
		}
		got, err := proto.MarshalOptions{Deterministic: true}.Marshal(m.balances(id))
		if want := truth.Ask(s.made(), ask.Hot[balances], request); err != nil || want.Message != "" || !bytes.Equal(got, want.Response) {
			t.Errorf("seed %d: %s: %v, %s %v", seed, id, m.balances(id), want.Message, err)
		}
	}
	if of != counted {
		t.Errorf("accounts have %d entries of %d", of, counted)
	}
}

func TestTheSameSeedMakesTheSameEvents(t *testing.T) {
	text := func(seed uint64) string {
		s, m := newSource("x"), newMaker(seed, 5_000)
		m.fill(s, 5_000)
		return fmt.Sprintf("%x %+v", s.chunks[0].bytes, m.skew())
	}
	if first, again, other := text(1), text(1), text(2); first != again || first == other {
		t.Error("one seed, one ledger")
	}
}

func TestTheLedgerIsSkewed(t *testing.T) {
	s, m := newSource("x"), newMaker(1, 100_000)
	m.fill(s, 100_000)
	if got := m.skew(); got.Accounts < 1_000 || got.Accounts > 1_100 || got.Median > 20 || got.P99 < 500 || got.P99 > 2_500 ||
		got.Longest < 15_000 || got.Longest > 30_000 {
		t.Errorf("%+v", got)
	}
}
