package shadow

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// sides answers from two lists. The last answer is given again and again.
type sides struct {
	mu          sync.Mutex
	goes, other []any
	asked       []string
	reply       proto.Message
}

func (s *sides) next(who string, list *[]any) (Answer, Drop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, who)
	said := (*list)[0]
	if len(*list) > 1 {
		*list = (*list)[1:]
	}
	switch said := said.(type) {
	case Drop:
		return Answer{}, said
	case Answer:
		return said, none
	default:
		panic("no idea")
	}
}

func (s *sides) Go(context.Context, *Job, uint64) (Answer, Drop) { return s.next("go", &s.goes) }
func (s *sides) Sidecar(context.Context, *Job, uint64) (Answer, Drop) {
	return s.next("sidecar", &s.other)
}
func (s *sides) NewReply(int) proto.Message { return s.reply.ProtoReflect().New().Interface() }

// told is an Observer that remembers.
type told chan string

func (t told) Compared(_ int, class Class, _, _ time.Duration) { t <- class.String() }
func (t told) Dropped(_ int, why Drop)                         { t <- string(why) }
func (t told) Real(m *Mismatch)                                { t <- fmt.Sprint(len(m.Differences), " differences") }

func start(t *testing.T, s *sides) (*Comparer, told) {
	t.Helper()
	if s.reply == nil {
		s.reply = &wrapperspb.StringValue{}
	}
	heard := make(told, 100)
	c := New(Config{Sides: s, Observer: heard, Methods: 1, Workers: 2, Queue: 10, QueueBytes: 1 << 20, Timeout: time.Minute,
		Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(c.Close)
	return c, heard
}

func says(text string) Answer {
	body, _ := proto.Marshal(wrapperspb.String(text))
	return Answer{Body: body, Position: 7}
}

func elsewhere(a Answer) Answer {
	a.Position++
	return a
}

func withMetadata(a Answer) Answer {
	a.Metadata = true
	return a
}

func refuses(code int32, text string) Answer {
	return Answer{Status: &spb.Status{Code: code, Message: text}, Position: 7}
}

// Each row is a path through the picture in the package comment.
func TestEveryVerdict(t *testing.T) {
	const invalid = 3
	a, b, c := says("a"), says("b"), says("c")
	broken := Answer{Body: []byte{0xff}, Position: 7}
	for name, row := range map[string]struct {
		kind    Kind
		first   Answer
		goes    []any
		sidecar []any
		want    []string
	}{
		"equal":                        {first: a, sidecar: []any{a}, want: []string{"equal"}},
		"equal but for metadata":       {first: withMetadata(a), sidecar: []any{a}, want: []string{"metadata"}},
		"elsewhere":                    {first: a, sidecar: []any{elsewhere(a)}, want: []string{"stale"}},
		"never reached":                {first: a, sidecar: []any{NotReached}, want: []string{"stale"}},
		"lost":                         {first: a, sidecar: []any{NoAnswer}, want: []string{"no_answer"}},
		"real":                         {first: a, sidecar: []any{b}, goes: []any{a}, want: []string{"real", "1 differences"}},
		"Go disagrees with itself":     {first: a, sidecar: []any{b}, goes: []any{b}, want: []string{"moved"}},
		"Go is elsewhere now":          {first: a, sidecar: []any{b}, goes: []any{elsewhere(a)}, want: []string{"moved"}},
		"Go fails to confirm":          {first: a, sidecar: []any{b}, goes: []any{GoFailed}, want: []string{"go_failed"}},
		"bytes that are none":          {first: a, sidecar: []any{broken}, goes: []any{a}, want: []string{"real", "1 differences"}},
		"a status for a message":       {first: a, sidecar: []any{refuses(5, "x")}, goes: []any{a}, want: []string{"real", "2 differences"}},
		"the same status":              {first: refuses(5, "x"), sidecar: []any{refuses(5, "x")}, want: []string{"equal"}},
		"another message of a status":  {first: refuses(5, "x"), sidecar: []any{refuses(5, "y")}, goes: []any{refuses(5, "x")}, want: []string{"real", "1 differences"}},
		"bad arguments anywhere":       {first: refuses(invalid, "x"), sidecar: []any{elsewhere(refuses(invalid, "x"))}, want: []string{"equal"}},
		"reverse: equal":               {kind: Reverse, first: a, goes: []any{a}, want: []string{"equal"}},
		"reverse: metadata":            {kind: Reverse, first: a, goes: []any{withMetadata(a)}, want: []string{"metadata"}},
		"reverse: real":                {kind: Reverse, first: a, goes: []any{b, b}, want: []string{"real", "1 differences"}},
		"reverse: moved":               {kind: Reverse, first: a, goes: []any{b, c}, want: []string{"moved"}},
		"reverse: Go cannot go back":   {kind: Reverse, first: a, goes: []any{elsewhere(b)}, want: []string{"position_unknown"}},
		"reverse: Go fails":            {kind: Reverse, first: a, goes: []any{GoFailed}, want: []string{"go_failed"}},
		"again: equal":                 {kind: Again, first: a, goes: []any{a}, want: []string{"equal"}},
		"again: moved":                 {kind: Again, first: a, goes: []any{b}, want: []string{"moved"}},
		"again: Go is elsewhere":       {kind: Again, first: a, goes: []any{elsewhere(a)}, want: []string{"position_unknown"}},
		"again: Go fails":              {kind: Again, first: a, goes: []any{Timeout}, want: []string{"timeout"}},
		"a panic costs one comparison": {first: a, sidecar: []any{"panic"}, want: []string{"panic"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &sides{goes: row.goes, other: row.sidecar}
			comparer, heard := start(t, s)
			comparer.Offer(Job{Kind: row.kind, First: row.first, Context: t.Context()})
			for _, want := range row.want {
				if got := <-heard; got != want {
					t.Errorf("got %s, want %s; asked %v", got, want, s.asked)
				}
			}
		})
	}
}

// Two encoders may write the same map in another order.
func TestAnotherEncodingOfTheSameMessageIsEqual(t *testing.T) {
	s := &sides{reply: &structpb.Struct{}}
	a, _ := proto.Marshal(&structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewBoolValue(true)}})
	b, _ := proto.Marshal(&structpb.Struct{Fields: map[string]*structpb.Value{"b": structpb.NewBoolValue(true)}})
	s.other = []any{Answer{Body: append(b[:len(b):len(b)], a...)}}
	comparer, heard := start(t, s)
	comparer.Offer(Job{First: Answer{Body: append(a[:len(a):len(a)], b...)}, Context: t.Context()})
	if got := <-heard; got != "equal" {
		t.Error(got)
	}
	if classes, dropped := comparer.Count(0); classes[Equal] != 1 || dropped != 0 {
		t.Errorf("%v, %d", classes, dropped)
	}
}

// stuck answers when the context ends.
type stuck struct{ *sides }

func (s stuck) Sidecar(ctx context.Context, _ *Job, _ uint64) (Answer, Drop) {
	<-ctx.Done()
	return Answer{}, Timeout
}

func TestCloseWaitsForNobody(t *testing.T) {
	heard := make(told, 100)
	c := New(Config{Sides: stuck{&sides{}}, Observer: heard, Methods: 1, Workers: 1, Queue: 10, QueueBytes: 1 << 20, Timeout: time.Hour,
		Log: slog.New(slog.DiscardHandler)})
	c.Offer(Job{Context: t.Context()})
	for c.Waiting() > 0 {
		time.Sleep(time.Millisecond)
	}
	c.Close()
	if got := <-heard; got != "closing" {
		t.Error(got)
	}
}

func TestEachSideHasItsTime(t *testing.T) {
	heard := make(told, 100)
	c := New(Config{Sides: stuck{&sides{}}, Observer: heard, Methods: 1, Workers: 1, Queue: 10, QueueBytes: 1 << 20, Timeout: time.Millisecond,
		Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(c.Close)
	c.Offer(Job{Context: t.Context()})
	if got := <-heard; got != "timeout" {
		t.Error(got)
	}
}
