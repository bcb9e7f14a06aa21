package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

func all(string) bool { return true }

// shown is what the metrics are to show: a value in all samples with labels that concern it.
type shown struct {
	metric    string
	concerned func(labels string) bool
	value     string
}

// await waits until the metrics show all of it, if there is an address to ask.
func (c *command) await(ctx context.Context, all ...shown) error {
	if c.metrics == "" {
		return nil
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.within)
	defer cancel()
	last := errors.New("it has not answered yet")
	for {
		what := all[0]
		found, err := shows(ctx, c.metrics, what)
		switch {
		case found && len(all) > 1:
			all = all[1:]
			continue
		case found:
			fmt.Fprintf(c.out, "the service shows it, %.1f s later\n", time.Since(began).Seconds())
			return nil
		}
		switch {
		case err == nil:
			last = fmt.Errorf("%s is not %s", what.metric, what.value)
		case ctx.Err() == nil:
			last = err
		}
		select {
		case <-ctx.Done():
			return failure{exitNotSeen, fmt.Errorf("the file is changed, but %s does not show it within %v: %w", c.metrics, c.within, last)}
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// shows says whether a metric has that value now. It fails if the page cannot be read.
func shows(ctx context.Context, url string, what shown) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return false, fmt.Errorf("HTTP status %s", response.Status)
	}
	samples, met := 0, 0
	lines := bufio.NewScanner(io.LimitReader(response.Body, 16<<20))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		rest, found := strings.CutPrefix(lines.Text(), what.metric)
		if !found || rest == "" || rest[0] != '{' && rest[0] != ' ' || !what.concerned(rest) {
			continue
		}
		samples++
		if fields := strings.Fields(rest); fields[len(fields)-1] == what.value {
			met++
		}
	}
	return samples > 0 && samples == met, lines.Err()
}
