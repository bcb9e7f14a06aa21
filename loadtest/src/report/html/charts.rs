//! Charts of the windows.

use super::{
    escape,
    headline::{key, style_of},
    section as wrap,
    table::{Cell, Table, number, words},
};
use crate::report::{
    chart::{
        axis::Axis,
        line::{Chart, Limit, Point, Series},
        marker::Kind,
    },
    format::{bytes, closed_loop, count, duration_us, percent, significant},
    model::{Phase, Report, Target, Window},
    summary::real,
};

type Value = fn(&Window) -> Option<f64>;

pub(super) fn section(report: &Report) -> Option<String> {
    let limit = |at: Option<f64>, name: &str| {
        at.map(|at| Limit {
            at,
            label: format!("objective: {name} at most {}", duration_us(at)),
        })
    };
    let charts = [
        latency(
            report,
            "p99",
            "p99 against rate",
            |window| Some(window.p99_us),
            limit(report.limits.p99_us, "p99"),
        ),
        latency(
            report,
            "p50",
            "p50 against rate",
            |window| Some(window.p50_us),
            limit(report.limits.p50_us, "p50"),
        ),
        percentiles(report),
        resources(
            report,
            "cores",
            "CPU against rate",
            "cores, all processes of a target",
            significant,
            cores,
        ),
        resources(
            report,
            "cpu",
            "CPU per read against rate",
            "µs of CPU per read",
            significant,
            |window| window.cpu_us_per_request,
        ),
        resources(
            report,
            "memory",
            "Memory against rate",
            "resident, all processes of a target",
            bytes,
            |window| window.rss_peak_bytes.map(real),
        ),
    ];
    let figures: String = charts
        .into_iter()
        .flatten()
        .map(|chart| figure(&chart))
        .collect();
    let hint = "<p class=\"hint\">Each point is a window: filled if the objective held, hollow if it broke, a cross if \
                the window is void. Point at one for its figures.</p>\n";
    (!figures.is_empty()).then(|| {
        wrap(
            "charts",
            "Charts",
            &format!("{hint}<div class=\"charts\">\n{figures}</div>\n"),
        )
    })
}

pub(super) fn figure(chart: &Chart) -> String {
    let keys = chart.series.iter().map(|series| {
        let dashed = if series.dashed { " (dashed)" } else { "" };
        format!(
            "<li>{}{}{dashed}</li>",
            key(series.style),
            escape(&series.name)
        )
    });
    format!(
        "<figure>\n<figcaption>{}</figcaption>\n<ul class=\"legend\">{}</ul>\n{}\n<details><summary>As a table</summary>{}</details>\n</figure>\n",
        escape(&chart.title),
        keys.collect::<String>(),
        chart.svg(),
        table(chart).html()
    )
}

fn table(chart: &Chart) -> Table {
    let columns = vec![
        words("Target"),
        number(chart.x.label.as_str()),
        number(chart.y.label.as_str()),
        words(""),
    ];
    let mut table = Table::new("Points of the chart", columns);
    for series in &chart.series {
        let line = series.line.iter().map(|(x, y)| (*x, *y, ""));
        let points = series
            .points
            .iter()
            .map(|point| (point.x, point.y, point.kind.words()));
        let shown: Vec<_> = if series.points.is_empty() {
            line.collect()
        } else {
            points.collect()
        };
        for (x, y, state) in shown {
            let x = (chart.x.words)(x);
            table.row(
                "",
                vec![
                    Cell::from(&series.name),
                    Cell::from(x),
                    Cell::from((chart.y.words)(y)),
                    Cell::from(state),
                ],
            );
        }
    }
    table
}

fn kind(window: &Window) -> Kind {
    match (&window.void, &window.broke) {
        (Some(_), _) => Kind::Void,
        (None, Some(_)) => Kind::Broken,
        (None, None) => Kind::Held,
    }
}

fn cores(window: &Window) -> Option<f64> {
    // Not CPU over the window's duration: what an overloaded target answers after the window costs CPU too.
    let cores = window.cpu_us_per_request? * window.achieved_qps / 1e6;
    cores.is_finite().then_some(cores)
}

/// Returns a target's points, with a line through the median at each rate.
fn series(report: &Report, target: &Target, phases: &[Phase], value: Value) -> Option<Series> {
    let of = |window: &&Window| window.target == target.name && phases.contains(&window.phase);
    let windows: Vec<(&Window, f64)> = report
        .windows
        .iter()
        .filter(of)
        .filter_map(|window| Some((window, value(window).filter(|value| *value > 0.0)?)))
        .collect();
    let (line, broken) = lines(&windows);
    let points = windows.iter().map(|(window, y)| Point {
        x: window.achieved_qps,
        y: *y,
        kind: kind(window),
        title: title(window),
    });
    (!windows.is_empty()).then(|| Series {
        name: target.name.clone(),
        style: style_of(report, &target.name),
        points: points.collect(),
        line,
        broken,
        dashed: target.against_itself,
    })
}

type Line = Vec<(f64, f64)>;

/// Returns two lines: up to the highest rate at which a window held, and from there on. Windows without a planned rate
/// are points only.
fn lines(windows: &[(&Window, f64)]) -> (Line, Line) {
    let counted = windows
        .iter()
        .filter(|(window, _)| window.void.is_none() && window.closed_in_flight.is_none());
    let mut rates: Vec<f64> = counted
        .clone()
        .map(|(window, _)| window.offered_qps)
        .collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    let (mut line, mut broken) = (Vec::new(), Vec::new());
    for rate in rates {
        let at = |pair: &&&(&Window, f64)| pair.0.offered_qps.total_cmp(&rate).is_eq();
        let here: Vec<_> = counted.clone().filter(|pair| at(&pair)).collect();
        let x = median(here.iter().map(|(window, _)| window.achieved_qps));
        let y = median(here.iter().map(|(_, value)| *value));
        match here.iter().any(|(window, _)| window.broke.is_none()) {
            true => {
                line.append(&mut broken);
                line.push((x, y));
            }
            false => broken.push((x, y)),
        }
    }
    if let Some(last) = line.last().filter(|_| !broken.is_empty()) {
        broken.insert(0, *last);
    }
    (line, broken)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn title(window: &Window) -> String {
    let state = window.void.as_ref().map(|reason| format!("void: {reason}"));
    let state = state.or_else(|| window.broke.as_ref().map(|rule| format!("broke: {rule}")));
    let planned = window.planned_qps();
    let planned = planned.map(|qps| format!("of {} ", count(qps)));
    format!(
        "{}, window {}: {} {}reads/s, p50 {}, p99 {}, errors {}{}",
        window.target,
        window.index,
        count(window.achieved_qps),
        planned.unwrap_or_default(),
        duration_us(window.p50_us),
        duration_us(window.p99_us),
        window.errors,
        state.map(|state| format!("; {state}")).unwrap_or_default(),
    )
}

fn extent(series: &[Series]) -> Option<(f64, f64, f64)> {
    let points = || series.iter().flat_map(|series| &series.points);
    let x_high = points().map(|point| point.x).fold(0.0, f64::max);
    let low = points().map(|point| point.y).reduce(f64::min)?;
    let high = points().map(|point| point.y).reduce(f64::max)?;
    Some((x_high, low, high))
}

fn latency(
    report: &Report,
    id: &'static str,
    title: &str,
    value: Value,
    limit: Option<Limit>,
) -> Option<Chart> {
    let phases = [Phase::Escalate, Phase::Refine];
    let series: Vec<_> = report
        .targets
        .iter()
        .filter_map(|target| series(report, target, &phases, value))
        .collect();
    let (x_high, low, high) = extent(&series)?;
    let at = limit.as_ref().map(|limit| limit.at);
    Some(Chart {
        id,
        title: title.to_owned(),
        description: format!(
            "{id} from the planned send, against answered reads a second; windows of the search."
        ),
        x: Axis::linear(x_high, "answered reads a second", count),
        y: Axis::log(
            low.min(at.unwrap_or(low)),
            high.max(at.unwrap_or(high)),
            &format!("{id} from the planned send"),
            duration_us,
        ),
        series,
        limit,
    })
}

fn resources(
    report: &Report,
    id: &'static str,
    title: &str,
    label: &str,
    words: fn(f64) -> String,
    value: Value,
) -> Option<Chart> {
    let phases = [Phase::Escalate, Phase::Refine, Phase::Equal];
    let targets = report
        .targets
        .iter()
        .filter(|target| !target.against_itself);
    let series: Vec<_> = targets
        .filter_map(|target| series(report, target, &phases, value))
        .collect();
    let (x_high, _, high) = extent(&series)?;
    let windows = match report.closed_in_flight() {
        Some(_) => "windows of full load",
        None => "windows of the search and of equal load",
    };
    Some(Chart {
        id,
        title: title.to_owned(),
        description: format!("{label}, against answered reads a second; {windows}."),
        x: Axis::linear(x_high, "answered reads a second", count),
        y: Axis::linear(high, label, words),
        series,
        limit: None,
    })
}

fn percentiles(report: &Report) -> Option<Chart> {
    let curve = |target: &Target| -> Line {
        let below_one = target
            .latency_curve
            .iter()
            .filter(|(quantile, micros)| *quantile > 0.0 && *quantile < 1.0 && *micros > 0.0);
        below_one.copied().collect()
    };
    let with_curve = report
        .targets
        .iter()
        .filter(|target| target.latency_curve.len() > 2);
    let series: Vec<_> = with_curve
        .map(|target| Series {
            name: target.name.clone(),
            style: if target.against_itself {
                0
            } else {
                style_of(report, &target.name)
            },
            points: Vec::new(),
            line: curve(target),
            broken: Vec::new(),
            dashed: target.against_itself,
        })
        .collect();
    let places = || series.iter().flat_map(|series| &series.line);
    let low = places().map(|(_, micros)| *micros).reduce(f64::min)?;
    let high = places().map(|(_, micros)| *micros).reduce(f64::max)?;
    let last = places().map(|(quantile, _)| *quantile).reduce(f64::max)?;
    let (load, from) = match report.closed_in_flight() {
        Some(in_flight) => (format!("in a {}", closed_loop(in_flight)), "from the send"),
        None => {
            let mut rates = report.targets.iter().map(|target| target.equal_qps);
            let rate = rates.find_map(|rate| rate).unwrap_or_default();
            let load = format!("at {} reads a second", count(rate));
            (load, "from the planned send")
        }
    };
    Some(Chart {
        id: "percentiles",
        title: format!("Latency percentiles {load}"),
        description: format!(
            "Latency {from} by percentile; each further nine takes the same room."
        ),
        x: Axis::nines(last, "percentile", percentile),
        y: Axis::log(low, high, from, duration_us),
        series,
        limit: None,
    })
}

/// Formats a quantile such as `99.9%`, with as many digits as it has nines.
fn percentile(quantile: f64) -> String {
    let above = 1.0 - quantile;
    match above {
        some if some > 0.0099 => percent(quantile),
        some if some > 0.000_99 => format!("{:.1}%", quantile * 100.0),
        some if some > 0.000_099 => format!("{:.2}%", quantile * 100.0),
        some if some > 0.000_009_9 => format!("{:.3}%", quantile * 100.0),
        _ => format!("{:.4}%", quantile * 100.0),
    }
}
