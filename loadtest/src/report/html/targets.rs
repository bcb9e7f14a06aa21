//! The figures of targets, methods and processes.

use super::{
    escape,
    headline::{key, style_of},
    section as wrap,
    table::{Cell, Table, number, told, words},
};
use crate::report::{
    format::{bytes, closed_loop, count, duration_us, ended_by, percent, rate, significant},
    has_full_load,
    model::{GcFigures, Report, Target},
    summary::{memory, real},
};

/// A cell with a target's mark and name, and what it is.
fn name(report: &Report, target: &Target) -> Cell {
    let style = if target.against_itself {
        0
    } else {
        style_of(report, &target.name)
    };
    let about = escape(&target.about);
    Cell::markup(format!(
        "{}{}<small>{about}</small>",
        key(style),
        escape(&target.name)
    ))
}

fn name_only(report: &Report, target: &Target) -> Cell {
    let style = if target.against_itself {
        0
    } else {
        style_of(report, &target.name)
    };
    Cell::markup(format!("{}{}", key(style), escape(&target.name)))
}

/// The title of a column of rates, and the rate.
type Rate = (&'static str, fn(&Target) -> Option<f64>);

const SEARCHED: &[Rate] = &[
    ("Held the objective, reads/s", |target| {
        target.max_qps_within_slo
    }),
    ("Broke it, reads/s", |target| target.min_qps_broken),
];
/// With rounds of full load.
const AT_FULL_LOAD: &[Rate] = &[
    SEARCHED[0],
    SEARCHED[1],
    ("Answered at full load, reads/s", |target| {
        target.full_load_qps
    }),
];
/// A closed loop searches for no rate.
const ANSWERED: &[Rate] = &[("Answered, reads/s", |target| target.achieved_qps)];

pub(super) fn section(report: &Report) -> Option<String> {
    let rates = match report.closed_in_flight() {
        Some(_) => ANSWERED,
        None if has_full_load(report) => AT_FULL_LOAD,
        None => SEARCHED,
    };
    let others = [
        "CPU per read",
        "p50",
        "p99",
        "p99.9",
        "Peak memory",
        "Errors",
    ];
    let titles = rates.iter().map(|(title, _)| *title).chain(others);
    let columns = [words("Target")].into_iter().chain(titles.map(number));
    let mut table = Table::new("Figures of each target", columns.collect());
    for target in &report.targets {
        let others = [
            told(target.cpu_us_per_request, |micros| {
                format!("{} µs", significant(micros))
            }),
            told(target.p50_us, duration_us),
            told(target.p99_us, duration_us),
            told(target.p999_us, duration_us),
            told(memory(target), bytes),
            errors(target),
        ];
        let rates = rates.iter().map(|(_, qps)| told(qps(target), rate));
        let cells = [name(report, target)].into_iter().chain(rates);
        table.row("", cells.chain(others).collect());
    }
    let body = format!("{}{}{}", table.html(), equal_load(report), limited(report));
    (!table.is_empty()).then(|| wrap("targets", "Targets", &body))
}

fn errors(target: &Target) -> Cell {
    let of = format!(
        "{} of {}",
        count(real(target.errors)),
        count(real(target.requests))
    );
    let codes = target.statuses.iter().filter(|(_, answers)| **answers > 0);
    let codes = codes.map(|(code, answers)| format!("code {code}: {}", count(real(*answers))));
    let expired =
        (target.expired > 0).then(|| format!("not sent: {}", count(real(target.expired))));
    let codes: Vec<String> = codes.chain(expired).collect();
    Cell::markup(format!(
        "{}<small>{}</small>",
        escape(&of),
        escape(&codes.join(", "))
    ))
}

fn equal_load(report: &Report) -> String {
    if let Some(in_flight) = report.closed_in_flight() {
        return format!(
            "<p class=\"hint\">All windows of full load together: a {} at every target.</p>\n",
            closed_loop(in_flight)
        );
    }
    let rate_of_all = report.targets.iter().find_map(|target| target.equal_qps);
    rate_of_all.map_or_else(String::new, |qps| {
        format!(
            "<p class=\"hint\">From CPU on: at equal load, {} reads a second for every target, all its windows together.</p>\n",
            rate(qps)
        )
    })
}

fn limited(report: &Report) -> String {
    let reasons = report.targets.iter().filter_map(|target| {
        let limited_by = target.limited_by.as_ref()?;
        Some(format!(
            "<li>{}: {}</li>\n",
            escape(&target.name),
            escape(ended_by(limited_by))
        ))
    });
    let reasons: String = reasons.collect();
    if reasons.is_empty() {
        return String::new();
    }
    format!("<p>What ended the search of the highest rate:</p>\n<ul>\n{reasons}</ul>\n")
}

pub(super) fn methods(report: &Report) -> Option<String> {
    let title = format!("Methods at {}", report.load_words());
    let columns = vec![
        words("Method"),
        words("Target"),
        number("Reads"),
        number("Errors"),
        number("p50"),
        number("p99"),
    ];
    let mut table = Table::new(&title, columns);
    let mut paths: Vec<&str> = Vec::new();
    for method in report.targets.iter().flat_map(|target| &target.methods) {
        if !paths.contains(&method.path.as_str()) {
            paths.push(&method.path);
        }
    }
    for path in paths {
        for target in &report.targets {
            for method in target.methods.iter().filter(|method| method.path == path) {
                let short = path.rsplit('/').next().unwrap_or(path);
                let cells = vec![
                    Cell::markup(format!(
                        "<span title=\"{}\">{}</span>",
                        escape(path),
                        escape(short)
                    )),
                    name_only(report, target),
                    Cell::from(count(real(method.requests))),
                    Cell::from(count(real(method.errors))),
                    Cell::from(duration_us(method.p50_us)),
                    Cell::from(duration_us(method.p99_us)),
                ];
                table.row("", cells);
            }
        }
    }
    (!table.is_empty()).then(|| wrap("methods", &title, &table.html()))
}

pub(super) fn processes(report: &Report) -> Option<String> {
    let title = format!("Processes at {}", report.load_words());
    let columns = vec![
        words("Target"),
        words("Process"),
        number("CPU per read"),
        number("Peak memory"),
        number("Context switches per read"),
        number("GC cycles/s"),
        number("GC of its CPU"),
        number("GC pauses of the time"),
    ];
    let mut table = Table::new(&title, columns);
    for target in &report.targets {
        for process in &target.processes {
            let gc = |of: fn(&GcFigures) -> f64, words| told(process.gc.as_ref().map(of), words);
            let cells = vec![
                name_only(report, target),
                Cell::from(&process.name),
                Cell::from(format!("{} µs", significant(process.cpu_us_per_request))),
                Cell::from(bytes(real(process.rss_peak_bytes))),
                Cell::from(significant(process.context_switches_per_request)),
                gc(|gc| gc.cycles_per_s, significant),
                gc(|gc| gc.cpu_fraction, percent),
                gc(|gc| gc.pause_fraction, percent),
            ];
            table.row("", cells);
        }
    }
    (!table.is_empty()).then(|| wrap("processes", &title, &table.html()))
}
