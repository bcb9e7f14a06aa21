//! Computes a target's figures at equal load.

use super::{divided, equal, of_phase};
use crate::{
    measure::{Latencies, ProcessUsage, latencies},
    report::{
        input::{Finished, Measured, TargetInput},
        model::{GcFigures, MethodFigures, Phase, ProcessFigures, Target, Window},
    },
};
use std::{collections::BTreeMap, time::Duration};

/// Points of the latency curve per factor of ten in `1 / (1 - quantile)`.
const CURVE_POINTS_PER_DECADE: i32 = 12;
/// The curve ends at 99.9999%.
const CURVE_DECADES: i32 = 6;

pub(super) fn target(finished: &Finished, input: &TargetInput) -> Target {
    let windows: Vec<&Measured> = equal(finished, &input.name).collect();
    let full: Vec<&Measured> = of_phase(finished, &input.name, Phase::Full).collect();
    let ok_at_full = full.iter().map(|measured| measured.observed.ok).sum();
    let mut latency = latencies();
    let mut statuses = BTreeMap::new();
    for measured in &windows {
        latency += &measured.observed.from_planned;
        for (code, answers) in &measured.observed.statuses {
            if *code != 0 {
                *statuses.entry(*code).or_insert(0) += answers;
            }
        }
    }
    let search = input.search.as_ref();
    let sum = |of: fn(&Measured) -> u64| windows.iter().map(|measured| of(measured)).sum::<u64>();
    let requests = sum(|measured| measured.observed.planned);
    let ok = sum(|measured| measured.observed.ok);
    Target {
        name: input.name.clone(),
        about: input.about.clone(),
        against_itself: input.against_itself,
        max_qps_within_slo: search.and_then(|search| search.sustained_qps),
        min_qps_broken: search.and_then(|search| search.broken_qps),
        limited_by: search.map(|search| search.limited_by.clone()),
        equal_qps: offered_qps(&windows),
        achieved_qps: over_time(&windows, |window| Some(window.achieved_qps)),
        cpu_us_per_request: cpu_us_per_request(&windows, ok),
        full_load_qps: over_time(&full, |window| Some(window.achieved_qps)),
        full_load_cpu_us_per_request: cpu_us_per_request(&full, ok_at_full),
        rss_peak_bytes: rss_peak_bytes(&windows),
        p50_us: micros(&latency, 0.5),
        p99_us: micros(&latency, 0.99),
        p999_us: micros(&latency, 0.999),
        requests,
        errors: requests.saturating_sub(ok),
        statuses,
        expired: sum(|measured| measured.observed.expired),
        fallbacks: counted(&windows, |window| window.fallbacks),
        handed_over: counted(&windows, |window| window.handed_over),
        processes: processes(&windows, ok),
        methods: methods(&windows, &finished.methods),
        latency_curve: latency_curve(&latency),
    }
}

/// Returns the planned rate. A capture at its own times has another rate in every window, so their mean over time is
/// returned. A closed loop has no planned rate.
fn offered_qps(windows: &[&Measured]) -> Option<f64> {
    let first = windows.first()?.window.planned_qps()?;
    let alike = |measured: &&Measured| (measured.window.offered_qps - first).abs() < 1e-9;
    if windows.iter().all(alike) {
        return Some(first);
    }
    over_time(windows, Window::planned_qps)
}

/// Returns the mean of a rate over time, if all windows have it.
fn over_time(windows: &[&Measured], rate: fn(&Window) -> Option<f64>) -> Option<f64> {
    let windows = windows.iter().map(|measured| &measured.window);
    let seconds: f64 = windows.clone().map(|window| window.duration_s).sum();
    let reads: Option<f64> = windows
        .map(|window| Some(rate(window)? * window.duration_s))
        .sum();
    divided(reads?, seconds)
}

/// Returns the quantile in microseconds, if there are any latencies.
pub(super) fn micros(latency: &Latencies, quantile: f64) -> Option<f64> {
    (!latency.is_empty()).then(|| nanos_to_micros(latency.value_at_quantile(quantile)))
}

#[allow(clippy::cast_precision_loss)] // An hour of nanoseconds is exact.
fn nanos_to_micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

#[allow(clippy::cast_precision_loss)] // No run counts 2^53 reads.
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

fn cpu_us_per_request(windows: &[&Measured], ok: u64) -> Option<f64> {
    let known = !windows.is_empty()
        && windows
            .iter()
            .all(|measured| !measured.processes.is_empty());
    let usages = windows.iter().flat_map(|measured| &measured.processes);
    let cpu: Duration = usages.map(|process| process.cpu).sum();
    known
        .then(|| divided(cpu.as_secs_f64() * 1e6, real(ok)))
        .flatten()
}

fn counted(windows: &[&Measured], figure: fn(&Window) -> Option<u64>) -> Option<u64> {
    let told = windows
        .iter()
        .filter_map(|measured| figure(&measured.window));
    told.reduce(|one, other| one + other)
}

fn rss_peak_bytes(windows: &[&Measured]) -> Option<u64> {
    let with_processes = windows
        .iter()
        .filter(|measured| !measured.processes.is_empty());
    with_processes
        .map(|measured| {
            measured
                .processes
                .iter()
                .map(|process| process.rss_peak_bytes)
                .sum()
        })
        .max()
}

fn processes(windows: &[&Measured], ok: u64) -> Vec<ProcessFigures> {
    let mut names: Vec<&str> = Vec::new();
    for process in windows.iter().flat_map(|measured| &measured.processes) {
        if !names.contains(&process.name.as_str()) {
            names.push(&process.name);
        }
    }
    let wall: Duration = windows
        .iter()
        .map(|measured| measured.observed.until_drained)
        .sum();
    let of = |name: &str| {
        let usages = windows.iter().flat_map(|measured| &measured.processes);
        let usages: Vec<&ProcessUsage> = usages.filter(|process| process.name == name).collect();
        process(name, &usages, ok, wall)
    };
    names.into_iter().filter_map(of).collect()
}

fn process(
    name: &str,
    usages: &[&ProcessUsage],
    ok: u64,
    wall: Duration,
) -> Option<ProcessFigures> {
    let cpu: Duration = usages.iter().map(|usage| usage.cpu).sum();
    let switches: u64 = usages.iter().map(|usage| usage.context_switches).sum();
    Some(ProcessFigures {
        name: name.to_owned(),
        cpu_us_per_request: divided(cpu.as_secs_f64() * 1e6, real(ok))?,
        rss_peak_bytes: usages.iter().map(|usage| usage.rss_peak_bytes).max()?,
        context_switches_per_request: divided(real(switches), real(ok))?,
        gc: collector(usages, cpu, wall),
    })
}

fn collector(usages: &[&ProcessUsage], cpu: Duration, wall: Duration) -> Option<GcFigures> {
    let known: Vec<_> = usages.iter().map(|usage| usage.gc).collect::<Option<_>>()?;
    let collector: Duration = known.iter().map(|gc| gc.cpu).sum();
    let pause: Duration = known.iter().map(|gc| gc.pause).sum();
    let cycles: u64 = known.iter().map(|gc| gc.cycles).sum();
    Some(GcFigures {
        cycles_per_s: divided(real(cycles), wall.as_secs_f64())?,
        cpu_fraction: divided(collector.as_secs_f64(), cpu.as_secs_f64())?,
        pause_fraction: divided(pause.as_secs_f64(), wall.as_secs_f64())?,
    })
}

/// Returns the figures of each method. Methods that were never read (those of writes) are left out.
fn methods(windows: &[&Measured], paths: &[String]) -> Vec<MethodFigures> {
    let of = |(index, path): (usize, &String)| {
        let mut latency = latencies();
        let (mut requests, mut errors) = (0, 0);
        for method in windows
            .iter()
            .filter_map(|measured| measured.observed.methods.get(index))
        {
            latency += &method.from_planned;
            requests += method.planned;
            errors += method.errors;
        }
        Some(MethodFigures {
            path: path.clone(),
            requests,
            errors,
            p50_us: micros(&latency, 0.5)?,
            p99_us: micros(&latency, 0.99)?,
        })
    };
    paths.iter().enumerate().filter_map(of).collect()
}

/// Returns points that are evenly spaced on the axis `log(1 / (1 - quantile))`, up to the last quantile beyond which
/// there is at least one read. The last point is the maximum.
fn latency_curve(latency: &Latencies) -> Vec<(f64, f64)> {
    if latency.is_empty() {
        return Vec::new();
    }
    let mut curve = vec![(0.0, nanos_to_micros(latency.min()))];
    for step in 1..=CURVE_DECADES * CURVE_POINTS_PER_DECADE {
        let above = 10_f64.powf(-f64::from(step) / f64::from(CURVE_POINTS_PER_DECADE));
        if above * real(latency.len()) < 1.0 {
            break;
        }
        curve.push((
            1.0 - above,
            nanos_to_micros(latency.value_at_quantile(1.0 - above)),
        ));
    }
    curve.push((1.0, nanos_to_micros(latency.max())));
    curve
}
