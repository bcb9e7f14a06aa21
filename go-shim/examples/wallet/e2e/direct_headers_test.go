package e2e

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

// heading changes the request line or headers of a good call. http and status are the expected answer.
type heading struct {
	name   string
	change func(*http.Request)
	http   int
	status string
}

// adding returns a function that adds header fields, given as name, value, name, value.
func adding(fields ...string) func(*http.Request) {
	return func(r *http.Request) {
		for n := 0; n < len(fields); n += 2 {
			if fields[n] == "Content-Type" {
				r.Header.Del(fields[n])
			}
			r.Header.Add(fields[n], fields[n+1])
		}
	}
}

const (
	timeout  = "Grpc-Timeout"
	media    = "Content-Type"
	encoding = "Grpc-Encoding"
	binary64 = "X-Some-Bin"
)

var headings = []heading{
	{"nothing", adding(), 200, "0"},
	{"a timeout", adding(timeout, "30S"), 200, "0"},
	{"no timeout", adding(timeout, ""), 400, "13"},
	{"a timeout without a unit", adding(timeout, "30"), 400, "13"},
	{"a timeout without a number", adding(timeout, "S"), 400, "13"},
	{"a unit that is none", adding(timeout, "30x"), 400, "13"},
	{"a negative timeout", adding(timeout, "-1S"), 400, "13"},
	{"a signed timeout", adding(timeout, "+1S"), 400, "13"},
	{"a broken timeout", adding(timeout, "1.5S"), 400, "13"},
	{"9 digits of timeout", adding(timeout, "123456789S"), 400, "13"},
	{"8 digits of hours", adding(timeout, "99999999H"), 200, "0"},
	{"no time", adding(timeout, "0m"), 200, "4"},
	{"two timeouts, no time by the last", adding(timeout, "30S", timeout, "0S"), 200, "4"},
	{"two timeouts, no time by the first", adding(timeout, "0S", timeout, "30S"), 200, "0"},
	{"two timeouts, the first malformed", adding(timeout, "x", timeout, "30S"), 400, "13"},
	{"two timeouts, the last malformed", adding(timeout, "30S", timeout, "x"), 400, "13"},
	{"PUT", func(r *http.Request) { r.Method = http.MethodPut }, 405, "13"},
	{"DELETE", func(r *http.Request) { r.Method = http.MethodDelete }, 405, "13"},
	{"a query", func(r *http.Request) { r.URL.RawQuery = "query" }, 200, "12"},
	{"an empty query", func(r *http.Request) { r.URL.ForceQuery = true }, 200, "12"},
	{"an escaped path", func(r *http.Request) { r.URL.Opaque = "//" + r.URL.Host + escaped(r.URL.Path) }, 200, "12"},
	{"a subtype by +", adding(media, "application/grpc+proto"), 200, "0"},
	{"not gRPC", adding(media, "application/json"), 415, "3"},
	{"not quite gRPC", adding(media, "application/grpcx"), 415, "3"},
	{"gRPC for browsers", adding(media, "application/grpc-web"), 415, "3"},
	{"in capitals", adding(media, "Application/Grpc"), 415, "3"},
	{"an empty type", adding(media, ""), 415, "3"},
	{"not gRPC, and PUT", func(r *http.Request) { r.Method = http.MethodPut; r.Header.Set(media, "text/html") }, 415, "3"},
	{"base64 without padding", adding(binary64, "AA"), 200, "0"},
	{"base64 with padding", adding(binary64, "AA=="), 200, "0"},
	{"empty base64", adding(binary64, ""), 200, "0"},
	{"base64 of too few digits", adding(binary64, "A"), 400, "13"},
	{"base64 with half its padding", adding(binary64, "AA="), 400, "13"},
	{"base64 for URLs", adding(binary64, "-_-_"), 400, "13"},
	{"two of base64 in one", adding(binary64, "AA==,AA=="), 400, "13"},
	{"no base64", adding(binary64, "AA==", binary64, "!"), 400, "13"},
	{"an empty encoding", adding(encoding, ""), 200, "0"},
	{"no encoding", adding(encoding, "identity"), 200, "0"},
	{"an encoding that nobody has", adding(encoding, "nothing"), 200, "12"},
	{"two encodings, the last is none", adding(encoding, "nothing", encoding, "identity"), 200, "0"},
	{"long headers", adding("X-Long", strings.Repeat("x", 20_000)), 200, "0"},
}

// TestDirectHeadersAreJudgedAsByGRPC checks that the sidecar answers each of these headings as walletd does, where
// grpc-go decides.
func TestDirectHeadersAreJudgedAsByGRPC(t *testing.T) {
	t.Parallel()
	legacy, d := directly(t)
	client := plainHTTP2(t)
	for _, h := range headings {
		for name, address := range map[string]string{"walletd": legacy.GRPC, "hotpathd": d.Listen} {
			got := exchanged(t, client, headed(t, address, h.change))
			if got.http != h.http || got.status != h.status || !strings.HasPrefix(got.contentType, "application/grpc") {
				t.Errorf("%s: %s says %+v, not %d with %s", h.name, name, got, h.http, h.status)
			}
		}
	}
}

// TestDirectHeadersThatAreTooLong expects a status, which tells the caller why. grpc-go ends such a stream without one.
func TestDirectHeadersThatAreTooLong(t *testing.T) {
	t.Parallel()
	_, d := directly(t, "--max-header-bytes", "8192")
	client := plainHTTP2(t)
	for length, status := range map[int]string{7_000: "0", 9_000: "8", 20_000: "8"} {
		got := exchanged(t, client, headed(t, d.Listen, adding("X-Long", strings.Repeat("x", length))))
		if got.http != http.StatusOK || got.status != status {
			t.Errorf("%d bytes: %+v, not %s", length, got, status)
		}
	}
}

func headed(t *testing.T, address string, change func(*http.Request)) *http.Request {
	t.Helper()
	body := framed(0, encode(t, &walletv1.GetBalanceRequest{AccountId: "a"}))
	url := "http://" + address + walletv1.WalletService_GetBalance_FullMethodName
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Te", "trailers")
	request.Header.Set(media, "application/grpc")
	change(request)
	return request
}

func escaped(path string) string { return strings.Replace(path, "GetB", "Get%42", 1) }
