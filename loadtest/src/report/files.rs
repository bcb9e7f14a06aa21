//! Writes and reads the files of a report.

use super::{
    html,
    model::{Report, SCHEMA, Window},
};
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The report for programs.
pub(super) const JSON: &str = "report.json";
/// One row per window.
pub(super) const CSV: &str = "windows.csv";
/// The report for people.
pub(super) const HTML: &str = "report.html";
/// A report is far smaller, even of a run that takes a day.
const MOST_BYTES: u64 = 256 << 20;

#[derive(Deserialize)]
struct Numbered {
    schema: u32,
}

/// Writes `report.json`, `windows.csv` and `report.html` into `folder`, which is made if it is missing.
pub fn write(report: &Report, folder: &Path) -> Result<()> {
    make(folder)?;
    put_json(report, folder)?;
    put(&folder.join(CSV), &csv_of(report.windows.iter())?)?;
    put(&folder.join(HTML), html::page(report).as_bytes())
}

/// Makes the folder of a report if it is missing.
pub(super) fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| cannot_write(folder, error))
}

/// Writes `report.json`.
pub(super) fn put_json(report: &impl Serialize, folder: &Path) -> Result<()> {
    let mut json = serde_json::to_vec_pretty(report).map_err(|error| {
        Error::caused(Kind::Internal, "the report can't be written as JSON", error)
    })?;
    json.push(b'\n');
    put(&folder.join(JSON), &json)
}

/// Whether `folder` holds a report.
#[must_use]
pub fn is_in(folder: &Path) -> bool {
    folder.join(JSON).exists()
}

/// Reads the `report.json` of `folder`, or the file itself, and returns its path and bytes.
pub(super) fn text(folder: &Path) -> Result<(PathBuf, Vec<u8>)> {
    let path = if folder.is_dir() {
        folder.join(JSON)
    } else {
        folder.to_owned()
    };
    let wrong = |message: String| Error::new(Kind::Input, format!("{}: {message}", path.display()));
    let size = fs::metadata(&path)
        .map_err(|error| wrong(format!("can't be read: {error}")))?
        .len();
    if size > MOST_BYTES {
        return Err(wrong(format!(
            "{size} bytes are too many for a report, {MOST_BYTES} are the limit"
        )));
    }
    let text = fs::read(&path).map_err(|error| wrong(error.to_string()))?;
    Ok((path, text))
}

/// Reads the report in `folder`, or in the file itself.
pub fn read(folder: &Path) -> Result<Report> {
    let (path, text) = text(folder)?;
    let wrong = |message: String| Error::new(Kind::Input, format!("{}: {message}", path.display()));
    let misread = |error: serde_json::Error| {
        wrong(match field(&text, &error) {
            Some(field) => format!("{field}: {error}"),
            None => error.to_string(),
        })
    };
    let Numbered { schema } = serde_json::from_slice(&text).map_err(misread)?;
    if schema != SCHEMA {
        return Err(wrong(format!(
            "schema: is {schema}, and this program reads {SCHEMA}"
        )));
    }
    let mut report: Report = serde_json::from_slice(&text).map_err(misread)?;
    report.folder = path.parent().map(Path::to_owned);
    Ok(report)
}

/// Returns the last key before the place of the error.
fn field<'a>(text: &'a [u8], error: &serde_json::Error) -> Option<&'a str> {
    let text = std::str::from_utf8(text).ok()?;
    let before: usize = text
        .split_inclusive('\n')
        .take(error.line().checked_sub(1)?)
        .map(str::len)
        .sum();
    let read = text.get(..before + error.column())?;
    let (rest, _) = read.rsplit_once("\":")?;
    Some(&rest[rest.rfind('"')? + 1..])
}

pub(super) fn csv_of<'a>(windows: impl Iterator<Item = &'a Window>) -> Result<Vec<u8>> {
    let failed = |error: String| {
        Error::new(
            Kind::Internal,
            format!("the windows can't be written as CSV: {error}"),
        )
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    for window in windows {
        writer
            .serialize(window)
            .map_err(|error| failed(error.to_string()))?;
    }
    writer
        .into_inner()
        .map_err(|error| failed(error.to_string()))
}

pub(super) fn put(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).map_err(|error| cannot_write(path, error))
}

fn cannot_write(path: &Path, error: std::io::Error) -> Error {
    Error::caused(
        Kind::Output,
        format!("{}: can't be written", path.display()),
        error,
    )
}

#[cfg(test)]
mod tests {
    use super::{super::fixture, *};
    use crate::report::assemble;

    #[test]
    fn what_is_written_is_read_again() {
        let report = assemble(&fixture::run());
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("made");
        write(&report, &inner).unwrap();
        let mut again = read(&inner).unwrap();
        assert_eq!(again.folder.take(), Some(inner.clone()));
        assert_eq!(again, report);

        let mut rows = csv::Reader::from_path(inner.join(CSV)).unwrap();
        let header: Vec<String> = rows.headers().unwrap().iter().map(str::to_owned).collect();
        let row = serde_json::to_value(&report.windows[0]).unwrap();
        let mut fields: Vec<&String> = row.as_object().unwrap().keys().collect();
        let mut columns: Vec<&String> = header.iter().collect();
        assert_eq!(&header[..4], ["index", "target", "phase", "round"]);
        columns.sort();
        fields.sort();
        assert_eq!(columns, fields);
        let windows: Vec<Window> = rows.deserialize().collect::<Result<_, _>>().unwrap();
        assert_eq!(windows, report.windows);
    }

    #[test]
    fn another_schema_and_a_wrong_field_are_named_with_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let said = |text: &str| {
            fs::write(folder.path().join(JSON), text).unwrap();
            let error = read(folder.path()).unwrap_err();
            assert_eq!(error.kind(), Kind::Input);
            error.to_string()
        };
        let newer = said(r#"{"schema": 2, "later": true}"#);
        assert!(newer.contains("report.json: schema: is 2"), "{newer}");
        let broken = said(r#"{"schema": 1, "void": "yes"}"#);
        assert!(
            broken.contains("report.json: void: invalid type"),
            "{broken}"
        );
        let short = said(r#"{"schema": 1, "void": true}"#);
        assert!(short.contains("missing field"), "{short}");
        fs::remove_file(folder.path().join(JSON)).unwrap();
        assert_eq!(read(folder.path()).unwrap_err().kind(), Kind::Input);
    }
}
