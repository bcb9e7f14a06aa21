package link

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	"hotpath.dev/go-shim/internal/backoff"
	"hotpath.dev/go-shim/internal/feed"
)

// feed keeps a feed open on a session. It returns when ctx ends, or with a refusal that ends the session too.
func (l *Link) feed(ctx context.Context, conn grpc.ClientConnInterface) error {
	stream := feed.Feed{Source: l.cfg.Source, Observer: l, HeadEvery: l.cfg.HeadEvery}
	quick := backoff.Backoff{Min: 20 * time.Millisecond, Max: 5 * time.Second}
	slow := backoff.Backoff{Min: time.Second, Max: 30 * time.Second}
	for {
		began := time.Now()
		err := stream.Run(ctx, conn)
		if errors.Is(err, feed.ErrSourceStuck) {
			l.quiet.Warn("stuck", "the Source must be corrected: a goroutine is left behind", "cause", feed.ErrSourceStuck)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) > quietAfter {
			quick.Reset()
			slow.Reset()
		}
		wait := quick.Next()
		var refusal *feed.Refusal
		switch {
		case errors.As(err, &refusal) && refusal.Foreign():
			return refusal
		// Busy may only mean that the sidecar has not yet noticed the end of this link's last feed.
		case refusal != nil && refusal.Reason == feed.Busy:
			l.logRefusal(refusal)
		case refusal != nil:
			l.logRefusal(refusal)
			wait = slow.Next()
		case errors.Is(err, feed.ErrBadSource):
			l.quiet.Warn("source", "the Source must be corrected; the sidecar falls behind until then", "cause", err)
		default:
			l.quiet.Warn("feed", "the feed ended; opening it again", "cause", err)
		}
		if err := backoff.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// Opened implements feed.Observer.
func (l *Link) Opened(head, watermark uint64) {
	if l.feedsOpened.Add(1) > 1 {
		l.cfg.Events.FeedReopened()
	}
	l.cfg.Log.Info("the feed is open", "head", head, "sidecar", watermark)
	l.readiness.Open(time.Now(), head, watermark)
}

// Watermark implements feed.Observer.
func (l *Link) Watermark(position uint64) { l.readiness.Watermark(time.Now(), position) }
