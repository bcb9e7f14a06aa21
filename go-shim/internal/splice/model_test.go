package splice

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/metadata"
)

// model is a Core between a naive client and a naive grpc-go, both of which know HTTP/2's rules and fail when the other side
// breaks one. All bytes travel in fragments of random length, everything happens in random order, and in the end every
// call must have its answer and every window must be full again.
//
//	clientModel ── up ──> Core ──> serverModel
//	            <────────      <── down ──
type model struct {
	t      *testing.T
	random *rand.Rand
	core   *Core
	client *clientModel
	server *serverModel
	tail   []byte // of up: what the core has yet to use
	asked  []*Call
	now    time.Time
}

func newModel(t *testing.T, seed uint64) *model {
	limits := Limits{Message: 20_000, Bodies: 30_000, Unread: 100_000}.withDefaults()
	m := &model{t: t, random: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1000, 0)}
	m.core = newCore(&limits, newPolicy().Method, false, new(pools))
	m.client, m.server = newClientModel(m), newServerModel(m)
	return m
}

func (m *model) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf(format, args...)
}

// piece is a random length up to n, often the whole and often a byte.
func (m *model) piece(n int) int {
	switch m.random.IntN(4) {
	case 0:
		return min(n, 1)
	case 1:
		return min(n, 1+m.random.IntN(30))
	case 2:
		return n
	}
	return m.random.IntN(n + 1)
}

// up delivers a fragment of what the client sent.
func (m *model) up() {
	n := m.piece(m.client.out.Len())
	if n == 0 && !m.core.waits {
		return
	}
	m.tail = append(m.tail, m.client.out.Next(n)...)
	m.core.now = m.now
	used := m.core.FromClient(m.tail)
	m.tail = append([]byte(nil), m.tail[used:]...)
	m.collect()
}

// collect takes the calls that became complete, and those whose client left.
func (m *model) collect() {
	for _, call := range m.core.calls {
		call.stream.begun = true
		m.asked = append(m.asked, call)
	}
	for _, call := range m.core.gone {
		at := -1
		for i, a := range m.asked {
			if a == call {
				at = i
			}
		}
		if at < 0 {
			m.fail("a call was cancelled that the policy does not have")
		}
		m.asked = append(m.asked[:at], m.asked[at+1:]...)
		m.core.recycle(call.stream)
	}
	m.core.batch = new(batch)
}

func (m *model) down() {
	n := m.piece(m.server.out.Len())
	m.core.FromServer(append([]byte(nil), m.server.out.Next(n)...))
}

// deliver shows both sides what the core gave out.
func (m *model) deliver() {
	if out := m.core.toClient; out != nil {
		m.core.toClient = nil
		m.client.receive(out.b)
	}
	p := make([]byte, 1+m.piece(40_000))
	if n := m.core.take(p); n > 0 {
		m.server.receive(p[:n])
	}
}

// decide ends a call as its question says.
func (m *model) decide() {
	if len(m.asked) == 0 {
		return
	}
	i := m.random.IntN(len(m.asked))
	call := m.asked[i]
	m.asked = append(m.asked[:i], m.asked[i+1:]...)
	switch q := decode(call.Body); q[0] {
	case doRefuse:
		if m.random.IntN(3) == 0 {
			m.core.reply(call.stream, &Reply{Header: metadata.Pairs("own", "x"), Trailer: metadata.Pairs("own-trailer", "x"), Status: refusal(q)})
			return
		}
		m.core.refuseCall(call.stream, refusal(q), 7, m.random.IntN(2) == 0)
	case doLocal:
		m.core.handOver(call.stream, time.Millisecond)
	default:
		b := encode(reply("hot", q))
		if m.random.IntN(3) == 0 {
			m.core.reply(call.stream, &Reply{Header: metadata.Pairs("own", "x"), Trailer: metadata.Pairs("own-trailer", "x"), Body: b})
			return
		}
		cut := m.random.IntN(len(b) + 1)
		m.core.answer(call.stream, b[:cut], b[cut:], 7, m.random.IntN(2) == 0)
	}
}

func (m *model) step() {
	switch m.random.IntN(16) {
	case 0, 1:
		m.client.call()
	case 2, 3:
		m.client.send()
	case 4:
		m.client.credit()
	case 5:
		m.client.disturb()
	case 6, 7, 8:
		m.up()
	case 9, 10:
		m.deliver()
	case 11:
		m.server.write()
	case 12, 13:
		m.down()
	case 14:
		m.decide()
	case 15:
		m.now = m.now.Add(100 * time.Millisecond)
		m.core.now = m.now
		m.core.expire(m.now.Add(-time.Second))
		m.server.settle()
	}
	m.invariants()
}

// invariants hold at any time.
func (m *model) invariants() {
	c := m.core
	heldCold, held := 0, 0
	c.streams.each(func(s *stream) {
		if s.held != nil {
			held += s.held.left()
			if s.phase == cold {
				heldCold += s.held.left()
			}
		}
	})
	if held != c.heldBytes || c.debt < 0 || c.owed < 0 {
		m.fail("held %d of %d, debt %d, owed %d", held, c.heldBytes, c.debt, c.owed)
	}
	if want := c.window + c.debt - int64(heldCold); !m.server.moving() && m.server.window != want {
		m.fail("grpc-go believes in a window of %d, not of %d", m.server.window, want)
	}
}

// finish lets everything come to its end.
func (m *model) finish() {
	m.client.closing = true
	m.client.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65535})
	for range 3000 {
		m.up()
		m.deliver()
		m.down()
		m.client.sendAll()
		m.client.creditAll()
		m.decide()
		m.server.settle()
		m.server.write()
		if m.client.idle() && m.server.idle() && len(m.asked) == 0 && m.client.out.Len()+m.server.out.Len() == 0 &&
			m.core.toClient == nil && m.core.toServer == nil {
			break
		}
	}
	m.server.creditAll()
	for range 100 {
		m.down()
		m.deliver()
		m.client.creditAll()
		m.up()
	}
	m.invariants()
}

func (m *model) check() {
	m.client.check()
	c := m.core
	if c.streams.n != 0 || c.inner.n != 0 || c.hot != 0 || c.collecting != 0 || c.bodies != 0 || c.heldBytes != 0 || c.debt != 0 || c.owed != 0 {
		m.fail("left: %d streams, %d inner, %d hot, %d collecting, %d bytes of bodies, %d held, debt %d, owed %d",
			c.streams.n, c.inner.n, c.hot, c.collecting, c.bodies, c.heldBytes, c.debt, c.owed)
	}
	if got := m.client.window + int64(c.uncredited); got != defaultWindow {
		m.fail("the client may send %d bytes in the end", got)
	}
	if c.window != m.client.receives || m.server.window != c.window {
		m.fail("the client takes %d bytes; the door believes %d, grpc-go %d", m.client.receives, c.window, m.server.window)
	}
}

func TestModel(t *testing.T) {
	const rounds = 120
	var hot, handed, held int
	for seed := range uint64(rounds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed)
			for range 200 + m.random.IntN(3000) {
				m.step()
				if m.core.heldBytes > 0 {
					held++
				}
			}
			m.finish()
			m.check()
			hot += m.client.hot
			handed += m.client.calls - m.client.hot
		})
	}
	if hot == 0 || handed == 0 || held == 0 {
		t.Errorf("%d answers of the door, %d other calls, %d steps with DATA held", hot, handed, held)
	}
	t.Logf("%d answers of the door, %d other calls, %d steps with DATA held", hot, handed, held)
}

// parse calls fn for the whole frames of b, and returns the rest.
func parse(b []byte, fn func(http2.FrameHeader, []byte)) []byte {
	for len(b) >= 9 {
		f, err := http2.ReadFrameHeader(bytes.NewReader(b))
		if err != nil || len(b) < 9+int(f.Length) {
			break
		}
		fn(f, b[9:9+f.Length])
		b = b[9+f.Length:]
	}
	return b
}

func parseFrames(b []byte, fn func(string, []byte)) []byte {
	return parse(b, func(f http2.FrameHeader, p []byte) { fn(fmt.Sprintf("%v %d %d", f.Type, f.Flags, f.StreamID), p) })
}
