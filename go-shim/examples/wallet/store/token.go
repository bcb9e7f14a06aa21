package store

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/ledger"
)

// A page token holds the start of the next page, and a checksum over the start and the question. So a token of another
// account, or one that was cut short, is refused instead of answered wrongly. The checksum guards against mistakes, not
// malice: a forged token can only skip entries.
const tokenBytes = 12

var tokenText = base64.RawURLEncoding.Strict()

func token(req *walletv1.ListEntriesRequest, start ref) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, tokenBytes), uint64(start))
	return tokenText.EncodeToString(binary.BigEndian.AppendUint32(b, checksum(req, b)))
}

// parseToken returns the start of the page, which is 0 for the first page.
func parseToken(req *walletv1.ListEntriesRequest) (ref, error) {
	if req.GetPageToken() == "" {
		return 0, nil
	}
	b, err := tokenText.DecodeString(req.GetPageToken())
	if err != nil || len(b) != tokenBytes || binary.BigEndian.Uint32(b[8:]) != checksum(req, b[:8]) {
		return 0, ledger.ErrBadPageToken
	}
	return ref(binary.BigEndian.Uint64(b)), nil
}

func checksum(req *walletv1.ListEntriesRequest, start []byte) uint32 {
	question := req.GetAccountId()
	if req.Asset != nil {
		question += " " + req.GetAsset()
	}
	return crc32.ChecksumIEEE(append(start[:8:8], question...))
}
