// Package feed pushes the ledger's events to a sidecar: first from the position that the sidecar names, then live.
package feed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	hotpathv1 "hotpath.dev/go-shim/internal/gen/hotpath/v1"
)

const (
	// ProtocolVersion is the version of the private protocol, in Hello and FeedOpen.
	ProtocolVersion = 3
	// MaxBatchEvents and MaxBatchBytes are limits of feed.proto.
	MaxBatchEvents = 10_000
	MaxBatchBytes  = 4 << 20
)

// Errors of Run.
var (
	// ErrSource is wrapped by errors of the service's own ledger; the sidecar is not at fault.
	ErrSource = errors.New("the source of the feed failed")
	// ErrBadSource is wrapped by errors that only a change of the Source can mend.
	ErrBadSource = errors.New("Source.Read broke its contract")
	// ErrSourceStuck is joined to whatever ended a feed whose Source.Read did not end with it.
	ErrSourceStuck = errors.New("Source.Read goes on although its context has ended: make it return when its context ends")
	// ErrClosed means that the sidecar ended the feed without a reason.
	ErrClosed = errors.New("the sidecar closed the feed")
)

// Source is the ledger. shim.Source documents it.
type Source interface {
	LedgerID() string
	Head() uint64
	Read(ctx context.Context, from uint64, limit, maxBytes int) ([][]byte, error)
}

// Observer hears about a feed. Each of its methods is called from one goroutine at a time.
type Observer interface {
	// Opened comes first. It gives the head that the sidecar has to reach, and the sidecar's position.
	Opened(head, watermark uint64)
	// Watermark gives the newest position that the sidecar has published.
	Watermark(position uint64)
}

// Feed holds what one stream needs.
type Feed struct {
	Source   Source
	Observer Observer
	// HeadEvery is how often the head is sent. feed.proto asks for at least once a second.
	HeadEvery time.Duration
}

// readGrace is how long a Source.Read may go on after its context has ended.
const readGrace = time.Second

type batch struct {
	first  uint64
	events [][]byte
}

// Run feeds one sidecar over one stream until the stream or ctx ends. It never returns nil.
func (f *Feed) Run(ctx context.Context, conn grpc.ClientConnInterface) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream, err := hotpathv1.NewFeedServiceClient(conn).Feed(ctx)
	if err != nil {
		return fmt.Errorf("open feed: %w", err)
	}
	at, err := f.open(stream)
	if err != nil {
		return err
	}

	batches := make(chan batch)
	received, read := make(chan struct{}), make(chan struct{})
	go func() { defer close(received); cancel(f.receive(stream)) }()
	go func() { defer close(read); cancel(f.read(ctx, at+1, batches)) }()
	cancel(f.send(ctx, stream, batches))
	<-received
	// By now nothing listens to the reader.
	if stuck := outlast(ctx, read); stuck != nil {
		return errors.Join(context.Cause(ctx), stuck)
	}
	return context.Cause(ctx)
}

// outlast waits until a Source.Read is over, at most for a while after its context has ended. Read is the service's
// code.
func outlast(ctx context.Context, read <-chan struct{}) error {
	select {
	case <-read:
		return nil
	case <-ctx.Done():
	}
	timer := time.NewTimer(readGrace)
	defer timer.Stop()
	select {
	case <-read:
		return nil
	case <-timer.C:
		return ErrSourceStuck
	}
}

func (f *Feed) open(stream hotpathv1.FeedService_FeedClient) (uint64, error) {
	head := f.Source.Head()
	opening := &hotpathv1.FeedRequest{Kind: &hotpathv1.FeedRequest_Open{Open: &hotpathv1.FeedOpen{
		ProtocolVersion: ProtocolVersion, LedgerId: f.Source.LedgerID(), HeadPosition: head,
	}}}
	// An EOF here means that the stream is over; Recv says why.
	if err := stream.Send(opening); err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("open feed: %w", err)
	}
	watermark, err := stream.Recv()
	if err != nil {
		return 0, closed(err)
	}
	if id := watermark.GetLedgerId(); id != "" && id != f.Source.LedgerID() {
		return 0, &Refusal{Reason: LedgerMismatch, Err: fmt.Errorf("the sidecar holds ledger %q", id)}
	}
	// This asks for the head again. The ledger may have grown since the opening, and this process may have fed the
	// sidecar until just now.
	if now := f.Source.Head(); watermark.GetPosition() > now {
		return 0, &Refusal{Reason: Behind, Err: fmt.Errorf("the sidecar is at %d, the ledger at %d", watermark.GetPosition(), now)}
	}
	if err := f.checkPast(stream.Context(), watermark); err != nil {
		return 0, err
	}
	f.Observer.Opened(head, watermark.GetPosition())
	return watermark.GetPosition(), nil
}

// checkPast compares the sidecar's newest event with the ledger's at that position. Two copies of a ledger share its id
// even if both were written to.
func (f *Feed) checkPast(ctx context.Context, opening *hotpathv1.Watermark) error {
	at := opening.GetPosition()
	if at == 0 {
		return nil
	}
	var events [][]byte
	var err error
	read := make(chan struct{})
	go func() { defer close(read); events, err = f.Source.Read(ctx, at, 1, MaxBatchBytes) }()
	// If there is an error, the reader may still write to both variables.
	if stuck := outlast(ctx, read); stuck != nil {
		return errors.Join(ctx.Err(), stuck)
	}
	if err == nil && len(events) != 1 {
		err = fmt.Errorf("%w: %d events, want 1", ErrBadSource, len(events))
	}
	if err != nil {
		return fmt.Errorf("%w: at position %d: %w", ErrSource, at, err)
	}
	if ours := sha256.Sum256(events[0]); !bytes.Equal(ours[:], opening.GetEventSha256()) {
		return &Refusal{Reason: Forked, Err: fmt.Errorf("the sidecar and the ledger hold different events at position %d", at)}
	}
	return nil
}

func (f *Feed) receive(stream hotpathv1.FeedService_FeedClient) error {
	for {
		watermark, err := stream.Recv()
		if err != nil {
			return closed(err)
		}
		f.Observer.Watermark(watermark.GetPosition())
	}
}

// read stays one batch ahead of the sender, and no more.
func (f *Feed) read(ctx context.Context, from uint64, batches chan<- batch) error {
	for {
		events, err := f.Source.Read(ctx, from, MaxBatchEvents, MaxBatchBytes)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSource, err)
		}
		if err := check(events); err != nil {
			return fmt.Errorf("%w: %w: at position %d: %w", ErrSource, ErrBadSource, from, err)
		}
		select {
		case batches <- batch{from, events}:
		case <-ctx.Done():
			return ctx.Err()
		}
		from += uint64(len(events))
	}
}

func check(events [][]byte) error {
	if len(events) == 0 || len(events) > MaxBatchEvents {
		return fmt.Errorf("%d events, want 1 to %d", len(events), MaxBatchEvents)
	}
	size := 0
	for _, event := range events {
		size += len(event)
	}
	if size > MaxBatchBytes && len(events) > 1 {
		return fmt.Errorf("%d events of %d bytes together, want at most %d", len(events), size, MaxBatchBytes)
	}
	return nil
}

// send is the only sender on the stream, because grpc-go does not allow two at once.
func (f *Feed) send(ctx context.Context, stream hotpathv1.FeedService_FeedClient, batches <-chan batch) error {
	ticker := time.NewTicker(f.HeadEvery)
	defer ticker.Stop()
	for {
		var request hotpathv1.FeedRequest
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b := <-batches:
			request.Kind = &hotpathv1.FeedRequest_Batch{Batch: &hotpathv1.EventBatch{FirstPosition: b.first, Events: b.events}}
		case <-ticker.C:
			request.Kind = &hotpathv1.FeedRequest_Head{Head: &hotpathv1.Head{Position: f.Source.Head()}}
		}
		switch err := stream.Send(&request); {
		case errors.Is(err, io.EOF):
			// The stream is over, and the receiver learns why.
			<-ctx.Done()
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("send to feed: %w", err)
		}
	}
}

func closed(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrClosed
	}
	return AsRefusal(err)
}
