//! The ratios of every target to the baseline. They are taken in each round, so that the machine's drift affects both
//! sides alike.

use super::{divided, of_phase, targets::real};
use crate::report::{
    input::{Finished, SearchOutcome, TargetInput},
    model::{Open, Phase, Ratio, RatioFigure, Window},
};
use std::collections::BTreeMap;

/// The only figure that the search gives. All others come from the rounds of equal and of full load.
pub(super) const RATE: &str = "max_qps_within_slo";

/// The rate of a closed loop. With a planned rate, the achieved rate says nothing about the target.
const ANSWERED: (&str, Figure) = ("achieved_qps", |window| {
    window.closed_in_flight.map(|_| window.achieved_qps)
});

pub(super) type Figure = fn(&Window) -> Option<f64>;

const AT_EQUAL_LOAD: [(&str, Figure); 5] = [
    ("cpu_us_per_request", |window| window.cpu_us_per_request),
    ("p50_us", |window| Some(window.p50_us)),
    ("p99_us", |window| Some(window.p99_us)),
    ("p999_us", |window| Some(window.p999_us)),
    ("rss_peak_bytes", |window| window.rss_peak_bytes.map(real)),
];

pub(super) const AT_FULL_LOAD: (&str, Figure) = ("full_load_cpu_us_per_request", |window| {
    window.cpu_us_per_request
});

/// Returns the ratios of all targets. Those of the baseline's second pass are the noise floor of all others.
pub(super) fn ratios(finished: &Finished) -> Vec<Ratio> {
    let Some((baseline, others)) = finished.targets.split_first() else {
        return Vec::new();
    };
    let floor = others
        .iter()
        .find(|target| target.against_itself)
        .map(|target| figures(finished, baseline, target))
        .unwrap_or_default();
    let ratio = |target: &TargetInput| {
        let mut figures = figures(finished, baseline, target);
        for (name, figure) in &mut figures {
            let noise = floor.get(name);
            figure.noise_low = noise.map(|noise| noise.low);
            figure.noise_high = noise.map(|noise| noise.high);
        }
        Ratio {
            target: target.name.clone(),
            baseline: baseline.name.clone(),
            figures,
        }
    };
    others.iter().map(ratio).collect()
}

fn figures(
    finished: &Finished,
    baseline: &TargetInput,
    target: &TargetInput,
) -> BTreeMap<String, RatioFigure> {
    let mut figures = BTreeMap::new();
    if let (Some(over), Some(under)) = (&target.search, &baseline.search)
        && let Some(figure) = of_rates(over, under)
    {
        figures.insert(RATE.to_owned(), figure);
    }
    let at_equal_load = [ANSWERED].into_iter().chain(AT_EQUAL_LOAD);
    let all = at_equal_load.map(|figure| (Phase::Equal, figure));
    for (phase, (name, value)) in all.chain([(Phase::Full, AT_FULL_LOAD)]) {
        let of = |name| by_round(finished, name, phase, value);
        if let Some(figure) = of_rounds(&rounds(&of(&target.name), &of(&baseline.name))) {
            figures.insert(name.to_owned(), figure);
        }
    }
    figures
}

/// Returns a figure of the windows that count, by round.
fn by_round(finished: &Finished, target: &str, phase: Phase, value: Figure) -> BTreeMap<u32, f64> {
    let windows = of_phase(finished, target, phase).map(|measured| &measured.window);
    windows
        .filter_map(|window| Some((window.round, value(window)?)))
        .collect()
}

/// Returns one ratio per round in which both windows count and have the figure.
fn rounds(over: &BTreeMap<u32, f64>, under: &BTreeMap<u32, f64>) -> Vec<f64> {
    let ratio = |(round, over): (&u32, &f64)| divided(*over, *under.get(round)?);
    over.iter()
        .filter_map(ratio)
        .filter(|ratio| *ratio > 0.0)
        .collect()
}

fn of_rounds(ratios: &[f64]) -> Option<RatioFigure> {
    let mut sorted = ratios.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(RatioFigure {
        ratio: median(&sorted)?,
        low: *sorted.first()?,
        high: *sorted.last()?,
        rounds: u32::try_from(sorted.len()).ok()?,
        noise_low: None,
        noise_high: None,
        open: None,
    })
}

/// The median. Of an even number of values it is the mean of the two in the middle.
fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// Returns the ratio of the highest rates. The true limit of each side lies between the rate that held and the rate
/// that broke. A side that never broke leaves the ratio without a bound. If neither side broke, there is nothing to
/// tell.
fn of_rates(over: &SearchOutcome, under: &SearchOutcome) -> Option<RatioFigure> {
    let ratio = divided(over.sustained_qps?, under.sustained_qps?).filter(|ratio| *ratio > 0.0)?;
    let low = under
        .broken_qps
        .and_then(|broken| divided(over.sustained_qps?, broken));
    let high = over
        .broken_qps
        .and_then(|broken| divided(broken, under.sustained_qps?));
    let open = match (low, high) {
        (None, None) => return None,
        (Some(_), Some(_)) => None,
        (Some(_), None) => Some(Open::AtLeast),
        (None, Some(_)) => Some(Open::AtMost),
    };
    Some(RatioFigure {
        ratio,
        low: low.unwrap_or(ratio).min(ratio),
        high: high.unwrap_or(ratio).max(ratio),
        rounds: 1,
        noise_low: None,
        noise_high: None,
        open,
    })
}
