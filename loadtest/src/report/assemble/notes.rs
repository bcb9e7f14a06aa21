//! The notes: what a reader must know before trusting a figure, in words.

use super::{divided, equal, ratios, targets::real};
use crate::report::{
    format::{count, ended_by, significant},
    input::Finished,
    model::{Phase, Report},
};

/// Fewer rounds than this have a spread that says little.
const FEW_ROUNDS: u32 = 3;
/// Servers that use less than this share of their cores were not at full load.
const FULL: f64 = 0.9;

pub(super) fn notes(report: &Report, finished: &Finished) -> Vec<String> {
    let load = report.load_words();
    let mut notes = closed_loop(report, finished);
    let equal_load = report
        .windows
        .iter()
        .any(|window| window.phase == Phase::Equal);
    for target in &report.targets {
        if equal_load && target.requests == 0 {
            notes.push(format!(
                "{}: no window of {load} counts, so it has no figures there.",
                target.name
            ));
        }
        if target.errors > 0 {
            notes.push(format!(
                "{}: {} of {} reads at {load} were errors; latencies of failed reads are in the percentiles.",
                target.name, target.errors, target.requests
            ));
        }
        if target.expired > 0 {
            notes.push(format!(
                "{}: {} of these errors were never sent: the target did not take them before their time was up.",
                target.name, target.expired
            ));
        }
        if let Some(fallbacks @ 1..) = target.fallbacks {
            notes.push(format!(
                "{}: {fallbacks} of {} reads at {load} were answered by Go in the sidecar's place.",
                target.name, target.requests
            ));
        }
        if let Some(past) = target
            .handed_over
            .filter(|past| past * 100 > target.requests)
        {
            notes.push(format!(
                "{}: {past} of {} reads at {load} went through grpc-go, past the spliced front door.",
                target.name, target.requests
            ));
        }
    }
    notes.extend(full_load(report));
    notes.extend(unbroken(report));
    let few = report.ratios.iter().flat_map(|ratio| &ratio.figures);
    let few = few
        .filter(|(figure, _)| ![ratios::RATE, ratios::AT_FULL_LOAD.0].contains(&figure.as_str()));
    let fewest = few.map(|(_, figure)| figure.rounds).min();
    if let Some(rounds) = fewest.filter(|rounds| *rounds < FEW_ROUNDS) {
        notes.push(format!(
            "Ratios at {load} come from as few as {rounds} round{}: the spread says little.",
            if rounds == 1 { "" } else { "s" }
        ));
    }
    if equal_load && !report.targets.iter().any(|target| target.against_itself) {
        notes.push(
            "The baseline was not measured against itself: there is no noise floor.".to_owned(),
        );
    }
    notes
}

/// Returns a note about targets that have no figures at full load, because no window there counts.
fn full_load(report: &Report) -> Option<String> {
    let mut windows = report.windows.iter();
    let why = windows
        .find(|window| window.phase == Phase::Full && window.void.is_some())
        .and_then(|window| window.void.as_deref())?;
    let without: Vec<&str> = report
        .targets
        .iter()
        .filter(|target| target.full_load_qps.is_none())
        .map(|target| target.name.as_str())
        .collect();
    (!without.is_empty()).then(|| {
        format!(
            "No window of full load counts for {}; the first that does not: {why}.",
            without.join(", ")
        )
    })
}

/// Returns notes about targets whose limit was not found: one note for each reason that ended a search, with all its
/// targets.
fn unbroken(report: &Report) -> Vec<String> {
    let mut ended: Vec<(&str, Vec<String>)> = Vec::new();
    for target in &report.targets {
        let (Some(sustained), None) = (target.max_qps_within_slo, target.min_qps_broken) else {
            continue;
        };
        let by = target.limited_by.as_deref();
        let by = by.map_or("its own limit", ended_by);
        let held = format!("{} ({})", target.name, count(sustained.round()));
        match ended.iter_mut().find(|(other, _)| *other == by) {
            Some((_, all)) => all.push(held),
            None => ended.push((by, vec![held])),
        }
    }
    let note = |(by, held): (&str, Vec<String>)| {
        format!(
            "Reads a second that held, not what breaks it: {}; the search was ended by {by}.",
            held.join(", ")
        )
    };
    ended.into_iter().map(note).collect()
}

/// Returns notes about what a closed loop can't tell, and whether the servers were at full load.
fn closed_loop(report: &Report, finished: &Finished) -> Vec<String> {
    let Some(in_flight) = report.closed_in_flight() else {
        return Vec::new();
    };
    let mut notes = vec![format!(
        "Closed loop: each target always had {in_flight} reads in flight, and was asked as many as it answered. Latencies are those \
         of a full queue, and leave out callers who would not have waited (coordinated omission): compare CPU and QPS."
    )];
    if report.windows.iter().any(|window| window.writes > 0) {
        notes.push(
            "Writes came at a rate and are in the CPU per read: a target that answers fewer reads has more of them in each."
                .to_owned(),
        );
    }
    notes.extend(idle_cores(report, finished));
    for target in &report.targets {
        let windows = equal(finished, &target.name);
        let most = windows.map(|measured| measured.observed.generator.in_flight_max);
        if let Some(most) = most.max().filter(|most| *most < in_flight) {
            notes.push(format!(
                "{}: at most {most} reads were in flight at once, by the limits of its connections or because it answered sooner.",
                target.name
            ));
        }
    }
    notes
}

/// Returns a note about targets that left cores idle. For servers that are not pinned this is unknown.
fn idle_cores(report: &Report, finished: &Finished) -> Option<String> {
    let cores = f64::from(u32::try_from(report.run.server_cores.len()).ok()?);
    let idle = report.targets.iter().filter_map(|target| {
        let used = cores_used(finished, &target.name).filter(|used| *used < cores * FULL)?;
        Some(format!("{} {}", target.name, significant(used)))
    });
    let idle: Vec<_> = idle.collect();
    (!idle.is_empty()).then(|| {
        format!(
            "Not at full load, of {} server core{}: {}; others had the rest, or it takes more reads in flight.",
            significant(cores),
            if report.run.server_cores.len() == 1 { "" } else { "s" },
            idle.join(", ")
        )
    })
}

fn cores_used(finished: &Finished, target: &str) -> Option<f64> {
    let windows = equal(finished, target);
    let each = windows.filter_map(|measured| {
        let seconds = measured.observed.until_drained.as_secs_f64();
        Some((real(measured.window.cpu_us?) / 1e6, seconds))
    });
    let (cpu, seconds) = each.fold((0.0, 0.0), |sum, next| (sum.0 + next.0, sum.1 + next.1));
    divided(cpu, seconds)
}
