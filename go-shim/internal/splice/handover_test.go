package splice

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"hotpath.dev/go-shim/internal/h2"
)

func TestLongBlocksAreFramed(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, length := range []int{0, 1, maxFrame - 1, maxFrame, maxFrame + 1, 2 * maxFrame, 2*maxFrame + 1, 60_000, 300_000} {
		for _, end := range []bool{false, true} {
			before := []byte("what was there")
			block := make([]byte, length)
			for i := range block {
				block[i] = byte(random.Uint32())
			}
			out := append(bytes.Clone(before), make([]byte, h2.HeaderLen)...)
			out = frameBlock(append(out, block...), len(before), 7, end)
			if !bytes.HasPrefix(out, before) {
				t.Fatalf("%d bytes: what was there is overwritten", length)
			}
			checkFrames(t, out[len(before):], block, end)
		}
	}
}

// checkFrames wants HEADERS and CONTINUATIONs of stream 7 that carry the block.
func checkFrames(t *testing.T, frames, block []byte, end bool) {
	t.Helper()
	var joined []byte
	for n := 0; len(frames) > 0; n++ {
		f := h2.ParseFrame(frames)
		if f.Length > maxFrame || f.Length > len(frames)-h2.HeaderLen {
			t.Fatalf("%d bytes: frame %d has %d", len(block), n, f.Length)
		}
		joined = append(joined, frames[h2.HeaderLen:][:f.Length]...)
		frames = frames[h2.HeaderLen+f.Length:]
		want := h2.Frame{Length: f.Length, Type: h2.Continuation, Stream: 7}
		if n == 0 {
			want.Type = h2.Headers
			if end {
				want.Flags |= h2.FlagEndStream
			}
		}
		if len(frames) == 0 {
			want.Flags |= h2.FlagEndHeaders
		}
		if f != want {
			t.Fatalf("%d bytes: frame %d is %+v, want %+v", len(block), n, f, want)
		}
	}
	if !bytes.Equal(joined, block) {
		t.Fatalf("%d bytes: the frames carry another block", len(block))
	}
}

// A block whose frames are made in a buffer with room for them leaves no garbage.
func TestFramingALongBlockAllocatesNothing(t *testing.T) {
	out := make([]byte, 0, 128<<10)
	if n := testing.AllocsPerRun(10, func() { frameBlock(out[:h2.HeaderLen+60_000], 0, 1, false) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
