package splice

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// Config says who answers, and within which bounds.
type Config struct {
	Hot    Hot
	Limits Limits
	// Extra makes calls hot that carry metadata which the door does not know, such as authorization: the policy reads it
	// from Head.Fields.
	Extra bool
	// Logger tells of panics, each of which costs one connection.
	Logger *slog.Logger
	// Observer may be nil.
	Observer Observer
}

// Server is one front door: what its connections share.
type Server struct {
	config Config
	limits Limits
	pools  pools
	// unread are the bytes that all clients have yet to take.
	unread atomic.Int64
	dirty  atomic.Pointer[Conn]
}

// NewServer returns a door for calls of config.Hot.
func NewServer(config Config) *Server {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Observer == nil {
		config.Observer = nobody{}
	}
	return &Server{config: config, limits: config.Limits.withDefaults(), pools: pools{secret: rand.Uint32()}}
}

// Creds returns credentials for grpc.Creds: those of inner, with a front door on every connection. A nil inner is no
// security and no AuthInfo, as that of a server without credentials.
func (s *Server) Creds(inner credentials.TransportCredentials) credentials.TransportCredentials {
	return &creds{inner: inner, server: s}
}

// Dirty says whether FlushDirty has something to send.
func (s *Server) Dirty() bool { return s.dirty.Load() != nil }

// FlushDirty sends what calls were answered with since. Whoever ends a batch of calls outside Begin calls it after the
// last of them.
func (s *Server) FlushDirty() {
	if s.dirty.Load() == nil {
		return
	}
	for c := s.dirty.Swap(nil); c != nil; {
		next := c.next
		c.next = nil
		c.flushDirty()
		c = next
	}
}

// creds wrap the service's own credentials.
type creds struct {
	inner  credentials.TransportCredentials
	server *Server
}

func (c *creds) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	s := newSocket(raw, c.server.limits.Stall, &c.server.unread)
	var conn net.Conn = s
	var auth credentials.AuthInfo
	if c.inner != nil {
		var err error
		if conn, auth, err = c.inner.ServerHandshake(s); err != nil {
			return nil, nil, err
		}
	}
	who := &peer.Peer{Addr: raw.RemoteAddr(), LocalAddr: raw.LocalAddr(), AuthInfo: auth}
	return newConn(c.server, s, conn, who), auth, nil
}

func (c *creds) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if c.inner == nil {
		return raw, nil, nil
	}
	return c.inner.ClientHandshake(ctx, authority, raw)
}

func (c *creds) Info() credentials.ProtocolInfo {
	if c.inner == nil {
		return credentials.ProtocolInfo{SecurityProtocol: "insecure"}
	}
	return c.inner.Info()
}

func (c *creds) Clone() credentials.TransportCredentials {
	clone := &creds{server: c.server}
	if c.inner != nil {
		clone.inner = c.inner.Clone()
	}
	return clone
}

func (c *creds) OverrideServerName(name string) error {
	if c.inner == nil {
		return nil
	}
	//lint:ignore SA1019 the interface demands it
	return c.inner.OverrideServerName(name)
}

// UsesXDS is what grpc-go's xDS server asks its credentials.
func (c *creds) UsesXDS() bool {
	inner, ok := c.inner.(interface{ UsesXDS() bool })
	return ok && inner.UsesXDS()
}
