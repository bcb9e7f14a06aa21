package shimtest

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/position"
)

// left is the stream of a call whose caller has gone. It counts the messages that are sent all the same.
type left struct {
	grpc.ServerStream
	ctx  context.Context
	sent int
}

func (l *left) Context() context.Context    { return l.ctx }
func (l *left) SetHeader(metadata.MD) error { return nil }
func (l *left) SetTrailer(metadata.MD)      {}
func (l *left) SendMsg(any) error           { l.sent++; return nil }

// An answer that is sent at the deadline may reach the caller before the caller's own deadline takes effect.
func TestNobodyIsAnsweredAfterHisTime(t *testing.T) {
	sidecar := Start(t, filepath.Join(t.TempDir(), "s"))
	ended, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	for name, c := range map[string]struct {
		answer Answer
		want   position.Want
	}{
		"slow": {Answer{Delay: time.Hour}, position.Want{}}, "hung": {Answer{Hang: true}, position.Want{}},
		"dropped": {Answer{Drop: true}, position.Want{}}, "not reached": {Answer{}, position.Want{Min: 9}},
		"slow, with a position": {Answer{Delay: time.Hour, Position: 3}, position.Want{}},
		"slow verdict":          {Answer{Delay: time.Hour, Err: status.Error(codes.NotFound, "x")}, position.Want{}},
	} {
		t.Run(name, func(t *testing.T) {
			stream := &left{ctx: ended}
			err := sidecar.reply(stream, Call{Want: c.want}, c.answer)
			if status.Code(err) != codes.DeadlineExceeded || stream.sent != 0 {
				t.Errorf("unary: %v, %d messages", err, stream.sent)
			}
			frame := sidecar.frameOf(ended, 1, Call{Want: c.want}, c.answer)
			if codes.Code(frame.GetStatus()) != codes.DeadlineExceeded || frame.Position != nil {
				t.Errorf("batched: %v", frame)
			}
		})
	}
}
