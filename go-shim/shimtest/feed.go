package shimtest

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strconv"
	"sync"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hotpathv1 "hotpath.dev/go-shim/internal/gen/hotpath/v1"
	"hotpath.dev/go-shim/position"
)

// state is the sidecar's ledger; all of it is guarded by Sidecar.mu.
type state struct {
	ledgerID string
	events   [][]byte
	// held keeps the watermark at published.
	held      bool
	published uint64
	opened    []uint64 // the head that each feed named when it opened
	heads     []uint64 // the positions of the Head messages
	busy      bool
	refusal   error
}

func (s *state) position() uint64 {
	if s.held {
		return s.published
	}
	return uint64(len(s.events))
}

// Refusal returns a status such as those with which hotpathd refuses a Hello or a feed.
func Refusal(code codes.Code, reason string) error {
	st, err := status.New(code, "refused by the script").
		WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: position.Domain})
	if err != nil {
		return err
	}
	return st.Err()
}

// Hold stops publishing, until it is called with false.
func (s *Sidecar) Hold(held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.published = s.state.position()
	s.state.held = held
	s.changed.Broadcast()
}

// RefuseFeed makes the sidecar refuse feeds with err, until it is called with nil. A feed that is open ends at its next
// message.
func (s *Sidecar) RefuseFeed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.refusal = err
	s.changed.Broadcast()
}

// Seed gives the sidecar a past: a ledger and the events applied so far.
func (s *Sidecar) Seed(ledgerID string, events ...[]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.ledgerID, s.state.events = ledgerID, events
}

// Events returns the events applied so far.
func (s *Sidecar) Events() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([][]byte(nil), s.state.events...)
}

// Heads returns the heads that feeds named when they opened, and those of the Head messages since.
func (s *Sidecar) Heads() (opened, later []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]uint64(nil), s.state.opened...), append([]uint64(nil), s.state.heads...)
}

// Feed implements the feed service with all the rules of feed.proto.
func (s *Sidecar) Feed(stream hotpathv1.FeedService_FeedServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if err := s.open(first.GetOpen()); err != nil {
		return err
	}
	defer s.close()
	// As in hotpathd, watermarks are sent while batches come in. None may be sent after the end, because grpc-go
	// forbids that.
	ctx, cancel := context.WithCancel(stream.Context())
	var announcing sync.WaitGroup
	announcing.Go(func() { s.announce(ctx, stream) })
	defer announcing.Wait()
	defer cancel()
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.apply(request); err != nil {
			return err
		}
	}
}

func (s *Sidecar) open(open *hotpathv1.FeedOpen) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case open == nil:
		return Refusal(codes.InvalidArgument, "FEED_BAD_MESSAGE")
	case s.state.refusal != nil:
		return s.state.refusal
	case s.state.busy:
		return Refusal(codes.AlreadyExists, "FEED_BUSY")
	case s.state.ledgerID != "" && s.state.ledgerID != open.GetLedgerId():
		return Refusal(codes.FailedPrecondition, "LEDGER_MISMATCH")
	case open.GetHeadPosition() < uint64(len(s.state.events)):
		return Refusal(codes.FailedPrecondition, "FEED_BEHIND")
	}
	s.state.busy = true
	s.state.ledgerID = open.GetLedgerId()
	s.state.opened = append(s.state.opened, open.GetHeadPosition())
	return nil
}

func (s *Sidecar) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.busy = false
	s.changed.Broadcast()
}

func (s *Sidecar) apply(request *hotpathv1.FeedRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changed.Broadcast()
	if s.state.refusal != nil {
		return s.state.refusal
	}
	if head := request.GetHead(); head != nil {
		s.state.heads = append(s.state.heads, head.GetPosition())
		return nil
	}
	batch := request.GetBatch()
	due := uint64(len(s.state.events)) + 1
	switch {
	case batch == nil || len(batch.GetEvents()) == 0 || len(batch.GetEvents()) > 10_000:
		return Refusal(codes.InvalidArgument, "FEED_BAD_MESSAGE")
	case batch.GetFirstPosition() > due:
		return Refusal(codes.FailedPrecondition, "FEED_GAP")
	case batch.GetFirstPosition() < due:
		return Refusal(codes.FailedPrecondition, "FEED_REPEAT")
	}
	s.state.events = append(s.state.events, batch.GetEvents()...)
	return nil
}

// announce sends the newest watermark at once, and again after each change.
func (s *Sidecar) announce(ctx context.Context, stream hotpathv1.FeedService_FeedServer) {
	stop := context.AfterFunc(ctx, s.wake)
	defer stop()
	for said, first := uint64(0), true; ; first = false {
		s.mu.Lock()
		for !first && s.state.position() == said && ctx.Err() == nil {
			s.changed.Wait()
		}
		said = s.state.position()
		mark := &hotpathv1.Watermark{Position: said, LedgerId: s.state.ledgerID}
		if first && said > 0 {
			digest := sha256.Sum256(s.state.events[said-1])
			mark.EventSha256 = digest[:]
		}
		s.mu.Unlock()
		if ctx.Err() != nil || stream.Send(mark) != nil {
			return
		}
	}
}

// wake holds the lock, because otherwise a waiter between its check and its Wait would miss the broadcast.
func (s *Sidecar) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}

// reach waits, as hotpathd does, until the minimum is reached or the deadline has passed. It returns the position at
// which to answer.
func (s *Sidecar) reach(ctx context.Context, want position.Want) uint64 {
	if want.HasAt {
		return want.At
	}
	stop := context.AfterFunc(ctx, s.wake)
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.state.position() < want.Min && ctx.Err() == nil {
		s.changed.Wait()
	}
	return s.state.position()
}

func text(answer Answer) string {
	if answer.Garbled {
		return "first"
	}
	return strconv.FormatUint(answer.Position, 10)
}
