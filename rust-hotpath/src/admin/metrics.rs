//! `/metrics`. Everything is counted where it happens, and read here at each scrape.

use super::{Reply, Status, reply, status::Process, text};
use crate::{
    allocator,
    histogram::{BOUNDS_US, Durations},
    model::Model,
    serve::OTHER,
};
use hyper::StatusCode;
use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet, text::encode,
    },
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use std::{fmt, sync::Arc, time::Instant};
use tonic::Code;

/// The registry of one process.
pub(super) struct Metrics(Registry);

struct Source<M: Model> {
    status: Arc<Status<M>>,
    /// The names and helps of the model's gauges, as checked at the start.
    gauges: Vec<(&'static str, &'static str)>,
}

type Written = Result<(), fmt::Error>;

pub(super) fn registry<M: Model>(status: &Arc<Status<M>>) -> Metrics {
    let mut registry = Registry::default();
    let gauges = M::gauges(&M::State::default());
    registry.register_collector(Box::new(Source {
        status: Arc::clone(status),
        gauges: gauges
            .iter()
            .map(|(name, help, _)| (*name, *help))
            .collect(),
    }));
    Metrics(registry)
}

impl Metrics {
    pub(super) fn reply(&self) -> Reply {
        let mut body = String::new();
        match encode(&mut body, &self.0) {
            Ok(()) => {
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                reply(StatusCode::OK, kind, body.into_bytes())
            }
            Err(_) => text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "metrics cannot be encoded\n".to_owned(),
            ),
        }
    }
}

impl<M: Model> fmt::Debug for Source<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", M::SERVICE)
    }
}

impl<M: Model> Collector for Source<M> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Written {
        let out = &mut encoder;
        self.requests(out)?;
        self.declines(out)?;
        self.lanes(out)?;
        self.data(out)?;
        self.chores(out)?;
        self.feed(out)?;
        process(out)?;
        let values = self.status.view.gauges();
        for (name, help) in &self.gauges {
            if let Some((.., value)) = values.iter().find(|(other, ..)| other == name) {
                gauge(out, &format!("hotpathd_model_{name}"), help, *value)?;
            }
        }
        Ok(())
    }
}

impl<M: Model> Source<M> {
    fn requests(&self, out: &mut DescriptorEncoder<'_>) -> Written {
        let counts: Vec<_> = M::METHODS
            .iter()
            .zip(self.status.serve.meter().counts())
            .collect();
        let name = "hotpathd_requests";
        let mut family = out.encode_descriptor(
            name,
            "Hot requests by status code",
            None,
            MetricType::Counter,
        )?;
        for (method, counts) in &counts {
            for (code, count) in &counts.codes {
                let labels = [("method", **method), ("code", code_name(*code))];
                counter_row(&mut family, &labels, *count)?;
            }
        }
        let name = "hotpathd_request_seconds";
        let mut family =
            out.encode_descriptor(name, "Time of hot requests", None, MetricType::Histogram)?;
        for (method, counts) in &counts {
            let labels = [("method", **method)];
            histogram_row(&mut family.encode_family(&labels)?, &counts.durations)?;
        }
        counter(
            out,
            "hotpathd_requests_offloaded",
            "Unary requests moved off their connection's thread because they would have held up others",
            self.status.serve.moved(),
        )?;
        gauge(
            out,
            "hotpathd_in_flight",
            "Hot requests at this moment",
            size(self.status.serve.in_flight()),
        )?;
        gauge(
            out,
            "hotpathd_arriving",
            "Hot requests whose message has not arrived at this moment",
            size(self.status.serve.arriving()),
        )?;
        counter(
            out,
            "hotpathd_arriving_refused",
            "Those refused because too many waited, the oldest first",
            self.status.serve.gave_way(),
        )?;
        gauge(
            out,
            "hotpathd_queued",
            "Expensive requests that wait for a thread at this moment: as many run as there are cores",
            size(self.status.serve.queued()),
        )?;
        let (name, help) = (
            "hotpathd_queue_wait_seconds",
            "Time that expensive requests waited for a thread",
        );
        let mut row = out.encode_descriptor(name, help, None, MetricType::Histogram)?;
        histogram_row(&mut row, &self.status.serve.waited())?;
        counter(
            out,
            "hotpathd_shed",
            "Expensive requests refused because their turn would have come when nobody waits any longer",
            self.status.serve.shed(),
        )?;
        gauge(
            out,
            "hotpathd_buffered_bytes",
            "Bytes of requests and replies over 8 KiB held at this moment",
            size(self.status.serve.buffered_bytes()),
        )
    }

    /// Writes every reason of the model, whether or not it occurred, so that a rate has a beginning.
    fn declines(&self, out: &mut DescriptorEncoder<'_>) -> Written {
        let (name, help) = (
            "hotpathd_declined",
            "Requests that the model left to the service, by its reason",
        );
        let mut family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
        let meter = self.status.serve.meter();
        for (method, counts) in M::METHODS.iter().zip(meter.declines()) {
            let reasons = M::DECLINES.iter().copied().chain([OTHER]);
            for (reason, count) in reasons.zip(counts) {
                if count > 0 || reason != OTHER {
                    let labels = [("method", *method), ("reason", reason)];
                    counter_row(&mut family, &labels, count)?;
                }
            }
        }
        Ok(())
    }

    fn lanes(&self, out: &mut DescriptorEncoder<'_>) -> Written {
        let counts = self.status.exchange.counts();
        let open = counts.lanes();
        gauge(out, "hotpathd_lanes", "Lanes open at this moment", open)?;
        for (name, help, value) in [
            ("requests", "Requests that came by lane", counts.requests()),
            ("batches", "Messages that brought them", counts.batches()),
            (
                "offloaded",
                "Requests moved off their lane because they would have held up others",
                counts.offloaded(),
            ),
            (
                "waited",
                "Requests that waited for a position",
                counts.waited(),
            ),
            ("too_long", "Replies left to unary calls", counts.too_long()),
            (
                "long_replies",
                "Replies over 64 KiB, which leave in pieces",
                counts.long(),
            ),
        ] {
            counter(out, &format!("hotpathd_lane_{name}"), help, value)?;
        }
        let (name, help) = (
            "hotpathd_lane_errors",
            "Lanes that did not end with OK, by reason",
        );
        let mut family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (reason, count) in counts.errors() {
            counter_row(&mut family, &[("reason", reason)], count)?;
        }
        Ok(())
    }

    fn data(&self, out: &mut DescriptorEncoder<'_>) -> Written {
        let status = &self.status;
        let (position, sizes) = (status.view.position(), status.view.sizes());
        let ready = status
            .readiness
            .judge(position, std::time::Instant::now())
            .serving;
        let applied = status.feeds.counts().applied();
        gauge(
            out,
            "hotpathd_position",
            "Newest published position",
            position,
        )?;
        let age = status.view.age(Instant::now());
        let row = out.encode_descriptor(
            "hotpathd_view_age_seconds",
            "Time since the newest version was published, which is no lag while nothing happens",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(age.as_secs_f64()).encode(row)?;
        gauge(
            out,
            "hotpathd_ready",
            "1 if health says SERVING",
            u64::from(ready),
        )?;
        counter(out, "hotpathd_events_applied", "Events applied", applied)?;
        counter(
            out,
            "hotpathd_publications",
            "Versions published",
            sizes.publications,
        )?;
        let (name, help) = (
            "hotpathd_publication_seconds",
            "Time from the arrival of a version's oldest event to its publication, once requests are answered",
        );
        let mut row = out.encode_descriptor(name, help, None, MetricType::Histogram)?;
        histogram_row(&mut row, &status.feeds.counts().publications())?;
        gauge(
            out,
            "hotpathd_retained_versions",
            "Versions that can be asked for",
            sizes.retained_versions,
        )?;
        gauge(
            out,
            "hotpathd_retained_events",
            "Events kept with them",
            sizes.retained_events,
        )?;
        gauge(
            out,
            "hotpathd_retired_waiting",
            "Replaced versions still being read",
            sizes.retired_waiting,
        )
    }

    fn chores(&self, out: &mut DescriptorEncoder<'_>) -> Written {
        let counts = self.status.feeds.counts();
        for (name, help, value) in [
            (
                "hotpathd_chores",
                "Pieces of the model's long work, such as merges, that were handed to the thread beside the writer",
                counts.chores(),
            ),
            (
                "hotpathd_chores_failed",
                "Those that panicked and had no effect",
                counts.chores_failed(),
            ),
        ] {
            counter(out, name, help, value)?;
        }
        let (name, help) = (
            "hotpathd_chores_seconds",
            "How long that thread was at work",
        );
        let row = out.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(counts.chores_took().as_secs_f64()).encode(row)?;
        gauge(
            out,
            "hotpathd_chores_under_way",
            "Pieces of long work that are not finished at this moment",
            counts.chores_under_way(),
        )
    }

    fn feed(&self, out: &mut DescriptorEncoder<'_>) -> Written {
        let status = &self.status;
        let head = status.readiness.known_head().max(status.view.position());
        gauge(
            out,
            "hotpathd_feed_head_position",
            "Last durable position known",
            head,
        )?;
        let connected = u64::from(status.readiness.connected());
        gauge(
            out,
            "hotpathd_feed_connected",
            "1 if a feed is open",
            connected,
        )?;
        let (name, help) = ("hotpathd_feed_refusals", "Feeds refused or ended by reason");
        let mut family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (reason, count) in status.feeds.refusals() {
            counter_row(&mut family, &[("reason", reason)], count)?;
        }
        Ok(())
    }
}

fn process(out: &mut DescriptorEncoder<'_>) -> Written {
    let process = Process::now();
    let (name, help) = ("process_cpu_seconds", "User and system time");
    let row = out.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(process.cpu_seconds).encode(row)?;
    gauge(
        out,
        "process_resident_memory_bytes",
        "Resident memory",
        process.resident_bytes,
    )?;
    if let Some(allocated) = allocator::allocated() {
        gauge(
            out,
            "hotpathd_allocated_bytes",
            "Bytes that the program has allocated at this moment",
            allocated.bytes,
        )?;
        counter(
            out,
            "hotpathd_allocations",
            "Allocations since the start",
            allocated.allocations,
        )?;
    }
    gauge(out, "process_threads", "Threads", process.threads)
}

fn gauge(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Written {
    let row = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(row)
}

/// Writes a counter. The encoder adds `_total` to its name.
fn counter(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Written {
    let row = out.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(row)
}

fn counter_row(
    family: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    value: u64,
) -> Written {
    ConstCounter::new(value).encode(family.encode_family(labels)?)
}

fn histogram_row(row: &mut MetricEncoder<'_>, durations: &Durations) -> Written {
    let bounds = BOUNDS_US
        .iter()
        .map(|us| f64::from(u32::try_from(*us).unwrap_or(u32::MAX)) / 1e6);
    let buckets: Vec<_> = bounds
        .chain([f64::INFINITY])
        .zip(durations.buckets)
        .collect();
    let total = durations.total.as_secs_f64();
    row.encode_histogram::<NoLabelSet>(total, durations.count(), &buckets, None)
}

fn size(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// The code as gRPC spells it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
