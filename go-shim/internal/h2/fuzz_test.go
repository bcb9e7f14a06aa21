package h2

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
)

// A connection is written as blocks, each after a byte of its length; a length of 255 means that SETTINGS' table size of
// two bytes follows instead.
const setLimitMark = 255

func appendConnection(b []byte, blocks ...[]byte) []byte {
	for _, block := range blocks {
		b = append(append(b, byte(len(block))), block...)
	}
	return b
}

func appendSetLimit(b []byte, limit uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, setLimitMark), limit)
}

func seeds(tb testing.TB) [][]byte {
	tb.Helper()
	file, err := os.ReadFile("testdata/grpcio-1.85.txt")
	if err != nil {
		tb.Fatal(err)
	}
	var grpcio []byte
	for line := range strings.FieldsSeq(string(file)) {
		block, err := hex.DecodeString(line)
		if err != nil {
			tb.Fatal(err)
		}
		grpcio = appendConnection(grpcio, block)
	}
	all := [][]byte{nil, grpcio}
	for _, encode := range []func(*client, []pair) []byte{(*client).block, (*client).literalPath} {
		for _, size := range []uint16{4096, 300, 100, 0} {
			c := newClient()
			c.SetMaxDynamicTableSizeLimit(uint32(size))
			connection := appendSetLimit(nil, size)
			for i := range 12 {
				fields := call(fmt.Sprint(999-i, "m"), pair{"x-hotpath-min-position", fmt.Sprint(i / 5)}, pair{"k-bin", "AAEC"})
				connection = appendConnection(connection, encode(c, fields[i%2:]))
			}
			all = append(all, connection)
		}
	}
	return all
}

// FuzzConnection decodes a sequence of blocks by x/net and by each of the ways; see rig.decode for what must hold.
func FuzzConnection(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed, uint16(16<<10))
	}
	f.Fuzz(func(t *testing.T, connection []byte, limit uint16) {
		r := newRig()
		for len(connection) > 0 {
			n := int(connection[0])
			connection = connection[1:]
			if n == setLimitMark {
				if len(connection) < 2 {
					return
				}
				r.setLimit(uint32(binary.BigEndian.Uint16(connection)))
				connection = connection[2:]
				continue
			}
			n = min(n, len(connection))
			if _, err := r.decode(t, connection[:n], 1+int(limit)); err != nil {
				return
			}
			connection = connection[n:]
		}
	})
}

// FuzzPayload cuts padding and priority off as x/net does.
func FuzzPayload(f *testing.F) {
	f.Add(true, byte(FlagPadded|FlagPriority), []byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.Add(false, byte(FlagPadded), []byte{8})
	f.Fuzz(func(t *testing.T, headers bool, flags byte, payload []byte) {
		if len(payload) > 1<<14 {
			return
		}
		kind := Data
		if headers {
			kind = Headers
		}
		checkPayload(t, Frame{Length: len(payload), Type: kind, Flags: Flags(flags), Stream: 1}, payload)
	})
}
