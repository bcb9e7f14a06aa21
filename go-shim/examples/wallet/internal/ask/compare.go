package ask

import (
	"bytes"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// Differ returns how b differs from a, or "". It ignores the positions of InvalidArgument: such an answer does not
// depend on the position, and names the newest.
func Differ(a, b Answer) string {
	switch {
	case a.Code != b.Code:
		return fmt.Sprintf("code: %s, not %s", b.Code, a.Code)
	case a.Message != b.Message:
		return fmt.Sprintf("message: %q, not %q", b.Message, a.Message)
	case !bytes.Equal(a.Details, b.Details):
		return fmt.Sprintf("details: %q, not %q", b.Details, a.Details)
	case a.HasPosition != b.HasPosition:
		return fmt.Sprintf("has a position: %v, not %v", b.HasPosition, a.HasPosition)
	case a.Code != codes.InvalidArgument && a.Position != b.Position:
		return fmt.Sprintf("position: %d, not %d", b.Position, a.Position)
	case !bytes.Equal(a.Reply, b.Reply):
		return fmt.Sprintf("reply: %d bytes that are not these %d bytes, from byte %d on",
			len(b.Reply), len(a.Reply), commonPrefix(a.Reply, b.Reply))
	}
	return ""
}

func commonPrefix(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// messages returns an empty request and an empty response of a method of Hot.
func messages(method int) (request, response proto.Message) {
	switch method {
	case 0:
		return new(walletv1.GetBalanceRequest), new(walletv1.GetBalanceResponse)
	case 1:
		return new(walletv1.BatchGetBalancesRequest), new(walletv1.BatchGetBalancesResponse)
	case 2:
		return new(walletv1.GetStatisticsRequest), new(walletv1.GetStatisticsResponse)
	case 3:
		return new(walletv1.GetTopCounterpartiesRequest), new(walletv1.GetTopCounterpartiesResponse)
	default:
		return new(walletv1.GetTimeSeriesRequest), new(walletv1.GetTimeSeriesResponse)
	}
}

// Text returns the question in readable form.
func (q Question) Text() string {
	request, _ := messages(q.Method)
	return Name(q.Method) + "\n" + text(q.Request, request)
}

// AnswerText returns an answer to q in readable form.
func (q Question) AnswerText(a Answer) string {
	_, response := messages(q.Method)
	if a.Code != codes.OK {
		return a.String() + "\n" + string(a.Details)
	}
	return a.String() + "\n" + text(a.Reply, response)
}

func text(encoded []byte, message proto.Message) string {
	if err := proto.Unmarshal(encoded, message); err != nil {
		return fmt.Sprintf("%v: %x\n", err, encoded)
	}
	return prototext.MarshalOptions{Multiline: true}.Format(message)
}

// Name returns the short name of a method of Hot.
func Name(method int) string {
	full := Hot[method]
	return full[strings.LastIndexByte(full, '/')+1:]
}
