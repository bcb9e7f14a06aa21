package e2e

import (
	"context"
	"testing"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/probe"
)

func awaitTrue(t *testing.T, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testTimeout); !check(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", testTimeout, what)
		}
	}
}

func scrape(t *testing.T, address string) probe.Page {
	t.Helper()
	page, err := probe.Scrape(context.Background(), address)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func metric(t *testing.T, address, name string) float64 {
	t.Helper()
	value, ok := scrape(t, address).Sum(name, nil)
	if !ok {
		t.Fatalf("%s has no metric %s", address, name)
	}
	return value
}

func stillRuns(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
		t.Errorf("%s has ended", what)
	default:
	}
}
