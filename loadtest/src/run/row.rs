//! Makes the row of a window, and shrinks the data that is kept beside it.

use crate::{
    measure::{Latencies, Observed, ProcessUsage},
    plan::Next,
    report::model::{Phase, Window},
};
use hdrhistogram::Histogram;
use std::time::Duration;

/// What a row is made from.
pub(super) struct Parts<'a> {
    pub(super) index: u32,
    pub(super) target: String,
    pub(super) next: &'a Next,
    pub(super) at: Duration,
    pub(super) observed: &'a Observed,
    pub(super) processes: &'a [ProcessUsage],
    pub(super) closed_in_flight: Option<u64>,
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn row(parts: &Parts<'_>) -> Window {
    let Parts { next, observed, .. } = parts;
    let seconds = next.duration.as_secs_f64();
    let offered = (next.from_qps + next.to_qps) / 2.0;
    let servers = Servers::of(parts.processes);
    Window {
        index: parts.index,
        target: parts.target.clone(),
        phase: next.phase,
        round: next.round,
        at_s: parts.at.as_secs_f64(),
        duration_s: seconds,
        closed_in_flight: parts.closed_in_flight,
        // A capture at its own times and a closed loop have no planned rate, so this is the rate that was due.
        offered_qps: if offered > 0.0 {
            offered
        } else {
            observed.planned as f64 / seconds
        },
        achieved_qps: observed.achieved_qps,
        planned: observed.planned,
        sent: observed.sent,
        ok: observed.ok,
        errors: observed.planned.saturating_sub(observed.ok),
        p50_us: micros(&observed.from_planned, 0.5),
        p90_us: micros(&observed.from_planned, 0.9),
        p99_us: micros(&observed.from_planned, 0.99),
        p999_us: micros(&observed.from_planned, 0.999),
        max_us: observed.from_planned.max() as f64 / 1e3,
        sent_p99_us: micros(&observed.from_sent, 0.99),
        writes: observed.writes.done,
        lag_p99_us: micros(&observed.generator.lag, 0.99),
        generator_cpu_fraction: observed.generator.cpu_fraction,
        held_back: observed.generator.held_back,
        expired: observed.expired,
        cpu_us: servers.cpu_us,
        cpu_us_per_request: servers
            .cpu_us
            .filter(|_| observed.ok > 0)
            .map(|cpu| cpu as f64 / observed.ok as f64),
        rss_peak_bytes: servers.rss_peak_bytes,
        context_switches: servers.context_switches,
        gc_cpu_us: servers.gc.map(|gc| gc.0),
        gc_pause_us: servers.gc.map(|gc| gc.1),
        gc_cycles: servers.gc.map(|gc| gc.2),
        fallbacks: servers.fallbacks,
        handed_over: servers.handed_over,
        broke: None,
        void: None,
    }
}

/// The sums over all processes. Figures that no process reports are `None`.
#[derive(Default)]
struct Servers {
    cpu_us: Option<u64>,
    rss_peak_bytes: Option<u64>,
    context_switches: Option<u64>,
    gc: Option<(u64, u64, u64)>,
    fallbacks: Option<u64>,
    handed_over: Option<u64>,
}

impl Servers {
    fn of(processes: &[ProcessUsage]) -> Self {
        if processes.is_empty() {
            return Self::default();
        }
        let sum = |figure: fn(&ProcessUsage) -> u64| Some(processes.iter().map(figure).sum());
        let collectors = processes.iter().filter_map(|process| process.gc);
        let told = |figure: fn(&ProcessUsage) -> Option<u64>| {
            let figures = processes.iter().filter_map(figure);
            figures.reduce(|one, other| one + other)
        };
        Self {
            cpu_us: sum(|process| whole_micros(process.cpu)),
            // The sum of each process's own peak, which is at least the peak of all together.
            rss_peak_bytes: sum(|process| process.rss_peak_bytes),
            context_switches: sum(|process| process.context_switches),
            gc: collectors
                .map(|gc| (whole_micros(gc.cpu), whole_micros(gc.pause), gc.cycles))
                .reduce(|one, other| (one.0 + other.0, one.1 + other.1, one.2 + other.2)),
            fallbacks: told(|process| process.fallbacks),
            handed_over: told(|process| process.handed_over),
        }
    }
}

fn whole_micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[allow(clippy::cast_precision_loss)]
fn micros(times: &Latencies, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1e3
}

/// Keeps the used buckets of the histograms only, and for windows before the equal load only what the report needs.
/// Histograms up to an hour take much memory, and a run has hundreds of windows.
pub(super) fn compacted(mut observed: Observed, phase: Phase) -> Observed {
    shrink(&mut observed.from_planned);
    shrink(&mut observed.generator.lag);
    shrink(&mut observed.writes.from_planned);
    if phase != Phase::Equal {
        observed.from_sent.reset();
    }
    shrink(&mut observed.from_sent);
    for method in &mut observed.methods {
        if phase != Phase::Equal {
            method.from_planned.reset();
        }
        shrink(&mut method.from_planned);
    }
    observed
}

fn shrink(times: &mut Latencies) {
    // A histogram that resizes itself takes any value, so neither step fails.
    if let Ok(mut small) = Histogram::new(times.sigfig())
        && small.add(&*times).is_ok()
    {
        *times = small;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{measure::GcUsage, run::sample};

    fn next() -> Next {
        Next {
            phase: Phase::Equal,
            round: 3,
            target: 1,
            from_qps: 1000.0,
            to_qps: 1000.0,
            duration: Duration::from_secs(1),
            seed: 1,
        }
    }

    fn made(next: &Next, observed: &Observed, processes: &[ProcessUsage]) -> Window {
        row(&Parts {
            index: 7,
            target: "b".into(),
            next,
            at: Duration::from_secs(9),
            observed,
            processes,
            closed_in_flight: None,
        })
    }

    #[test]
    fn all_processes_count() {
        let process = |name: &str, gc: Option<GcUsage>| ProcessUsage {
            name: name.into(),
            cpu: Duration::from_millis(30),
            rss_peak_bytes: 100,
            context_switches: 5,
            fallbacks: gc.map(|_| 6),
            handed_over: gc.map(|_| 2),
            gc,
        };
        let gc = GcUsage {
            cpu: Duration::from_millis(2),
            pause: Duration::from_micros(3),
            cycles: 4,
        };
        let processes = [process("walletd", Some(gc)), process("hotpathd", None)];
        let observed = sample::observed(1000, Duration::from_millis(2));
        let row = made(&next(), &observed, &processes);
        assert_eq!((row.index, row.round, row.at_s), (7, 3, 9.0));
        assert_eq!(
            (row.cpu_us, row.cpu_us_per_request),
            (Some(60_000), Some(60.0))
        );
        assert_eq!(
            (row.rss_peak_bytes, row.context_switches),
            (Some(200), Some(10))
        );
        assert_eq!(
            (row.gc_cpu_us, row.gc_pause_us, row.gc_cycles),
            (Some(2000), Some(3), Some(4))
        );
        assert_eq!((row.fallbacks, row.handed_over), (Some(6), Some(2)));
        assert!((row.p99_us - 2000.0).abs() < 5.0, "{}", row.p99_us);
    }

    #[test]
    fn of_unknown_processes_nothing_is_told() {
        let observed = sample::observed(1000, Duration::from_millis(2));
        let row = made(&next(), &observed, &[]);
        assert_eq!(
            (row.cpu_us, row.fallbacks, row.gc_cycles),
            (None, None, None)
        );
    }

    #[test]
    fn a_ramp_offers_its_mean_and_a_capture_what_it_holds() {
        let observed = sample::observed(640, Duration::from_millis(2));
        let ramp = Next {
            from_qps: 500.0,
            ..next()
        };
        assert!((made(&ramp, &observed, &[]).offered_qps - 750.0).abs() < 1e-9);
        let capture = Next {
            from_qps: 0.0,
            to_qps: 0.0,
            ..next()
        };
        assert!((made(&capture, &observed, &[]).offered_qps - 640.0).abs() < 1e-9);
    }

    #[test]
    fn compacting_keeps_the_figures() {
        let observed = sample::observed(500, Duration::from_millis(2));
        let kept = compacted(observed.clone(), Phase::Equal);
        assert_eq!(kept.from_planned, observed.from_planned);
        assert_eq!(kept.methods[0].from_planned.len(), 500);
        assert!(kept.from_planned.distinct_values() < observed.from_planned.distinct_values());
        let kept = compacted(observed, Phase::Escalate);
        assert_eq!((kept.from_planned.len(), kept.from_sent.len()), (500, 0));
    }
}
