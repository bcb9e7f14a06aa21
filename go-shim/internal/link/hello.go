package link

import (
	"context"
	"fmt"
	"math"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"hotpath.dev/go-shim/internal/feed"
	hotpathv1 "hotpath.dev/go-shim/internal/gen/hotpath/v1"
	"hotpath.dev/go-shim/internal/transport"
	"hotpath.dev/go-shim/internal/wire"
)

const defaultMaxMessageBytes = 4 << 20

// helloAnswer is the answer on which all connections of a session agree.
type helloAnswer struct {
	*hotpathv1.HelloResponse
	// refusals says for each method why the sidecar refused it. It is empty for an accepted method.
	refusals []string
}

func (a *helloAnswer) maxMessageBytes() int {
	if n := a.GetMaxMessageBytes(); n > 0 {
		return int(min(n, math.MaxInt32))
	}
	return defaultMaxMessageBytes
}

// connections are those of a session.
type connections struct {
	// calls are for the feed, which has the first for itself, and for unary calls.
	calls []*grpc.ClientConn
	lanes []*wire.Conn
}

func (c *connections) close() {
	for _, conn := range c.calls {
		_ = conn.Close() // fails only if it is closed already
	}
	for _, conn := range c.lanes {
		conn.Close()
	}
}

// greet dials and greets each connection. It returns the connections even with an error, for the caller to close.
func (l *Link) greet(ctx context.Context) (*connections, *helloAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	var all connections
	var answer *helloAnswer
	call := func() (invoker, error) {
		conn, err := dial(ctx, l.cfg.Socket)
		if err != nil {
			return nil, err
		}
		all.calls = append(all.calls, conn)
		return hotpathv1.NewControlServiceClient(conn).Hello, nil
	}
	lane := func() (invoker, error) {
		conn, err := dialLane(ctx, l.cfg.Socket)
		if err != nil {
			return nil, err
		}
		all.lanes = append(all.lanes, conn)
		return helloOn(conn), nil
	}
	// The sidecar deals connections out to its cores. Lanes that follow each other get different ones.
	steps := append([]func() (invoker, error){call}, slices.Repeat([]func() (invoker, error){lane}, l.cfg.Lanes)...)
	steps = append(steps, slices.Repeat([]func() (invoker, error){call}, l.cfg.Connections)...)
	for _, step := range steps {
		invoke, err := step()
		if err != nil {
			return &all, nil, fmt.Errorf("connect: %w", err)
		}
		next, err := l.hello(ctx, invoke)
		if err != nil {
			return &all, nil, fmt.Errorf("hello: %w", err)
		}
		if answer != nil {
			// Another sidecar may have taken over the socket in between.
			next.refuseAlso(answer)
		}
		answer = next
	}
	return &all, answer, nil
}

// invoker says Hello on some connection.
type invoker func(context.Context, *hotpathv1.HelloRequest, ...grpc.CallOption) (*hotpathv1.HelloResponse, error)

func helloOn(conn *wire.Conn) invoker {
	return func(ctx context.Context, request *hotpathv1.HelloRequest, _ ...grpc.CallOption) (*hotpathv1.HelloResponse, error) {
		encoded, err := proto.Marshal(request)
		if err != nil {
			return nil, err
		}
		reply, err := conn.Unary(ctx, hotpathv1.ControlService_Hello_FullMethodName, defaultMaxMessageBytes, encoded)
		if err != nil {
			return nil, err
		}
		response := new(hotpathv1.HelloResponse)
		return response, proto.Unmarshal(reply, response)
	}
}

// refuseAlso keeps only the methods that both answers accept and call by the same index.
func (a *helloAnswer) refuseAlso(before *helloAnswer) {
	for i, refusal := range before.refusals {
		switch {
		case a.refusals[i] != "":
		case refusal != "":
			a.refusals[i] = refusal
		case a.GetMethods()[i].GetIndex() != before.GetMethods()[i].GetIndex():
			a.refusals[i] = "the sidecar calls it by another index on each connection"
		}
	}
}

// names returns the names of the methods in exchange frames. A refused method has none: its index means nothing, and
// the index 0 in its place is another method's.
func (a *helloAnswer) names() []transport.Name {
	names := make([]transport.Name, len(a.GetMethods()))
	for i, verdict := range a.GetMethods() {
		if a.refusals[i] == "" {
			names[i] = transport.NameOf(verdict.GetIndex())
		}
	}
	return names
}

func (l *Link) hello(ctx context.Context, invoke invoker) (*helloAnswer, error) {
	request := &hotpathv1.HelloRequest{ProtocolVersion: feed.ProtocolVersion, LedgerId: l.cfg.Source.LedgerID()}
	for _, method := range l.cfg.Methods {
		request.Methods = append(request.Methods,
			&hotpathv1.HotMethod{FullMethod: method.FullName, SchemaSha256: method.SchemaSHA256[:]})
	}
	response, err := invoke(ctx, request)
	if err != nil {
		return nil, feed.AsRefusal(err)
	}
	return judge(request, response)
}

func judge(request *hotpathv1.HelloRequest, response *hotpathv1.HelloResponse) (*helloAnswer, error) {
	if v := response.GetProtocolVersion(); v != feed.ProtocolVersion {
		return nil, &feed.Refusal{Reason: feed.ProtocolMismatch,
			Err: fmt.Errorf("the sidecar speaks version %d, the shim %d", v, feed.ProtocolVersion)}
	}
	if id := response.GetLedgerId(); id != "" && id != request.GetLedgerId() {
		return nil, &feed.Refusal{Reason: feed.LedgerMismatch,
			Err: fmt.Errorf("the sidecar holds ledger %q, this is %q", id, request.GetLedgerId())}
	}
	if len(response.GetMethods()) != len(request.GetMethods()) {
		return nil, &feed.Refusal{Reason: feed.ProtocolMismatch,
			Err: fmt.Errorf("%d verdicts for %d methods", len(response.GetMethods()), len(request.GetMethods()))}
	}
	answer := &helloAnswer{HelloResponse: response, refusals: make([]string, len(request.GetMethods()))}
	named := make(map[uint32]string)
	for i, verdict := range response.GetMethods() {
		other, taken := named[verdict.GetIndex()]
		switch {
		case verdict.GetFullMethod() != request.GetMethods()[i].GetFullMethod():
			return nil, &feed.Refusal{Reason: feed.ProtocolMismatch,
				Err: fmt.Errorf("verdict %d is for %q", i, verdict.GetFullMethod())}
		case verdict.GetAccepted() && taken:
			// One method would be answered by the other.
			return nil, &feed.Refusal{Reason: feed.ProtocolMismatch,
				Err: fmt.Errorf("%s and %s both have index %d", other, verdict.GetFullMethod(), verdict.GetIndex())}
		case verdict.GetAccepted():
			named[verdict.GetIndex()] = verdict.GetFullMethod()
		case verdict.GetRefusal() == "":
			answer.refusals[i] = "no reason given"
		default:
			answer.refusals[i] = verdict.GetRefusal()
		}
	}
	return answer, nil
}
