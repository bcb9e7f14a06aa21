package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/internal/experiment"
)

// answers lists who may answer: this process, the sidecar over one of the two hops, or Rust inside this process.
var answers = []string{"local", experiment.Unary.String(), experiment.Batched.String(), "cgo"}

// maxStreamWorkers bounds the memory of the workers: each takes a few kilobytes, even when it has no work.
const maxStreamWorkers = 1 << 16

const maxHeapMiB = 1024

// config is the parsed and checked command line.
type config struct {
	answer, listen, admin, readyFile, sidecarBin, socket, through string
	// frontDoor is the parsed through.
	frontDoor shim.FrontDoor

	// streamWorkers is how many goroutines wait for calls. 0 starts a new goroutine for each call.
	streamWorkers uint
	// heapMiB is how much live heap the service keeps in addition to what requests need.
	heapMiB  uint
	lifeline bool
}

func parse(args []string) (config, error) {
	var c config
	f := flag.NewFlagSet("burnd", flag.ContinueOnError)
	f.StringVar(&c.answer, "answer", "local", "who answers: "+strings.Join(answers, ", "))
	f.StringVar(&c.listen, "listen", "127.0.0.1:7460", "host:port for gRPC; port 0 takes a free one")
	f.StringVar(&c.admin, "admin", "127.0.0.1:7461", "host:port for /metrics; port 0 takes a free one")
	f.StringVar(&c.readyFile, "ready-file", "", "written once it serves: JSON of pid, listen and admin")
	f.StringVar(&c.sidecarBin, "sidecar-bin", "target/release/burn-sidecar", "the program to supervise, for unary and batched")
	f.StringVar(&c.socket, "sidecar-socket", "", "its Unix socket; a private one without it")
	f.StringVar(&c.through, "front-door", shim.Stock.String(),
		"who reads requests from callers, for batched: stock (grpc-go), or spliced (the shim, below grpc-go)")
	f.UintVar(&c.streamWorkers, "stream-workers", 512, fmt.Sprintf("goroutines kept to run calls on, 0 to %d; 0 starts a new one for each call", maxStreamWorkers))
	f.UintVar(&c.heapMiB, "heap-mib", 64, fmt.Sprintf("live heap in MiB, as a service has that keeps something; 0 to %d", maxHeapMiB))
	f.BoolVar(&c.lifeline, "lifeline", false, "shut down when standard input ends")
	err := f.Parse(args)
	if err == nil {
		c.frontDoor, err = c.door()
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return c, err
	case err != nil:
		return c, usageError(err.Error())
	case f.NArg() > 0:
		return c, usageError(fmt.Sprintf("unexpected argument %q", f.Arg(0)))
	case !slices.Contains(answers, c.answer):
		return c, usageError(fmt.Sprintf("--answer %q: must be one of %s", c.answer, strings.Join(answers, ", ")))
	case c.streamWorkers > maxStreamWorkers:
		return c, usageError(fmt.Sprintf("--stream-workers %d: must be at most %d", c.streamWorkers, maxStreamWorkers))
	case c.heapMiB > maxHeapMiB:
		return c, usageError(fmt.Sprintf("--heap-mib %d: must be at most %d", c.heapMiB, maxHeapMiB))
	}
	return c, nil
}

func (c config) run() shim.Run {
	if _, err := experiment.ParseHop(c.answer); err != nil {
		return shim.Off
	}
	return shim.Supervise
}

// door parses --front-door. A door without a sidecar would leave every request to grpc-go, and so would one with the
// unary hop: it forwards by the exchange only.
func (c config) door() (shim.FrontDoor, error) {
	door, err := shim.ParseFrontDoor(c.through)
	switch {
	case err != nil:
		return door, fmt.Errorf("--front-door %q: %w", c.through, err)
	case door == shim.Spliced && c.answer != experiment.Batched.String():
		return door, fmt.Errorf("--front-door %s: does nothing without --answer %s", door, experiment.Batched)
	}
	return door, nil
}

// hop returns the hop to the sidecar. If no sidecar answers it returns Batched, and nothing uses that.
func (c config) hop() experiment.Hop {
	hop, _ := experiment.ParseHop(c.answer)
	return hop
}

// announce writes the ready file. It renames the finished file into place, so that nobody reads half of it.
func (c config) announce(grpc, admin net.Addr) error {
	if c.readyFile == "" {
		return nil
	}
	content, err := json.Marshal(struct {
		PID    int    `json:"pid"`
		Listen string `json:"listen"`
		Admin  string `json:"admin"`
	}{os.Getpid(), grpc.String(), admin.String()})
	if err != nil {
		return err
	}
	unfinished := c.readyFile + ".new"
	if err := os.WriteFile(unfinished, append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("--ready-file: %w", err)
	}
	return os.Rename(unfinished, c.readyFile)
}
