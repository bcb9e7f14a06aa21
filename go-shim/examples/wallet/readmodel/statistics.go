package readmodel

import (
	"math/big"
	"math/bits"
	"slices"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// GetStatistics implements [ReadModel].
func (m *Legacy) GetStatistics(at uint64, req *walletv1.GetStatisticsRequest) (*walletv1.GetStatisticsResponse, uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	position := m.resolve(at)
	held, err := m.entriesAt(req.GetAccountId(), position)
	if err != nil {
		return nil, position, err
	}
	var sum summary
	for i := range held {
		e := &held[i]
		if e.isPosted(req.GetAsset()) && req.GetFromUs() <= e.occurredAtUS && e.occurredAtUS < req.GetToUs() {
			sum.add(e)
		}
	}
	resp, err := sum.response(req.GetPercentiles())
	return resp, position, err
}

// summary collects figures in one pass over a window.
type summary struct {
	moments
	magnitudes     []int64
	counterparties map[string]struct{}
}

func (s *summary) add(e *entry) {
	if s.count() == 0 {
		s.counterparties = make(map[string]struct{})
	}
	s.moments.add(e.occurredAtUS, e.amount)
	s.magnitudes = append(s.magnitudes, int64(ledger.Magnitude(e.amount)))
	if e.counterparty != "" {
		s.counterparties[e.counterparty] = struct{}{}
	}
}

func (s *summary) response(percentiles []uint32) (*walletv1.GetStatisticsResponse, error) {
	resp, err := s.moments.response(uint64(len(s.counterparties)))
	if err == nil && s.count() > 0 {
		resp.Percentiles = nearestRanks(s.magnitudes, percentiles)
	}
	return resp, err
}

// moments holds the figures that take the same room for any number of entries.
type moments struct {
	creditCount uint64
	debitCount  uint64
	sums        sides
	squares     squareSum
	min, max    int64
	firstUS     int64
	lastUS      int64
}

func (m *moments) count() int64 { return int64(m.creditCount + m.debitCount) }

func (m *moments) add(occurredAtUS, amount int64) {
	if m.count() == 0 {
		m.min, m.max, m.firstUS, m.lastUS = amount, amount, occurredAtUS, occurredAtUS
	}
	if amount > 0 {
		m.creditCount++
	} else {
		m.debitCount++
	}
	m.sums.add(amount)
	m.squares.add(ledger.Magnitude(amount))
	m.min, m.max = min(m.min, amount), max(m.max, amount)
	m.firstUS, m.lastUS = min(m.firstUS, occurredAtUS), max(m.lastUS, occurredAtUS)
}

// response returns the answer but for the percentiles.
func (m *moments) response(counterparties uint64) (*walletv1.GetStatisticsResponse, error) {
	var n narrow
	resp := &walletv1.GetStatisticsResponse{
		CreditCount:            m.creditCount,
		DebitCount:             m.debitCount,
		CreditSum:              n.fit("credit_sum", m.sums.credits),
		DebitSum:               n.fit("debit_sum", m.sums.debits),
		Net:                    n.fit("net", m.sums.net()),
		DistinctCounterparties: counterparties,
	}
	if n.err != nil {
		return nil, n.err
	}
	count := m.count()
	if count == 0 {
		return resp, nil
	}
	mean, stddev := roundHalfEven(resp.Net, count), m.stddev(count)
	resp.Min, resp.Max, resp.Mean, resp.Stddev = &m.min, &m.max, &mean, &stddev
	resp.FirstOccurredAtUs, resp.LastOccurredAtUs = &m.firstUS, &m.lastUS
	return resp, nil
}

// roundHalfEven returns a / n, rounded half to even. n must be positive.
func roundHalfEven(a, n int64) int64 {
	q, r := a/n, a%n
	if r < 0 {
		q, r = q-1, r+n
	}
	// The code compares r with n-r, because 2r could overflow.
	if r > n-r || (r == n-r && q&1 == 1) {
		q++
	}
	return q
}

// stddev returns floor(sqrt(n*Σx² - (Σx)²) / n). The radicand needs more than 128 bits.
func (m *moments) stddev(count int64) int64 {
	n := big.NewInt(count)
	sum := m.sums.net().Big()
	radicand := new(big.Int).Mul(n, m.squares.big())
	radicand.Sub(radicand, sum.Mul(sum, sum))
	return radicand.Sqrt(radicand).Quo(radicand, n).Int64()
}

// nearestRanks returns the percentiles. Percentile p of n magnitudes is the ceil(p*n/10,000)-th smallest. It sorts
// magnitudes.
func nearestRanks(magnitudes []int64, percentiles []uint32) []*walletv1.Percentile {
	if len(percentiles) == 0 {
		return nil
	}
	slices.Sort(magnitudes)
	answers := make([]*walletv1.Percentile, len(percentiles))
	for i, p := range percentiles {
		rank := (int64(p)*int64(len(magnitudes)) + ledger.MaxBasisPoints - 1) / ledger.MaxBasisPoints
		answers[i] = &walletv1.Percentile{BasisPoints: p, Value: magnitudes[rank-1]}
	}
	return answers
}

// squareSum is an unsigned 192-bit sum of squares, lowest word first.
type squareSum [3]uint64

func (s *squareSum) add(x uint64) {
	hi, lo := bits.Mul64(x, x)
	var carry uint64
	s[0], carry = bits.Add64(s[0], lo, 0)
	s[1], carry = bits.Add64(s[1], hi, carry)
	s[2] += carry
}

func (s *squareSum) big() *big.Int {
	v := new(big.Int)
	for i := len(s) - 1; i >= 0; i-- {
		v.Lsh(v, 64).Or(v, new(big.Int).SetUint64(s[i]))
	}
	return v
}
