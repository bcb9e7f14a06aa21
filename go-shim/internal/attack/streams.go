package attack

import (
	"math"

	"golang.org/x/net/http2"
)

// manyStreams are attacks by streams that are too many or too short.
func manyStreams() []Attack {
	return []Attack{
		{Name: "rapid reset", Why: "streams that are reset at once do not count against the limit (CVE-2023-44487)",
			Quick: 2_000, Full: 200_000, Alike: true, Run: func(r *Run) {
				p := r.peer()
				p.each(r.N, func(id uint32) {
					p.Head(id, r.Hot, false)
					_ = p.Frames.WriteRSTStream(id, http2.ErrCodeCancel)
				})
				p.Settle()
			}},
		{Name: "rapid reset of whole calls", Why: "the work is done, and nobody takes it",
			Quick: 1_000, Full: 200_000, Run: func(r *Run) {
				p := r.peer()
				p.each(r.N, func(id uint32) {
					p.Ask(id, r.Hot)
					_ = p.Frames.WriteRSTStream(id, http2.ErrCodeCancel)
				})
				p.Settle()
			}},
		{Name: "half-open streams on one connection", Why: "each stream holds memory, and its message never comes",
			Quick: 1_000, Full: 100_000, Alike: true, Run: func(r *Run) {
				p := r.peer()
				p.each(r.N, func(id uint32) { p.Head(id, r.Hot, false) })
				p.Settle()
			}},
		{Name: "half-open streams on many connections", Why: "as many as each connection may have",
			Quick: 900, Full: 100_000, Run: func(r *Run) {
				r.spread(r.N, func() *Peer { return r.peer() }, func(p *Peer, id uint32) { p.Head(id, r.Hot, false) },
					func(p *Peer, _ int) { p.Settle() })
			}},
		{Name: "crumbs on many streams", Why: "each must be found among all that wait",
			Quick: 90, Full: 8_000, Alike: true, Run: func(r *Run) {
				p := r.peer()
				p.each(r.N, func(id uint32) { p.Head(id, r.Hot, false) })
				for range 4 {
					p.each(r.N, func(id uint32) { _ = p.Frames.WriteData(id, false, []byte{0}) })
				}
				p.Settle()
			}},
	}
}

// unreadReplies are attacks by peers that do not take what they asked for.
func unreadReplies() []Attack {
	return []Attack{
		{Name: "replies that do not fit any window", Why: "the server has to hold them, until they are taken after all",
			Quick: 900, Full: 6_000, Alike: true, Run: func(r *Run) {
				r.spread(r.N, func() *Peer { return r.peer(initialWindow(0)) }, func(p *Peer, id uint32) { p.Ask(id, r.Hot) },
					func(p *Peer, streams int) {
						p.Settle()
						_ = p.Frames.WriteSettings(initialWindow(65_535))
						p.Must(ended(streams))
					})
			}},
		{Name: "long replies that do not fit any window", Why: "the same, and the server holds much",
			Quick: 90, Full: 6_000, Run: func(r *Run) {
				r.spread(r.N, func() *Peer { return r.peer(initialWindow(0)) }, func(p *Peer, id uint32) { p.Ask(id, r.Long) },
					func(p *Peer, streams int) {
						p.Await(r.Patience, func(o *Outcome) bool { return o.Begun+o.Ended() >= streams })
					})
			}},
		{Name: "long replies that nobody reads", Why: "windows are open, but the socket takes nothing",
			Quick: 90, Full: 6_000, Run: func(r *Run) {
				r.spread(r.N, func() *Peer {
					p := r.deaf(initialWindow(math.MaxInt32))
					_ = p.Frames.WriteWindowUpdate(0, math.MaxInt32-65_535)
					return p
				}, func(p *Peer, id uint32) { p.Ask(id, r.Long) },
					func(p *Peer, _ int) { p.Await(r.Hold, never) })
			}},
		{Name: "windows opened by a byte, of one of many streams", Why: "each held reply must be found among all",
			Quick: 1_000, Full: 200_000, Run: func(r *Run) {
				p := r.peer(initialWindow(0))
				streams := min(r.N/20, 4_000)
				p.each(streams, func(id uint32) { p.Ask(id, r.Long) })
				p.Settle()
				p.each(r.N, func(uint32) { _ = p.Frames.WriteWindowUpdate(uint32(2*streams-1), 1) })
				p.Settle()
			}},
		{Name: "a reply byte by byte", Why: "each byte of window costs a frame",
			Quick: 1_000, Full: 50_000, Run: func(r *Run) {
				p := r.peer(initialWindow(0))
				p.Ask(1, r.Long)
				p.each(r.N, func(uint32) { _ = p.Frames.WriteWindowUpdate(1, 1) })
				p.Settle()
			}},
	}
}

// oddMessages are attacks by DATA.
func oddMessages() []Attack {
	return []Attack{
		{Name: "DATA without bytes", Why: "frames that no window bounds",
			Quick: 20_000, Full: 2_000_000, Alike: true, Run: func(r *Run) {
				p := r.peer()
				p.Expect(1, r.Hot)
				p.Head(1, r.Hot, false)
				p.each(r.N, func(uint32) { _ = p.Frames.WriteData(1, false, nil) })
				_ = p.Frames.WriteData(1, true, r.Hot.message())
				p.Must(ended(1))
			}},
		{Name: "DATA on streams that are over, or never were", Why: "bytes that belong to nobody",
			Quick: 200, Full: 100_000, Alike: true, Run: func(r *Run) {
				p := r.peer()
				p.Ask(1, r.Hot)
				p.Must(ended(1))
				p.each(r.N, func(id uint32) { _ = p.Frames.WriteData(id, id%4 == 1, []byte("nobody's")) })
				p.Ask(uint32(2*r.N+3), r.Hot)
				p.Must(ended(2))
			}},
		{Name: "a message in frames of a byte", Why: "each byte costs a frame",
			Quick: 40_000, Full: 1 << 20, Alike: true, Run: func(r *Run) {
				p := r.peer()
				p.crumbs(1, &Call{Path: r.Hot.Path, Message: padded(r.Hot.Message, r.N), Reply: r.Hot.Reply})
				p.Must(ended(1))
			}},
		{Name: "padding", Why: "bytes that are credited and thrown away",
			Quick: 150, Full: 200, Alike: true, Run: func(r *Run) {
				p := r.peer()
				p.Expect(1, r.Hot)
				_ = p.Frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.Block(r.Hot), EndHeaders: true, PadLength: 255})
				p.each(r.N, func(uint32) { _ = p.Frames.WriteDataPadded(1, false, nil, make([]byte, 255)) })
				_ = p.Frames.WriteDataPadded(1, true, r.Hot.message(), make([]byte, 255))
				p.Must(ended(1))
			}},
		{Name: "streams without end that are used again", Why: "ids that a server must not take twice",
			Quick: 1, Full: 1, Alike: true, Run: func(r *Run) {
				p := r.peer()
				p.Ask(3, r.Cold)
				p.Must(ended(1))
				p.Ask(1, r.Hot)
				p.Await(r.Patience, never)
			}},
	}
}

// crumbs sends a call whose message comes byte by byte, as fast as the stream's window allows.
func (p *Peer) crumbs(id uint32, call *Call) {
	p.Expect(id, call)
	p.Head(id, call, false)
	message := call.message()
	for at := range message {
		if window := 65_535 + min(p.Credit(id), p.Credit(0)); int64(at) >= window {
			p.Flush()
			if !p.Await(patience, func(*Outcome) bool { return 65_535+min(p.credit[id], p.credit[0]) > int64(at) }) {
				return
			}
		}
		_ = p.Frames.WriteData(id, at == len(message)-1, message[at:at+1])
		if at%flushEvery == 0 && !p.Flush() {
			return
		}
	}
}

// padded adds an unknown field, so that the message has about n bytes more.
func padded(message []byte, n int) []byte {
	b := append([]byte(nil), message...)
	b = append(b, 0xfa, 0x7f, byte(n&0x7f|0x80), byte(n>>7&0x7f|0x80), byte(n>>14&0x7f|0x80), byte(n>>21))
	return append(b, make([]byte, n)...)
}
