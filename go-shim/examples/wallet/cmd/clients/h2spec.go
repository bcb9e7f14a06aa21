package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/ask"
	"hotpath.dev/go-shim/examples/wallet/internal/doors"
)

// tries is how often a case may be tried until it passes: in some, a reset races with GOAWAY, in any server.
const tries = 3

// answerWithin is how long h2spec waits for a frame, or for the end of the connection. After a GOAWAY for an error grpc-go
// waits a second before it closes the connection, so a second would make those cases a matter of chance.
const answerWithin = 2 * time.Second

const (
	passed  = "passed"
	failed  = "failed"
	skipped = "skipped"
)

// h2spec runs all cases, and those that fail again.
func h2spec(ctx context.Context, r *run, d *doors.Door) (sight, error) {
	program, err := r.config.tool("bin/h2spec")
	if err != nil {
		return sight{}, err
	}
	host, port, err := net.SplitHostPort(d.Addr)
	if err != nil {
		return sight{}, fmt.Errorf("address of the door: %w", err)
	}
	report := r.config.Path("h2spec " + string(d.Kind) + ".xml")
	cases := map[string]string{}
	for range tries {
		_ = os.Remove(report)
		_, err := output(ctx, program, "-h", host, "-p", port, "-P", ask.Hot[0], "-o", strconv.Itoa(int(answerWithin.Seconds())),
			"-j", report)
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) { // it exits with 1 if a case fails
			return sight{}, err
		}
		text, err := os.ReadFile(report)
		if err != nil {
			return sight{}, fmt.Errorf("h2spec's report: %w", err)
		}
		if err := addCases(cases, text); err != nil {
			return sight{}, err
		}
	}
	return ofH2spec(cases), nil
}

// addCases adds the results of a report in JUnit's form. A case that has passed once has passed.
func addCases(cases map[string]string, text []byte) error {
	var report struct {
		Suites []struct {
			Cases []struct {
				Package string    `xml:"package,attr"`
				Class   string    `xml:"classname,attr"`
				Failure *struct{} `xml:"failure"`
				Skipped *struct{} `xml:"skipped"`
				Error   *struct{} `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	decoder := xml.NewDecoder(bytes.NewReader(text))
	decoder.Strict = false // it does not escape what it quotes
	if err := decoder.Decode(&report); err != nil {
		return fmt.Errorf("h2spec's report: %w", err)
	}
	for _, suite := range report.Suites {
		for _, one := range suite.Cases {
			result := passed
			switch {
			case one.Skipped != nil:
				result = skipped
			case one.Failure != nil || one.Error != nil:
				result = failed
			}
			if name := one.Package + ": " + one.Class; cases[name] != passed {
				cases[name] = result
			}
		}
	}
	return nil
}

func ofH2spec(cases map[string]string) sight {
	s := sight{differ: worse}
	count := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		s.lines = append(s.lines, cases[name]+" "+name)
		count[cases[name]]++
	}
	s.short = fmt.Sprintf("%d passed, %d skipped, %d failed", count[passed], count[skipped], count[failed])
	return s
}

// worse lists what passes behind the stock door only.
func worse(stock, spliced sight) (all []string) {
	for _, line := range stock.lines {
		if name, ok := strings.CutPrefix(line, passed+" "); ok && !slices.Contains(spliced.lines, line) {
			all = append(all, "passes behind the stock door only: "+name)
		}
	}
	return all
}
