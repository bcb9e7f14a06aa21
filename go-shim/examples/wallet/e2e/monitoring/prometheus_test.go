package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hotpath.dev/go-shim/examples/wallet/internal/proc"
)

// testTimeout bounds waits. They reach it only if something is broken.
const testTimeout = 3 * time.Minute

// prometheus is a running Prometheus with the committed configuration, except for addresses and intervals.
type prometheus struct {
	*proc.Process
	address string
}

// startPrometheus starts one that reads walletds and hotpathds at these addresses, every second.
func startPrometheus(t *testing.T, walletds, hotpathds []string) *prometheus {
	t.Helper()
	dir := t.TempDir()
	config := read(t, docs("prometheus.yml"))
	for old, changed := range map[string]string{
		"['127.0.0.1:7451']":       "['" + strings.Join(walletds, "','") + "']",
		"['127.0.0.1:7452']":       "['" + strings.Join(hotpathds, "','") + "']",
		"scrape_interval: 15s":     "scrape_interval: 1s",
		"evaluation_interval: 15s": "evaluation_interval: 1s",
	} {
		if n := strings.Count(config, old); n != 1 {
			t.Fatalf("prometheus.yml has %q %d times", old, n)
		}
		config = strings.Replace(config, old, changed, 1)
	}
	for name, text := range map[string]string{"prometheus.yml": config, "alerts.yml": read(t, docs("alerts.yml"))} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := filepath.Join(dir, "log")
	process, err := proc.Start(proc.Spec{Name: "prometheus", Bin: found.prometheus, Log: log, Args: []string{
		"--config.file=" + filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path=" + filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0",
	}})
	if err != nil {
		t.Fatal(err)
	}
	p := &prometheus{Process: process}
	t.Cleanup(func() {
		p.Stop(10 * time.Second)
		if t.Failed() {
			t.Logf("prometheus:\n%s", proc.LastLines(log, 40))
		}
	})
	listening := regexp.MustCompile(`msg="Listening on" address="?([0-9.]+:[0-9]+)`)
	p.await(t, "it listens", func() bool {
		text, _ := os.ReadFile(log)
		at := listening.FindSubmatch(text)
		if at != nil {
			p.address = string(at[1])
		}
		return at != nil
	})
	return p
}

func (p *prometheus) await(t *testing.T, what string, good func() bool) {
	t.Helper()
	if err := p.Await(what, testTimeout, good); err != nil {
		t.Fatal(err)
	}
}

// ask calls Prometheus' HTTP API and decodes its data. An error has Prometheus' own words.
func (p *prometheus) ask(path string, values url.Values, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/api/v1/"+path+"?"+values.Encode(), nil)
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		return fmt.Errorf("%s: %s %s (%w)", path, reply.Status, answer.Error, err)
	}
	return json.Unmarshal(answer.Data, into)
}

// sample is one series of the answer to a query.
type sample struct{ Metric map[string]string }

// query evaluates an expression.
func (p *prometheus) query(expression string) ([]sample, error) {
	var answer struct{ Result []sample }
	err := p.ask("query", url.Values{"query": {expression}}, &answer)
	return answer.Result, err
}

// rule is an alert rule as Prometheus has understood it.
type rule struct {
	Name, Query, Health, LastError, State string
	Labels, Annotations                   map[string]string
}

func (p *prometheus) rules(t *testing.T) []rule {
	t.Helper()
	var answer struct{ Groups []struct{ Rules []rule } }
	if err := p.ask("rules", nil, &answer); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, group := range answer.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 10 {
		t.Fatalf("only %d rules", len(all))
	}
	return all
}

// awaitScrapes waits until each process has been read, and each rule was evaluated afterwards.
func (p *prometheus) awaitScrapes(t *testing.T, processes int) {
	t.Helper()
	p.await(t, "all processes are read", func() bool {
		var answer struct{ ActiveTargets []struct{ Health string } }
		up := 0
		if p.ask("targets", nil, &answer) == nil {
			for _, target := range answer.ActiveTargets {
				if target.Health == "up" {
					up++
				}
			}
		}
		return up == processes && len(answer.ActiveTargets) == processes
	})
	scraped := time.Now()
	p.await(t, "all rules are evaluated", func() bool {
		var answer struct {
			Groups []struct {
				Rules []struct{ LastEvaluation time.Time }
			}
		}
		if p.ask("rules", nil, &answer) != nil || len(answer.Groups) == 0 {
			return false
		}
		for _, group := range answer.Groups {
			for _, one := range group.Rules {
				if !one.LastEvaluation.After(scraped) {
					return false
				}
			}
		}
		return true
	})
}
