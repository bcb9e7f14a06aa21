package lane

import (
	"context"
	"time"

	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/internal/transport"
)

// waiter is a Receiver that wakes a caller.
type waiter struct {
	done     chan struct{}
	reply    transport.Reply
	err      error
	tooLong  bool
	deserted bool
}

// Receive implements Receiver.
func (w *waiter) Receive(out *Outcome) {
	w.err, w.tooLong, w.deserted = out.Err, out.TooLong, out.deserted
	w.reply.Position, w.reply.Positioned = out.Position, out.Positioned
	switch {
	case out.Err != nil || out.TooLong || out.deserted:
	case len(out.Before) > 0:
		w.reply.Body = append(out.Before, out.Body...) // the lane gives Before away
	default:
		w.reply.Body = make([]byte, len(out.Body))
		copy(w.reply.Body, out.Body)
	}
	w.done <- struct{}{}
}

// Call implements transport.Transport.
func (t *Transport) Call(ctx context.Context, request *transport.Request) (transport.Reply, error) {
	name, err := t.cfg.Peer.Name(request.Index)
	if err != nil {
		return transport.Reply{}, err
	}
	if len(request.Body) > maxBodyBytes {
		return t.cfg.Large.Call(ctx, request)
	}
	p := posting{gone: ctx.Done(), frame: newFrame(request, name), now: t.now(), budget: request.Budget, alone: true}
	w := t.waiters.Get().(*waiter)
	p.to = w
	ticket, mustFlush, err := t.send(&p)
	if err != nil {
		t.waiters.Put(w)
		return transport.Reply{}, err
	}
	if mustFlush {
		ticket.lane.gather()
		ticket.lane.flush()
	}
	<-w.done
	reply, err, tooLong, deserted := w.reply, w.err, w.tooLong, w.deserted
	w.reply, w.err = transport.Reply{}, nil
	t.waiters.Put(w)
	switch {
	case deserted:
		return transport.Reply{}, status.FromContextError(ctx.Err()).Err()
	case tooLong:
		return t.again(ctx, request, p.now)
	}
	return reply, err
}

// again asks by unary call, in what is left of the time, because the answer was too long for a lane.
func (t *Transport) again(ctx context.Context, request *transport.Request, began int64) (transport.Reply, error) {
	rest := *request
	if rest.Budget -= time.Duration(t.now() - began); rest.Budget <= 0 {
		return transport.Reply{}, errTimeout()
	}
	return t.cfg.Large.Call(ctx, &rest)
}
