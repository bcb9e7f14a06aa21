//! The break-even report: how expensive a handler must be for it to pay that another process, or another language, does
//! its work.

mod derive;
pub mod input;
pub mod model;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod words;

use self::{
    input::Finished,
    model::{KIND, Load, Report, Row},
};
use super::{files, html::break_even as html, model::Generator, readme};
use crate::{
    error::{Error, Kind, Result},
    measure::latencies,
};
use std::path::{Path, PathBuf};

pub use words::summary;

/// The file of a chart for a README.
const SVG: &str = "break-even.svg";
/// If the Go handler answered a larger share of the requests, the figures of the sidecar say little about the sidecar. The
/// same is true of the spliced front door and what went through grpc-go.
const MAX_FALLBACK_SHARE: f64 = 0.001;

/// Makes the report of a run.
#[must_use]
pub fn assemble(finished: Finished) -> Report {
    let points = derive::points(&finished);
    let one_in_flight = derive::one_in_flight(&finished);
    let void_reason = void_reason(&finished);
    let mut notes = finished.notes.clone();
    if finished.fallbacks > 0 && void_reason.is_none() {
        notes.push(format!(
            "{} requests were answered by the Go handler though the sidecar should have",
            finished.fallbacks
        ));
    }
    if finished.handed_over > 0 && void_reason.is_none() {
        notes.push(format!(
            "{} requests went through grpc-go though the spliced front door should have answered them",
            finished.handed_over
        ));
    }
    Report {
        schema: super::model::SCHEMA,
        kind: KIND.to_owned(),
        void: void_reason.is_some(),
        void_reason,
        interrupted: finished.interrupted,
        notes,
        break_even: derive::break_even(&finished.answers, &points, one_in_flight.as_ref()),
        points,
        one_in_flight,
        generator: generator(&finished),
        windows: finished.windows.iter().map(row).collect(),
        service_heap_mib: Some(finished.service_heap_mib).filter(|mib| *mib > 0),
        answers: finished.answers,
        run: finished.run,
    }
}

fn row(measured: &input::Measured) -> Row {
    Row {
        load: measured.load,
        work_us: measured.work_us,
        window: measured.measured.window.clone(),
    }
}

/// Returns the windows that are judged for the void rule.
fn judged(finished: &Finished) -> impl Iterator<Item = &input::Measured> {
    finished
        .windows
        .iter()
        .filter(|measured| measured.load != Load::WarmUp && !measured.measured.observed.interrupted)
}

#[allow(clippy::cast_precision_loss)]
fn void_reason(finished: &Finished) -> Option<String> {
    let all = judged(finished).count();
    if all == 0 {
        return Some("no window was measured".to_owned());
    }
    let asked: u64 = judged(finished)
        .map(|measured| measured.measured.window.ok)
        .sum();
    if finished.fallbacks as f64 > asked as f64 * MAX_FALLBACK_SHARE {
        return Some(format!(
            "the Go handler answered {} requests that the sidecar should have",
            finished.fallbacks
        ));
    }
    let through: u64 = judged(finished)
        .filter(|measured| measured.measured.window.target == input::SPLICED)
        .map(|measured| measured.measured.window.ok)
        .sum();
    if finished.handed_over as f64 > through as f64 * MAX_FALLBACK_SHARE {
        return Some(format!(
            "{} requests went through grpc-go though the spliced front door should have answered them",
            finished.handed_over
        ));
    }
    let void: Vec<_> = judged(finished)
        .filter(|measured| !measured.counts())
        .collect();
    let first = void.first()?;
    let share = void.len() as f64 / all as f64;
    (share > finished.max_void_share).then(|| {
        let window = &first.measured.window;
        format!(
            "{} of {all} windows do not count; the first is window {}: {}",
            void.len(),
            window.index,
            window.void.as_deref().unwrap_or_default()
        )
    })
}

#[allow(clippy::cast_precision_loss)]
fn generator(finished: &Finished) -> Generator {
    let mut lag = latencies();
    let mut cpu_fraction_max = 0.0_f64;
    let (mut windows, mut void_windows) = (0, 0);
    for measured in judged(finished) {
        windows += 1;
        if !measured.counts() {
            void_windows += 1;
            continue;
        }
        let generator = &measured.measured.observed.generator;
        lag += &generator.lag;
        cpu_fraction_max = cpu_fraction_max.max(generator.cpu_fraction);
    }
    Generator {
        cpu_fraction_max,
        lag_p99_us: lag.value_at_quantile(0.99) as f64 / 1e3,
        windows,
        void_windows,
    }
}

/// Writes `report.json`, `windows.csv`, `report.html` and `break-even.svg` into `folder`.
pub fn write(report: &Report, folder: &Path) -> Result<()> {
    files::make(folder)?;
    files::put_json(report, folder)?;
    files::put(&folder.join(files::CSV), &csv_of(report)?)?;
    files::put(&folder.join(files::HTML), html::page(report).as_bytes())?;
    files::put(&folder.join(SVG), html::standalone(report).as_bytes())
}

/// Rewrites the part between `<!-- break-even -->` and `<!-- /break-even -->`. With `check` it changes nothing, and
/// fails if there were something to change.
pub fn update_readme(path: &Path, report: &Report, folder: &Path, check: bool) -> Result<()> {
    let content = |links: &[PathBuf]| {
        let link = links.first().map_or(folder, PathBuf::as_path);
        words::markdown(report, &link.join(SVG), link)
    };
    readme::rewrite(path, KIND, &[folder], content, check)
}

/// Reads a report. `None` means that the folder holds a report of another kind.
pub fn read(folder: &Path) -> Result<Option<Report>> {
    let (path, text) = files::text(folder)?;
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    if value.get("kind").and_then(serde_json::Value::as_str) != Some(KIND) {
        return Ok(None);
    }
    serde_json::from_value(value)
        .map(Some)
        .map_err(|error| Error::caused(Kind::Input, format!("{}", path.display()), error))
}

/// Returns the rows of all windows. The first columns are the work and the load of the window's round.
fn csv_of(report: &Report) -> Result<Vec<u8>> {
    let failed = |error: csv::Error| {
        Error::caused(Kind::Internal, "the windows can't be written as CSV", error)
    };
    let plain = files::csv_of(report.windows.iter().map(|row| &row.window))?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(plain.as_slice());
    let heads = report.windows.iter().map(|row| {
        let load = serde_json::to_value(row.load).unwrap_or_default();
        [
            row.work_us.to_string(),
            load.as_str().unwrap_or_default().to_owned(),
        ]
    });
    let heads = std::iter::once(["work_us".to_owned(), "load".to_owned()]).chain(heads);
    for (head, record) in heads.zip(reader.records()) {
        let record = record.map_err(failed)?;
        let fields = head.iter().map(String::as_str).chain(record.iter());
        writer.write_record(fields).map_err(failed)?;
    }
    writer.into_inner().map_err(|error| {
        Error::caused(
            Kind::Internal,
            "the windows can't be written as CSV",
            error.into_error(),
        )
    })
}
