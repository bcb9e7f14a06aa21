package e2e

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// wire holds what a client sees of a call without a gRPC library.
type wire struct {
	http                           int
	contentType, status, encodings string
	date, message, reply           bool
}

// TestDirectBelowGRPC sends what grpc-go never sends, and checks what it never shows.
func TestDirectBelowGRPC(t *testing.T) {
	t.Parallel()
	_, d := directly(t)
	const get, grpcType = walletv1.WalletService_GetBalance_FullMethodName, "application/grpc"
	about := encode(t, &walletv1.GetBalanceRequest{AccountId: "a"})
	cases := []struct {
		name        string
		contentType string
		encoding    string
		body        []byte
		want        wire
	}{
		{"a good call", grpcType, "", framed(0, about),
			wire{http: 200, contentType: grpcType, status: "0", reply: true}},
		{"identity is no compression", "application/grpc+proto", "identity", framed(0, about),
			wire{http: 200, contentType: grpcType, status: "0", reply: true}},
		{"not gRPC", "application/json", "", []byte("{}"),
			wire{http: 415, contentType: grpcType, status: "3", message: true}},
		{"no content type", "", "", nil, wire{http: 415, contentType: grpcType, status: "3", message: true}},
		{"compressed in a way that is unknown", grpcType, "snappy", framed(1, about),
			wire{http: 200, contentType: grpcType, status: "12", encodings: "identity, gzip", message: true}},
		{"no gzip, but said to be", grpcType, "gzip", framed(1, about),
			wire{http: 200, contentType: grpcType, status: "13", message: true}},
		{"compressed, but by nothing", grpcType, "", framed(1, about),
			wire{http: 200, contentType: grpcType, status: "13", message: true}},
		{"two messages", grpcType, "", append(framed(0, about), framed(0, about)...),
			wire{http: 200, contentType: grpcType, status: "13", message: true}},
		{"no message", grpcType, "", nil, wire{http: 200, contentType: grpcType, status: "13", message: true}},
		{"half a message", grpcType, "", framed(0, about)[:6],
			wire{http: 200, contentType: grpcType, status: "13", message: true}},
	}
	client := plainHTTP2(t)
	for _, c := range cases {
		request, err := http.NewRequest(http.MethodPost, "http://"+d.Listen+get, bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Te", "trailers")
		request.Header.Set("Content-Type", c.contentType)
		if c.encoding != "" {
			request.Header.Set("Grpc-Encoding", c.encoding)
		}
		if got := exchanged(t, client, request); got != c.want {
			t.Errorf("%s: got %+v, not %+v", c.name, got, c.want)
		}
	}
}

func plainHTTP2(t *testing.T) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: testTimeout}
}

func exchanged(t *testing.T, client *http.Client, request *http.Request) wire {
	t.Helper()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	said := func(key string) string { return response.Header.Get(key) + response.Trailer.Get(key) }
	return wire{
		http: response.StatusCode, contentType: response.Header.Get("Content-Type"), status: said("Grpc-Status"),
		encodings: said("Grpc-Accept-Encoding"), date: said("Date") != "",
		message: said("Grpc-Message") != "", reply: len(body) > 5,
	}
}

func framed(flag byte, message []byte) []byte {
	frame := binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(message)))
	return append(frame, message...)
}
