package shimtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"hotpath.dev/go-shim/codec"
	"hotpath.dev/go-shim/internal/evidence"
	"hotpath.dev/go-shim/position"
)

// replayTimeout is how long each side may take.
const replayTimeout = 30 * time.Second

// Errors of ReplayCapture.
var (
	// ErrDiffers: the sidecar still answers otherwise than Go.
	ErrDiffers = errors.New("the sidecar still answers otherwise than Go")
	// ErrNotReplayable: the capture has no request, because it was too long or redacted away.
	ErrNotReplayable = errors.New("the capture has no request to replay")
	// ErrOtherLedger: Go does not say any more what it said. The ledger is another one, or Go has changed.
	ErrOtherLedger = errors.New("Go no longer says what it said: is this the ledger of the capture?")
)

// Replay asks both sides each captured request of a folder again, at the position of the capture, in a subtest each. So a real
// difference that production has found becomes a test, which passes once it is mended:
//
//	func TestReplay(t *testing.T) { shimtest.Replay(t, os.Getenv("CAPTURES"), service, sidecar) }
//
// service is a connection to a service that answers itself and obeys x-hotpath-at-position. sidecar is one to a sidecar
// (hotpathd --listen, or its socket) that has been fed the same ledger.
func Replay(t *testing.T, folder string, service, sidecar grpc.ClientConnInterface) {
	t.Helper()
	captures, err := evidence.List(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(captures) == 0 {
		t.Fatalf("%s holds no captures", folder)
	}
	for _, path := range captures {
		t.Run(filepath.Base(path), func(t *testing.T) {
			if err := ReplayCapture(t.Context(), path, service, sidecar); err != nil {
				t.Error(err)
			}
		})
	}
}

// ReplayCapture asks both sides the request of one capture again. It fails if they differ, with one of the errors above.
func ReplayCapture(ctx context.Context, path string, service, sidecar grpc.ClientConnInterface) error {
	capture, err := evidence.Read(path)
	if err != nil {
		return err
	}
	if capture.Redacted || len(capture.Request.Bytes) != capture.Request.Length {
		return fmt.Errorf("%s: %w", path, ErrNotReplayable)
	}
	fromGo, err := replay(ctx, capture, service)
	if err != nil {
		return fmt.Errorf("Go: %w", err)
	}
	if kept := capture.Go; len(kept.Bytes) == kept.Length && !fromGo.is(kept.Bytes, kept.Status) {
		return fmt.Errorf("%s at position %d: %w", capture.Method, capture.Position, ErrOtherLedger)
	}
	fromSidecar, err := replay(ctx, capture, sidecar)
	if err != nil {
		return fmt.Errorf("the sidecar: %w", err)
	}
	if !fromGo.is(fromSidecar.body, fromSidecar.status) {
		return fmt.Errorf("%s at position %d: %w\nGo      %x %s\nsidecar %x %s", capture.Method, capture.Position, ErrDiffers,
			fromGo.body, fromGo.text, fromSidecar.body, fromSidecar.text)
	}
	return nil
}

// replayed is what one side says now.
type replayed struct {
	body, status []byte
	text         string
}

// is compares bytes. Both sides of a capture had the same encoder then, and have now.
func (r replayed) is(body, status []byte) bool {
	return bytes.Equal(r.body, body) && bytes.Equal(r.status, status)
}

func replay(ctx context.Context, capture *evidence.Capture, conn grpc.ClientConnInterface) (replayed, error) {
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, position.AtKey, position.Format(capture.Position))
	var reply codec.Raw
	var header, trailer metadata.MD
	err := conn.Invoke(ctx, capture.Method, &codec.Raw{Bytes: capture.Request.Bytes}, &reply,
		grpc.ForceCodecV2(codec.New(nil)), grpc.Header(&header), grpc.Trailer(&trailer))
	at, named := position.FromAnswer(metadata.Join(header, trailer))
	if !named || at != capture.Position {
		// A status without the position is a failure of the infrastructure: not retained, or not there yet.
		return replayed{}, fmt.Errorf("no answer at position %d: %w", capture.Position, errors.Join(err, unplacedAt(at, named)))
	}
	if err == nil {
		return replayed{body: reply.Bytes}, nil
	}
	st := status.Convert(err)
	encoded, failed := proto.Marshal(st.Proto())
	return replayed{status: encoded, text: st.String()}, failed
}

func unplacedAt(at uint64, named bool) error {
	if named {
		return fmt.Errorf("it answered at position %d", at)
	}
	return errors.New("it named no position")
}
