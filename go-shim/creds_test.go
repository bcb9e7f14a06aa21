package shim_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimtest"
)

// introspective tells what its handler sees of the caller.
type introspective struct {
	testpb.UnimplementedTestServiceServer
	saw chan string
}

func (i introspective) EmptyCall(ctx context.Context, _ *testpb.Empty) (*testpb.Empty, error) {
	p, _ := peer.FromContext(ctx)
	kind := "none"
	if p.AuthInfo != nil {
		kind = p.AuthInfo.AuthType()
	}
	i.saw <- fmt.Sprintf("%s %T %T, %T", kind, p.AuthInfo, p.Addr, p.LocalAddr)
	return &testpb.Empty{}, nil
}

// peerSeen serves one call over a network and returns what the handler saw.
func peerSeen(t *testing.T, network string, client credentials.TransportCredentials, options []grpc.ServerOption) string {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(options...)
	service := introspective{saw: make(chan string, 1)}
	testpb.RegisterTestServiceServer(server, service)
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	target := listener.Addr().String()
	if network == "unix" {
		target = "unix:" + target
	}
	return service.called(t, target, client)
}

// called calls the service once, and returns what it saw.
func (s introspective) called(t *testing.T, target string, client credentials.TransportCredentials) string {
	t.Helper()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(client))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := testpb.NewTestServiceClient(conn).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
		t.Fatal(err)
	}
	return <-s.saw
}

func TestCredsShowHandlersTheSamePeer(t *testing.T) {
	side := newRig(t, setup{}).side
	https := httptest.NewTLSServer(nil)
	defer https.Close()
	trusting := https.Client().Transport.(*http.Transport).TLSClientConfig
	trusting.ServerName = "example.com"
	for name, c := range map[string]struct {
		client credentials.TransportCredentials
		server []grpc.ServerOption
		quiet  []grpc.ServerOption
	}{
		"none":                   {insecure.NewCredentials(), nil, []grpc.ServerOption{grpc.Creds(side.Creds(nil))}},
		"those of ServerOptions": {insecure.NewCredentials(), nil, side.ServerOptions(nil)},
		"insecure": {insecure.NewCredentials(), []grpc.ServerOption{grpc.Creds(insecure.NewCredentials())},
			[]grpc.ServerOption{grpc.Creds(side.Creds(insecure.NewCredentials()))}},
		"TLS": {credentials.NewTLS(trusting), []grpc.ServerOption{grpc.Creds(credentials.NewServerTLSFromCert(&https.TLS.Certificates[0]))},
			[]grpc.ServerOption{grpc.Creds(side.Creds(credentials.NewServerTLSFromCert(&https.TLS.Certificates[0])))}},
		"the service's own": {credentials.NewTLS(trusting), []grpc.ServerOption{grpc.Creds(credentials.NewServerTLSFromCert(&https.TLS.Certificates[0]))},
			side.ServerOptions([]grpc.ServerOption{grpc.Creds(credentials.NewServerTLSFromCert(&https.TLS.Certificates[0]))})},
	} {
		for _, network := range []string{"tcp", "unix"} {
			want := peerSeen(t, network, c.client, c.server)
			if got := peerSeen(t, network, c.client, c.quiet); got != want {
				t.Errorf("%s, %s: got %s, want %s", name, network, got, want)
			}
		}
	}
}

// Go's own HTTP/2 server has done the handshake already.
func TestServeHTTPIsAsWithoutCreds(t *testing.T) {
	side := newRig(t, setup{}).side
	saw := func(options []grpc.ServerOption) string {
		server := grpc.NewServer(options...)
		service := introspective{saw: make(chan string, 1)}
		testpb.RegisterTestServiceServer(server, service)
		https := httptest.NewUnstartedServer(server)
		https.EnableHTTP2 = true
		https.StartTLS()
		defer https.Close()
		trusting := https.Client().Transport.(*http.Transport).TLSClientConfig
		return service.called(t, https.Listener.Addr().String(), credentials.NewTLS(trusting))
	}
	if got, want := saw(side.ServerOptions(nil)), saw(nil); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// xds are credentials of the kind that an xDS server looks for.
type xds struct {
	credentials.TransportCredentials
}

func (xds) UsesXDS() bool { return true }

// refusing fails each handshake.
type refusing struct {
	credentials.TransportCredentials
}

var errHandshake = errors.New("told to fail")

func (refusing) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errHandshake
}

func TestCredsDelegate(t *testing.T) {
	r := newRig(t, setup{})
	side := r.side
	inner := credentials.NewTLS(nil)
	wrapped := side.Creds(inner)
	if got := wrapped.Clone().Info(); got != inner.Info() {
		t.Errorf("got %v", got)
	}
	if uses := side.Creds(xds{inner}).(interface{ UsesXDS() bool }).UsesXDS(); !uses {
		t.Error("an xDS server would not use xDS")
	}
	if uses := wrapped.(interface{ UsesXDS() bool }).UsesXDS(); uses {
		t.Error("an xDS server would use xDS")
	}
	one, other := net.Pipe()
	defer func() { _, _ = one.Close(), other.Close() }()
	for name, none := range map[string]credentials.TransportCredentials{"nil": side.Creds(nil), "its clone": side.Creds(nil).Clone()} {
		if conn, info, err := none.ServerHandshake(one); conn != one && r.config.FrontDoor == shim.Stock || info != nil || err != nil {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if _, _, err := side.Creds(refusing{inner}).ServerHandshake(one); !errors.Is(err, errHandshake) {
		t.Errorf("got %v", err)
	}
}

func TestCredsOfASideThatIsOffAreTheServicesOwn(t *testing.T) {
	side, err := shim.Open(t.Context(), shim.Config{Methods: []string{unaryCall}}, shimtest.NewLedger("l"))
	if err != nil {
		t.Fatal(err)
	}
	inner := credentials.NewTLS(nil)
	if side.Creds(inner) != inner || side.Creds(nil) != nil {
		t.Error("wrapped")
	}
}
