package splice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// check asks a question, and says whether the answer is right.
func check(ctx context.Context, conn *grpc.ClientConn, method string, do byte, number uint32, replyLen, fill int) error {
	q := question(do, number, replyLen, fill)
	got, err := invoke(ctx, conn, method, q)
	switch {
	case do == doRefuse:
		want := refusal(q)
		if st := status.Convert(err); !proto.Equal(st.Proto(), want) {
			return fmt.Errorf("%d: refused as %v: %w", number, st.Proto(), err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("%c %d, %d and %d bytes: %w", do, number, fill, replyLen, err)
	}
	local := bytes.Equal(got, reply("go", q))
	hot := bytes.Equal(got, reply("hot", q))
	if !local && !hot || hot && (method != hotMethod || do == doLocal || do == doGo) {
		return fmt.Errorf("%c %d: wrong answer of %d bytes, %.40q", do, number, len(got), got)
	}
	return nil
}

func TestHotAndColdCallsOfRealClients(t *testing.T) {
	window := func(n int32) []grpc.DialOption {
		return []grpc.DialOption{grpc.WithInitialWindowSize(n), grpc.WithInitialConnWindowSize(n)}
	}
	for name, o := range map[string]struct {
		rig    rigOptions
		client []grpc.DialOption
	}{
		"plain":         {},
		"no creds":      {rig: rigOptions{nothing: true}},
		"TLS":           {rig: rigOptions{tls: true}},
		"fixed windows": {client: window(65536), rig: rigOptions{server: []grpc.ServerOption{grpc.InitialWindowSize(65536), grpc.InitialConnWindowSize(65536)}}},
		"few streams":   {rig: rigOptions{server: []grpc.ServerOption{grpc.MaxConcurrentStreams(3)}}},
		"small table":   {rig: rigOptions{server: []grpc.ServerOption{grpc.HeaderTableSize(0)}}},
		"no buffers":    {rig: rigOptions{server: []grpc.ServerOption{grpc.WriteBufferSize(0), grpc.ReadBufferSize(0)}}},
		"in memory":     {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "in memory" {
				l := bufconn.Listen(1 << 16)
				o.rig.listen = func() (net.Listener, error) { return l, nil }
				o.client = append(o.client, grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return l.Dial() }))
			}
			r := newRig(t, o.rig)
			conn := r.dial(o.client...)
			r.warm(conn)
			calls := 40
			if testing.Short() {
				calls = 20
			}
			mix(t, conn, 12, calls)
			if r.policy.begun < 100 {
				t.Errorf("only %d calls were hot", r.policy.begun)
			}
		})
	}
}

// mix makes calls of all kinds at once.
func mix(t *testing.T, conn *grpc.ClientConn, callers, calls int) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 60*time.Second)
	defer stop()
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(caller), 1))
			for i := range calls {
				number := uint32(caller*calls + i)
				replyLen, fill := random.IntN(200), random.IntN(200)
				switch random.IntN(8) {
				case 0:
					replyLen = random.IntN(300_000)
				case 1:
					fill = random.IntN(200_000)
				}
				var err error
				switch do := []byte("aaadddrlg")[random.IntN(9)]; random.IntN(6) {
				case 0:
					err = check(ctx, conn, coldMethod, doAnswer, number, replyLen, fill)
				case 1:
					err = converse(ctx, conn, number, replyLen, fill)
				case 2:
					short, cancel := context.WithTimeout(ctx, time.Duration(random.IntN(2000))*time.Microsecond)
					// The server may find out before the caller does that the time is up.
					if e := check(short, conn, hotMethod, do, number, replyLen, fill); short.Err() == nil &&
						status.Code(errors.Unwrap(e)) != codes.DeadlineExceeded {
						err = e
					}
					cancel()
				default:
					err = check(ctx, conn, hotMethod, do, number, replyLen, fill)
				}
				if err != nil && status.Code(errors.Unwrap(err)) != codes.DeadlineExceeded {
					t.Error(err)
				}
				if ctx.Err() != nil {
					t.Errorf("not done in time: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
}

// converse exchanges messages on one stream.
func converse(ctx context.Context, conn *grpc.ClientConn, number uint32, replyLen, fill int) error {
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, streamMethod)
	if err != nil {
		return err
	}
	for range 3 {
		q := question(doAnswer, number, replyLen, fill)
		if err := s.SendMsg(wrapperspb.Bytes(q)); err != nil {
			return err
		}
		var got wrapperspb.BytesValue
		if err := s.RecvMsg(&got); err != nil {
			return err
		}
		if !bytes.Equal(got.Value, reply("go", q)) {
			return fmt.Errorf("%d: wrong message in a stream", number)
		}
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	if err := s.RecvMsg(new(wrapperspb.BytesValue)); err != io.EOF {
		return fmt.Errorf("%d: the stream ended with %w", number, err)
	}
	return nil
}

func TestPositionIsToldInTheHeader(t *testing.T) {
	r := newRig(t, rigOptions{})
	conn := r.dial()
	r.warm(conn)
	ctx := metadata.AppendToOutgoingContext(context.Background(), "x-hotpath-position", "")
	for _, do := range []byte{doAnswer, doRefuse} {
		var header, trailer metadata.MD
		_, _ = invoke(ctx, conn, hotMethod, question(do, 1, 0, 0), grpc.Header(&header), grpc.Trailer(&trailer))
		if got := header.Get("x-hotpath-position"); len(got) != 1 || got[0] != "7" {
			t.Errorf("%c: header %v, trailer %v", do, header, trailer)
		}
	}
}

func TestPolicySeesThePeer(t *testing.T) {
	r := newRig(t, rigOptions{tls: true})
	conn := r.dial()
	r.warm(conn)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := invoke(ctx, conn, hotMethod, question(doNever, 1, 0, 0))
		done <- err
	}()
	var who *peer.Peer
	for who == nil {
		r.policy.mu.Lock()
		for call := range r.policy.never {
			who = call.Peer()
		}
		r.policy.mu.Unlock()
	}
	if who.AuthInfo == nil || who.AuthInfo.AuthType() != "tls" || who.Addr == nil {
		t.Errorf("peer %v", who)
	}
	cancel()
	if err := <-done; status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	eventually(t, "the policy hears that the caller has left", func() bool {
		r.policy.mu.Lock()
		defer r.policy.mu.Unlock()
		return r.policy.cancel == 1
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for start := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
