package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"hotpath.dev/go-shim/internal/rollout"
)

const (
	fetchTimeout = 5 * time.Second
	// The metrics of a service may be long, and an address may be a wrong one.
	maxMetricsBytes  = 16 << 20
	maxMetricsLine   = 64 << 10
	shimMetrics      = "hotpath_shim_"
	metricCompared   = shimMetrics + "compared_total"
	metricDropped    = shimMetrics + "comparisons_dropped_total"
	metricSeconds    = shimMetrics + "compared_seconds_bucket"
	metricRequests   = shimMetrics + "requests_total"
	metricFallbacks  = shimMetrics + "fallbacks_total"
	metricForwarded  = shimMetrics + "forwarded_percent"
	metricKilled     = shimMetrics + "killed"
	metricDemoted    = shimMetrics + "demoted"
	mostExactInFloat = 1 << 53
)

// look asks all replicas at once.
func (p *planner) look(ctx context.Context, replicas []replica) []rollout.Sight {
	sights := make([]rollout.Sight, len(replicas))
	var asked sync.WaitGroup
	for i, one := range replicas {
		asked.Go(func() {
			sample, err := p.fetch(ctx, one.Metrics)
			sights[i] = rollout.Sight{Replica: one.Metrics, Sample: sample, Err: err}
		})
	}
	asked.Wait()
	return sights
}

func (p *planner) fetch(ctx context.Context, address string) (rollout.Sample, error) {
	var none rollout.Sample
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return none, err
	}
	response, err := p.client.Do(request)
	if err != nil {
		var long *url.Error
		if errors.As(err, &long) {
			err = long.Err // whoever reads this knows the address
		}
		return none, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return none, fmt.Errorf("HTTP status %s", response.Status)
	}
	return readSample(response.Body)
}

// readSample reads metrics in the text format of Prometheus. A shim's series may have further labels; those of one method
// are added up.
func readSample(page io.Reader) (rollout.Sample, error) {
	sample := rollout.Sample{Tally: make(rollout.Tally), Percent: make(map[string]int)}
	limited := &io.LimitedReader{R: page, N: maxMetricsBytes + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(nil, maxMetricsLine)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if !strings.HasPrefix(line, shimMetrics) {
			continue
		}
		if err := take(&sample, line); err != nil {
			return rollout.Sample{}, fmt.Errorf("metrics: %w: %.200q", err, line)
		}
	}
	if limited.N <= 0 {
		return rollout.Sample{}, errors.New("the page is longer than 16 MiB")
	}
	return sample, lines.Err()
}

// take adds a line of the metrics to a sample.
func take(sample *rollout.Sample, line string) error {
	name, labels, value, err := series(line)
	if err != nil {
		return err
	}
	method := labels["method"]
	switch name {
	case metricKilled:
		sample.Killed = sample.Killed || value != 0
		return nil
	case metricDemoted:
		if value != 0 && !slices.Contains(sample.Demoted, method) {
			sample.Demoted = append(sample.Demoted, method)
		}
		return nil
	case metricForwarded:
		percent := int(value)
		if before, twice := sample.Percent[method]; twice && before != percent || value != float64(percent) {
			percent = -1
		}
		sample.Percent[method] = percent
		return nil
	}
	counters := func() *rollout.Counts { return sample.Tally.Of(method) }
	var family *map[string]uint64
	label := ""
	switch name {
	case metricCompared:
		family, label = &counters().Compared, labels["class"]
	case metricDropped:
		family, label = &counters().Dropped, labels["reason"]
	case metricRequests:
		family, label = &counters().Requests, labels["served_by"]
	case metricFallbacks:
		family, label = &counters().Fallbacks, labels["reason"]
	case metricSeconds:
		bound, err := strconv.ParseFloat(labels["le"], 64)
		if err != nil || math.IsNaN(bound) {
			return errors.New("le is no number")
		}
		// The same bound has one name, however it is written.
		label = strconv.FormatFloat(bound, 'g', -1, 64)
		switch labels["by"] {
		case "go":
			family = &counters().Go
		case "sidecar":
			family = &counters().Sidecar
		}
	}
	switch {
	case family == nil:
		return nil
	case !(value >= 0 && value <= mostExactInFloat):
		return errors.New("a counter must be 0 to 2^53")
	}
	rollout.Add(family, label, uint64(value))
	return nil
}

// series reads a line such as `name{label="value"} 3`. A timestamp may follow.
func series(line string) (name string, labels map[string]string, value float64, err error) {
	end := strings.IndexAny(line, "{ \t")
	if end < 0 {
		return "", nil, 0, errors.New("there is no value")
	}
	name, rest := line[:end], line[end:]
	labels = make(map[string]string)
	if rest = strings.TrimLeft(rest, " \t"); strings.HasPrefix(rest, "{") {
		rest = rest[1:]
		for {
			if rest = strings.TrimLeft(rest, ", \t"); strings.HasPrefix(rest, "}") {
				rest = rest[1:]
				break
			}
			label, quoted, found := strings.Cut(rest, "=")
			if !found {
				return "", nil, 0, errors.New("the labels have no end")
			}
			if labels[strings.TrimSpace(label)], rest, err = unquoted(strings.TrimLeft(quoted, " \t")); err != nil {
				return "", nil, 0, err
			}
		}
	}
	fields := strings.Fields(rest)
	if len(fields) < 1 || len(fields) > 2 {
		return "", nil, 0, errors.New("there must be a value, and at most a timestamp after it")
	}
	if value, err = strconv.ParseFloat(fields[0], 64); err != nil {
		return "", nil, 0, errors.New("the value is no number")
	}
	return name, labels, value, nil
}

// unquoted reads a label's value, in which \\, \" and \n are escaped, and returns what follows it.
func unquoted(text string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		return "", "", errors.New("the value of a label has no quotes")
	}
	var plain strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return plain.String(), text[i+1:], nil
		case c == '\\' && i+1 < len(text):
			i++
			if text[i] == 'n' {
				plain.WriteByte('\n')
			} else {
				plain.WriteByte(text[i])
			}
		default:
			plain.WriteByte(c)
		}
	}
	return "", "", errors.New("the value of a label has no end")
}
