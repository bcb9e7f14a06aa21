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
func (t *telemetry) watch(ledger *store.Store, models *readmodel.Switcher) {
	gauge := func(name, help string, value func() uint64) {
		t.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(value()) }))
	}
	gauge("walletd_position", "The last durable position that reads show.", ledger.Head)
	size := func() readmodel.Size {
		_, model := models.InForce()
		return model.Size()
	}
	gauge("walletd_accounts", "Accounts with entries.", func() uint64 { return size().Accounts })
	gauge("walletd_entries", "Entries in the read model, be it in memory or in the database.", func() uint64 { return size().Entries })
	gauge("walletd_entries_in_memory", "Entries that read models hold in memory, those included that were replaced and are not freed yet.",
		func() uint64 { return models.InMemory().Entries })
	gauge("walletd_read_model_switching", "1 while the read model is being changed.", func() uint64 { return flag01(models.Change().UnderWay) })
	gauge("walletd_read_model_switch_position", "How far the model has come that is to take over, or has; walletd_position is where it has to be.",
		func() uint64 { return models.Change().Done })
	for _, name := range readmodel.AllNames() {
		t.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "walletd_read_model", Help: "1 for the read model in force.", ConstLabels: prometheus.Labels{"model": name},
		}, func() float64 {
			inForce, _ := models.InForce()
			return float64(flag01(inForce == name))
		}))
	}
	gauge("walletd_store_reads_running", "Reads of the database that run.", func() uint64 { return uint64(ledger.ViewLoad().Open) })
	gauge("walletd_store_reads_waiting", "Reads of the database that wait for their turn.", func() uint64 { return uint64(ledger.ViewLoad().Waiting) })
	t.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "walletd_store_reads_refused_total", Help: "Reads of the database that were RESOURCE_EXHAUSTED.",
	}, func() float64 { return float64(ledger.ViewLoad().Refused) }))
}

func flag01(on bool) uint64 {
	if on {
		return 1
	}
	return 0
}
