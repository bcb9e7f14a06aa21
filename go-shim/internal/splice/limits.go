package splice

import "time"

// Limits bound what one client, and all together, can make the door hold or do. Fields that are zero get the default.
type Limits struct {
	// HeaderBlock bounds the bytes of a header block as it came, CONTINUATION frames included (1 MiB, or twice the header
	// list that grpc-go allows if that is less), and Continuations the number of those frames (1,024). A client that exceeds
	// them gets GOAWAY with ENHANCE_YOUR_CALM.
	HeaderBlock, Continuations int
	// Message bounds a hot request with its prefix (64 KiB); grpc-go gets longer ones.
	Message int
	// Bodies bounds the bytes of incomplete hot requests on one connection (1 MiB); grpc-go gets what exceeds it.
	Bodies int
	// Incomplete is how long a hot request may take to arrive (1 s); grpc-go gets later ones.
	Incomplete time.Duration
	// Resets bounds the streams that one connection resets, or makes the door reset, within a second (20,000).
	Resets int
	// Unread bounds the bytes that one client has yet to take (1 MiB): beyond, the door stops reading from it. UnreadInAll
	// bounds those of all clients (128 MiB): beyond, grpc-go gets all calls, and holds back its handlers; and hot replies
	// that would have to be kept are RESOURCE_EXHAUSTED. One client has a quarter of it, or one reply.
	Unread, UnreadInAll int
	// Stall is how long a client may take nothing of what it has been sent, or open no window for hot replies (60 s); then its
	// connection is closed. 16 KiB in that time are enough.
	Stall time.Duration
	// CloseWait is how long a connection that grpc-go closed lives on until the client has taken the last bytes (5 s).
	CloseWait time.Duration
}

func (l Limits) withDefaults() Limits {
	def := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	def(&l.HeaderBlock, 1<<20)
	def(&l.Continuations, 1024)
	def(&l.Message, 64<<10)
	def(&l.Bodies, 1<<20)
	def(&l.Resets, 20_000)
	def(&l.Unread, 1<<20)
	def(&l.UnreadInAll, 128<<20)
	after := func(field *time.Duration, value time.Duration) {
		if *field == 0 {
			*field = value
		}
	}
	after(&l.Incomplete, time.Second)
	after(&l.Stall, time.Minute)
	after(&l.CloseWait, 5*time.Second)
	return l
}
