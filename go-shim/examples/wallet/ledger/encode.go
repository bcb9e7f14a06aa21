package ledger

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// AppendBody appends the encoding of everything but the position, with fields in tag order, without defaults and
// without unknown fields. It is written by hand because stored bytes must stay the same from one protobuf release to
// the next, and the library does not promise that.
func AppendBody(b []byte, tx *walletv1.Transaction) []byte {
	b = appendString(b, 2, tx.GetTransactionId())
	b = appendVarint(b, 3, uint64(tx.GetOccurredAtUs()))
	b = appendVarint(b, 4, protowire.EncodeBool(tx.GetExternal()))
	for _, e := range tx.GetEntries() {
		b = protowire.AppendTag(b, 5, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(sizeEntry(e)))
		b = appendEntry(b, e)
	}
	return b
}

// AppendEvent appends the encoded transaction at a position, given its encoded body.
func AppendEvent(b []byte, position uint64, body []byte) []byte {
	return append(appendVarint(b, 1, position), body...)
}

// SameBody returns whether a stored event has this body.
func SameBody(event, body []byte) bool {
	number, kind, n := protowire.ConsumeTag(event)
	if n < 0 || number != 1 || kind != protowire.VarintType {
		return false
	}
	_, m := protowire.ConsumeVarint(event[n:])
	return m > 0 && bytes.Equal(event[n+m:], body)
}

// DecodeEvent reads a stored event.
func DecodeEvent(event []byte) (*walletv1.Transaction, error) {
	tx := new(walletv1.Transaction)
	if err := proto.Unmarshal(event, tx); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	return tx, nil
}

func appendEntry(b []byte, e *walletv1.Entry) []byte {
	b = appendString(b, 1, e.GetAccountId())
	b = appendString(b, 2, e.GetAsset())
	b = appendVarint(b, 3, uint64(e.GetAmount()))
	b = appendVarint(b, 4, uint64(e.GetPhase()))
	b = appendString(b, 5, e.GetKind())
	return appendString(b, 6, e.GetCounterparty())
}

func sizeEntry(e *walletv1.Entry) int {
	return sizeString(e.GetAccountId()) + sizeString(e.GetAsset()) + sizeVarint(uint64(e.GetAmount())) +
		sizeVarint(uint64(e.GetPhase())) + sizeString(e.GetKind()) + sizeString(e.GetCounterparty())
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func appendVarint(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

// sizeString returns the encoded size of a field. Tags of fields 1-15 take one byte.
func sizeString(s string) int {
	if s == "" {
		return 0
	}
	return 1 + protowire.SizeBytes(len(s))
}

func sizeVarint(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}
