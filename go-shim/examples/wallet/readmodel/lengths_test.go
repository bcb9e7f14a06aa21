package readmodel

import (
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"runtime"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// The ledger and the questions are those of the sidecar's bench, rust-hotpath/wallet/benches/history.rs, to the byte.
// `make lengths` runs both, compares the replies by their hash, and draws the latencies.
const (
	richAccount   = "rich"
	lengthStartUS = 1_420_070_400_000_000 // 2015-01-01
	// upToVariable leaves out longer histories.
	upToVariable = "HISTORY_UP_TO"
)

// splitMix is the generator SplitMix64.
type splitMix uint64

func (r *splitMix) next() uint64 {
	*r += 0x9e37_79b9_7f4a_7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58_476d_1ce4_e5b9
	z = (z ^ z>>27) * 0x94d0_49bb_1331_11eb
	return z ^ z>>31
}

func (r *splitMix) below(n uint64) uint64 { return r.next() % n }

// skewed returns a number below n. Low numbers are far more frequent.
func (r *splitMix) skewed(n uint64) uint64 {
	u := float64(r.next()>>11) / (1 << 53)
	return uint64(float64(n) * u * u * u)
}

// payments returns a function that makes the payments of one account, by day over ten years, one in twenty booked late.
func payments(length uint64) func(position uint64) *walletv1.Transaction {
	random := splitMix(length)
	suppliers := max(length/20, 5)
	return func(position uint64) *walletv1.Transaction {
		day := int64(3650 * position / length)
		if random.below(20) == 0 {
			day -= int64(random.below(30))
		}
		other := fmt.Sprintf("supplier-%06d", random.skewed(suppliers))
		amount := 1 + int64(random.skewed(100_000_000))
		entry := func(account, counterparty string, amount int64) *walletv1.Entry {
			return &walletv1.Entry{
				AccountId: account, Asset: benchAsset, Amount: amount, Phase: walletv1.Phase_PHASE_POSTED, Kind: "spend",
				Counterparty: counterparty,
			}
		}
		return &walletv1.Transaction{
			Position: position, TransactionId: fmt.Sprint("t", position), OccurredAtUs: lengthStartUS + day*indexDayUS,
			Entries: []*walletv1.Entry{entry(richAccount, other, -amount), entry(other, richAccount, amount)},
		}
	}
}

// lengthReads are the questions about a window, from the bytes of a request to those of the reply.
func lengthReads(m ReadModel, from, to int64) map[string]func(into []byte) ([]byte, error) {
	encode := func(message proto.Message) []byte {
		encoded, err := proto.Marshal(message)
		if err != nil {
			panic(err)
		}
		return encoded
	}
	return map[string]func(into []byte) ([]byte, error){
		"statistics": answering(new(walletv1.GetStatisticsRequest), ledger.CheckGetStatistics, m.GetStatistics, encode(
			&walletv1.GetStatisticsRequest{
				AccountId: richAccount, Asset: benchAsset, FromUs: from, ToUs: to, Percentiles: []uint32{500, 2500, 5000, 9000, 9900},
			})),
		"top": answering(new(walletv1.GetTopCounterpartiesRequest), ledger.CheckGetTopCounterparties, m.GetTopCounterparties, encode(
			&walletv1.GetTopCounterpartiesRequest{AccountId: richAccount, Asset: benchAsset, FromUs: from, ToUs: to, Limit: 100})),
		"series": answering(new(walletv1.GetTimeSeriesRequest), ledger.CheckGetTimeSeries, m.GetTimeSeries, encode(
			&walletv1.GetTimeSeriesRequest{
				AccountId: richAccount, Asset: benchAsset, FromUs: from, ToUs: to, Step: walletv1.Step_STEP_MONTH,
			})),
		"as-of": answering(new(walletv1.GetBalanceRequest), ledger.CheckGetBalance, m.GetBalance, encode(
			&walletv1.GetBalanceRequest{AccountId: richAccount, AsOfUs: &to})),
	}
}

// answering does what the service does between the bytes of a request and those of the reply.
func answering[Q, R proto.Message](
	request Q, check func(Q) error, read func(uint64, Q) (R, uint64, error), encoded []byte,
) func(into []byte) ([]byte, error) {
	return func(into []byte) ([]byte, error) {
		decoded := request.ProtoReflect().New().Interface().(Q)
		if err := proto.Unmarshal(encoded, decoded); err != nil {
			return nil, err
		}
		if err := check(decoded); err != nil {
			return nil, err
		}
		reply, _, err := read(Newest, decoded)
		if err != nil {
			return nil, err
		}
		return proto.MarshalOptions{}.MarshalAppend(into[:0], reply)
	}
}

// BenchmarkByLength asks for windows of histories of all lengths: nearly all of the ten years, and one month of them. The
// latency of an index should hardly grow. It reports a hash of the reply too.
func BenchmarkByLength(b *testing.B) {
	for _, entries := range lengths(b) {
		for _, name := range Names() {
			m := newModel(b, name)
			next := payments(entries)
			for p := range entries {
				m.Apply(next(p + 1))
			}
			settle(m)
			for _, window := range []struct {
				name     string
				from, to int64
			}{
				{"years", lengthStartUS + 3*indexDayUS, lengthStartUS + 3641*indexDayUS},
				{"month", lengthStartUS + 1805*indexDayUS, lengthStartUS + 1835*indexDayUS},
			} {
				reads := lengthReads(m, window.from, window.to)
				for _, read := range []string{"statistics", "top", "series", "as-of"} {
					b.Run(fmt.Sprintf("read=%s/window=%s/entries=%d/model=%s", read, window.name, entries, name), func(b *testing.B) {
						askByLength(b, reads[read])
					})
				}
			}
			runtime.KeepAlive(m)
		}
	}
}

func askByLength(b *testing.B, read func(into []byte) ([]byte, error)) {
	b.ReportAllocs()
	var reply []byte
	for b.Loop() {
		var err error
		if reply, err = read(reply); err != nil {
			b.Fatal(err)
		}
	}
	hash := fnv.New32a()
	_, _ = hash.Write(reply)
	b.ReportMetric(float64(hash.Sum32()), "fnv1a")
}

func lengths(tb testing.TB) []uint64 {
	tb.Helper()
	upTo := uint64(math.MaxUint64)
	if text := os.Getenv(upToVariable); text != "" {
		var err error
		if upTo, err = strconv.ParseUint(text, 10, 64); err != nil {
			tb.Fatalf("%s: %v", upToVariable, err)
		}
	}
	var some []uint64
	for _, n := range []uint64{10, 100, 1000, 10_000, 100_000, 1_000_000} {
		if n <= upTo {
			some = append(some, n)
		}
	}
	return some
}

// TestModelsAgreeOnTheBenchesReplies keeps the bench from comparing models that answer something else.
func TestModelsAgreeOnTheBenchesReplies(t *testing.T) {
	const entries = 3000
	var first map[string]string
	for _, name := range Names() {
		m := newModel(t, name)
		next := payments(entries)
		for p := range uint64(entries) {
			m.Apply(next(p + 1))
		}
		settle(m)
		replies := make(map[string]string)
		for read, ask := range lengthReads(m, lengthStartUS+3*indexDayUS, lengthStartUS+3641*indexDayUS) {
			reply, err := ask(nil)
			if err != nil || len(reply) < 20 {
				t.Fatalf("%s: %s: %x %v", name, read, reply, err)
			}
			replies[read] = string(reply)
		}
		if first == nil {
			first = replies
		}
		for read, reply := range replies {
			if reply != first[read] {
				t.Errorf("%s: %s is not what %s answers", name, read, Names()[0])
			}
		}
	}
}
