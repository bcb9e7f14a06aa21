package link

import (
	"context"
	"fmt"
	"math"

	"google.golang.org/grpc"

	"hotpath.dev/go-shim/internal/feed"
	hotpathv1 "hotpath.dev/go-shim/internal/gen/hotpath/v1"
	"hotpath.dev/go-shim/internal/transport"
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

// greet dials and greets each connection. It returns the connections even with an error, for the caller to close.
func (l *Link) greet(ctx context.Context, n int) ([]*grpc.ClientConn, *helloAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	var conns []*grpc.ClientConn
	var answer *helloAnswer
	for range n {
		conn, err := dial(ctx, l.cfg.Socket)
		if err != nil {
			return conns, nil, fmt.Errorf("connect: %w", err)
		}
		conns = append(conns, conn)
		next, err := l.hello(ctx, conn)
		if err != nil {
			return conns, nil, fmt.Errorf("hello: %w", err)
		}
		if answer != nil {
			// Another sidecar may have taken over the socket in between.
			next.refuseAlso(answer)
		}
		answer = next
	}
	return conns, answer, nil
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

func (l *Link) hello(ctx context.Context, conn *grpc.ClientConn) (*helloAnswer, error) {
	request := &hotpathv1.HelloRequest{ProtocolVersion: feed.ProtocolVersion, LedgerId: l.cfg.Source.LedgerID()}
	for _, method := range l.cfg.Methods {
		request.Methods = append(request.Methods,
			&hotpathv1.HotMethod{FullMethod: method.FullName, SchemaSha256: method.SchemaSHA256[:]})
	}
	response, err := hotpathv1.NewControlServiceClient(conn).Hello(ctx, request)
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
