package splice

import "hotpath.dev/go-shim/internal/h2"

// Observer hears what a door does. Its methods are called from many goroutines, at most once per flush of a connection
// and kind of event: a call is counted under the lock of its connection, and costs no atomic of its own.
type Observer interface {
	// Opened and Closed count connections. broke is one of Rules, or "" if the connection did not end by a rule.
	Opened()
	Closed(broke string)
	// Answered counts calls that the policy ended on their connection.
	Answered(calls int)
	// HandedOver counts calls of hot methods that grpc-go got before the policy saw them. why is an index of Reasons.
	HandedOver(why, calls int)
}

// Reason says why grpc-go gets a call of a hot method. The door itself knows the first ones; the others are its policy's.
type Reason uint8

const (
	// ForMetadata: the call has metadata that the door does not know.
	ForMetadata Reason = iota
	// ForUnusual: its fields or its message are for grpc-go to judge. It is compressed, for example.
	ForUnusual
	// ForSize: it is too long.
	ForSize
	// ForIncomplete: it did not come in time, or ended early.
	ForIncomplete
	// ForSettings: the client's settings are not acknowledged yet.
	ForSettings
	// ForDraining: grpc-go has begun to drain the connection.
	ForDraining
	// ForUnread: this client, or all together, have left too much unread.
	ForUnread
	// ForShut: the door is not open, or not yet.
	ForShut
	// ForMode: the method is in mode legacy.
	ForMode
	// ForNotReady: no sidecar serves the method.
	ForNotReady
	// ForFallback: the shim has counted a fallback.
	ForFallback
	// ForHedge: the method hedges, which the handler does.
	ForHedge

	reasonCount
)

// Reasons returns the names of all reasons.
func Reasons() []string {
	return []string{"metadata", "unusual", "size", "incomplete", "settings", "draining", "unread", "shut", "mode", "not_ready",
		"fallback", "hedge"}
}

// The rules by which connections end. The first two are also what the client's GOAWAY says.
const (
	brokeHeaders = "header_block_too_long"
	brokeResets  = "too_many_resets"
	// brokeProtocol: the client broke a rule of HTTP/2. grpc-go ends the connection.
	brokeProtocol = "protocol"
	// brokeGRPC: grpc-go ended it by a GOAWAY with an error code, for a rule that the door does not look at.
	brokeGRPC    = "grpc_go"
	brokeStalled = "stalled"
	brokePanic   = "panic"
)

// Rules returns the names of all rules.
func Rules() []string {
	return []string{brokeHeaders, brokeResets, brokeProtocol, brokeGRPC, brokeStalled, brokePanic}
}

// nobody hears nothing.
type nobody struct{}

func (nobody) Opened()             {}
func (nobody) Closed(string)       {}
func (nobody) Answered(int)        {}
func (nobody) HandedOver(int, int) {}

// counts are what a connection has counted since it told the observer.
type counts struct {
	answered   uint32
	handed     uint32 // the sum of handedOver
	handedOver [reasonCount]uint32
}

func (c *counts) handOver(why Reason) {
	c.handed++
	c.handedOver[why]++
}

// take returns the counts, and begins anew.
func (c *counts) take() counts {
	taken := *c
	*c = counts{}
	return taken
}

func (s *Server) tell(counted *counts) {
	if counted.answered > 0 {
		s.config.Observer.Answered(int(counted.answered))
	}
	if counted.handed == 0 {
		return
	}
	for why, n := range counted.handedOver {
		if n > 0 {
			s.config.Observer.HandedOver(why, int(n))
		}
	}
}

// Unread returns how many bytes all clients have yet to take.
func (s *Server) Unread() int64 { return s.unread.Load() }

// whyCold says why a call of a hot method is not hot: what lies in the call first, because that stays.
func (c *Core) whyCold(head *h2.Head, end bool) Reason {
	switch {
	case head.Extra && !c.extra:
		return ForMetadata
	case !head.Plain && !head.Extra || head.TooLong || head.HasTimeout && head.Timeout <= 0 || end:
		return ForUnusual
	case !c.settled:
		return ForSettings
	case c.draining:
		return ForDraining
	default:
		return ForUnread
	}
}

// handOverFor gives grpc-go a request that will not get hot, as it came.
func (c *Core) handOverFor(why Reason, s *stream) {
	c.counted.handOver(why)
	c.handOver(s, -1)
}

// rule keeps the first rule that was broken.
func (c *Core) rule(broken string) {
	if c.broke == "" {
		c.broke = broken
	}
}
