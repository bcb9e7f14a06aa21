package main

import (
	"log/slog"
	"regexp"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"hotpath.dev/go-shim/examples/wallet/readmodel"
	"hotpath.dev/go-shim/examples/wallet/service"
	"hotpath.dev/go-shim/examples/wallet/store"
	"hotpath.dev/go-shim/tracing"
)

// gcSeconds selects the CPU time of garbage collection, exported as go_cpu_classes_gc_total_cpu_seconds_total. Go
// updates it at the end of each collection.
var gcSeconds = collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/cpu/classes/gc/total:cpu-seconds$`)}

// telemetry holds the process's metrics, its log and its readiness.
type telemetry struct {
	log      *slog.Logger
	registry *prometheus.Registry
	calls    *service.Metrics
	// loaded lets wallet calls in. ready is what /readyz reports; on shutdown it turns false before calls are refused.
	loaded, ready atomic.Bool
	failing       atomic.Bool
	// tracer is nil without --otlp.
	tracer tracing.Tracer

	commits        prometheus.Counter
	commitFailures prometheus.Counter
	commitSize     prometheus.Histogram
	commitSeconds  prometheus.Histogram
}

func newTelemetry(log *slog.Logger) *telemetry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(gcSeconds)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	t := &telemetry{
		log:      log,
		registry: registry,
		calls:    service.NewMetrics(registry),
		commits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "walletd_commits_total", Help: "Group commits made durable.",
		}),
		commitFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "walletd_commit_failures_total", Help: "Group commits that failed. Their transactions were not posted, unless the status said that this is unknown.",
		}),
		commitSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "walletd_commit_transactions", Help: "Transactions in a group commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "walletd_commit_seconds", Help: "Time to gather a group and make it durable.",
			Buckets: prometheus.ExponentialBuckets(100e-6, 2, 16),
		}),
	}
	registry.MustRegister(t.commits, t.commitFailures, t.commitSize, t.commitSeconds)
	return t
}

func (t *telemetry) committed(c store.Commit) {
	// On a full disk every commit fails. The log gets one line when this begins and one when it is over.
	if was := t.failing.Swap(c.Err != nil); c.Err != nil && !was {
		t.log.Error("posts fail", "cause", c.Err)
	} else if c.Err == nil && was {
		t.log.Info("posts succeed again")
	}
	if c.Err != nil {
		t.commitFailures.Inc()
		return
	}
	t.commits.Inc()
	t.commitSize.Observe(float64(c.Transactions))
	t.commitSeconds.Observe(c.Took.Seconds())
}

// watch adds metrics that are read from the ledger and the model at each scrape.
func (t *telemetry) watch(ledger *store.Store, model readmodel.ReadModel) {
	gauge := func(name, help string, value func() uint64) {
		t.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(value()) }))
	}
	gauge("walletd_position", "The last durable position that reads show.", ledger.Head)
	gauge("walletd_accounts", "Accounts with entries.", func() uint64 { return model.Size().Accounts })
	gauge("walletd_entries", "Entries in the read model.", func() uint64 { return model.Size().Entries })
	if _, fromTables := model.(store.TableReader); !fromTables {
		return
	}
	gauge("walletd_store_reads_running", "Reads of the database that run.", func() uint64 { return uint64(ledger.ViewLoad().Open) })
	gauge("walletd_store_reads_waiting", "Reads of the database that wait for their turn.", func() uint64 { return uint64(ledger.ViewLoad().Waiting) })
	t.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "walletd_store_reads_refused_total", Help: "Reads of the database that were RESOURCE_EXHAUSTED.",
	}, func() float64 { return float64(ledger.ViewLoad().Refused) }))
}
