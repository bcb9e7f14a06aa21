//! The charts of a break-even report.

use super::{STYLE, escape, wrap};
use crate::report::{
    break_even::{
        model::{Figures, Report},
        words::figures,
    },
    chart::{
        axis::Axis,
        line::{Chart, Point, Series},
        marker::Kind,
    },
    format::{duration_us, significant},
    html::{charts::figure, headline::key},
};

/// The size of one chart, and the gap between two, in the picture.
const CHART: (f64, f64) = (460.0, 320.0);
const GAP: f64 = 36.0;
/// The first line of keys, and the distance of two lines. Above it is the title.
const KEYS: f64 = 42.0;
const LINE: f64 = 22.0;
/// Room between the keys and the chart below them.
const BELOW_KEYS: f64 = 20.0;

type Value = fn(&Figures) -> f64;

pub(super) fn section(report: &Report) -> Option<String> {
    if report.points.is_empty() {
        return None;
    }
    let charts = [overheads(report), cpu(report), p99(report)];
    let figures: String = charts.iter().map(figure).collect();
    let hint = "<p class=\"hint\">The horizontal axis is the CPU that the Go handler burns for a request; it begins at zero and is \
                logarithmic beyond. A dashed curve is what is saved if Rust does the work so many times as fast: an answer pays where its \
                overhead is below.</p>\n";
    Some(wrap(
        "charts",
        "Charts",
        &format!("{hint}<div class=\"charts\">\n{figures}</div>\n"),
    ))
}

/// Returns a picture that needs no page, with the charts of the overhead and of the CPU per request.
pub(in crate::report) fn standalone(report: &Report) -> String {
    let charts = [overheads(report), cpu(report)];
    let keys = charts.each_ref().map(keys);
    let head = keys[0].1.max(keys[1].1) + BELOW_KEYS;
    let (width, height) = (CHART.0 * 2.0 + GAP, CHART.1 + head);
    let left = panel(&charts[0], &keys[0].0, 0.0, head);
    let right = panel(&charts[1], &keys[1].0, CHART.0 + GAP, head);
    let style: String = STYLE
        .split("* {")
        .next()
        .into_iter()
        .chain(STYLE.lines().filter(|line| {
            [".chart", ".grid", ".s0", ".key", ".one", ".limit"]
                .iter()
                .any(|class| line.starts_with(class))
        }))
        .collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-12 -6 {} {}\" role=\"img\">\n<style>{style}\n\
         text {{ font-family: system-ui, sans-serif; fill: var(--ink); }} .title {{ font-size: 16px; font-weight: 600; }} \
         .name {{ font-size: 13px; fill: var(--soft); }}</style>\n\
         <title>{}</title>\n<rect x=\"-12\" y=\"-6\" width=\"100%\" height=\"100%\" style=\"fill: var(--ground)\"/>\n{left}\n{right}\n</svg>\n",
        width + 24.0,
        height + 12.0,
        escape(&report.run.title),
    )
}

/// Returns the keys of all series, and the place of their last line.
fn keys(chart: &Chart) -> (String, f64) {
    let mut names = String::new();
    let (mut at, mut line) = (0.0, KEYS);
    for series in &chart.series {
        let dashed = if series.dashed { " (dashed)" } else { "" };
        let name = format!("{}{dashed}", series.name);
        let room = 34.0 + 7.2 * f64::from(u32::try_from(name.chars().count()).unwrap_or(0));
        if at + room > CHART.0 {
            (at, line) = (0.0, line + LINE);
        }
        let mark = key(series.style);
        let placed = format!(
            "<svg x=\"{at:.0}\" y=\"{:.0}\" width=\"12\" height=\"12\"",
            line - 11.0
        );
        names.push_str(&mark.replacen("<svg", &placed, 1));
        names.push_str(&format!(
            "<text class=\"name\" x=\"{:.0}\" y=\"{line:.0}\">{}</text>",
            at + 18.0,
            escape(&name)
        ));
        at += room;
    }
    (names, line)
}

fn panel(chart: &Chart, names: &str, x: f64, head: f64) -> String {
    let size = format!(
        "<svg y=\"{head:.0}\" width=\"{:.0}\" height=\"{:.0}\"",
        CHART.0, CHART.1
    );
    format!(
        "<g transform=\"translate({x:.0} 0)\"><text class=\"title\" x=\"0\" y=\"18\">{}</text>{names}{}</g>",
        escape(&chart.title),
        chart.svg().replacen("<svg", &size, 1)
    )
}

fn costs(report: &Report) -> Axis {
    let works: Vec<f64> = report.points.iter().map(|point| point.work_us).collect();
    Axis::from_zero(&works, "CPU of the legacy handler, µs", significant)
}

fn overheads(report: &Report) -> Chart {
    let mut series = curves(report, 1, |figures| figures.overhead_us);
    let highest = highest(&series).max(1.0) * 1.1;
    // An answer that takes less than local lies below zero. A little below is noise, and gets no room of its own.
    let lowest = lowest(&series).min(0.0);
    let lowest = if -lowest < highest * 0.02 {
        0.0
    } else {
        lowest
    };
    let label = "µs of CPU a request, over local";
    let y = Axis::around_zero(lowest, highest, label, significant);
    let top = y.ticks.last().map_or(highest, |tick| tick.at);
    let last = report.points.last().map_or(0.0, |point| point.work_us);
    // Each answer has the same mark in all charts, so the lines of savings use other marks: that of local, and further ones.
    let free = report.answers.len();
    for (style, faster) in [(0, 2.0), (free, 4.0), (free + 1, 10.0)] {
        series.push(saved(faster, style, last, top));
    }
    Chart {
        id: "overhead",
        title: "Overhead, and what is saved".to_owned(),
        description: "CPU per request over the local handler, and the CPU that faster work saves. The table has the figures.".to_owned(),
        x: costs(report),
        y,
        series,
        limit: None,
    }
}

/// The CPU that is saved by work that is `faster` times as fast, up to the top of the chart.
fn saved(faster: f64, style: usize, last: f64, top: f64) -> Series {
    let share = 1.0 - 1.0 / faster;
    let end = last.min(top / share);
    let steps = (0..=24).map(|step| end.ln_1p() * f64::from(step) / 24.0);
    Series {
        name: format!("saved at {}×", significant(faster)),
        style,
        points: Vec::new(),
        line: steps
            .map(f64::exp_m1)
            .map(|work| (work, work * share))
            .collect(),
        broken: Vec::new(),
        dashed: true,
    }
}

fn cpu(report: &Report) -> Chart {
    over_cost(
        report,
        "cpu",
        "CPU per request",
        "µs of CPU a request, all processes",
        significant,
        |figures| figures.cpu_us,
    )
}

fn p99(report: &Report) -> Chart {
    over_cost(
        report,
        "p99",
        "p99 at full load",
        "p99 from the send",
        duration_us,
        |figures| figures.p99_us,
    )
}

fn over_cost(
    report: &Report,
    id: &'static str,
    title: &str,
    label: &str,
    words: fn(f64) -> String,
    value: Value,
) -> Chart {
    let series = curves(report, 0, value);
    let lowest = lowest(&series);
    Chart {
        id,
        title: title.to_owned(),
        description: "One curve an answer. The table has the figures.".to_owned(),
        x: costs(report),
        y: Axis::log(lowest, highest(&series), label, words),
        series,
        limit: None,
    }
}

fn highest(series: &[Series]) -> f64 {
    let values = series.iter().flat_map(|series| &series.line);
    values.map(|point| point.1).fold(0.0, f64::max)
}

fn lowest(series: &[Series]) -> f64 {
    let values = series.iter().flat_map(|series| &series.line);
    let lowest = values.map(|point| point.1).fold(f64::INFINITY, f64::min);
    if lowest.is_finite() { lowest } else { 1.0 }
}

/// Returns a curve for each answer, beginning with the answer at index `first`.
fn curves(report: &Report, first: usize, value: Value) -> Vec<Series> {
    let answers = report.answers.iter().enumerate().skip(first);
    let curve = |(style, answer): (usize, &crate::report::break_even::model::Answer)| {
        let measured = report.points.iter().filter_map(|point| {
            let found = figures(point, &answer.name)?;
            Some((point.work_us, value(found)))
        });
        let line: Vec<_> = measured.collect();
        let mark = |(x, y): &(f64, f64)| Point {
            x: *x,
            y: *y,
            kind: Kind::Held,
            title: format!("{}, {}: {}", answer.name, duration_us(*x), significant(*y)),
        };
        Series {
            name: answer.name.clone(),
            style,
            points: line.iter().map(mark).collect(),
            line,
            broken: Vec::new(),
            dashed: false,
        }
    };
    answers.map(curve).collect()
}
