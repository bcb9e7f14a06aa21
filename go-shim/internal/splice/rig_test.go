package splice

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	hotMethod    = "/test.Service/Hot"
	coldMethod   = "/test.Service/Cold"
	streamMethod = "/test.Service/Stream"
)

// question is the message of a test's request: what the policy is to do with it, how long the reply is to be, and whose.
// The reply repeats it, so that a wrong one is noticed.
func question(do byte, number uint32, replyLen, fill int) []byte {
	b := append([]byte{do}, binary.BigEndian.AppendUint32(nil, number)...)
	b = binary.BigEndian.AppendUint32(b, uint32(replyLen))
	return append(b, bytes.Repeat([]byte{byte(number)}, fill)...)
}

const (
	doAnswer   = 'a'
	doLate     = 'd' // by another goroutine
	doRefuse   = 'r'
	doMetadata = 'm' // what replyOf says
	doLocal    = 'l'
	doGo       = 'g' // local, by another goroutine
	doNever    = 'n'
	doPanic    = 'p'
)

// replyOf is what doMetadata gets, but for the message: the length of the reply says in which of the ways.
func replyOf(q []byte) *Reply {
	number := strconv.Itoa(int(q[4]))
	header := metadata.Pairs("own", number, "own", "again", "own-bin", "\x00\xff"+number, "content-type", "text/plain")
	trailer := metadata.Pairs("own-trailer", number, "own-trailer-bin", number, "grpc-status", "7", detailsKey, "own")
	switch q[8] % 6 {
	case 0:
		return &Reply{Header: header, Trailer: trailer}
	case 1:
		return &Reply{Trailer: trailer, Sent: true}
	case 2:
		return &Reply{Header: header, Trailer: trailer, Status: refusal(q)}
	case 3:
		return &Reply{Trailer: trailer, Status: &spb.Status{Code: 9, Message: number}}
	case 4:
		return &Reply{Sent: true, Status: refusal(q)}
	default:
		return &Reply{Header: header}
	}
}

// reply is what a question gets from those who serve it.
func reply(by string, q []byte) []byte {
	n := int(binary.BigEndian.Uint32(q[5:]))
	b := append([]byte(by), q...)
	for len(b) < n {
		b = append(b, q[:min(len(q), n-len(b))]...)
	}
	return b
}

func encode(b []byte) []byte {
	out, err := proto.Marshal(wrapperspb.Bytes(b))
	if err != nil {
		panic(err)
	}
	return out
}

// decode returns nil if the message is no question.
func decode(b []byte) []byte {
	var m wrapperspb.BytesValue
	if err := proto.Unmarshal(b, &m); err != nil || !sane(m.Value) {
		return nil
	}
	return m.Value
}

func sane(q []byte) bool { return len(q) >= 9 && binary.BigEndian.Uint32(q[5:]) < 1<<20 }

// refusal is the status that doRefuse gets, with everything that is to be escaped.
func refusal(q []byte) *spb.Status {
	st, err := status.New(codes.NotFound, "no such thing: 100% \n é").WithDetails(wrapperspb.Bytes(q))
	if err != nil {
		return &spb.Status{Code: int32(codes.NotFound), Message: "no such thing: 100% \n é"}
	}
	return st.Proto()
}

// policy does what questions say.
type policy struct {
	server *Server
	mu     sync.Mutex
	queue  []*Call // for the lane
	awake  *sync.Cond
	never  map[*Call]bool
	ended  bool
	asGo   bool // answer as the service would
	begun  int
	cancel int
}

func newPolicy() *policy {
	p := &policy{never: map[*Call]bool{}}
	p.awake = sync.NewCond(&p.mu)
	return p
}

func (p *policy) Method(path []byte) int {
	if string(path) == hotMethod {
		return 0
	}
	return -1
}

func (p *policy) reply(q []byte) []byte {
	if p.asGo {
		return encode(reply("go", q))
	}
	return encode(reply("hot", q))
}

func (p *policy) Begin(calls []*Call) {
	for _, call := range calls {
		p.mu.Lock()
		p.begun++
		p.mu.Unlock()
		q := decode(call.Body)
		if q == nil || call.Head.HasTimeout && call.Head.Timeout < time.Millisecond {
			call.Local("", "")
			continue
		}
		switch q[0] {
		case doAnswer:
			b := p.reply(q)
			call.Answer(b[:len(b)/2], b[len(b)/2:], 7, len(call.Head.Position) > 0)
		case doRefuse:
			call.Refuse(refusal(q), 7, len(call.Head.Position) > 0)
		case doMetadata:
			r := replyOf(q)
			if r.Status == nil {
				r.Body = p.reply(q)
			}
			call.Reply(r)
		case doLocal:
			call.Local("", "")
		case doPanic:
			panic("as asked")
		default:
			p.mu.Lock()
			if q[0] == doNever {
				p.never[call] = true
			} else {
				p.queue = append(p.queue, call)
			}
			p.awake.Signal()
			p.mu.Unlock()
		}
	}
}

func (p *policy) Cancel(call *Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancel++
	delete(p.never, call)
	for i, c := range p.queue {
		if c == call {
			p.queue = append(p.queue[:i], p.queue[i+1:]...)
			break
		}
	}
}

// lane ends late calls, as many at once as there are.
func (p *policy) lane() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.ended {
		for len(p.queue) == 0 && !p.ended {
			p.awake.Wait()
		}
		for _, call := range p.queue {
			// Under the lock, so that Cancel waits: after it, a call may not be touched.
			if q := decode(call.Body); q[0] == doGo {
				call.Local("", "")
			} else {
				b := p.reply(q)
				call.Answer(nil, b, 7, len(call.Head.Position) > 0)
			}
		}
		p.queue = p.queue[:0]
		p.mu.Unlock()
		p.server.FlushDirty()
		p.mu.Lock()
	}
}

func (p *policy) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.awake.Broadcast()
}

// rig is a grpc-go server behind a door.
type rig struct {
	t      testing.TB
	door   *Server
	watch  *watched
	policy *policy
	server *grpc.Server
	addr   string
	served chan error
	client credentials.TransportCredentials
	conns  *sync.Map // the connections behind the door
}

// recorder keeps what its credentials make.
type recorder struct {
	credentials.TransportCredentials
	conns *sync.Map
}

func (r recorder) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, auth, err := r.TransportCredentials.ServerHandshake(raw)
	if err == nil {
		r.conns.Store(conn, true)
	}
	return conn, auth, err
}

func (r recorder) Clone() credentials.TransportCredentials { return r }

type rigOptions struct {
	tls     bool
	stock   bool
	limits  Limits
	server  []grpc.ServerOption
	listen  func() (net.Listener, error)
	nothing bool // no inner credentials
}

func newRig(t testing.TB, o rigOptions) *rig {
	t.Helper()
	r := &rig{t: t, watch: newWatched(), policy: newPolicy(), served: make(chan error, 1), client: insecure.NewCredentials(), conns: new(sync.Map)}
	r.door = NewServer(Config{Hot: r.policy, Limits: o.limits, Observer: r.watch, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	r.policy.server = r.door
	go r.policy.lane()
	inner := insecure.NewCredentials()
	if o.tls {
		inner, r.client = tlsCredentials(t)
	}
	creds := r.door.Creds(inner)
	switch {
	case o.stock:
		creds = inner
	case o.nothing:
		creds = r.door.Creds(nil)
	}
	r.server = grpc.NewServer(append([]grpc.ServerOption{grpc.Creds(recorder{creds, r.conns})}, o.server...)...)
	r.server.RegisterService(&service, &struct{}{})
	if o.listen == nil {
		o.listen = func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
	}
	l, err := o.listen()
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	go func() { r.served <- r.server.Serve(l) }()
	t.Cleanup(func() {
		r.server.Stop()
		<-r.served
		r.policy.stop()
	})
	return r
}

func (r *rig) dial(o ...grpc.DialOption) *grpc.ClientConn {
	r.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+r.addr, append([]grpc.DialOption{grpc.WithTransportCredentials(r.client)}, o...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	return conn
}

func invoke(ctx context.Context, conn *grpc.ClientConn, method string, q []byte, o ...grpc.CallOption) ([]byte, error) {
	var out wrapperspb.BytesValue
	err := conn.Invoke(ctx, method, wrapperspb.Bytes(q), &out, o...)
	return out.Value, err
}

// warm makes sure that the connection has come so far that calls are hot.
func (r *rig) warm(conn *grpc.ClientConn) {
	r.t.Helper()
	for start := time.Now(); ; {
		got, err := invoke(context.Background(), conn, hotMethod, question(doAnswer, 0, 0, 0))
		if err != nil {
			r.t.Fatal(err)
		}
		if bytes.HasPrefix(got, []byte("hot")) {
			return
		}
		if time.Since(start) > 10*time.Second {
			r.t.Fatal("calls do not get hot")
		}
	}
}

// service is what grpc-go serves by itself.
var service = grpc.ServiceDesc{
	ServiceName: "test.Service",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{
		{MethodName: "Hot", Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			return answerLocally(ctx, dec)
		}},
		{MethodName: "Cold", Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			return answerLocally(ctx, dec)
		}},
	},
	Streams: []grpc.StreamDesc{{StreamName: "Stream", ServerStreams: true, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
		for {
			var in wrapperspb.BytesValue
			if err := s.RecvMsg(&in); err != nil {
				if err == io.EOF {
					return nil
				}
				return err
			}
			if err := s.SendMsg(wrapperspb.Bytes(reply("go", in.Value))); err != nil {
				return err
			}
		}
	}}},
}

func answerLocally(ctx context.Context, dec func(any) error) (any, error) {
	var in wrapperspb.BytesValue
	if err := dec(&in); err != nil {
		return nil, err
	}
	if !sane(in.Value) {
		return nil, status.Error(codes.InvalidArgument, "no question")
	}
	switch in.Value[0] {
	case doRefuse:
		return nil, status.FromProto(refusal(in.Value)).Err()
	case doMetadata:
		r := replyOf(in.Value)
		if err := errors.Join(grpc.SetHeader(ctx, r.Header), grpc.SetTrailer(ctx, r.Trailer)); err != nil {
			return nil, err
		}
		if r.Sent {
			if err := grpc.SendHeader(ctx, nil); err != nil {
				return nil, err
			}
		}
		if r.Status != nil {
			return nil, status.FromProto(r.Status).Err()
		}
	case doNever:
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return wrapperspb.Bytes(reply("go", in.Value)), nil
}

func tlsCredentials(t testing.TB) (server, client credentials.TransportCredentials) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"door"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	own := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	server = credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{own}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert})
	client = credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "door", Certificates: []tls.Certificate{own}})
	return server, client
}
