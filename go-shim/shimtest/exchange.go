package shimtest

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	hotpathv1 "hotpath.dev/go-shim/internal/gen/hotpath/v1"
	"hotpath.dev/go-shim/position"
)

// maxFrameBody is the longest body of a frame.
const maxFrameBody = 64 << 10

// exchange is one lane.
type exchange struct {
	sidecar *Sidecar
	stream  hotpathv1.ExchangeService_ExchangeServer
	working sync.WaitGroup

	mu sync.Mutex
	// callers holds what cancels each request that is answered in the background, by the request's id.
	callers map[uint64]context.CancelFunc
}

// Exchange implements the exchange service. It answers requests that have to wait in the background. It answers all
// others at once, in one message for each message that came.
func (s *Sidecar) Exchange(stream hotpathv1.ExchangeService_ExchangeServer) error {
	x := &exchange{sidecar: s, stream: stream, callers: map[uint64]context.CancelFunc{}}
	defer x.working.Wait()
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var response hotpathv1.ExchangeResponse
		for _, frame := range request.GetRequests() {
			call, err := s.callOf(stream.Context(), frame)
			if err != nil {
				return err
			}
			answer := s.decide(call)
			if answer.Hang || answer.Drop || answer.Delay > 0 || !s.reached(answer, call) {
				x.later(frame, call, answer)
				continue
			}
			response.Replies = append(response.Replies, s.frameOf(stream.Context(), frame.GetId(), call, answer))
		}
		if err := x.send(&response); err != nil {
			return err
		}
		x.cancel(request.GetCancelled())
	}
}

func (x *exchange) send(response *hotpathv1.ExchangeResponse) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(response.GetReplies()) == 0 {
		return nil
	}
	return x.stream.Send(response)
}

func (x *exchange) cancel(ids []uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, id := range ids {
		if cancel := x.callers[id]; cancel != nil {
			cancel()
		}
	}
}

// later answers in the background, once the script allows it.
func (x *exchange) later(frame *hotpathv1.RequestFrame, call Call, answer Answer) {
	ctx, cancel := context.WithDeadline(x.stream.Context(), call.Deadline)
	x.mu.Lock()
	x.callers[frame.GetId()] = cancel
	x.mu.Unlock()
	x.working.Go(func() {
		defer cancel()
		reply := x.sidecar.frameOf(ctx, frame.GetId(), call, answer)
		x.mu.Lock()
		delete(x.callers, frame.GetId())
		x.mu.Unlock()
		_ = x.send(&hotpathv1.ExchangeResponse{Replies: []*hotpathv1.ReplyFrame{reply}}) // the lane may be gone
	})
}

// callOf returns a frame as the Call that a unary call would have been, so that the same scripts and checks serve both.
func (s *Sidecar) callOf(ctx context.Context, frame *hotpathv1.RequestFrame) (Call, error) {
	call := Call{Body: frame.GetBody(), Batched: true, Metadata: metadata.MD{}, Want: position.Want{Asked: true},
		Deadline: time.Now().Add(time.Duration(frame.GetBudgetUs()) * time.Microsecond)}
	s.mu.Lock()
	call.Method = s.methods[frame.GetMethod()]
	s.mu.Unlock()
	switch {
	case call.Method == "":
		return call, status.Errorf(codes.InvalidArgument, "method: %d was not accepted", frame.GetMethod())
	case frame.GetId() == 0:
		return call, status.Error(codes.InvalidArgument, "id: must not be 0")
	case frame.GetBudgetUs() < 1 || frame.GetBudgetUs() > 60_000_000:
		return call, status.Errorf(codes.InvalidArgument, "budget_us: %d must be 1 to 60,000,000", frame.GetBudgetUs())
	case len(frame.GetBody()) > maxFrameBody:
		return call, status.Errorf(codes.ResourceExhausted, "body: %d bytes", len(frame.GetBody()))
	}
	if frame.AtPosition != nil {
		call.Want.At, call.Want.HasAt = frame.GetAtPosition(), true
		call.Metadata.Set(position.AtKey, strconv.FormatUint(frame.GetAtPosition(), 10))
	} else {
		call.Want.Min = frame.GetMinPosition()
		call.Metadata.Set(position.MinKey, strconv.FormatUint(frame.GetMinPosition(), 10))
	}
	for key, value := range map[string]string{"traceparent": frame.GetTraceparent(), "tracestate": frame.GetTracestate()} {
		if value != "" {
			call.Metadata.Set(key, value)
		}
	}
	return call, ctx.Err()
}

// reached says whether the call can be answered without waiting for a position.
func (s *Sidecar) reached(answer Answer, call Call) bool {
	if answer.Position != 0 || call.Want.HasAt {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.position() >= call.Want.Min
}

// frameOf waits as the script says, and then returns the reply.
func (s *Sidecar) frameOf(ctx context.Context, id uint64, call Call, answer Answer) *hotpathv1.ReplyFrame {
	if answer.Drop {
		s.DropConnections()
	}
	if answer.Hang || answer.Drop {
		<-ctx.Done()
	} else {
		pause(ctx, answer.Delay)
	}
	reply := &hotpathv1.ReplyFrame{Id: id}
	if answer.Position == 0 && ctx.Err() == nil {
		answer.Position = s.reach(ctx, call.Want)
	}
	if err := ctx.Err(); err != nil {
		reply.Status, reply.StatusMessage = uint32(status.FromContextError(err).Code()), err.Error()
		return reply
	}
	if answer.Err == nil && len(answer.Body) > maxFrameBody {
		reply.TooLong = true
		return reply
	}
	if !answer.Unpositioned && !answer.Garbled {
		reply.Position = &answer.Position
	}
	if answer.Err == nil {
		reply.Body = answer.Body
		return reply
	}
	said := status.Convert(answer.Err)
	reply.Status, reply.StatusMessage = uint32(said.Code()), said.Message()
	if len(said.Details()) > 0 {
		reply.StatusDetails, _ = proto.Marshal(said.Proto()) // a status that was unmarshalled can be marshalled
	}
	return reply
}

func pause(ctx context.Context, delay time.Duration) {
	if delay == 0 {
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
