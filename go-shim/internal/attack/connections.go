package attack

import (
	"bytes"
	"math"
	"time"

	"golang.org/x/net/http2"
)

// floods are attacks by frames that cost nothing to send.
func floods() []Attack {
	return []Attack{
		{Name: "SETTINGS flood", Why: "each wants an acknowledgement (CVE-2019-9515)",
			Quick: 5_000, Full: 1_000_000, Alike: true, Run: func(r *Run) {
				p := r.peer()
				p.each(r.N, func(uint32) { _ = p.Frames.WriteSettings() })
				p.Must(func(o *Outcome) bool { return o.Acks > r.N })
			}},
		{Name: "windows of many streams that change", Why: "each entry of SETTINGS concerns all streams",
			Quick: 50, Full: 2_000, Alike: true, Run: func(r *Run) {
				p := r.peer(initialWindow(0))
				p.each(streamsEach, func(id uint32) { p.Ask(id, r.Hot) })
				p.each(r.N, func(uint32) {
					var all []http2.Setting
					for i := range 100 {
						all = append(all, initialWindow(uint32(i%2)))
					}
					_ = p.Frames.WriteSettings(all...)
				})
				_ = p.Frames.WriteSettings(initialWindow(65_535))
				p.Must(ended(streamsEach))
				p.Must(func(o *Outcome) bool { return o.Acks == r.N+2 })
			}},
		{Name: "PING flood", Why: "each wants an answer (CVE-2019-9512)",
			Quick: 1_000, Full: 1_000_000, Run: func(r *Run) {
				p := r.peer()
				p.each(r.N, func(uint32) { _ = p.Frames.WritePing(false, [8]byte{1}) })
				p.Settle()
			}},
		{Name: "PING flood by a peer that does not read", Why: "the answers pile up",
			Quick: 20_000, Full: 2_000_000, Run: func(r *Run) {
				p := r.deaf()
				p.each(r.N, func(uint32) { _ = p.Frames.WritePing(false, [8]byte{1}) })
			}},
		{Name: "SETTINGS flood by a peer that does not read", Why: "the acknowledgements pile up",
			Quick: 20_000, Full: 2_000_000, Run: func(r *Run) {
				p := r.deaf()
				p.each(r.N, func(uint32) { _ = p.Frames.WriteSettings() })
			}},
		{Name: "PRIORITY flood", Why: "trees of streams that do not exist (CVE-2019-9513)",
			Quick: 20_000, Full: 2_000_000, Alike: true, Run: func(r *Run) {
				p := r.peer()
				p.each(r.N, func(id uint32) { _ = p.Frames.WritePriority(id, http2.PriorityParam{StreamDep: id + 2, Weight: 7}) })
				p.Ask(1, r.Hot)
				p.Must(ended(1))
			}},
		{Name: "frames of unknown types", Why: "they are to be ignored, but read",
			Quick: 500, Full: 50_000, Alike: true, Run: func(r *Run) {
				p := r.peer()
				payload := make([]byte, 16_000)
				p.each(r.N, func(uint32) { _ = p.Frames.WriteRawFrame(0xfa, 0xff, 1, payload) })
				p.Ask(1, r.Hot)
				p.Must(ended(1))
			}},
	}
}

// oddFrames are attacks by frames that break a rule.
func oddFrames() []Attack {
	return []Attack{
		{Name: "windows that overflow", Why: "a sum beyond 2^31-1",
			Quick: 3, Full: 100_000, Alike: true, Run: func(r *Run) {
				p := r.peer()
				p.Expect(1, r.Hot)
				p.Head(1, r.Hot, false)
				p.each(r.N, func(uint32) {
					_ = p.Frames.WriteWindowUpdate(1, math.MaxInt32)
					_ = p.Frames.WriteWindowUpdate(0, math.MaxInt32)
				})
				_ = p.Frames.WriteData(1, true, r.Hot.message())
				p.Must(ended(1))
			}},
		{Name: "resets of streams that never were", Why: "there is nothing to end",
			Quick: 1_000, Full: 100_000, Alike: true, Run: func(r *Run) {
				p := r.peer()
				p.each(r.N, func(id uint32) { _ = p.Frames.WriteRSTStream(id+1_000, http2.ErrCodeCancel) })
				p.Ask(1, r.Hot)
				p.Must(ended(1))
			}},
		{Name: "frames that are too long", Why: "a buffer as long as a frame may say",
			Quick: 1, Full: 1, Alike: true, Run: func(r *Run) {
				p := r.peer()
				p.Head(1, r.Hot, false)
				_ = p.Frames.WriteData(1, true, make([]byte, 1<<20))
				p.Must(never)
			}},
	}
}

// slowness are attacks by connections that hardly say anything.
func slowness() []Attack {
	return []Attack{
		{Name: "calls byte by byte", Why: "each byte wakes the server",
			Quick: 20, Full: 500, Alike: true, Run: func(r *Run) {
				r.crowd(r.N, func(int) {
					p := r.peer()
					p.Expect(1, r.Hot)
					p.slowly(1, r.Hot)
					p.Must(ended(1))
				})
			}},
		{Name: "slow peers", Why: "a buffer for each, as long as they please",
			Quick: 20, Full: 1_000, Run: func(r *Run) {
				r.crowd(r.N, func(int) {
					p := r.peer()
					p.Head(1, r.Hot, false)
					_ = p.Frames.WriteData(1, false, []byte{0, 0})
					p.Flush()
					// The beginning of a frame, the rest of which comes slowly.
					_, _ = p.w.Write([]byte{0, 0x3f, 0xff, 0, 0, 0, 0, 0, 1})
					p.Flush()
				})
				for range slowBytes {
					time.Sleep(r.Pause)
					for _, p := range r.peers {
						_ = p.w.WriteByte(0)
						p.Flush()
					}
				}
			}},
		{Name: "connections that say nothing", Why: "each holds a place",
			Quick: 20, Full: 2_000, Run: func(r *Run) {
				r.crowd(r.N, func(i int) {
					p := r.dial()
					if i%2 == 1 {
						_, _ = p.w.WriteString(http2.ClientPreface[:10])
						p.Flush()
					}
					p.Listen(false)
				})
				late := time.Now().Add(r.Patience)
				for _, p := range r.peers {
					p.Await(time.Until(late), never)
				}
			}},
	}
}

// slowBytes is how many bytes of a frame slow peers send.
const slowBytes = 20

// slowly makes a call byte by byte.
func (p *Peer) slowly(id uint32, call *Call) {
	var whole bytes.Buffer
	frames := http2.NewFramer(&whole, nil)
	_ = frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.Block(call), EndHeaders: true})
	_ = frames.WriteData(id, true, call.message())
	for _, b := range whole.Bytes() {
		_ = p.w.WriteByte(b)
		if !p.Flush() {
			return
		}
	}
}
