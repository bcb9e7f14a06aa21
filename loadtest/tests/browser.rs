//! Opens the report in a real browser, with a wide and a narrow page: all that it draws can be seen and read, and it
//! loads nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "browser/headless.rs"]
mod headless;
#[path = "browser/simulated.rs"]
mod simulated;

use headless::Browser;
use loadtest::report::{self, input::Finished};
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
};

const WIDTHS: [u32; 2] = [1200, 400];
/// A screenshot of a blank page compresses to far fewer bytes.
const BLANK_PNG_BYTES: u64 = 60_000;
const MEASURE: &str = include_str!("browser/measure.js");

/// What `measure.js` finds in one layout.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layout {
    width: u32,
    scroll_width: u32,
    resources: Vec<String>,
    window_rows: usize,
    charts: Vec<Drawn>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drawn {
    id: String,
    width: f64,
    height: f64,
    texts: usize,
    /// Visible shapes that show data.
    shapes: usize,
    /// Shapes that can't be seen, because they have no length, size or colour.
    invisible: Vec<String>,
    /// Pairs of texts that overlap.
    overlaps: Vec<String>,
    /// Texts that extend beyond the view box.
    outside: Vec<String>,
    /// Height of the smallest text, in CSS pixels.
    smallest_text: f64,
}

#[test]
fn the_report_can_be_read_in_a_browser() {
    let browser = Browser::find();
    let folder = tempfile::tempdir().unwrap();
    let page = look_at(
        &browser,
        folder.path(),
        &simulated::finished(),
        &[
            "ratios",
            "p99",
            "p50",
            "percentiles",
            "cores",
            "cpu",
            "memory",
        ],
    );
    screenshot(&browser, &page);
}

#[test]
fn an_awkward_report_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let charts = ["ratios", "percentiles", "cores", "cpu", "memory"];
    look_at(
        &Browser::find(),
        folder.path(),
        &simulated::awkward(),
        &charts,
    );
}

/// Checks the page of a run, and returns its path.
fn look_at(browser: &Browser, folder: &Path, finished: &Finished, charts: &[&str]) -> PathBuf {
    let report = report::assemble(finished);
    report::write(&report, folder).unwrap();
    let page = folder.join("report.html");
    let layouts = measured(browser, &page);
    assert_eq!(
        layouts
            .iter()
            .map(|layout| layout.width)
            .collect::<Vec<_>>(),
        WIDTHS
    );
    for layout in &layouts {
        let width = layout.width;
        assert!(
            layout.scroll_width <= width,
            "{width}: scrolls sideways, to {}",
            layout.scroll_width
        );
        assert!(
            layout.resources.is_empty(),
            "{width}: loads {:?}",
            layout.resources
        );
        assert_eq!(
            layout.window_rows,
            report.windows.len(),
            "{width}: rows of windows"
        );
        let ids: Vec<&str> = layout
            .charts
            .iter()
            .map(|chart| chart.id.as_str())
            .collect();
        assert_eq!(ids, charts);
        for chart in &layout.charts {
            check(width, chart);
        }
    }
    page
}

fn check(width: u32, chart: &Drawn) {
    let name = format!("{} at {width} px", chart.id);
    assert!(
        chart.width > 300.0 && chart.height > 200.0,
        "{name}: {} x {}",
        chart.width,
        chart.height
    );
    assert!(chart.texts > 8, "{name}: {} texts", chart.texts);
    assert!(chart.shapes >= 4, "{name}: {} shapes", chart.shapes);
    assert!(
        chart.invisible.is_empty(),
        "{name}: can't be seen: {:?}",
        chart.invisible
    );
    assert!(
        chart.overlaps.is_empty(),
        "{name}: overlap: {:?}",
        chart.overlaps
    );
    assert!(
        chart.outside.is_empty(),
        "{name}: leave the chart: {:?}",
        chart.outside
    );
    assert!(
        chart.smallest_text > 8.0,
        "{name}: text of {} px",
        chart.smallest_text
    );
}

/// Measures the page in frames of both widths, each in its real layout.
fn measured(browser: &Browser, page: &Path) -> Vec<Layout> {
    let html = fs::read_to_string(page).unwrap();
    let quoted = html.replace('&', "&amp;").replace('"', "&quot;");
    let frames = WIDTHS.map(|width| {
        format!("<iframe style=\"border: 0; width: {width}px; height: 900px\" srcdoc=\"{quoted}\"></iframe>\n")
    });
    let harness = page.with_file_name("harness.html");
    let content = format!(
        "<!DOCTYPE html><body>{}<pre id=\"measured\"></pre><script>{MEASURE}</script>",
        frames.concat()
    );
    fs::write(&harness, content).unwrap();

    let dom = browser.run(&harness, &["--dump-dom", "--window-size=1300,1000"]);
    let (_, rest) = dom
        .split_once("<pre id=\"measured\">")
        .expect("the page has the place for results");
    let (json, _) = rest.split_once("</pre>").expect("it ends");
    let json = json
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json:?}"))
}

/// Saves a screenshot in cargo's folder, for people to look at.
fn screenshot(browser: &Browser, page: &Path) {
    let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.png");
    let _ = fs::remove_file(&picture);
    browser.run(
        page,
        &[
            &format!("--screenshot={}", picture.display()),
            "--window-size=1200,3600",
        ],
    );
    let png = fs::read(&picture).expect("the browser writes a screenshot");
    assert!(png.starts_with(b"\x89PNG"), "{}: no PNG", picture.display());
    assert!(
        png.len() as u64 > BLANK_PNG_BYTES,
        "{}: {} bytes, it looks blank",
        picture.display(),
        png.len()
    );
}
