//! The estimate: what a planned load would need and cost.

use super::{
    escape, section as wrap,
    table::{Cell, Table, number, words},
};
use crate::report::{
    format::{count, percent, significant},
    model::Report,
};

pub(super) fn section(report: &Report) -> Option<String> {
    let estimate = report.estimate.as_ref()?;
    let columns = vec![words("Target"), number("Cores"), number("Cost a month")];
    let mut table = Table::new("Capacity and cost", columns);
    for row in &estimate.targets {
        let cells = vec![
            Cell::from(&row.target),
            Cell::from(significant(row.cores)),
            Cell::from(count(row.cost_per_month)),
        ];
        table.row("", cells);
    }
    let formula = format!(
        "<p class=\"hint\">For {} reads a second, cores used to {}, at {} per core-hour. \
         cores = reads a second × CPU per read ÷ {}; cost = cores × {} × 730 hours, in the currency of the price. \
         CPU per read is that of {} on this machine: a plan, not a promise.</p>\n",
        count(estimate.qps),
        percent(estimate.utilisation),
        estimate.price_per_core_hour,
        percent(estimate.utilisation),
        estimate.price_per_core_hour,
        report.load_words(),
    );
    let title = format!(
        "Cores and cost of {} reads a second",
        escape(&count(estimate.qps))
    );
    Some(wrap(
        "estimate",
        &title,
        &format!("{}{formula}", table.html()),
    ))
}
