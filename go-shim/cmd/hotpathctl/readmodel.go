package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	readModelPath = "/hotpath/read-model"
	// lookEvery is how often a switch is looked at, and sayEvery how often its progress is printed.
	lookEvery = 100 * time.Millisecond
	sayEvery  = 10 * time.Second
	// answerTimeout bounds one request to the admin API.
	answerTimeout = 30 * time.Second
)

// readModel is what the service answers. See shimadmin.ReadModel.
type readModel struct {
	Models    []string `json:"models"`
	InForce   string   `json:"in_force"`
	Switching bool     `json:"switching"`
	To        string   `json:"to"`
	By        string   `json:"by"`
	Done      uint64   `json:"done"`
	Total     uint64   `json:"total"`
	Error     string   `json:"error"`
}

// switcher has a service switch to another read model.
type switcher struct {
	out    io.Writer
	client *http.Client
	url    string
	within time.Duration
	force  bool
}

func runReadModel(ctx context.Context, args []string, out io.Writer) error {
	s := &switcher{out: out}
	var admin string
	f := flag.NewFlagSet("read-model", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&admin, "admin", "", "")
	f.DurationVar(&s.within, "within", time.Hour, "")
	f.BoolVar(&s.force, "force", false, "")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, usage)
		return err
	case err != nil:
		return mistake("%w", err)
	case s.within <= 0 || s.within > 24*time.Hour:
		return mistake("--within %v: must be above 0 and at most 24h", s.within)
	case f.NArg() > 1:
		return mistake("unexpected argument %q; flags come before arguments", f.Arg(1))
	}
	if err := need("--admin", admin); err != nil {
		return err
	}
	api, err := adminAt(admin)
	if err != nil {
		return err
	}
	s.client, s.url = api.client, api.base+readModelPath
	if f.NArg() == 0 {
		return s.show(ctx)
	}
	return s.change(ctx, f.Arg(0))
}

// ask sends a request. A refusal is an error with what the service says.
func (s *switcher) ask(ctx context.Context, method string, body []byte) (seen readModel, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, s.url, bytes.NewReader(body))
	if err != nil {
		return seen, 0, err
	}
	if method == http.MethodPost {
		request.Header.Set(whoHeader, whoami())
	}
	response, err := s.client.Do(request)
	if err != nil {
		return seen, 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return seen, 0, err
	}
	err = json.Unmarshal(text, &seen)
	switch {
	case response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusMethodNotAllowed:
		err = errors.New("it offers no choice of read models there, or only to look at it")
	case response.StatusCode != http.StatusOK && seen.Error != "":
		err = errors.New(seen.Error)
	case response.StatusCode != http.StatusOK:
		err = fmt.Errorf("HTTP status %s", response.Status)
	case err == nil && seen.InForce == "":
		err = errors.New("its answer is not that of a service with read models")
	}
	return seen, response.StatusCode, err
}

func (s *switcher) show(ctx context.Context) error {
	seen, _, err := s.ask(ctx, http.MethodGet, nil)
	if err != nil {
		return failure{exitNotSeen, fmt.Errorf("%s: %w", s.url, err)}
	}
	for _, name := range seen.Models {
		note := ""
		switch {
		case name == seen.InForce:
			note = "in force"
		case name == seen.To && seen.Switching:
			note = fmt.Sprintf("on the way, asked for by %s: %s", seen.By, progressOf(seen))
		case name == seen.To && seen.Error != "":
			note = fmt.Sprintf("asked for by %s, and failed: %s", seen.By, seen.Error)
		}
		fmt.Fprintln(s.out, strings.TrimRight(fmt.Sprintf("%-12s %s", name, note), " "))
	}
	return nil
}

func progressOf(seen readModel) string {
	if seen.Total == 0 {
		return "at 0"
	}
	return fmt.Sprintf("%d%% (%d of %d)", 100*min(seen.Done, seen.Total)/seen.Total, seen.Done, seen.Total)
}

// change asks for a model, and waits until it is in force.
func (s *switcher) change(ctx context.Context, model string) error {
	order, err := json.Marshal(map[string]any{"model": model, "force": s.force})
	if err != nil {
		return err
	}
	began := time.Now()
	seen, code, err := s.ask(ctx, http.MethodPost, order)
	switch {
	case err != nil && code == http.StatusConflict && seen.Switching && seen.To == model:
		fmt.Fprintf(s.out, "%s has asked for %s already\n", seen.By, model)
	case err != nil && code == 0:
		return failure{exitNotSeen, fmt.Errorf("%s cannot be asked: %w", s.url, err)}
	case err != nil && code == http.StatusBadRequest:
		return mistake("%w", err)
	case err != nil:
		return failure{exitGate, fmt.Errorf("%s refuses: %w", s.url, err)}
	}
	if seen, err = s.await(ctx, seen, model); err != nil {
		return err
	}
	if seen.InForce != model {
		why := seen.Error
		if why == "" {
			why = "it has been restarted, or somebody asked for another one since"
		}
		return failure{exitGate, fmt.Errorf("the service stays with %s: %s", seen.InForce, why)}
	}
	fmt.Fprintf(s.out, "%s is in force, %.1f s later\n", model, time.Since(began).Seconds())
	return nil
}

// await waits for the end of a switch. It bears with a service that does not answer for a while.
func (s *switcher) await(ctx context.Context, seen readModel, model string) (readModel, error) {
	said := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	var last error
	for seen.Switching || last != nil {
		select {
		case <-ctx.Done():
			why := "interrupted"
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				why = fmt.Sprintf("not within %v", s.within)
			}
			if last != nil {
				why += ", and it cannot be asked: " + last.Error()
			}
			return seen, failure{exitNotSeen, fmt.Errorf("%s: the service goes on: %s is at %s; ask for %s to give it up", why, model, progressOf(seen), seen.InForce)}
		case <-time.After(lookEvery):
		}
		next, _, err := s.ask(ctx, http.MethodGet, nil)
		if last = err; err == nil {
			seen = next
		}
		if time.Since(said) >= sayEvery {
			said = time.Now()
			fmt.Fprintf(s.out, "%s: %s\n", model, progressOf(seen))
		}
	}
	return seen, nil
}
