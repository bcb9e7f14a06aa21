//! What a run found, for programs (`report.json`, `windows.csv`) and for people (`report.html`).

pub mod input;
pub mod model;

use crate::error::{Error, Kind, Result};
use std::path::Path;

/// Draws the conclusions from the windows.
#[must_use]
pub fn assemble(finished: &input::Finished) -> model::Report {
    model::Report {
        schema: model::SCHEMA,
        void: true,
        void_reason: None,
        interrupted: finished.interrupted,
        run: finished.run.clone(),
        targets: Vec::new(),
        ratios: Vec::new(),
        mismatches: None,
        comparison: finished.comparison.clone(),
        generator: model::Generator {
            cpu_fraction_max: 0.0,
            lag_p99_us: 0.0,
            windows: 0,
            void_windows: 0,
        },
        windows: Vec::new(),
        estimate: None,
    }
}

/// Writes `report.json`, `windows.csv` and `report.html` into `folder`.
pub fn write(_report: &model::Report, _folder: &Path) -> Result<()> {
    Err(Error::new(Kind::Internal, "not there yet"))
}

/// The report as text for a terminal; its first line says so if the run is void.
#[must_use]
pub fn summary(_report: &model::Report) -> String {
    String::new()
}
