package h2

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
)

// server is a real grpc-go server that reports each call that it begins.
type server struct {
	listener *bufconn.Listener
	begun    chan begun
}

type begun struct {
	md       metadata.MD
	deadline time.Time
	at       time.Time
}

func newServer(t *testing.T, options ...grpc.ServerOption) *server {
	s := &server{bufconn.Listen(1 << 16), make(chan begun, 1)}
	handler := func(_ any, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		deadline, _ := stream.Context().Deadline()
		s.begun <- begun{md, deadline, time.Now()}
		return nil
	}
	g := grpc.NewServer(append(options, grpc.UnknownServiceHandler(handler))...)
	go func() { _ = g.Serve(s.listener) }()
	t.Cleanup(g.Stop)
	return s
}

// ask sends one call's header block on a new connection and returns everything that the server answers, and the call if
// it began.
func (s *server) ask(t *testing.T, block []byte) (answer []string, call *begun) {
	t.Helper()
	conn, err := s.listener.DialContext(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	b := AppendSettings([]byte(http2.ClientPreface))
	kind, flags := Headers, FlagEndStream
	for done := false; !done; kind, flags = Continuation, 0 {
		n := min(len(block), 16<<10)
		if done = n == len(block); done {
			flags |= FlagEndHeaders
		}
		b = append(Frame{Length: n, Type: kind, Flags: flags, Stream: 1}.Append(b), block[:n]...)
		block = block[n:]
	}
	// The server may close the connection before it has read all.
	go func(conn net.Conn) { _, _ = conn.Write(b) }(conn)
	framer := http2.NewFramer(nil, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(defaultTableSize, nil)
	for ended := false; !ended; {
		f, err := framer.ReadFrame()
		if err != nil {
			answer = append(answer, "closed")
			break
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			for _, field := range f.Fields {
				answer = append(answer, field.String())
			}
			ended = f.StreamEnded()
		case *http2.RSTStreamFrame:
			answer, ended = append(answer, f.ErrCode.String()), true
		case *http2.GoAwayFrame:
			answer = append(answer, f.ErrCode.String())
		}
	}
	select {
	case c := <-s.begun:
		return answer, &c
	default:
		return answer, nil
	}
}

// checkAgainstGrpc sends the fields as a client writes them and as AppendBlock does; the server must not see a difference,
// and must begin what is called plain as we understand it.
func checkAgainstGrpc(t *testing.T, s *server, fields []pair, limit int) Head {
	t.Helper()
	block := newClient().block(fields)
	head, err := NewDecoder(onlyHotPath).Decode(block, limit)
	if err != nil {
		t.Fatalf("%q: %v", fields, err)
	}
	want, wantCall := s.ask(t, block)
	sent := time.Now()
	got, call := s.ask(t, head.AppendBlock(nil, -1))
	if !slices.Equal(got, want) || (call == nil) != (wantCall == nil) {
		t.Fatalf("%q:\nre-encoded %q, %v\nas it came %q, %v", fields, got, call, want, wantCall)
	}
	if !head.Plain && !head.Extra {
		return head
	}
	if head.Plain && head.Extra || head.TooLong {
		t.Fatalf("%q: %s", fields, show(head))
	}
	if call == nil {
		t.Fatalf("%q is plain (%s), but grpc-go refuses it: %q", fields, show(head), got)
	}
	if !maps.EqualFunc(call.md, head.Metadata(), slices.Equal) {
		t.Fatalf("%q: metadata %v, want %v", fields, head.Metadata(), call.md)
	}
	if call.deadline.IsZero() == head.HasTimeout {
		t.Fatalf("%q: deadline %v, timeout %v, %t", fields, call.deadline, head.Timeout, head.HasTimeout)
	}
	if head.HasTimeout && (call.deadline.Before(sent.Add(head.Timeout)) || call.deadline.After(call.at.Add(head.Timeout))) {
		t.Fatalf("%q: deadline %v, sent %v, timeout %v", fields, call.deadline, sent, head.Timeout)
	}
	return head
}

func without(fields []pair, name string) []pair {
	return slices.DeleteFunc(slices.Clone(fields), func(f pair) bool { return f.name == name })
}

func with(fields []pair, name, value string) []pair {
	fields = slices.Clone(fields)
	for i := range fields {
		if fields[i].name == name {
			fields[i].value = value
		}
	}
	return fields
}

type judgement int

const (
	odd judgement = iota
	plain
	extra
)

func (h Head) judgement() judgement {
	return map[bool]judgement{h.Plain: plain, h.Extra: extra}[true]
}

// listCase is a header list by which a client begins a call.
type listCase struct {
	fields []pair
	want   judgement
}

func takenLists() map[string]listCase {
	usual := call("10S")
	return map[string]listCase{
		"usual":                   {usual, plain},
		"no timeout":              {call(""), plain},
		"https":                   {with(usual, ":scheme", "https"), plain},
		"proto":                   {with(usual, "content-type", "application/grpc+proto"), plain},
		"no te":                   {without(usual, "te"), plain},
		"no user agent":           {without(usual, "user-agent"), plain},
		"identity":                {call("", pair{"grpc-encoding", "identity"}), plain},
		"accepts":                 {call("", pair{"grpc-accept-encoding", "gzip"}, pair{"grpc-accept-encoding", ""}), plain},
		"longest timeout":         {call("99999999H"), plain},
		"trace":                   {call("", pair{"traceparent", "p"}, pair{"tracestate", "a=1"}, pair{"tracestate", "b=2"}), plain},
		"binary trace":            {call("", pair{"grpc-trace-bin", "AAEC"}), plain},
		"position":                {call("", pair{"x-hotpath-position", ""}, pair{"x-hotpath-min-position", "7"}), plain},
		"harmless":                {call("", pair{"accept-encoding", "gzip"}, pair{"content-length", "9"}), plain},
		"timeout amid the others": {slices.Insert(call(""), 5, pair{"grpc-timeout", "10S"}), plain},
		"metadata":                {call("", pair{"authorization", "Bearer x"}), extra},
		"binary metadata":         {call("", pair{"a-bin", "AAE"}, pair{"a-bin", "AAE="}), extra},
		"unknown x-hotpath":       {call("", pair{"x-hotpath-else", "1"}), extra},
		"retry":                   {call("", pair{"grpc-previous-rpc-attempts", "1"}), extra},
	}
}

func oddLists() map[string]listCase {
	usual := call("10S")
	return map[string]listCase{
		"bad binary metadata":       {call("", pair{"a-bin", "?"}), odd},
		"bad binary trace":          {call("", pair{"grpc-trace-bin", "?"}), odd},
		"gzip":                      {call("", pair{"grpc-encoding", "gzip"}), odd},
		"GET":                       {with(usual, ":method", "GET"), odd},
		"no method":                 {without(usual, ":method"), odd},
		"no scheme":                 {without(usual, ":scheme"), odd},
		"no path":                   {without(usual, ":path"), odd},
		"path without slash":        {with(usual, ":path", "a/b"), odd},
		"no authority":              {without(usual, ":authority"), odd},
		"empty authority":           {with(usual, ":authority", ""), odd},
		"host only":                 {append(without(usual, ":authority"), pair{"host", "h"}), odd},
		"host too":                  {call("", pair{"host", "h"}), odd},
		"two hosts":                 {call("", pair{"host", "h"}, pair{"host", "i"}), odd},
		"two authorities":           {slices.Insert(call(""), 0, pair{":authority", "a"}), odd},
		"two methods":               {slices.Insert(call(""), 0, pair{":method", "POST"}), odd},
		"two paths":                 {slices.Insert(call(""), 0, pair{":path", "/a/b"}), odd},
		"pseudo after regular":      {append(without(usual, ":path"), pair{":path", hotPath}), odd},
		"pseudo after timeout":      {slices.Insert(call(""), 0, pair{"grpc-timeout", "10S"}), odd},
		"last pseudo after timeout": {slices.Insert(call(""), 3, pair{"grpc-timeout", "10S"}), odd},
		"a response's pseudo":       {slices.Insert(call(""), 0, pair{":status", "200"}), odd},
		"unknown pseudo":            {slices.Insert(call(""), 0, pair{":what", "200"}), odd},
		"protocol":                  {slices.Insert(call(""), 0, pair{":protocol", "websocket"}), odd},
		"connection":                {call("", pair{"connection", "close"}), odd},
		"trailer":                   {call("", pair{"trailer", "a"}), odd},
		"uppercase":                 {call("", pair{"Authorization", "x"}), odd},
		"uppercase of a known one":  {call("", pair{"Te", "trailers"}), odd},
		"space in a name":           {call("", pair{"a b", "x"}), odd},
		"empty name":                {call("", pair{"", "x"}), odd},
		"control in a value":        {call("", pair{"a", "x\ny"}), odd},
		"control in user agent":     {with(usual, "user-agent", "\x00"), odd},
		"other te":                  {with(usual, "te", "gzip"), odd},
		"no content type":           {without(usual, "content-type"), odd},
		"other content type":        {with(usual, "content-type", "application/json"), odd},
		"content type grpc-web":     {with(usual, "content-type", "application/grpc-web"), odd},
		"other codec":               {with(usual, "content-type", "application/grpc+json"), odd},
		"uppercase content type":    {with(usual, "content-type", "application/GRPC"), odd},
		"two content types":         {call("", pair{"content-type", "application/grpc"}), odd},
		"two user agents":           {call("", pair{"user-agent", "b"}), odd},
		"two timeouts":              {call("10S", pair{"grpc-timeout", "20S"}), odd},
		"timeout of no digits":      {call("S"), odd},
		"timeout of no unit":        {call("10"), odd},
		"timeout of a sign":         {call("+1S"), odd},
		"timeout of nine digits":    {call("123456789n"), odd},
		"one of timeouts empty":     {call("", pair{"grpc-timeout", ""}, pair{"grpc-timeout", "1S"}), odd},
		"other of timeouts empty":   {call("1S", pair{"grpc-timeout", ""}), odd},
		"status in a request":       {call("", pair{"grpc-status", "0"}), odd},
		"message in a request":      {call("", pair{"grpc-message", "0"}), odd},
	}
}

func TestWhatIsPlain(t *testing.T) {
	s := newServer(t)
	cases := takenLists()
	maps.Copy(cases, oddLists())
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			head := checkAgainstGrpc(t, s, c.fields, 1<<20)
			if head.judgement() != c.want {
				t.Errorf("got %s, want %d", show(head), c.want)
			}
			if strings.Contains(name, "timeouts") && head.HasTimeout {
				t.Errorf("a timeout of two: %s", show(head))
			}
			if paths := slices.DeleteFunc(slices.Clone(c.fields), func(f pair) bool { return f.name != ":path" }); len(paths) == 1 &&
				head.Method != onlyHotPath([]byte(paths[0].value)) {
				t.Errorf("method %d of %v", head.Method, paths)
			}
		})
	}
}

// Random lists: half of them usual but for a change or two.
func TestPlainIsWhatGrpcTakes(t *testing.T) {
	s := newServer(t)
	random := rand.New(rand.NewPCG(6, 7))
	names := []string{":method", ":path", ":scheme", ":authority", "content-type", "te", "user-agent", "grpc-timeout", "grpc-encoding",
		"grpc-accept-encoding", "host", "connection", "x", "X", "y-bin", "grpc-trace-bin", "tracestate", "x-hotpath-at-position",
		"grpc-status", "trailer", ":status", "authorization", "grpc-tags-bin", "content-length", "b d", "a\xe9", "_.~!|`^*'+%$&#"}
	values := []string{"POST", "GET", hotPath, "/a/b", "", "http", "https", "application/grpc", "application/grpc+proto",
		"application/grpc;proto", "trailers", "100S", "90000m", "identity", "gzip", "AAEC", "AA==", "A", "é", "\t \x7f", " a\tb "}
	judged := map[judgement]int{}
	for range 1500 {
		fields := call([]string{"", "100S"}[random.IntN(2)])
		for range 1 + random.IntN(2) {
			f := pair{names[random.IntN(len(names))], values[random.IntN(len(values))]}
			at := random.IntN(len(fields) + 1)
			switch random.IntN(4) {
			case 0:
				fields = slices.Insert(fields, at, f)
			case 1:
				fields = append(fields, f)
			case 2:
				fields = with(fields, f.name, f.value)
			default:
				if at < len(fields) {
					fields = slices.Delete(fields, at, at+1)
				}
			}
		}
		judged[checkAgainstGrpc(t, s, fields, 1<<20).judgement()]++
	}
	t.Logf("%d odd, %d plain, %d extra", judged[odd], judged[plain], judged[extra])
	for j, n := range judged {
		if n < 20 {
			t.Errorf("judgement %d: %d times", j, n)
		}
	}
}

// A server sees that a list is too long, though it gets no more of it than needed.
func TestTooLongListsAreRefusedByGrpc(t *testing.T) {
	const limit = 1000
	s := newServer(t, grpc.MaxHeaderListSize(limit))
	seen := map[bool]int{}
	for size := 0; size < 900; size += 7 {
		value := strings.Repeat("v", size)
		for name, fields := range map[string][]pair{
			"metadata": call("", pair{"a", value}),
			"timeout":  call("", pair{"a", value}, pair{"grpc-timeout", "100S"}),
			"several":  call("", pair{"a", value}, pair{"b", value}, pair{"b", value}, pair{"c", "d"}),
			"trailer":  call("", pair{"trailer", value}, pair{"b", value}),
			"trailers": call("", pair{"trailer", strings.Repeat(",", size/16)}, pair{"b", value}, pair{"trailer", "a"}),
		} {
			head := checkAgainstGrpc(t, s, fields, limit)
			if n := len(head.AppendBlock(nil, -1)); n > 3*limit {
				t.Fatalf("%s of %d: %d bytes", name, size, n)
			}
			if head.TooLong && head.HasTimeout {
				t.Fatalf("%s of %d: with another timeout, the list may no longer be too long", name, size)
			}
			seen[head.TooLong]++
		}
	}
	if seen[true] < 100 || seen[false] < 100 {
		t.Error(seen)
	}
}

func TestTimeoutIsReplacedAsGrpcWritesIt(t *testing.T) {
	s := newServer(t)
	block := newClient().block(call("7S", pair{"x-hotpath-position", ""}))
	head := mustDecode(t, NewDecoder(onlyHotPath), block)
	for _, c := range []struct {
		timeout time.Duration
		want    string
	}{
		{-1, "7S"}, {0, "0n"}, {1, "1n"}, {99_999_999, "99999999n"}, {100_000_000, "100000u"}, {100_000_001, "100001u"},
		{99_999_999*time.Microsecond + 1, "100000m"}, {99_999_999*time.Millisecond + 1, "100000S"},
		{99_999_999 * time.Second, "99999999S"}, {99_999_999*time.Second + 1, "1666667M"}, {1<<63 - 1, "2562048H"},
	} {
		fields, err := hpack.NewDecoder(0, nil).DecodeFull(head.AppendBlock(nil, c.timeout))
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(fields[7].Name, " ", fields[7].Value)
		if len(fields) != 9 || got != "grpc-timeout "+c.want {
			t.Errorf("%v: got %v, want %s", c.timeout, fields, c.want)
		}
		if c.timeout > time.Hour {
			if _, call := s.ask(t, head.AppendBlock(nil, c.timeout)); call == nil {
				t.Errorf("%v: grpc-go refuses it", c.timeout)
			}
		}
	}
	none := mustDecode(t, NewDecoder(onlyHotPath), newClient().block(call("")))
	if got := none.AppendBlock(nil, time.Second); string(got) != string(none.AppendBlock(nil, -1)) {
		t.Errorf("a timeout was added: %x", got)
	}
}
