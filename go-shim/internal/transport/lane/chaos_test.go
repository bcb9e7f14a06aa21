package lane

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"hotpath.dev/go-shim/codec"
	hotpathv1 "hotpath.dev/go-shim/internal/gen/hotpath/v1"
	"hotpath.dev/go-shim/internal/transport"
)

func encode(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// chaos is a peer that answers late, in any order, and now and then breaks a rule.
type chaos struct {
	mu  sync.Mutex
	r   *rand.Rand
	rig *rig
}

func (c *chaos) roll(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.r.IntN(n)
}

// cut loses a connection in the middle of what is sent next.
func (c *chaos) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rig != nil {
		c.rig.peer.CutMidMessage()
	}
}

func (c *chaos) serve(p *peerLane, in *hotpathv1.ExchangeRequest) error {
	var now, long []*hotpathv1.ReplyFrame
	for _, request := range in.GetRequests() {
		reply := echo(request)
		switch dice := c.roll(1000); {
		case dice < 100:
			wait := time.Duration(c.roll(5000)) * time.Microsecond
			time.AfterFunc(wait, func() { p.send(reply) })
		case dice < 120:
			now = append(now, &hotpathv1.ReplyFrame{Id: request.GetId(), TooLong: true})
		case dice < 140:
			now = append(now, &hotpathv1.ReplyFrame{Id: request.GetId(), Status: uint32(codes.Unavailable), StatusMessage: "theirs"})
		case dice < 300:
			long = append(long, echoLong(request, 1+c.roll(500))...)
		default:
			now = append(now, reply)
		}
	}
	c.mu.Lock()
	c.r.Shuffle(len(now), func(i, j int) { now[i], now[j] = now[j], now[i] })
	c.mu.Unlock()
	now = append(now, long...)
	if len(now) == 0 {
		return nil
	}
	switch c.roll(400) {
	case 0:
		now = append(now, now[0])
	case 1:
		now = append(now, &hotpathv1.ReplyFrame{Id: math.MaxUint32<<32 | uint64(c.roll(2000))})
	case 2:
		_ = p.stream.SendMsg(&codec.Raw{Bytes: []byte(strings.Repeat("\x0a\x7f garbage", c.roll(9)+1))})
	case 3:
		return status.Error(codes.Internal, "chaos")
	case 4:
		return nil // never answered
	case 5, 6, 7, 8:
		time.Sleep(3 * time.Millisecond) // reads nothing meanwhile
	case 9:
		c.cut()
	}
	p.send(now...)
	return nil
}

// caller makes 300 requests. Each outcome must belong to its own request.
func caller(t *testing.T, r *rig, n int, random *rand.Rand) {
	for i := range 300 {
		body := fmt.Sprintf("%d/%d %s", n, i, strings.Repeat("x", random.IntN(2000)*random.IntN(2)))
		ctx, cancel := context.WithCancel(t.Context())
		cancels := random.IntN(5) == 0
		if cancels {
			time.AfterFunc(time.Duration(random.IntN(3000))*time.Microsecond, cancel)
		}
		got, err := r.ask(ctx, body, time.Duration(1+random.IntN(20_000))*time.Microsecond)
		cancel()
		switch code := status.Code(err); {
		case err == nil && (got == body || got == "large"):
		case code == codes.Unavailable:
			time.Sleep(5 * time.Millisecond) // until a lane is open again
		case code == codes.DeadlineExceeded, errors.Is(err, transport.ErrBusy):
		case code == codes.Canceled && cancels:
		default:
			t.Errorf("caller %d got %.40q, %v for %.40q", n, got, err, body)
		}
	}
}

func TestEveryCallerGetsItsOwnAnswerFromAFaultyPeer(t *testing.T) {
	random := source(t)
	peer := &chaos{r: rand.New(rand.NewPCG(random.Uint64(), 0))}
	r := newRig(t, 3, peer.serve)
	r.grace = 50 * time.Millisecond
	peer.mu.Lock()
	peer.rig = r
	peer.mu.Unlock()
	var callers sync.WaitGroup
	for n := range 100 {
		own := rand.New(rand.NewPCG(random.Uint64(), 0))
		callers.Go(func() { caller(t, r, n, own) })
	}
	for n := range 20 {
		own := rand.New(rand.NewPCG(random.Uint64(), 0))
		callers.Go(func() { poster(t, r, n, own.IntN) })
	}
	callers.Wait()
	r.follow(honest)
	eventually(t, "every slot is free", func() bool { return r.inFlight() == 0 && r.watch.inFlight.Load() == 0 })
	eventually(t, "all lanes are open", func() bool { return r.watch.open.Load() == 3 })
	// The last fault may have freed the last slot and not have ended its lane yet.
	eventually(t, "the lanes answer", func() bool {
		body, err := r.ask(t.Context(), "after", longEnough)
		return err == nil && body == "after"
	})
	r.watch.mu.Lock()
	defer r.watch.mu.Unlock()
	t.Logf("lanes lost: %v; %d requests in %d batches", r.watch.failed, r.watch.sent.Load(), r.watch.batches.Load())
}
