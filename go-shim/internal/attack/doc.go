// Package attack is for tests: clients that keep to no rule of HTTP/2 or of good manners, and what a server gives them.
//
//	Attack.Run ── Peer, Peer, … ══ TCP ══ server
//	                    │
//	                 Outcome: what all peers got
//
// It knows nothing of the servers, so the same attacks go to grpc-go, to the spliced front doors and to the sidecar.
package attack
