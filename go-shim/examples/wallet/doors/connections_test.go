package doors_test

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/internal/doors"
	"hotpath.dev/go-shim/internal/attack"
)

const (
	callsEach = 20
	// perAddress is how many connections one local address makes: it has some 28,000 ports.
	perAddress = 20_000
	// ownBytes is what the door in the Go service may take for an idle connection, and spareBytes what the collector and the
	// pools of all connections may leave.
	ownBytes, spareBytes = 4 << 10, 3 << 20
)

// TestIdleConnections holds many connections at every door, of which one in a hundred is busy.
func TestIdleConnections(t *testing.T) {
	canOpen(t, idleConnections+1_000)
	each := map[doors.Kind]int64{}
	for _, kind := range doors.Kinds {
		d := open(t, kind, idleConnections+1_000)
		before := d.memory(t)
		peers := d.connected(t, idleConnections)
		busy(t, d, peers[:idleConnections/100])
		each[kind] = (d.memory(t) - before) / idleConnections
		for _, p := range peers {
			if o := p.Close(); o.Closed > 0 || o.Wrong > 0 {
				t.Fatalf("%s: a connection was lost: %v", kind, o)
			}
		}
		d.Stop()
	}
	own := each[doors.Spliced] - each[doors.Stock]
	t.Logf("bytes of %d connections, one in a hundred busy: stock %d, spliced %d, so %d are the door's own; the sidecar's, stock %d, spliced %d",
		idleConnections, each[doors.Stock], each[doors.Spliced], own, each[doors.SidecarStock], each[doors.SidecarSpliced])
	if most := int64(ownBytes + spareBytes/idleConnections); own > most {
		t.Errorf("the front door takes %d bytes of its own for an idle connection, more than %d", own, most)
	}
}

// TestBusyConnections has 1, 4, 64 and 1,000 connections call at once.
func TestBusyConnections(t *testing.T) {
	for _, kind := range doors.Kinds {
		d := open(t, kind, 2_000)
		for _, n := range []int{1, 4, 64, 1_000} {
			peers := d.connected(t, n)
			busy(t, d, peers)
			for _, p := range peers {
				p.Close()
			}
		}
		d.Stop()
	}
}

func canOpen(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < n {
		t.Fatalf("this process may open %d files, and needs %d: run `ulimit -n %d` in the shell first (%v)", limit.Cur, n, 2*n, err)
	}
}

// connected opens connections, each of which makes a call.
func (d *door) connected(t *testing.T, n int) []*attack.Peer {
	t.Helper()
	peers := make([]*attack.Peer, n)
	next := make(chan int)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for i := range next {
				p, err := attack.Dial(d.Addr, fmt.Sprintf("127.0.0.%d", 1+i/perAddress))
				if err != nil {
					t.Errorf("%s: connection %d: %v", d.Kind, i, err)
					continue
				}
				p.Greet()
				p.Listen(true)
				p.Must(func(o *attack.Outcome) bool { return o.Acks > 0 })
				p.Ask(1, d.hot)
				p.Must(func(o *attack.Outcome) bool { return o.Ended() == 1 })
				peers[i] = p
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return peers
}

// busy lets each peer make calls one after the other.
func busy(t *testing.T, d *door, peers []*attack.Peer) {
	t.Helper()
	var all sync.WaitGroup
	for _, p := range peers {
		all.Go(func() {
			for i := range callsEach {
				p.Ask(uint32(2*i+3), d.hot)
				p.Must(func(o *attack.Outcome) bool { return o.Ended() == i+2 })
			}
			if o := p.Seen(); o.Answers != callsEach+1 || o.Wrong > 0 || o.Stuck > 0 {
				t.Errorf("%s, %d at once: %v", d.Kind, len(peers), o)
			}
		})
	}
	all.Wait()
}

func (d *door) memory(t *testing.T) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	n, err := d.Memory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
