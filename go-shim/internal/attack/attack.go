package attack

import (
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// Attack is one way to harm a server.
type Attack struct {
	Name string
	// Why says what it is after.
	Why string
	// Quick is how often it is tried where tests must be quick, and Full how often in earnest; what is counted differs.
	Quick, Full int
	// Alike says that a front door must give what the stock server gives, if the attack is the quick one.
	Alike bool
	Run   func(*Run)
}

// All are the attacks.
func All() []Attack {
	return slices.Concat(manyStreams(), unreadReplies(), oddMessages(), onFields(), floods(), oddFrames(), slowness())
}

// Run is one attack under way.
type Run struct {
	// Addr is the server's.
	Addr string
	// N is how often to try.
	N int
	// Hot is a cheap call that a front door answers itself. Long has a long reply. Cold is left to the stock server.
	Hot, Long, Cold *Call
	// Pause is how long slow peers wait between two bytes. Hold is how long peers keep what they have made the server hold.
	// Patience is how long they wait for a server to give them up, or for a reply to begin.
	Pause, Hold, Patience time.Duration

	mu      sync.Mutex
	outcome Outcome
	peers   []*Peer
}

// Do runs the attack, and returns what its peers got.
func (r *Run) Do(a *Attack) Outcome {
	a.Run(r)
	for _, p := range r.peers {
		seen := p.Close()
		r.outcome.add(&seen)
	}
	return r.outcome
}

// dial connects, and says nothing. If the server does not take the connection, the peer has one that is closed.
func (r *Run) dial() *Peer {
	p, err := Dial(r.Addr, "")
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		count(&r.outcome.Ends, "connection refused", 1)
		nowhere, _ := net.Pipe()
		_ = nowhere.Close()
		p = newPeer(nowhere)
	}
	r.peers = append(r.peers, p)
	return p
}

// peer connects, and is ready for calls.
func (r *Run) peer(settings ...http2.Setting) *Peer {
	p := r.dial()
	p.Greet(settings...)
	p.Listen(false)
	p.Must(func(o *Outcome) bool { return o.Acks > 0 })
	return p
}

// deaf is peer, but it never reads on. Its socket takes little.
func (r *Run) deaf(settings ...http2.Setting) *Peer {
	p := r.dial()
	if tcp, ok := p.conn.(interface{ SetReadBuffer(int) error }); ok {
		_ = tcp.SetReadBuffer(4 << 10)
	}
	p.Greet(settings...)
	return p
}

// flushEvery is how many times something is said between two looks at whether the server takes it.
const flushEvery = 64

// each calls fn for n streams of a peer, as long as the server takes what is said.
func (p *Peer) each(n int, fn func(id uint32)) {
	for i := range n {
		fn(uint32(2*i + 1))
		if i%flushEvery == flushEvery-1 && !p.Flush() {
			return
		}
	}
	p.Flush()
}

// crowd calls fn for each of n peers, many at once.
func (r *Run) crowd(n int, fn func(i int)) {
	const atOnce = 32
	var all sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for i := range n {
		places <- struct{}{}
		all.Go(func() {
			fn(i)
			<-places
		})
	}
	all.Wait()
}

// streamsEach is how many streams a peer opens if it wants none to be refused.
const streamsEach = 90

// spread calls fn for n streams, on as many peers as it takes.
func (r *Run) spread(n int, open func() *Peer, fn func(p *Peer, id uint32), then func(p *Peer, streams int)) {
	r.crowd((n+streamsEach-1)/streamsEach, func(i int) {
		p := open()
		streams := min(streamsEach, n-i*streamsEach)
		p.each(streams, func(id uint32) { fn(p, id) })
		then(p, streams)
	})
}

func ended(n int) func(*Outcome) bool { return func(o *Outcome) bool { return o.Ended() >= n } }

// never waits for the end of the connection, or until patience is over.
func never(*Outcome) bool { return false }

// initialWindow is the SETTINGS entry for streams' windows.
func initialWindow(n uint32) http2.Setting {
	return http2.Setting{ID: http2.SettingInitialWindowSize, Val: n}
}
