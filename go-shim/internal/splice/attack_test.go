package splice

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"

	"hotpath.dev/go-shim/internal/attack"
)

// TestAttacks lets clients without manners loose on a server, stock and spliced. Other callers get right answers meanwhile,
// and the attackers what grpc-go gives, unless the door has a limit that grpc-go lacks. The package attack says what they do.
func TestAttacks(t *testing.T) {
	for _, a := range attack.All() {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			want, got := attacked(t, &a, true), attacked(t, &a, false)
			t.Logf("stock:   %v", want)
			t.Logf("spliced: %v", got)
			if want.Closed > 0 && got.Closed > 0 { // grpc-go's GOAWAY is lost if the connection is reset at once
				want.GoAways, got.GoAways = nil, nil
			}
			if a.Alike && want.String() != got.String() {
				t.Error("that is not the same")
			}
			for _, o := range []attack.Outcome{want, got} {
				if o.Wrong > 0 || o.Stuck > 0 {
					t.Errorf("wrong answers, or none: %v", o)
				}
			}
		})
	}
}

func attacked(t *testing.T, a *attack.Attack, stock bool) attack.Outcome {
	t.Helper()
	r := newRig(t, rigOptions{stock: stock, server: []grpc.ServerOption{grpc.MaxConcurrentStreams(100),
		grpc.MaxHeaderListSize(64 << 10), grpc.ConnectionTimeout(3 * time.Second)}})
	r.policy.asGo = true
	call := func(method string, number uint32, replyLen int) *attack.Call {
		q := question(doAnswer, number, replyLen, 0)
		return &attack.Call{Path: method, Message: encode(q), Reply: encode(reply("go", q))}
	}
	run := attack.Run{Addr: r.addr, N: a.Quick, Hot: call(hotMethod, 1, 50), Long: call(hotMethod, 2, 100_000), Cold: call(coldMethod, 3, 50),
		Pause: 5 * time.Millisecond, Hold: 200 * time.Millisecond, Patience: 20 * time.Second}
	stop, others := make(chan struct{}), sync.WaitGroup{}
	conn := r.dial()
	for _, method := range []string{hotMethod, coldMethod} {
		others.Go(func() {
			for number := uint32(0); ; number++ {
				if err := check(context.Background(), conn, method, doAnswer, number, 100, 10); err != nil {
					t.Error(err)
				}
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond): // many attacks run at once
				}
			}
		})
	}
	outcome := run.Do(a)
	close(stop)
	others.Wait()
	eventually(t, "nothing is left of the attack", func() bool { return r.door.unread.Load() == 0 && (stock || len(r.streams()) == 0) })
	return outcome
}

// A client's header table makes a long list of a few bytes. grpc-go gets such lists in full, so the door reads on only when
// grpc-go has read them.
func TestShortBlocksOfLongListsWait(t *testing.T) {
	const limit, long = 64 << 10, 3500
	limits := Limits{}.withDefaults()
	core := newCore(&limits, newPolicy().Method, false, new(pools))
	core.headerList = limit
	var sent, block bytes.Buffer
	sent.WriteString(http2.ClientPreface)
	frames, encoder := http2.NewFramer(&sent, nil), hpack.NewEncoder(&block)
	_ = frames.WriteSettings()
	const calls, times = 200, 17
	for i := range calls {
		block.Reset()
		for range times {
			_ = encoder.WriteField(hpack.HeaderField{Name: "x-long", Value: strings.Repeat("v", long)})
		}
		id := uint32(2*i + 1)
		_ = frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true})
		_ = frames.WriteRSTStream(id, http2.ErrCodeCancel)
	}
	rest := sent.Bytes()
	if len(rest) > chunkBytes {
		t.Fatalf("%d bytes are not read at once", len(rest))
	}
	rounds, all, most := 0, 0, 0
	for ; len(rest) > 0 && rounds < calls; rounds++ {
		rest = rest[core.FromClient(rest):]
		if core.waits != (len(rest) > 0) {
			t.Fatalf("waits is %v, and %d bytes are left", core.waits, len(rest))
		}
		left := core.toServer.left()
		most, all = max(most, left), all+left
		core.toServer = nil // grpc-go has read it
	}
	if len(rest) > 0 || all < calls*times*long || most > aheadBytes+limit+maxFrame {
		t.Errorf("%d bytes are left after %d rounds; grpc-go got %d bytes, up to %d at once", len(rest), rounds, all, most)
	}
}

// What a client sends is read to its end, also if grpc-go has to read much of what comes first.
func TestConnectionGoesOnAfterLongLists(t *testing.T) {
	r := newRig(t, rigOptions{server: []grpc.ServerOption{grpc.MaxHeaderListSize(64 << 10)}})
	c := newRawClient(t, r.addr)
	q := question(doAnswer, 1, 0, 0)
	const last = 401
	for id := uint32(1); id < last; id += 2 {
		c.encoded.Reset()
		for range 17 {
			_ = c.encoder.WriteField(hpack.HeaderField{Name: "x-long", Value: strings.Repeat("v", 3500)})
		}
		_ = c.write.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.encoded.Bytes(), EndHeaders: true, EndStream: true})
	}
	c.headers(last)
	_ = c.write.WriteData(last, true, message(q))
	c.send()
	for c.streams[last] == "" && c.next() {
	}
	if want := message(reply("hot", q)); !bytes.Equal(c.data[last], want) {
		t.Errorf("%+v %q", c.outcome, c.data[last])
	}
}

// The replies of calls that were under way when the bound was reached count, too.
func TestRepliesThatNobodyTakesAreBounded(t *testing.T) {
	for name, do := range map[string]byte{"of the policy": doAnswer, "of a handler": doMetadata} {
		t.Run(name, func(t *testing.T) { unreadRepliesAreBounded(t, do) })
	}
}

func unreadRepliesAreBounded(t *testing.T, do byte) {
	const inAll, calls = 1_000_000, 90
	const long = 50_003 // with headers and a message, by replyOf
	r := newRig(t, rigOptions{limits: Limits{UnreadInAll: inAll}})
	for range 6 {
		c := newRawClient(t, r.addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		for id := uint32(1); id < 2*calls; id += 2 {
			c.headers(id)
			_ = c.write.WriteData(id, true, message(question(do, id, long, 0)))
		}
		c.send()
		for c.refused() == 0 && c.next() {
		}
		if c.stuck || c.closed {
			t.Fatalf("nothing was refused: %+v", c.outcome)
		}
	}
	if kept := r.door.unread.Load(); kept > inAll || kept < inAll/2 {
		t.Errorf("%d bytes are kept", kept)
	}
	other := r.dial()
	if err := check(context.Background(), other, hotMethod, doAnswer, 1, long, 0); err != nil {
		t.Errorf("a client that reads: %v", err)
	}
}

// refused counts the calls that were RESOURCE_EXHAUSTED.
func (c *rawClient) refused() (n int) {
	for _, how := range c.streams {
		if strings.Contains(how, "grpc-status=8") {
			n++
		}
	}
	return n
}

func TestHandshakesThatHang(t *testing.T) {
	r := newRig(t, rigOptions{tls: true, server: []grpc.ServerOption{grpc.ConnectionTimeout(3 * time.Second)}})
	var hung []net.Conn
	for i := range 40 {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 0 {
			_, _ = conn.Write([]byte{22, 3, 1, 0, 200, 1, 0, 0, 196}) // the beginning of a ClientHello
		}
		hung = append(hung, conn)
	}
	conn := r.dial()
	r.warm(conn)
	for _, c := range hung {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || timedOut(err) {
			t.Errorf("the connection goes on: %v", err)
		}
	}
	if err := check(context.Background(), conn, hotMethod, doAnswer, 1, 10, 10); err != nil {
		t.Error(err)
	}
}
