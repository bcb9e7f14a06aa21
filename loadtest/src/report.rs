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

/// The figure of the rounds of full load, if there were any.
const AT_FULL_LOAD: (&str, &str) = ("full_load_cpu_us_per_request", "CPU per read at full load");

fn figures(report: &model::Report) -> Vec<(&'static str, &'static str)> {
    let mut figures = FIGURES.to_vec();
    if report.closed_in_flight().is_some() {
        figures[0] = ANSWERED;
    }
    if has_full_load(report) {
        figures.insert(2, AT_FULL_LOAD);
    }
    figures
}

/// Whether there are windows of full load beside those of equal load.
fn has_full_load(report: &model::Report) -> bool {
    let mut windows = report.windows.iter();
    windows.any(|window| window.phase == model::Phase::Full)
}
