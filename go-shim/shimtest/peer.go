package shimtest

import (
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"hotpath.dev/go-shim/codec"
	hotpathv1 "hotpath.dev/go-shim/internal/gen/hotpath/v1"
)

// Peer is a bare server of the exchange, for tests of lanes: it does what it is told, right or wrong.
type Peer struct {
	listener *tracking
	socket   string
	cut      atomic.Bool
}

// NewPeer starts a peer. lane handles the lanes and, if unary is not nil, unary handles all other methods. Both get
// their messages through package codec.
func NewPeer(t testing.TB, lane, unary grpc.StreamHandler) *Peer {
	t.Helper()
	p := &Peer{socket: filepath.Join(t.TempDir(), "peer.sock")}
	listener, err := net.Listen("unix", p.socket)
	if err != nil {
		t.Fatalf("fake peer: %v", err)
	}
	p.listener = &tracking{Listener: cutting{listener, &p.cut}}
	options := []grpc.ServerOption{grpc.ForceServerCodecV2(codec.New(nil)), grpc.MaxRecvMsgSize(64 << 20)}
	if unary != nil {
		options = append(options, grpc.UnknownServiceHandler(unary))
	}
	server := grpc.NewServer(options...)
	server.RegisterService(&grpc.ServiceDesc{ServiceName: hotpathv1.ExchangeService_ServiceDesc.ServiceName,
		Streams: []grpc.StreamDesc{{StreamName: "Exchange", Handler: lane, ServerStreams: true, ClientStreams: true}}}, nil)
	go func() { _ = server.Serve(p.listener) }()
	t.Cleanup(server.Stop)
	return p
}

// Connect makes a connection that uses package codec. Unlike the connections of package link, it is dialled again when
// it is lost.
func (p *Peer) Connect(t testing.TB) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+p.socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(1<<20), grpc.WithInitialConnWindowSize(4<<20),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec.New(nil))))
	if err != nil {
		t.Fatalf("fake peer: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Socket is where the peer listens.
func (p *Peer) Socket() string { return p.socket }

// CutMidMessage loses the connection half-way through the next bytes that the peer sends.
func (p *Peer) CutMidMessage() { p.cut.Store(true) }

type cutting struct {
	net.Listener
	cut *atomic.Bool
}

func (l cutting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return cuttable{conn, l.cut}, nil
}

type cuttable struct {
	net.Conn
	cut *atomic.Bool
}

func (c cuttable) Write(b []byte) (int, error) {
	if !c.cut.Swap(false) {
		return c.Conn.Write(b)
	}
	n, _ := c.Conn.Write(b[:len(b)/2])
	_ = c.Close()
	return n, net.ErrClosed
}
