// Package ask sends the hot reads to a server as raw bytes and keeps the complete answer, so that two answers can be
// compared byte for byte.
package ask

import (
	"context"
	"fmt"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/position"
)

// Hot lists the full names of the five hot reads, in the order of the API.
var Hot = [5]string{
	walletv1.WalletService_GetBalance_FullMethodName,
	walletv1.WalletService_BatchGetBalances_FullMethodName,
	walletv1.WalletService_GetStatistics_FullMethodName,
	walletv1.WalletService_GetTopCounterparties_FullMethodName,
	walletv1.WalletService_GetTimeSeries_FullMethodName,
}

// Question is one request.
type Question struct {
	// Method is an index of Hot.
	Method int
	// Request is the encoded message.
	Request []byte
}

// New encodes a request message as a question of Hot[method].
func New(method int, request proto.Message) Question {
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	if err != nil {
		// This happens only for text that is not UTF-8. The question is then bytes that cannot be decoded.
		encoded = []byte{0xff}
	}
	return Question{method, encoded}
}

// Answer is everything that a caller can see of a reply.
type Answer struct {
	Code    codes.Code
	Message string
	// Details are the encoded status details, one after the other.
	Details []byte
	Reply   []byte
	// Position is the value of x-hotpath-position, if HasPosition is true.
	Position    uint64
	HasPosition bool
}

// Decided returns whether the ledger decided the answer. Any other answer is a failure of the infrastructure.
func (a Answer) Decided() bool {
	switch a.Code {
	case codes.OK, codes.InvalidArgument, codes.NotFound, codes.OutOfRange:
		return a.HasPosition
	default:
		return false
	}
}

// String returns the status, the length of the reply and the position.
func (a Answer) String() string {
	where := "no position"
	if a.HasPosition {
		where = fmt.Sprintf("position %d", a.Position)
	}
	if a.Code == codes.OK {
		return fmt.Sprintf("OK, %d bytes, %s", len(a.Reply), where)
	}
	return fmt.Sprintf("%s %q, %s", a.Code, a.Message, where)
}

// At returns metadata that asks for the answer at exactly this position.
func At(p uint64) metadata.MD {
	return metadata.Pairs(position.AtKey, strconv.FormatUint(p, 10))
}

// Want returns metadata that asks for the newest answer and its position.
func Want() metadata.MD { return metadata.Pairs(position.Key, "want") }

// Dial connects to a server. target may be "unix:PATH".
func Dial(target string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(target, append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64 << 20))}, options...)...)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", target, err)
	}
	return conn, nil
}

// Put sends one question with the given metadata.
func Put(ctx context.Context, conn *grpc.ClientConn, q Question, md metadata.MD) Answer {
	return Call(ctx, conn, Hot[q.Method], q.Request, md)
}

// Call sends a request to any unary method, as Put does for the hot reads.
func Call(ctx context.Context, conn *grpc.ClientConn, method string, request []byte, md metadata.MD) Answer {
	var header, trailer metadata.MD
	var reply []byte
	err := conn.Invoke(metadata.NewOutgoingContext(ctx, md), method, &request, &reply,
		grpc.ForceCodecV2(raw{}), grpc.Header(&header), grpc.Trailer(&trailer))
	answer := Answer{Reply: reply}
	if err != nil {
		st := status.Convert(err)
		answer = Answer{Code: st.Code(), Message: st.Message()}
		for _, detail := range st.Proto().GetDetails() {
			answer.Details = fmt.Appendf(answer.Details, "%s %x\n", detail.GetTypeUrl(), detail.GetValue())
		}
	}
	for _, values := range [][]string{header.Get(position.Key), trailer.Get(position.Key)} {
		if len(values) == 1 {
			p, err := strconv.ParseUint(values[0], 10, 64)
			answer.Position, answer.HasPosition = p, err == nil
		}
	}
	return answer
}
