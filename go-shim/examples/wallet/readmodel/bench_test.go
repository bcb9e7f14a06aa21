package readmodel

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/generate"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// The ledger of the benchmarks has half a million entries. The busiest account has one in twenty of them.
const (
	benchAccounts     = 20_000
	benchTransactions = 250_000
	benchAsset        = "GBP"
	decodedAtOnce     = 1024
)

// subject is an account that benchmarks ask about. Its name is the number of its entries.
type subject struct{ name, account string }

// bench holds what all benchmarks share. It is made once.
type bench struct {
	// events holds the encoded events, one behind the other; ends says where each ends. With half a million decoded
	// messages in memory the benchmarks would measure the garbage collector, not the models.
	events  []byte
	ends    []int
	entries int
	// subjects are the busiest account and a small one. batch has a thousand accounts of all sizes.
	subjects []subject
	batch    []string
	// fromUS and toUS enclose the middle half of the ledger's time, so that windows leave entries out.
	fromUS, toUS int64
	models       map[string]ReadModel
}

var makeBench = sync.OnceValue(func() *bench {
	g := generate.New(generate.Options{Seed: 1, Accounts: benchAccounts, Transactions: benchTransactions})
	b := &bench{fromUS: math.MaxInt64, toUS: math.MinInt64, models: make(map[string]ReadModel)}
	entries := make(map[string]int)
	for position := uint64(1); position <= benchTransactions; position++ {
		tx := g.Next()
		tx.Position = position
		b.events = ledger.AppendEvent(b.events, position, ledger.AppendBody(nil, tx))
		b.ends = append(b.ends, len(b.events))
		b.entries += len(tx.GetEntries())
		b.fromUS, b.toUS = min(b.fromUS, tx.GetOccurredAtUs()), max(b.toUS, tx.GetOccurredAtUs())
		for _, e := range tx.GetEntries() {
			if e.GetAsset() == benchAsset {
				entries[e.GetAccountId()]++
			}
			if len(b.batch) < 1000 && entries[e.GetAccountId()] == 1 && e.GetAsset() == benchAsset {
				b.batch = append(b.batch, e.GetAccountId())
			}
		}
	}
	quarter := (b.toUS - b.fromUS) / 4
	b.fromUS, b.toUS = b.fromUS+quarter, b.toUS-quarter
	busiest, small := "", ""
	for account, n := range entries {
		if n > entries[busiest] {
			busiest = account
		}
		if n == 12 && (small == "" || account < small) {
			small = account
		}
	}
	b.subjects = []subject{{fmt.Sprint(entries[busiest]), busiest}, {fmt.Sprint(entries[small]), small}}
	return b
})

func (in *bench) model(b *testing.B, name string) ReadModel {
	b.Helper()
	if in.models[name] == nil {
		m := newModel(b, name)
		for start := 0; start < len(in.ends); start += decodedAtOnce {
			for _, tx := range in.decode(b, start) {
				m.Apply(tx)
			}
		}
		in.models[name] = m
	}
	return in.models[name]
}

// each runs a benchmark on every model and subject.
func each(b *testing.B, read func(m ReadModel, in *bench, account string) error) {
	in := makeBench()
	for _, s := range in.subjects {
		for _, name := range Names() {
			m := in.model(b, name)
			b.Run(fmt.Sprintf("entries=%s/model=%s", s.name, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := read(m, in, s.account); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkGetBalance(b *testing.B) {
	each(b, func(m ReadModel, _ *bench, account string) error {
		_, _, err := m.GetBalance(Newest, &walletv1.GetBalanceRequest{AccountId: account})
		return err
	})
}

func BenchmarkGetBalanceAsOf(b *testing.B) {
	each(b, func(m ReadModel, in *bench, account string) error {
		_, _, err := m.GetBalance(Newest, &walletv1.GetBalanceRequest{AccountId: account, AsOfUs: &in.toUS})
		return err
	})
}

func BenchmarkBatchGetBalances(b *testing.B) {
	in := makeBench()
	for _, name := range Names() {
		m := in.model(b, name)
		b.Run(fmt.Sprintf("accounts=%d/model=%s", len(in.batch), name), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := m.BatchGetBalances(Newest, &walletv1.BatchGetBalancesRequest{AccountIds: in.batch}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGetStatistics(b *testing.B) {
	each(b, func(m ReadModel, in *bench, account string) error {
		_, _, err := m.GetStatistics(Newest, &walletv1.GetStatisticsRequest{
			AccountId: account, Asset: benchAsset, FromUs: in.fromUS, ToUs: in.toUS, Percentiles: []uint32{5000, 9500, 9900},
		})
		return err
	})
}

func BenchmarkGetTopCounterparties(b *testing.B) {
	each(b, func(m ReadModel, in *bench, account string) error {
		_, _, err := m.GetTopCounterparties(Newest, &walletv1.GetTopCounterpartiesRequest{
			AccountId: account, Asset: benchAsset, FromUs: in.fromUS, ToUs: in.toUS, Limit: 10,
		})
		return err
	})
}

func BenchmarkGetTimeSeries(b *testing.B) {
	each(b, func(m ReadModel, in *bench, account string) error {
		_, _, err := m.GetTimeSeries(Newest, &walletv1.GetTimeSeriesRequest{
			AccountId: account, Asset: benchAsset, FromUs: in.fromUS, ToUs: in.toUS, Step: walletv1.Step_STEP_DAY,
		})
		return err
	})
}

// BenchmarkApply loads the whole ledger. It leaves decoding out of the time, and also reports the bytes of a loaded
// entry.
func BenchmarkApply(b *testing.B) {
	in := makeBench()
	for _, name := range Names() {
		b.Run("model="+name, func(b *testing.B) {
			before := heapInUse()
			var m ReadModel
			for b.Loop() {
				m = newModel(b, name)
				for start := 0; start < len(in.ends); start += decodedAtOnce {
					b.StopTimer()
					decoded := in.decode(b, start)
					b.StartTimer()
					for _, tx := range decoded {
						m.Apply(tx)
					}
				}
			}
			took := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
			b.ReportMetric(took/float64(in.entries), "ns/entry")
			b.ReportMetric(float64(heapInUse()-before)/float64(in.entries), "B/entry")
			runtime.KeepAlive(m)
		})
	}
}

// BenchmarkGarbageCollection measures one garbage collection with nothing but a model in memory: the cost of holding
// the model, whoever makes the garbage.
func BenchmarkGarbageCollection(b *testing.B) {
	in := makeBench()
	for _, name := range Names() {
		clear(in.models)
		m := in.model(b, name)
		b.Run("model="+name, func(b *testing.B) {
			for b.Loop() {
				runtime.GC()
			}
		})
		runtime.KeepAlive(m)
	}
}

// decode returns up to decodedAtOnce transactions, from index start on.
func (in *bench) decode(b *testing.B, start int) []*walletv1.Transaction {
	b.Helper()
	var decoded []*walletv1.Transaction
	from := 0
	if start > 0 {
		from = in.ends[start-1]
	}
	for _, end := range in.ends[start:min(start+decodedAtOnce, len(in.ends))] {
		tx, err := ledger.DecodeEvent(in.events[from:end])
		if err != nil {
			b.Fatal(err)
		}
		decoded = append(decoded, tx)
		from = end
	}
	return decoded
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
