package main

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"hotpath.dev/go-shim/examples/wallet/internal/command"
)

const h2loadText = `starting benchmark...
finished in 1.02s, 19607.84 req/s, 1.03MB/s
requests: 20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 20000 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.05MB (1100500) total, 312.50KB (320000) headers (space savings 95.00%), 214.84KB (220000) data
`

func TestLoadGeneratorsAreUnderstood(t *testing.T) {
	s, err := ofH2load([]byte(h2loadText))
	if err != nil || s.short != "20000 succeeded, 19607.84/s" || len(s.lines) != 2 || s.lines[1] != "220000 bytes of replies" {
		t.Errorf("%+v, %v", s, err)
	}
	// The rate is not compared.
	slower, err := ofH2load([]byte(strings.Replace(h2loadText, "19607", "1", 1)))
	if all := lines(s, slower); err != nil || len(all) > 0 {
		t.Errorf("%q, %v", all, err)
	}
	fewer, err := ofH2load([]byte(strings.Replace(h2loadText, "(220000)", "(219999)", 1)))
	if all := lines(s, fewer); err != nil || len(all) != 1 {
		t.Errorf("%q, %v", all, err)
	}
	if _, err := ofH2load([]byte("usage")); !errors.Is(err, errH2load) {
		t.Error(err)
	}
	s, err = ofGhz([]byte(`{"count": 3, "rps": 12.6, "statusCodeDistribution": {"OK": 2, "Unavailable": 1}, "errorDistribution": {"gone": 1}}`))
	if err != nil || s.short != "2 of 3 OK, 13/s" || strings.Join(s.lines, "; ") != "2 OK; 1 Unavailable; 1 gone" {
		t.Errorf("%+v, %v", s, err)
	}
}

// report is one in the form of h2spec, which does not escape what it quotes.
func report(first string) []byte {
	return []byte(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="2. Frames" package="http2/2" id="2" tests="3" skipped="1" failures="0" errors="1">
    <testcase package="http2/2" classname="Sends one" time="0.1">` + first + `</testcase>
    <testcase package="http2/2" classname="Sends two" time="0.1"><skipped></skipped></testcase>
    <testcase package="http2/2" classname="Sends three" time="0.1"></testcase>
  </testsuite>
</testsuites>`)
}

func TestACaseHasPassedIfItOnceDid(t *testing.T) {
	const failure = "<error>got 3 frames & EOF</error>"
	var sights []sight
	for _, tries := range [][]string{{"", failure}, {failure, failure}} {
		cases := map[string]string{}
		for _, first := range tries {
			if err := addCases(cases, report(first)); err != nil {
				t.Fatal(err)
			}
		}
		sights = append(sights, ofH2spec(cases))
	}
	if a, b := sights[0].short, sights[1].short; a != "2 passed, 1 skipped, 0 failed" || b != "1 passed, 1 skipped, 1 failed" {
		t.Errorf("%s; %s", a, b)
	}
	var better, bad table
	better.add(client{name: "h2spec"}, []sight{sights[1], sights[0]})
	bad.add(client{name: "h2spec"}, []sight{sights[0], sights[1]})
	if len(better.differences) > 0 || len(better.changes) != 1 || len(bad.differences) != 1 || !strings.Contains(bad.text(), "Sends one") {
		t.Errorf("%s\n%s", better.text(), bad.text())
	}
}

func TestEachSplicedDoorIsComparedWithItsStockOne(t *testing.T) {
	var all table
	one, other := sight{short: "1 OK", lines: []string{"0\t\t\taa"}}, sight{short: "0 OK", lines: []string{"5\t\t\t"}}
	all.add(client{name: "c"}, []sight{one, one, other, other})
	if len(all.differences) > 0 || strings.Count(all.text(), "the same") != 2 {
		t.Error(all.text())
	}
	all.add(client{name: "c"}, []sight{one, one, one, other})
	if len(all.differences) != 1 || !strings.Contains(all.text(), "sidecar, spliced: 1. stock: 0\t\t\taa; spliced: 5") {
		t.Error(all.text())
	}
}

func TestAMissingClientIsNamed(t *testing.T) {
	bin, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := configure([]string{"--walletd", bin, "--hotpathd", bin, "--tools", t.TempDir(), "--only", "ghz,h2spec"}, nil, io.Discard)
	if err != nil || len(c.only) != 2 {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := c.tool("bin/ghz"); err == nil || !strings.Contains(err.Error(), "make clients") {
		t.Error(err)
	}
	if _, err := configure([]string{"--walletd", "/no/walletd"}, nil, io.Discard); !errors.Is(err, command.ErrUsage) {
		t.Error(err)
	}
	r := newRun(config{only: []string{"netcat"}}, nil)
	if _, err := r.run(t.Context()); !errors.Is(err, errUnknownClient) {
		t.Error(err)
	}
}
