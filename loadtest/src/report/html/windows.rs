//! The table of all windows, void ones included.

use super::{
    section as wrap,
    table::{Cell, Table, number, told, words},
};
use crate::report::{
    format::{bytes, count, duration_us, percent, significant},
    model::{Phase, Report, Window},
    summary::real,
};

pub(super) fn section(report: &Report) -> Option<String> {
    let columns = vec![
        number("#"),
        number("At"),
        words("Target"),
        words("Phase"),
        number("Round"),
        number("Offered/s"),
        number("Answered/s"),
        number("Errors"),
        number("Not sent"),
        number("p50"),
        number("p99"),
        number("p99.9"),
        number("p99 from actual send"),
        number("CPU per read"),
        number("Memory"),
        number("Generator"),
        number("Lag p99"),
        words("Held?"),
    ];
    let mut table = Table::new("Windows, in the order run", columns);
    for window in &report.windows {
        let class = match (&window.void, &window.broke) {
            (Some(_), _) => "window void-row",
            (None, Some(_)) => "window broken-row",
            (None, None) => "window",
        };
        table.row(class, row(window));
    }
    let void = report
        .windows
        .iter()
        .filter(|window| window.void.is_some())
        .count();
    let body = format!(
        "<details id=\"windows\"><summary>{} windows, {void} of them void</summary>\n{}</details>\n",
        report.windows.len(),
        table.html()
    );
    (!table.is_empty()).then(|| wrap("windows-section", "Windows", &body))
}

fn row(window: &Window) -> Vec<Cell> {
    vec![
        Cell::from(window.index.to_string()),
        Cell::from(format!("{:.0} s", window.at_s)),
        Cell::from(&window.target),
        Cell::from(window.phase.words_at(window.closed_in_flight)),
        Cell::from(window.round.to_string()),
        told(window.planned_qps(), count),
        Cell::from(count(window.achieved_qps)),
        Cell::from(count(real(window.errors))),
        Cell::from(count(real(window.expired))),
        Cell::from(duration_us(window.p50_us)),
        Cell::from(duration_us(window.p99_us)),
        Cell::from(duration_us(window.p999_us)),
        Cell::from(duration_us(window.sent_p99_us)),
        told(window.cpu_us_per_request, |micros| {
            format!("{} µs", significant(micros))
        }),
        told(window.rss_peak_bytes.map(real), bytes),
        Cell::from(percent(window.generator_cpu_fraction)),
        told(window.lag_us(), duration_us),
        Cell::from(state(window)),
    ]
}

fn state(window: &Window) -> String {
    match (&window.void, &window.broke) {
        (Some(reason), _) => format!("void: {reason}"),
        (None, Some(rule)) => format!("broke: {rule}"),
        // In a closed loop only errors can break a rule.
        (None, None) if window.phase == Phase::WarmUp || window.closed_in_flight.is_some() => {
            "–".to_owned()
        }
        (None, None) => "held".to_owned(),
    }
}
