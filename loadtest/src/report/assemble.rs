//! Draws the conclusions of a run from its windows. Only windows that count are used, and what can't be concluded is
//! left out, never guessed.

mod notes;
mod ratios;
mod targets;

use super::{
    input::{Finished, Measured, Plan},
    model::{Estimate, EstimateRow, Generator, Limits, Phase, Report, SCHEMA, Target, Window},
};
use crate::{measure::latencies, scenario::Objective};
use std::time::Duration;

/// Hours of an average month.
const HOURS_PER_MONTH: f64 = 730.0;

/// Makes the report of a run.
#[must_use]
pub fn assemble(finished: &Finished) -> Report {
    let void_reason = void_reason(finished);
    let targets: Vec<Target> = finished
        .targets
        .iter()
        .map(|input| targets::target(finished, input))
        .collect();
    let ratios = ratios::ratios(finished);
    let mut report = Report {
        schema: SCHEMA,
        void: void_reason.is_some(),
        void_reason,
        interrupted: finished.interrupted,
        notes: Vec::new(),
        limits: limits(&finished.objective),
        run: finished.run.clone(),
        estimate: estimate(finished.plan, &targets),
        targets,
        ratios,
        mismatches: finished.comparison.as_ref().map(|found| found.mismatches),
        comparison: finished.comparison.clone(),
        generator: generator(finished),
        windows: finished.windows.iter().map(row).collect(),
        folder: None,
    };
    report.run.duration_s = finite(report.run.duration_s);
    report.notes = notes::notes(&report, finished);
    report
}

/// Whether conclusions may be drawn from a window.
fn counts(measured: &Measured) -> bool {
    measured.window.void.is_none() && !measured.observed.interrupted
}

/// Returns the windows that are judged for the void rule: all except warm-up and the one that Ctrl-C interrupted. Those of
/// full load are not among them: a target that is faster than the generator only has no figure there.
fn judged(finished: &Finished) -> impl Iterator<Item = &Measured> {
    finished.windows.iter().filter(|measured| {
        !matches!(measured.window.phase, Phase::WarmUp | Phase::Full)
            && !measured.observed.interrupted
    })
}

/// Returns the windows of equal load against `target` that count, in the order of running.
fn equal<'a>(finished: &'a Finished, target: &'a str) -> impl Iterator<Item = &'a Measured> {
    of_phase(finished, target, Phase::Equal)
}

/// Returns the windows of a phase against `target` that count, in the order of running.
fn of_phase<'a>(
    finished: &'a Finished,
    target: &'a str,
    phase: Phase,
) -> impl Iterator<Item = &'a Measured> {
    finished.windows.iter().filter(move |measured| {
        measured.window.phase == phase && measured.window.target == target && counts(measured)
    })
}

fn void_reason(finished: &Finished) -> Option<String> {
    let all = judged(finished).count();
    let Some(first) = judged(finished).find(|measured| measured.window.void.is_some()) else {
        return (all == 0).then(|| "no window was measured".to_owned());
    };
    let void = judged(finished)
        .filter(|measured| !counts(measured))
        .count();
    let share = ratio_of(void, all)?;
    (share > finished.max_void_share).then(|| {
        format!(
            "{void} of {all} windows do not count ({:.0}%; allowed are {:.0}%); the first is window {}: {}",
            share * 100.0,
            finished.max_void_share * 100.0,
            first.window.index,
            first.window.void.as_deref().unwrap_or_default(),
        )
    })
}

fn ratio_of(part: usize, whole: usize) -> Option<f64> {
    let (part, whole) = (u32::try_from(part).ok()?, u32::try_from(whole).ok()?);
    divided(f64::from(part), f64::from(whole))
}

fn generator(finished: &Finished) -> Generator {
    let mut lag = latencies();
    let mut cpu_fraction_max = 0.0_f64;
    for measured in judged(finished).filter(|measured| counts(measured)) {
        lag += &measured.observed.generator.lag;
        cpu_fraction_max = cpu_fraction_max.max(measured.observed.generator.cpu_fraction);
    }
    let void = judged(finished)
        .filter(|measured| !counts(measured))
        .count();
    Generator {
        cpu_fraction_max: finite(cpu_fraction_max),
        lag_p99_us: targets::micros(&lag, 0.99).unwrap_or(0.0),
        windows: u32::try_from(judged(finished).count()).unwrap_or(u32::MAX),
        void_windows: u32::try_from(void).unwrap_or(u32::MAX),
    }
}

fn limits(objective: &Objective) -> Limits {
    let micros = |limit: Option<Duration>| limit.map(|limit| limit.as_secs_f64() * 1e6);
    Limits {
        p50_us: micros(objective.p50),
        p99_us: micros(objective.p99),
        p999_us: micros(objective.p999),
        max_error_rate: finite(objective.max_error_rate),
        min_achieved: finite(objective.min_achieved),
    }
}

fn estimate(plan: Plan, targets: &[Target]) -> Option<Estimate> {
    let row = |target: &Target| {
        let cores = divided(
            plan.qps * target.cpu_us_per_request? / 1e6,
            plan.utilisation,
        )?;
        let cost_per_month = cores * plan.price_per_core_hour * HOURS_PER_MONTH;
        cost_per_month.is_finite().then(|| EstimateRow {
            target: target.name.clone(),
            cores,
            cost_per_month,
        })
    };
    let rows: Vec<_> = targets
        .iter()
        .filter(|target| !target.against_itself)
        .filter_map(row)
        .collect();
    (!rows.is_empty()).then_some(Estimate {
        qps: plan.qps,
        utilisation: plan.utilisation,
        price_per_core_hour: plan.price_per_core_hour,
        targets: rows,
    })
}

/// Returns a window's row as it is written. Numbers that can't be computed (without answers or time) are 0 or absent.
fn row(measured: &Measured) -> Window {
    let mut row = measured.window.clone();
    for number in [
        &mut row.at_s,
        &mut row.duration_s,
        &mut row.offered_qps,
        &mut row.achieved_qps,
        &mut row.p50_us,
        &mut row.p90_us,
        &mut row.p99_us,
        &mut row.p999_us,
        &mut row.max_us,
        &mut row.sent_p99_us,
        &mut row.lag_p99_us,
        &mut row.generator_cpu_fraction,
    ] {
        *number = finite(*number);
    }
    row.cpu_us_per_request = row.cpu_us_per_request.filter(|value| value.is_finite());
    if measured.observed.interrupted && row.void.is_none() {
        row.void = Some("stopped early, by Ctrl-C".to_owned());
    }
    row
}

/// Replaces NaN and infinity by 0, because JSON has neither.
fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

/// Divides. `None` if the quotient is not a number, or says nothing because one side is missing.
fn divided(over: f64, under: f64) -> Option<f64> {
    let quotient = over / under;
    (under > 0.0 && quotient.is_finite() && quotient >= 0.0).then_some(quotient)
}

#[cfg(test)]
mod tests;
