//! Generates the tables of several reports, of different loads or scenarios: a table for each figure, a row for each report
//! that has it, a column for each target.

use super::{
    files,
    format::rate,
    model::Report,
    readme::{origin, ratio_words, rewrite},
    summary::compared_targets,
    text_table::TextTable,
};
use crate::error::{Error, Kind, Result};
use std::path::{Path, PathBuf};

/// The name of the part that holds the tables.
const LOADS: &str = "loads";
/// CPU in a closed loop, where a report has rounds of that beside those of a given rate.
const FULL_LOAD: &str = "full_load_cpu_us_per_request";
/// The figures that are shown if a report has them: key in `report.json`, and words. Memory comes last.
const SHOWN: [(&str, &str); 4] = [
    (FULL_LOAD, "CPU per read at full load"),
    ("cpu_us_per_request", "CPU per read"),
    ("p50_us", "p50"),
    ("rss_peak_bytes", "peak memory"),
];

/// Rewrites the part between `<!-- loads -->` and `<!-- /loads -->` with the reports in `folders`. With `check` it
/// changes nothing, and fails if there were something to change.
pub fn update_loads(path: &Path, folders: &[PathBuf], check: bool) -> Result<()> {
    let reports = folders.iter().map(|folder| files::read(folder));
    let reports = reports.collect::<Result<Vec<_>>>()?;
    let baseline = one_baseline(&reports)?;
    let tables = |links: &[PathBuf]| tables(&reports, &baseline, links);
    let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    rewrite(path, LOADS, &folders, tables, check)
}

/// Returns the name of the baseline, which must be the same in all reports.
fn one_baseline(reports: &[Report]) -> Result<String> {
    let mut names = reports
        .iter()
        .filter_map(|report| report.targets.first())
        .map(|target| target.name.as_str());
    let first = names.next().unwrap_or_default();
    match names.find(|name| *name != first) {
        None => Ok(first.to_owned()),
        Some(other) => {
            let text = format!(
                "the reports have different baselines, {first} and {other}: their ratios can't be in one table"
            );
            Err(Error::new(Kind::Input, text))
        }
    }
}

fn tables(reports: &[Report], baseline: &str, links: &[PathBuf]) -> String {
    let names = names(reports);
    let mut scenarios = reports.iter().map(|report| &report.run.scenario);
    let first = scenarios.next();
    let several = scenarios.any(|scenario| Some(scenario) != first);
    let called = |report: &Report, key: &str| match (several, key) {
        (true, FULL_LOAD) => format!("`{}`", report.run.scenario),
        (true, _) => format!("`{}`, {}", report.run.scenario, load(report)),
        (false, _) => load(report),
    };
    // Loads of one scenario differ little in memory.
    let shown = &SHOWN[..SHOWN.len() - usize::from(!several)];
    let tables = shown.iter().filter_map(|(key, words)| {
        let with: Vec<_> = (reports.iter().zip(links))
            .filter(|(report, _)| has_figure(report, key))
            .collect();
        if with.is_empty() {
            return None;
        }
        let mut table = TextTable::default();
        let first = [*words, "rounds"].map(str::to_owned).into_iter();
        table.row(first.chain(names.iter().cloned()));
        for (report, link) in with {
            table.row(row(report, &names, key, &called(report, key), link));
        }
        Some(table.markdown())
    });
    let tables: Vec<String> = tables.collect();
    let void = reports.iter().filter(|report| report.void).map(|report| {
        let reason = report.void_reason.as_deref().unwrap_or_default();
        format!(
            "**{} is void, not to be quoted: {reason}.**\n\n",
            called(report, "")
        )
    });
    let mut origins: Vec<String> = Vec::new();
    for report in reports {
        let origin = match several {
            true => origin(&report.run, None),
            false => format!(
                "Scenario `{}`, {}",
                report.run.scenario,
                origin(&report.run, None)
            ),
        };
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    format!(
        "{}{}\nEach figure is a ratio to {baseline}: the median of rounds (lowest–highest); ~ is within the noise floor, bold has all of \
         its spread beyond it. {}\n",
        void.collect::<String>(),
        tables.join("\n"),
        origins.join(" ")
    )
}

fn has_figure(report: &Report, key: &str) -> bool {
    let mut ratios = compared_targets(report).into_iter();
    ratios.any(|ratio| ratio.figures.contains_key(key))
}

/// Returns the names of all targets but the baseline, in the order of the reports.
fn names(reports: &[Report]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for ratio in reports.iter().flat_map(compared_targets) {
        if !names.contains(&ratio.target) {
            names.push(ratio.target.clone());
        }
    }
    names
}

fn row(report: &Report, names: &[String], key: &str, called: &str, link: &Path) -> Vec<String> {
    let ratios = compared_targets(report);
    let figures: Vec<_> = names
        .iter()
        .map(|name| {
            let ratio = ratios.iter().find(|ratio| ratio.target == *name)?;
            ratio.figures.get(key)
        })
        .collect();
    let rounds = figures.iter().flatten().map(|figure| figure.rounds).max();
    let cells = figures
        .iter()
        .map(|figure| figure.map_or_else(|| "–".to_owned(), ratio_words));
    let linked = format!("[{called}]({}/{})", link.display(), files::JSON);
    [linked, rounds.unwrap_or(0).to_string()]
        .into_iter()
        .chain(cells)
        .collect()
}

/// Describes the load of a report.
fn load(report: &Report) -> String {
    let equal = report.targets.iter().find_map(|target| target.equal_qps);
    match (report.closed_in_flight(), equal) {
        (Some(in_flight), _) => format!("{in_flight} in flight"),
        (None, Some(qps)) => format!("{} reads a second", rate(qps)),
        (None, None) => report.run.title.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::report::{assemble, fixture, model::Phase, write};
    use std::fs;

    /// Writes two reports, and a page with the markers. Returns the page and the folders.
    fn written(below: &Path) -> (PathBuf, Vec<PathBuf>) {
        let page = below.join("page.md");
        fs::write(
            &page,
            "# A\n<!-- loads -->\nof another day\n<!-- /loads -->\nafter\n",
        )
        .unwrap();
        let folders = ["closed", "equal"].map(|name| below.join("results").join(name));
        for (run, folder) in [fixture::closed(), fixture::run()].iter().zip(&folders) {
            write(&assemble(run), folder).unwrap();
        }
        (page, folders.to_vec())
    }

    #[test]
    fn each_report_is_a_row_and_each_target_a_column_of_each_table() {
        let folder = tempfile::tempdir().unwrap();
        let (page, folders) = written(folder.path());
        let stale = update_loads(&page, &folders, true).unwrap_err().to_string();
        assert!(
            stale.contains("closed ") && stale.contains("equal --readme "),
            "{stale}"
        );
        update_loads(&page, &folders, false).unwrap();
        update_loads(&page, &folders, true).unwrap();
        let text = fs::read_to_string(&page).unwrap();
        for part in [
            "# A\n<!-- loads -->\n| CPU per read | rounds | b |\n",
            "\n\n| p50 | rounds | b |\n",
            "\n| [8 in flight](results/closed/report.json) | 2 | **0.50×** (0.50–0.50) |\n",
            " reads a second](results/equal/report.json) | 2 | **0.50×** (0.50–0.50) |\n",
            "Each figure is a ratio to a: the median",
            "2026-02-03, A CPU (2 cores, vm-2-cores)",
            "<!-- /loads -->\nafter\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(
            !text.contains("a again")
                && !text.contains("of another day")
                && !text.contains("peak memory")
        );
    }

    #[test]
    fn reports_of_several_scenarios_are_told_apart_and_full_load_has_a_table() {
        let folder = tempfile::tempdir().unwrap();
        let (page, folders) = written(folder.path());
        let mut other = fixture::run();
        for round in 0..2 {
            for (name, cpu) in [("a", 400.0), ("b", 100.0)] {
                fixture::add(&mut other, name, round, cpu);
                let window = &mut other.windows.last_mut().unwrap().window;
                (window.phase, window.closed_in_flight) = (Phase::Full, Some(128));
            }
        }
        let mut other = assemble(&other);
        other.run.scenario = "other".to_owned();
        write(&other, &folders[1]).unwrap();
        update_loads(&page, &folders, false).unwrap();
        let text = fs::read_to_string(&page).unwrap();
        for part in [
            "<!-- loads -->\n| CPU per read at full load | rounds | b |\n",
            "\n| [`other`](",
            "\n| [`a`, 8 in flight](",
            "\n| peak memory | rounds | b |\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("Scenario"), "{text}");
        let without = "[`a`](results/closed/report.json)";
        assert!(!text.contains(without), "a row of nothing: {text}");
    }

    #[test]
    fn void_reports_are_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let (page, folders) = written(folder.path());
        let mut void = files::read(&folders[0]).unwrap();
        (void.void, void.void_reason) = (true, Some("it lagged".to_owned()));
        write(&void, &folders[0]).unwrap();
        update_loads(&page, &folders, false).unwrap();
        let text = fs::read_to_string(&page).unwrap();
        assert!(
            text.contains("**8 in flight is void, not to be quoted: it lagged.**\n\n| CPU"),
            "{text}"
        );
    }

    #[test]
    fn ratios_to_different_baselines_are_not_mixed() {
        let folder = tempfile::tempdir().unwrap();
        let (page, folders) = written(folder.path());
        let mut other = files::read(&folders[1]).unwrap();
        other.targets[0].name = "c".to_owned();
        write(&other, &folders[1]).unwrap();
        let error = update_loads(&page, &folders, false).unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().contains("baselines, a and c"), "{error}");
    }
}
