package shim

import (
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"hotpath.dev/go-shim/internal/quiet"
)

// Creds returns credentials that make a server's reads and writes cost less, and are otherwise inner. Nil means none,
// as a server has without grpc.Creds: no handshake, and peer.Peer.AuthInfo is nil. ServerOptions has Creds(nil)
// already. A service with credentials of its own gains the same if it gives grpc.Creds(side.Creds(own)).
func (s *Side) Creds(inner credentials.TransportCredentials) credentials.TransportCredentials {
	if s.cfg.Run == Off {
		return inner
	}
	if s.door != nil {
		return s.door.splice.Creds(inner)
	}
	if inner == nil {
		inner = noCreds{insecure.NewCredentials()}
	}
	return creds{inner}
}

// creds wraps the connections that a server accepts.
type creds struct {
	credentials.TransportCredentials
}

// ServerHandshake implements credentials.TransportCredentials.
func (c creds) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.TransportCredentials.ServerHandshake(quiet.Wrap(conn))
}

// Clone implements credentials.TransportCredentials.
func (c creds) Clone() credentials.TransportCredentials { return creds{c.TransportCredentials.Clone()} }

// UsesXDS is what grpc-go's xDS server asks its credentials.
func (c creds) UsesXDS() bool {
	inner, ok := c.TransportCredentials.(interface{ UsesXDS() bool })
	return ok && inner.UsesXDS()
}

// noCreds leaves no trace in what handlers see of the peer, where the insecure ones would.
type noCreds struct {
	credentials.TransportCredentials
}

// ServerHandshake implements credentials.TransportCredentials.
func (noCreds) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return conn, nil, nil
}

// Clone implements credentials.TransportCredentials.
func (n noCreds) Clone() credentials.TransportCredentials {
	return noCreds{n.TransportCredentials.Clone()}
}
