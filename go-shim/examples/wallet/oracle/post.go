package oracle

import (
	"fmt"
	"math/big"
	"sort"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// Post checks a transaction as PostTransaction does, and books it if it breaks no rule. The answer holds an encoded
// PostTransactionResponse.
func (o *Oracle) Post(req *walletv1.PostTransactionRequest) (answer Answer) {
	defer catch(&answer)
	checkBody(req)
	resp := &walletv1.PostTransactionResponse{}
	tx := &walletv1.Transaction{
		TransactionId: req.GetTransactionId(), OccurredAtUs: req.GetOccurredAtUs(), External: req.GetExternal(),
		Entries: req.GetEntries(),
	}
	for _, old := range o.transactions {
		if old.GetTransactionId() == req.GetTransactionId() {
			tx.Position = old.GetPosition()
			if !proto.Equal(old, tx) {
				refuse(codes.AlreadyExists, "transaction_id: already posted with another body")
			}
			resp.Position, resp.AlreadyPosted = old.GetPosition(), true
		}
	}
	if !resp.AlreadyPosted {
		tx.Position = o.Position() + 1
		o.checkReleases(tx)
		o.Add(tx)
		resp.Position = tx.Position
	}
	encoded, err := proto.Marshal(resp)
	if err != nil {
		refuse(codes.Internal, "encode: %v", err)
	}
	return Answer{Response: encoded}
}

func checkBody(req *walletv1.PostTransactionRequest) {
	if n := len(req.GetTransactionId()); n < 1 || n > 64 {
		refuse(codes.InvalidArgument, "transaction_id: must be 1-64 bytes")
	}
	checkTime("occurred_at_us", req.GetOccurredAtUs())
	if n := len(req.GetEntries()); n < 1 || n > 1000 {
		refuse(codes.InvalidArgument, "entries: must be 1-1000")
	}
	for i, e := range req.GetEntries() {
		at := fmt.Sprintf("entries[%d].", i)
		checkID(at+"account_id", e.GetAccountId(), 64)
		checkID(at+"asset", e.GetAsset(), 16)
		if a := e.GetAmount(); a == 0 || a > 1e15 || a < -1e15 {
			refuse(codes.InvalidArgument, "%samount: must be non-zero and at most 10^15 in size", at)
		}
		if e.GetPhase() < 1 || e.GetPhase() > 3 {
			refuse(codes.InvalidArgument, "%sphase: must be POSTED, HOLD or RELEASE", at)
		}
		if len(e.GetKind()) > 32 {
			refuse(codes.InvalidArgument, "%skind: must be at most 32 bytes", at)
		}
		checkCounterparty(at, e.GetCounterparty())
	}
	if !req.GetExternal() {
		checkZero(req.GetEntries())
	}
}

func checkCounterparty(at, id string) {
	if id == "" {
		return
	}
	defer func() {
		if thrown := recover(); thrown != nil {
			refuse(codes.InvalidArgument, "%scounterparty: must be empty or 1-64 bytes of printable ASCII without spaces", at)
		}
	}()
	checkID("counterparty", id, 64)
}

func checkZero(entries []*walletv1.Entry) {
	var assets []string
	for _, e := range entries {
		assets = append(assets, e.GetAsset())
	}
	sort.Strings(assets)
	for _, asset := range assets {
		for phase, name := range []string{1: "POSTED", 2: "HOLD", 3: "RELEASE"} {
			sum := new(big.Int)
			for _, e := range entries {
				if e.GetAsset() == asset && int(e.GetPhase()) == phase {
					sum.Add(sum, big.NewInt(e.GetAmount()))
				}
			}
			if sum.Sign() != 0 {
				refuse(codes.InvalidArgument,
					"entries: must sum to zero per asset and phase unless external (%s %s sums to %s)", asset, name, sum)
			}
		}
	}
}

// checkReleases refuses a transaction that leaves pending counters negative. Each such counter has a last release; the
// error names the first of these entries.
func (o *Oracle) checkReleases(tx *walletv1.Transaction) {
	after := &Oracle{rows: append([]row(nil), o.rows...)}
	after.Add(tx)
	for i, e := range tx.GetEntries() {
		if e.GetPhase() != walletv1.Phase_PHASE_RELEASE {
			continue
		}
		same := func(other *walletv1.Entry) bool {
			return other.GetAccountId() == e.GetAccountId() && other.GetAsset() == e.GetAsset() &&
				other.GetAmount() > 0 == (e.GetAmount() > 0)
		}
		last := true
		for _, later := range tx.GetEntries()[i+1:] {
			last = last && !(later.GetPhase() == walletv1.Phase_PHASE_RELEASE && same(later))
		}
		var rows []row
		for _, r := range after.rows {
			if same(r.Entry) {
				rows = append(rows, r)
			}
		}
		if last && pending(rows, e.GetAmount() > 0).Sign() < 0 {
			refuse(codes.FailedPrecondition, "entries[%d]: releases more than is held", i)
		}
	}
}
