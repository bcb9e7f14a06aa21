//! Reports what a run found: `report.json` and `windows.csv` for programs, `report.html` and the README's table for
//! people.

mod assemble;
pub mod break_even;
mod chart;
mod files;
pub(crate) mod format;
mod html;
pub mod input;
mod loads;
pub mod model;
mod readme;
mod summary;
mod text_table;

#[cfg(test)]
pub(crate) mod fixture;

pub use self::{
    assemble::assemble,
    files::{is_in, read, write},
    html::page,
    loads::update_loads,
    readme::{readme_table, update_readme},
    summary::summary,
};

/// The figures that targets are compared by, in the order of every table: key in `report.json`, and words. More is
/// better for the first, less for all others.
const FIGURES: [(&str, &str); 6] = [
    ("max_qps_within_slo", "QPS within the objective"),
    ("cpu_us_per_request", "CPU per read"),
    ("p50_us", "p50"),
    ("p99_us", "p99"),
    ("p999_us", "p99.9"),
    ("rss_peak_bytes", "peak memory"),
];
/// The first figure in a closed loop.
const ANSWERED: (&str, &str) = ("achieved_qps", "QPS at full load");

fn figures(report: &model::Report) -> [(&'static str, &'static str); 6] {
    let mut figures = FIGURES;
    if report.closed_in_flight().is_some() {
        figures[0] = ANSWERED;
    }
    figures
}
