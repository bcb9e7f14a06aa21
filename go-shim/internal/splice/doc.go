// Package splice is the front door of a gRPC server: it stands between a client's connection and grpc-go, answers hot
// unary calls itself, and passes everything else on to grpc-go on the same connection and back.
//
//	client ══ socket ══ Conn ──(the net.Conn that grpc-go serves)── grpc-go: cold calls
//	                     │ ^
//	      Hot.Begin, of  │ │  Call.Answer, Refuse or Local
//	      whole requests v │
//	                   policy
//
// Core is what both sides say to each other: no I/O, no lock, no clock. Conn adds the lock, the socket and time. The door
// has no goroutine of its own: the client's bytes are read inside grpc-go's Read, and replies leave on the goroutine that
// brings them. One goroutine per connection exists while a slow client does not take its bytes.
//
// Two HTTP/2 servers share one client. What each of them may assume, and how the door keeps it true:
//
//	stream ids    grpc-go gets ascending ids of the door's own, because a call may be given to it late (handover.go)
//	windows       the client's connection window is one purse, from which both spend (window.go)
//	header table  grpc-go is told that the client has none, so the door alone writes into it (encoder.go)
//	SETTINGS      count from grpc-go's acknowledgement on, as if there were one server (settings.go)
//	GOAWAY, PING  grpc-go drains once no hot call is under way (drain.go)
//
// The door never invents an error where grpc-go has one: a frame that breaks a rule is passed to grpc-go, which ends the
// connection or the stream in its own way.
package splice
