package attack

import (
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const check = "/grpc.health.v1.Health/Check"

// server returns the address of a grpc-go server with a service whose reply to nothing is 08 01.
func server(t *testing.T, options ...grpc.ServerOption) string {
	t.Helper()
	s := grpc.NewServer(options...)
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(s.Stop)
	return listener.Addr().String()
}

func TestPeersSeeWhatTheyGet(t *testing.T) {
	r := &Run{Addr: server(t)}
	right := &Call{Path: check, Reply: []byte{8, 1}}
	outcome := r.Do(&Attack{Run: func(r *Run) {
		p := r.peer()
		p.Ask(1, right)
		p.Ask(3, &Call{Path: check, Reply: []byte{8, 2}})
		p.Ask(5, &Call{Path: "/no.Service/Call"})
		p.Head(7, right, false)
		p.Must(ended(3))
		p.Settle()
		p.crumbs(9, &Call{Path: check, Message: padded(nil, 70_000), Reply: right.Reply})
		p.Must(func(o *Outcome) bool { return o.Answers == 3 })
	}})
	const want = "3 answers, 1 WRONG REPLY of 7 bytes, 1 status 12, 1 acks, 1 pongs, 1 WRONG ANSWERS"
	if outcome.String() != want || outcome.Sent < 700_000 || outcome.Received == 0 {
		t.Errorf("%v; %d bytes sent, %d received", outcome, outcome.Sent, outcome.Received)
	}
}

func TestPeersNoticeTheEnd(t *testing.T) {
	r := &Run{Addr: server(t, grpc.ConnectionTimeout(50*time.Millisecond)), N: 4, Patience: time.Minute, Hot: &Call{Path: check}}
	outcome := r.Do(&Attack{Run: func(r *Run) {
		for _, a := range All() {
			if a.Name == "connections that say nothing" {
				a.Run(r)
			}
		}
	}})
	if want := "0 answers, 4 closed"; outcome.String() != want || outcome.Peers != 4 {
		t.Errorf("%v", outcome)
	}
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = nobody.Close()
	r = &Run{Addr: nobody.Addr().String()}
	if outcome := r.Do(&Attack{Run: func(r *Run) { r.peer() }}); outcome.Ends["connection refused"] != 1 || outcome.Stuck > 0 {
		t.Errorf("%v", outcome)
	}
}

func TestEveryAttackIsNamedOnce(t *testing.T) {
	names := map[string]bool{}
	for _, a := range All() {
		if names[a.Name] || a.Why == "" || a.Quick < 1 || a.Full < a.Quick {
			t.Errorf("%+v", a.Name)
		}
		names[a.Name] = true
	}
}
