//! Derives the overheads from the windows, and from these the handler from which on an answer pays.
//!
//! If Rust is `k` times as fast and the overhead per request is `o`, a handler of `x` µs pays once `x - x/k >= o(x)`.
//! For an overhead that does not depend on the work, this is from `x = o / (1 - 1/k)` on.

use super::{
    input::{Finished, IDLE, Measured},
    model::{Answer, BreakEven, Figures, Load, Point},
};
use crate::{
    measure::{Latencies, latencies},
    report::model::Window,
};

/// The factors by which Rust may be faster.
pub(super) const FASTER: [f64; 3] = [2.0, 4.0, 10.0];

/// Returns the points of full load, ascending by their work.
pub(super) fn points(finished: &Finished) -> Vec<Point> {
    let works = finished.works_us.iter();
    works
        .filter_map(|work_us| point(finished, Load::Full, *work_us))
        .collect()
}

/// Returns the point with one request at a time.
pub(super) fn one_in_flight(finished: &Finished) -> Option<Point> {
    point(finished, Load::OneInFlight, 0.0)
}

/// Returns where each answer except the baseline pays.
pub(super) fn break_even(
    answers: &[Answer],
    points: &[Point],
    alone: Option<&Point>,
) -> Vec<BreakEven> {
    let names = answers.iter().skip(1).map(|answer| &answer.name);
    let rows = names.flat_map(|name| FASTER.map(|faster| row(points, alone, name, faster)));
    rows.collect()
}

fn row(points: &[Point], alone: Option<&Point>, name: &str, faster: f64) -> BreakEven {
    let overheads: Vec<_> = points
        .iter()
        .filter_map(|point| Some((point.work_us, overhead(point, name)?)))
        .collect();
    let found = pays_from(&overheads, faster);
    let last = overheads.last().map_or(0.0, |(work, _)| *work);
    BreakEven {
        answer: name.to_owned(),
        faster,
        handler_us: found,
        extrapolated: found.is_some_and(|found| found > last),
        one_in_flight_us: alone
            .and_then(|point| overhead(point, name))
            .map(|overhead| flat(overhead, faster)),
    }
}

fn overhead(point: &Point, name: &str) -> Option<f64> {
    let found = point.figures.iter().find(|figures| figures.answer == name);
    found.map(|figures| figures.overhead_us)
}

/// Returns the break-even of a constant overhead, `x = o / (1 - 1/k)`. An overhead below zero is noise.
fn flat(overhead_us: f64, faster: f64) -> f64 {
    overhead_us.max(0.0) / (1.0 - 1.0 / faster)
}

/// Returns the handler from which on the answer pays. It pays at all more expensive handlers that were measured, too.
/// Between two measured works the overhead is taken to lie on the line through them. Beyond the last, it is taken to
/// stay the same.
fn pays_from(overheads: &[(f64, f64)], faster: f64) -> Option<f64> {
    let gain = |(work, overhead): (f64, f64)| work * (1.0 - 1.0 / faster) - overhead;
    let losing = overheads.iter().rposition(|point| gain(*point) < 0.0);
    let Some(losing) = losing else {
        return overheads.first().map(|(work, _)| *work);
    };
    let before = overheads[losing];
    let Some(after) = overheads.get(losing + 1) else {
        return Some(flat(before.1, faster));
    };
    let share = -gain(before) / (gain(*after) - gain(before));
    Some(before.0 + (after.0 - before.0) * share)
}

fn point(finished: &Finished, load: Load, work_us: f64) -> Option<Point> {
    let windows: Vec<_> = finished
        .windows
        .iter()
        .filter(|measured| measured.load == load && same(measured.work_us, work_us))
        .filter(|measured| measured.counts())
        .collect();
    let of = |name: &str| -> Vec<&Measured> {
        let named = windows.iter().filter(|m| m.measured.window.target == name);
        named.copied().collect()
    };
    let baseline = of(&finished.answers.first()?.name);
    let figures = finished.answers.iter().filter_map(|answer| {
        let own = of(&answer.name);
        figures(&answer.name, &own, &baseline)
    });
    let again = of(&finished.again);
    Some(Point {
        work_us,
        qps: mean_qps(&baseline)?,
        measured_work_us: over(&baseline, &of(IDLE)),
        noise_us: spread(&again, &baseline),
        figures: figures.collect(),
    })
}

#[allow(clippy::cast_precision_loss)]
fn mean_qps(windows: &[&Measured]) -> Option<f64> {
    let rates = windows.iter().map(|m| m.measured.window.offered_qps);
    (!windows.is_empty()).then(|| rates.sum::<f64>() / windows.len() as f64)
}

fn same(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

fn figures(name: &str, own: &[&Measured], baseline: &[&Measured]) -> Option<Figures> {
    let (low, high) = spread(own, baseline)?;
    let mut times = latencies();
    for measured in own {
        times += &measured.measured.observed.from_planned;
    }
    let sum = |count: fn(&Measured) -> u64| own.iter().map(|measured| count(measured)).sum();
    Some(Figures {
        answer: name.to_owned(),
        cpu_us: cpu_us(own)?,
        overhead_us: over(own, baseline)?,
        overhead_low_us: low,
        overhead_high_us: high,
        p50_us: micros(&times, 0.5),
        p99_us: micros(&times, 0.99),
        requests: sum(|measured| measured.measured.window.ok),
        errors: sum(|measured| measured.measured.window.errors),
    })
}

/// Returns the difference in CPU per request. It uses the rounds in which both have a window that counts, so that the
/// state of the machine is the same on both sides.
fn over(own: &[&Measured], baseline: &[&Measured]) -> Option<f64> {
    let (own, baseline) = (in_both(own, baseline), in_both(baseline, own));
    Some(cpu_of(own)? - cpu_of(baseline)?)
}

/// Returns the windows of `one` whose round `other` has too.
fn in_both<'a>(one: &[&'a Measured], other: &[&Measured]) -> impl Iterator<Item = &'a Window> {
    let rounds: Vec<u32> = other.iter().map(|m| m.measured.window.round).collect();
    let windows: Vec<_> = one.iter().map(|m| &m.measured.window).collect();
    let windows = windows.into_iter();
    windows.filter(move |window| rounds.contains(&window.round))
}

/// Returns the CPU per request over all windows at once. A window with more requests has more weight.
fn cpu_us(windows: &[&Measured]) -> Option<f64> {
    cpu_of(windows.iter().map(|measured| &measured.measured.window))
}

#[allow(clippy::cast_precision_loss)]
fn cpu_of<'a>(windows: impl Iterator<Item = &'a Window>) -> Option<f64> {
    let (cpu, ok) = windows.fold((0, 0), |(cpu, ok), window| {
        (cpu + window.cpu_us.unwrap_or(0), ok + window.ok)
    });
    (ok > 0).then(|| cpu as f64 / ok as f64)
}

/// Returns the lowest and the highest difference in a round.
fn spread(own: &[&Measured], baseline: &[&Measured]) -> Option<(f64, f64)> {
    let in_round = |windows: &[&Measured], round: u32| {
        let found = windows.iter().find(|m| m.measured.window.round == round);
        found.and_then(|measured| measured.measured.window.cpu_us_per_request)
    };
    let rounds = own.iter().map(|measured| measured.measured.window.round);
    let differences: Vec<f64> = rounds
        .filter_map(|round| Some(in_round(own, round)? - in_round(baseline, round)?))
        .collect();
    let low = differences.iter().copied().reduce(f64::min)?;
    let high = differences.iter().copied().reduce(f64::max)?;
    Some((low, high))
}

#[allow(clippy::cast_precision_loss)]
fn micros(times: &Latencies, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: Option<f64>, wanted: f64) {
        let found = found.expect("it pays somewhere");
        assert!((found - wanted).abs() < 1e-6, "{found}, not {wanted}");
    }

    fn overheads(of: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        let works = [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
        works.map(|work| (work, of(work))).to_vec()
    }

    #[test]
    fn an_overhead_that_stays_is_divided_by_what_is_saved() {
        for (overhead, faster, from) in [
            (6.0, 2.0, 12.0),
            (6.0, 4.0, 8.0),
            (9.0, 10.0, 10.0),
            (0.0, 2.0, 0.0),
        ] {
            near(pays_from(&overheads(|_| overhead), faster), from);
            assert!((flat(overhead, faster) - from).abs() < 1e-9);
        }
    }

    #[test]
    fn beyond_what_was_measured_the_last_overhead_holds() {
        near(pays_from(&overheads(|_| 90.0), 2.0), 180.0);
        assert_eq!(pays_from(&[], 2.0), None);
    }

    #[test]
    fn an_overhead_that_grows_is_followed_to_where_it_crosses() {
        // Half of the work is saved, so 5 + x/4 is crossed at 20.
        near(pays_from(&overheads(|work| 5.0 + work / 4.0), 2.0), 20.0);
    }

    #[test]
    fn who_loses_again_later_does_not_pay_before() {
        let mut points = overheads(|_| 1.0);
        points[5].1 = 15.0;
        let from = pays_from(&points, 2.0).unwrap();
        assert!(from > 20.0 && from < 50.0, "{from}");
    }

    #[test]
    fn an_overhead_below_zero_is_noise() {
        near(pays_from(&overheads(|_| -0.5), 4.0), 0.0);
        assert!(flat(-0.5, 4.0).abs() < 1e-9);
    }
}
