// Package shadow asks the other side what one side has answered already, and compares the two answers. It does so behind the
// caller's back: a caller never waits for it.
//
//	Offer ──> queue, bounded ──> worker: ask the other side at the position of the first answer
//	  │ full                         │ no answer, or another position ──> dropped, or Stale
//	  v                              v
//	dropped            the same bytes, or the same message ──> Equal, or Metadata
//	                                 │ no
//	                                 v
//	                   ask Go once more at that position
//	                     ├─ something else than before ──> Moved
//	                     └─ the same as before ──> Real: the evidence is kept
//
// An answer is a message or a status. Two statuses are the same if code, message and details are.
package shadow

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

// Class is what a comparison found.
type Class uint8

const (
	// Equal: callers cannot tell the answers apart.
	Equal Class = iota
	// Metadata: the answers are the same, but Go's handler set response headers or trailers, which the sidecar cannot.
	Metadata
	// Moved: Go, asked once more at the same position, disagreed with itself.
	Moved
	// Stale: the sidecar had not reached the position in time, or answered at another one.
	Stale
	// Real: the sidecar answered otherwise than Go, and Go said the same twice.
	Real
	classCount
)

// Classes returns the names of the classes, in their order.
func Classes() []string { return []string{"equal", "metadata", "moved", "stale", "real"} }

func (c Class) String() string {
	if c < classCount {
		return Classes()[c]
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// Drop says why a request was not compared. The empty Drop means that it can be.
type Drop string

// The reasons.
const (
	// QueueFull: requests arrive faster than they are compared, or hold too many bytes.
	QueueFull Drop = "queue_full"
	// PositionUnknown: it is not known at which position Go answered, or Go could not answer at the sidecar's.
	PositionUnknown Drop = "position_unknown"
	// GoFailed: Go had no answer, such as UNAVAILABLE.
	GoFailed Drop = "go_failed"
	// NotReady: no sidecar is connected and has caught up.
	NotReady Drop = "not_ready"
	// Refused: the sidecar refused the method, or the request is longer than it takes.
	Refused Drop = "refused"
	// Declined: the sidecar's model leaves the request to Go.
	Declined Drop = "declined"
	// NotRetained: the sidecar no longer has the position.
	NotRetained Drop = "not_retained"
	// Timeout: the other side did not answer within Config.Timeout.
	Timeout Drop = "timeout"
	// NoAnswer: the sidecar failed, or was lost.
	NoAnswer Drop = "no_answer"
	// Busy: all lanes to the sidecar are full.
	Busy Drop = "busy"
	// Unencodable: a message could not be encoded.
	Unencodable Drop = "unencodable"
	// Foreign: the server has another codec than the shim's.
	Foreign Drop = "foreign_codec"
	// Panicked: code that compares, or Go's handler, panicked.
	Panicked Drop = "panic"
	// Closing: the shim was closed meanwhile.
	Closing Drop = "closing"

	none Drop = ""
	// NotReached is counted as Stale.
	NotReached Drop = "not_reached"
)

// Drops returns all reasons.
func Drops() []string {
	return []string{string(QueueFull), string(PositionUnknown), string(GoFailed), string(NotReady), string(Refused), string(Declined),
		string(NotRetained), string(Timeout), string(NoAnswer), string(Busy), string(Unencodable), string(Foreign), string(Panicked), string(Closing)}
}

// Answer is what one side said.
type Answer struct {
	// Body is the encoded message; nil with a Status.
	Body []byte
	// Status is nil for OK.
	Status *spb.Status
	// Position is where it was computed.
	Position uint64
	// Metadata is true if Go's handler set response headers or trailers.
	Metadata bool
	Took     time.Duration
}

// Kind says who has answered, and who is asked.
type Kind uint8

const (
	// Forward: Go has answered, and the sidecar is asked.
	Forward Kind = iota
	// Reverse: the sidecar has answered, and Go is asked.
	Reverse
	// Again: Go has answered, and is asked once more.
	Again
)

// Job is a request that one side has answered.
type Job struct {
	Kind    Kind
	Method  int
	Request []byte
	First   Answer
	// Context holds what the handler found in the request's context. Its end has no effect.
	Context context.Context

	offered time.Time
}

// after is how long a job waits at least. The caller's reply leaves meanwhile: without a pause a worker would take the processor
// just before grpc-go writes it, which was seen to cost the caller a quarter of its median latency.
const after = time.Millisecond

func (j *Job) bytes() int64 { return int64(len(j.Request) + len(j.First.Body)) }

// Sides asks one of them at exactly this position. The answer may be at another one all the same.
type Sides interface {
	Sidecar(ctx context.Context, j *Job, at uint64) (Answer, Drop)
	Go(ctx context.Context, j *Job, at uint64) (Answer, Drop)
	// NewReply returns an empty reply of the method.
	NewReply(method int) proto.Message
}

// Mismatch is a Real difference.
type Mismatch struct {
	*Job
	// Go and Sidecar are what the two said.
	Go, Sidecar Answer
	Differences []Difference
}

// Observer is told what becomes of requests, by the workers.
type Observer interface {
	// Compared has the time that each side took; 0 if it was not asked.
	Compared(method int, class Class, goTook, sidecarTook time.Duration)
	Dropped(method int, why Drop)
	// Real comes after Compared.
	Real(*Mismatch)
}

// Config describes a Comparer.
type Config struct {
	Sides    Sides
	Observer Observer
	// Methods is how many there are.
	Methods int
	// Workers compare one request each at a time.
	Workers int
	// Queue and QueueBytes bound what waits.
	Queue      int
	QueueBytes int64
	// Timeout is how long each side may take.
	Timeout time.Duration
	Log     *slog.Logger
}

// Comparer compares in the background, until Close.
type Comparer struct {
	cfg    Config
	queue  chan Job
	held   atomic.Int64
	counts []counts
	ctx    context.Context
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

type counts struct {
	classes [classCount]atomic.Uint64
	dropped atomic.Uint64
}

// New starts a Comparer.
func New(cfg Config) *Comparer {
	c := &Comparer{cfg: cfg, queue: make(chan Job, cfg.Queue), counts: make([]counts, cfg.Methods)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for range cfg.Workers {
		c.ended.Go(c.work)
	}
	return c
}

// Offer hands over a request, and never waits. The comparer keeps what the job refers to.
func (c *Comparer) Offer(j Job) {
	j.offered = time.Now()
	if c.held.Add(j.bytes()) > c.cfg.QueueBytes {
		c.held.Add(-j.bytes())
		c.Drop(j.Method, QueueFull)
		return
	}
	select {
	case c.queue <- j:
	default:
		c.held.Add(-j.bytes())
		c.Drop(j.Method, QueueFull)
	}
}

// Drop counts a request that is not compared.
func (c *Comparer) Drop(method int, why Drop) {
	c.counts[method].dropped.Add(1)
	c.cfg.Observer.Dropped(method, why)
}

// Waiting is how many requests wait to be compared.
func (c *Comparer) Waiting() int { return len(c.queue) }

// Count returns how many requests of a method were compared, by class, and how many were dropped.
func (c *Comparer) Count(method int) (classes [int(classCount)]uint64, dropped uint64) {
	for class := range classes {
		classes[class] = c.counts[method].classes[class].Load()
	}
	return classes, c.counts[method].dropped.Load()
}

// Close drops what waits, and ends the workers.
func (c *Comparer) Close() {
	c.cancel()
	c.ended.Wait()
}

func (c *Comparer) work() {
	for {
		select {
		case <-c.ctx.Done():
			return
		case j := <-c.queue:
			c.pause(&j)
			c.held.Add(-j.bytes())
			c.compare(&j)
		}
	}
}

// pause waits until the caller has its reply. Jobs that have waited in the queue need no more of it.
func (c *Comparer) pause(j *Job) {
	if rest := after - time.Since(j.offered); rest > 0 {
		time.Sleep(rest)
	}
}

func (c *Comparer) compare(j *Job) {
	defer func() {
		if cause := recover(); cause != nil {
			c.Drop(j.Method, Panicked)
			c.cfg.Log.Error("comparing panicked", "panic", cause, "stack", string(debug.Stack()))
		}
	}()
	found := c.judge(j)
	switch {
	case c.ctx.Err() != nil:
		c.Drop(j.Method, Closing)
	case found.drop == NotReached:
		c.count(j, &found, Stale)
	case found.drop != none:
		c.Drop(j.Method, found.drop)
	default:
		c.count(j, &found, found.class)
	}
}

func (c *Comparer) count(j *Job, found *finding, class Class) {
	c.counts[j.Method].classes[class].Add(1)
	c.cfg.Observer.Compared(j.Method, class, found.fromGo.Took, found.fromSidecar.Took)
	if class == Real {
		c.cfg.Observer.Real(&Mismatch{Job: j, Go: found.fromGo, Sidecar: found.fromSidecar, Differences: found.differences})
	}
}

// ask asks one side within the time that it may take.
func (c *Comparer) ask(j *Job, at uint64, side func(context.Context, *Job, uint64) (Answer, Drop)) (Answer, Drop) {
	ctx, cancel := context.WithTimeout(j.Context, c.cfg.Timeout)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	began := time.Now()
	answer, drop := side(ctx, j, at)
	answer.Took = time.Since(began)
	return answer, drop
}
