// Package probe reads the /metrics page of walletd and hotpathd.
package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Labels selects the samples that have all of these labels.
type Labels map[string]string

// Page holds the metrics of one reading, by name.
type Page map[string]*dto.MetricFamily

// Parse reads metrics in Prometheus' text format.
func Parse(text io.Reader) (Page, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return families, nil
}

// client leaves no connection open, because it would count among the goroutines and files of the observed program. Only
// a program that hangs reaches the timeout.
var client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}

// ErrStatus is wrapped by the error of Get if a page answers with a status other than 200.
var ErrStatus = errors.New("the admin listener answered with another status than 200")

// Get fetches a page of an admin listener, for example Get(ctx, "127.0.0.1:7451", "/healthz").
func Get(ctx context.Context, address, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", path, address, err)
	}
	reply, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", path, address, err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", path, address, err)
	}
	if reply.StatusCode != http.StatusOK {
		return body, fmt.Errorf("%s of %s: %s: %w", path, address, reply.Status, ErrStatus)
	}
	return body, nil
}

// Scrape reads the metrics of the admin listener at address.
func Scrape(ctx context.Context, address string) (Page, error) {
	body, err := Get(ctx, address, "/metrics")
	if err != nil {
		return nil, err
	}
	return Parse(bytes.NewReader(body))
}

// Sum adds up the matching counters, gauges and untyped samples. ok is false if there is none.
func (p Page) Sum(name string, labels Labels) (sum float64, ok bool) {
	for _, metric := range p[name].GetMetric() {
		if !matches(metric, labels) {
			continue
		}
		ok = true
		// Only one of the three is set. The getters of the others return zero.
		sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + metric.GetUntyped().GetValue()
	}
	return sum, ok
}

// Value returns the sum that Sum returns, and zero if there is no sample.
func (p Page) Value(name string, labels Labels) float64 {
	sum, _ := p.Sum(name, labels)
	return sum
}

func matches(metric *dto.Metric, labels Labels) bool {
	found := 0
	for _, pair := range metric.GetLabel() {
		want, named := labels[pair.GetName()]
		if named && want == pair.GetValue() {
			found++
		}
	}
	return found == len(labels)
}
