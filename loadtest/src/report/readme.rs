//! Generates the results in the project's README, so that no figure in it is typed by hand.

use super::{
    figures, files,
    format::{
        bytes, closed_loop, duration_us, headline, range, rate, says_something, significant,
        spread, within_noise,
    },
    has_full_load,
    model::{Phase, RatioFigure, Report, Run, Target},
    summary::{floor, memory},
    text_table::TextTable,
};
use crate::error::{Error, Kind, Result};
use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// The name of the part that holds the results.
const RESULTS: &str = "results";

/// Returns the results as Markdown: one row per target, the noise floor, and a line about their origin.
#[must_use]
pub fn readme_table(report: &Report) -> String {
    let mut table = TextTable::default();
    let qps = match report.closed_in_flight() {
        Some(_) => "QPS at full load",
        None => "max QPS within the objective",
    };
    let mut titles = vec!["target", qps, "CPU µs per read"];
    if has_full_load(report) {
        titles.push("the same at full load");
    }
    titles.extend(["p50", "p99", "p99.9", "peak memory"]);
    table.row(titles);
    for target in report
        .targets
        .iter()
        .filter(|target| !target.against_itself)
    {
        table.row(row(report, target));
    }
    table.row(floor_row(report));
    let mut text = String::new();
    if report.void {
        let reason = report.void_reason.as_deref().unwrap_or_default();
        text.push_str(&format!("**Void, not to be quoted: {reason}.**\n\n"));
    }
    text.push_str(&table.markdown());
    text.push('\n');
    text.push_str(&provenance(report));
    text
}

fn row(report: &Report, target: &Target) -> Vec<String> {
    let ratio = report
        .ratios
        .iter()
        .find(|ratio| ratio.target == target.name);
    let cell = |key: &str, value: Option<f64>, words: fn(f64) -> String| {
        let ratio = ratio
            .and_then(|ratio| ratio.figures.get(key))
            .map(ratio_words);
        match (value, ratio) {
            (Some(value), Some(ratio)) => format!("{}<br>{ratio}", words(value)),
            (Some(value), None) => words(value),
            (None, _) => "–".to_owned(),
        }
    };
    let baseline = report
        .targets
        .first()
        .is_some_and(|first| first.name == target.name);
    let mut cells = vec![
        if baseline {
            format!("{} (baseline)", target.name)
        } else {
            target.name.clone()
        },
        match report.closed_in_flight() {
            Some(_) => cell("achieved_qps", target.achieved_qps, rate),
            None => cell("max_qps_within_slo", target.max_qps_within_slo, rate),
        },
        cell("cpu_us_per_request", target.cpu_us_per_request, significant),
    ];
    if has_full_load(report) {
        let cpu = target.full_load_cpu_us_per_request;
        cells.push(cell("full_load_cpu_us_per_request", cpu, significant));
    }
    cells.extend([
        cell("p50_us", target.p50_us, duration_us),
        cell("p99_us", target.p99_us, duration_us),
        cell("p999_us", target.p999_us, duration_us),
        cell("rss_peak_bytes", memory(target), bytes),
    ]);
    cells
}

/// Returns a ratio in words. It is bold if it says something.
pub(super) fn ratio_words(figure: &RatioFigure) -> String {
    let headline = match (within_noise(figure), says_something(figure)) {
        (true, _) => format!("~{}", headline(figure)),
        (false, true) => format!("**{}**", headline(figure)),
        (false, false) => headline(figure),
    };
    match spread(figure) {
        spread if spread.is_empty() => headline,
        spread => format!("{headline} ({spread})"),
    }
}

fn floor_row(report: &Report) -> Vec<String> {
    let cells = figures(report).into_iter().map(|(key, _)| {
        floor(report, key).map_or_else(|| "–".to_owned(), |(low, high)| range(low, high))
    });
    ["noise floor".to_owned()]
        .into_iter()
        .chain(cells)
        .collect()
}

fn provenance(report: &Report) -> String {
    let run = &report.run;
    let equal = report.targets.iter().find_map(|target| target.equal_qps);
    let equal = equal.map(|qps| {
        format!(
            " CPU, latency and memory were measured at {} reads a second for all targets.",
            rate(qps)
        )
    });
    let full = full_load_words(report);
    let closed = report.closed_in_flight().map(|in_flight| {
        format!(
            " The load is a {} at each target: latencies are those of a full queue.",
            closed_loop(in_flight)
        )
    });
    format!(
        "Under each figure is its ratio to {}: the median of the rounds (lowest–highest). A ratio marked ~ is within the \
         noise floor; a bold one has all of its spread beyond it.{}{full} \
         Scenario `{}`, {}\n",
        report
            .targets
            .first()
            .map_or("the baseline", |target| &target.name),
        closed.or(equal).unwrap_or_default(),
        run.scenario,
        origin(run, report.folder.as_deref()),
    )
}

fn full_load_words(report: &Report) -> String {
    let mut windows = report.windows.iter();
    let full = windows.find(|window| window.phase == Phase::Full);
    let in_flight = full.and_then(|window| window.closed_in_flight);
    in_flight.map_or_else(String::new, |reads| {
        format!(" Full load is a {} at each target.", closed_loop(reads))
    })
}

/// Describes when and where a run was made, and where its data is.
pub(super) fn origin(run: &Run, folder: Option<&Path>) -> String {
    let date = run.started_at.split('T').next().unwrap_or_default();
    let versions =
        run.versions
            .iter()
            .map(|(name, version)| match version.starts_with(name.as_str()) {
                true => version.clone(),
                false => format!("{name} {version}"),
            });
    let raw =
        folder.map(|folder| format!(" Raw data: [{0}]({0}/{1}).", folder.display(), files::JSON));
    format!(
        "{date}, {} ({} cores, {}), {}.{}",
        run.machine.cpu,
        run.machine.cores,
        run.machine.host_kind,
        versions.collect::<Vec<_>>().join(", "),
        raw.unwrap_or_default(),
    )
}

/// Rewrites the part between `<!-- results -->` and `<!-- /results -->`. With `check` it changes nothing, and fails if
/// there were something to change.
pub fn update_readme(path: &Path, report: &Report, check: bool) -> Result<()> {
    let folder = report.folder.clone().unwrap_or_default();
    let table = |links: &[PathBuf]| {
        let mut report = report.clone();
        report.folder = report.folder.and_then(|_| links.first().cloned());
        readme_table(&report)
    };
    rewrite(path, RESULTS, &[&folder], table, check)
}

/// Rewrites a part with the reports in `folders`. `content` makes its text from the links to those folders.
pub(super) fn rewrite(
    path: &Path,
    part: &str,
    folders: &[&Path],
    content: impl FnOnce(&[PathBuf]) -> String,
    check: bool,
) -> Result<()> {
    let text = fs::read_to_string(path).map_err(|error| {
        Error::caused(
            Kind::Input,
            format!("{}: can't be read", path.display()),
            error,
        )
    })?;
    let (begin, end) = markers(part);
    let (before, after) = around(&text, &begin, &end).ok_or_else(|| {
        let message = format!(
            "{}: has no lines `{begin}` and, after it, `{end}`",
            path.display()
        );
        Error::new(Kind::Input, message)
    })?;
    let links: Vec<PathBuf> = folders
        .iter()
        .map(|folder| relative(folder, path))
        .collect();
    let content = content(&links);
    let updated = format!("{before}{begin}\n{content}{end}{after}");
    if updated == text {
        return Ok(());
    }
    if check {
        let named = |what: fn(&&Path) -> String| {
            let names: Vec<_> = folders.iter().map(what).collect();
            names.join(" ")
        };
        return Err(Error::new(
            Kind::Input,
            format!(
                "{}: its results are not those of {}; run `loadtest report {} --readme {}` to rewrite them",
                path.display(),
                named(|folder| folder.join(files::JSON).display().to_string()),
                named(|folder| folder.display().to_string()),
                path.display(),
            ),
        ));
    }
    fs::write(path, updated).map_err(|error| {
        Error::caused(
            Kind::Output,
            format!("{}: can't be written", path.display()),
            error,
        )
    })
}

fn markers(part: &str) -> (String, String) {
    (format!("<!-- {part} -->"), format!("<!-- /{part} -->"))
}

fn around<'a>(text: &'a str, begin: &str, end: &str) -> Option<(&'a str, &'a str)> {
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some((before, after))
}

/// Returns the folder as a link from the README. A folder that is not below the README is found by going up, but only as
/// far as both paths were given. Otherwise it is reduced to its name, so that no path of this machine is published.
fn relative(folder: &Path, readme: &Path) -> PathBuf {
    let parent = match readme.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if let (Ok(folder), Ok(parent)) = (folder.canonicalize(), parent.canonicalize())
        && let Ok(below) = folder.strip_prefix(&parent)
    {
        return below.to_owned();
    }
    match (plain(folder), readme.parent().and_then(plain)) {
        (Some(folder), Some(parent)) => {
            let pairs = folder.iter().zip(&parent);
            let common = pairs.take_while(|(one, other)| one == other).count();
            let up = parent[common..].iter().map(|_| Component::ParentDir);
            up.chain(folder[common..].iter().copied()).collect()
        }
        _ => folder
            .file_name()
            .map_or_else(|| folder.to_owned(), PathBuf::from),
    }
}

/// Returns the parts of a relative path without `.` and `..`.
fn plain(path: &Path) -> Option<Vec<Component<'_>>> {
    let parts: Vec<_> = path.components().collect();
    let plain = parts
        .iter()
        .all(|part| matches!(part, Component::Normal(_)));
    plain.then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::{super::fixture, *};
    use crate::report::assemble;

    const BEGIN: &str = "<!-- results -->";
    const END: &str = "<!-- /results -->";

    #[test]
    fn the_table_has_every_target_with_its_ratio_and_the_floor() {
        let mut report = assemble(&fixture::run());
        report.folder = Some("loadtest/results/x".into());
        let text = readme_table(&report);
        let line = |begin: &str| text.lines().find(|line| line.starts_with(begin)).unwrap();
        assert!(
            line("| a (baseline) |").contains("| 1,000 | 60 | 400 µs | 800 µs |"),
            "{text}"
        );
        assert!(
            line("| b |")
                .contains("| 3,000<br>**3.00×** (2.73–3.30) | 30<br>**0.50×** (0.50–0.50) |"),
            "{text}"
        );
        assert!(
            line("| noise floor |").contains("| – | 1.05–1.10 |"),
            "{text}"
        );
        assert!(!text.contains("a again"));
        let provenance = text.lines().last().unwrap();
        for part in [
            "`a`",
            "2026-02-03",
            "A CPU (2 cores, vm-2-cores)",
            "walletd 0.1.0 (abc)",
            "[loadtest/results/x](loadtest/results/x/report.json)",
        ] {
            assert!(provenance.contains(part), "{part}: {provenance}");
        }
        report.void = true;
        assert!(readme_table(&report).starts_with("**Void, not to be quoted"));
    }

    #[test]
    fn full_load_has_a_column() {
        let mut finished = fixture::run();
        for name in ["a", "b"] {
            fixture::add(&mut finished, name, 0, 400.0);
            let window = &mut finished.windows.last_mut().unwrap().window;
            window.phase = Phase::Full;
            window.closed_in_flight = Some(128);
        }
        let text = readme_table(&assemble(&finished));
        let columns = |begin: &str| {
            let line = text.lines().find(|line| line.starts_with(begin));
            line.unwrap().matches('|').count()
        };
        assert!(text.contains("| CPU µs per read | the same at full load | p50 |"));
        assert_eq!(columns("| target |"), 9);
        for row in ["| a (baseline) |", "| b |", "| noise floor |"] {
            assert_eq!(columns(row), 9, "{text}");
        }
        let told = " Full load is a closed loop, 128 in flight at each target.";
        assert!(text.contains(told), "{text}");
    }

    #[test]
    fn the_table_of_a_closed_loop_names_the_load() {
        let text = readme_table(&assemble(&fixture::closed()));
        let line = |begin: &str| text.lines().find(|line| line.starts_with(begin)).unwrap();
        assert!(
            line("| target |").contains("| QPS at full load |"),
            "{text}"
        );
        assert!(
            line("| b |").contains("<br>**2.00×** (2.00–2.00) |"),
            "{text}"
        );
        assert!(line("| noise floor |").contains("| 0.91–0.95 |"), "{text}");
        let provenance = text.lines().last().unwrap();
        assert!(
            provenance.contains("a closed loop, 8 in flight at each target"),
            "{text}"
        );
        assert!(!text.contains("objective"), "{text}");
    }

    #[test]
    fn the_readme_is_rewritten_between_its_markers_only() {
        let folder = tempfile::tempdir().unwrap();
        let readme = folder.path().join("README.md");
        let results = folder.path().join("results/x");
        fs::create_dir_all(&results).unwrap();
        fs::write(
            &readme,
            format!("# A\n{BEGIN}\nof another run\n{END}\nafter\n"),
        )
        .unwrap();
        let mut report = assemble(&fixture::run());
        report.folder = Some(results);

        let stale = update_readme(&readme, &report, true).unwrap_err();
        assert!(stale.to_string().contains("results/x --readme "), "{stale}");
        update_readme(&readme, &report, false).unwrap();
        update_readme(&readme, &report, true).unwrap();
        let text = fs::read_to_string(&readme).unwrap();
        assert!(
            text.starts_with(&format!("# A\n{BEGIN}\n| target |")),
            "{text}"
        );
        assert!(text.ends_with(&format!("{END}\nafter\n")));
        assert!(text.contains("(results/x/report.json)") && !text.contains("of another run"));
    }

    #[test]
    fn a_readme_without_markers_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let readme = folder.path().join("README.md");
        fs::write(&readme, format!("{END}\n{BEGIN}\n")).unwrap();
        let report = assemble(&fixture::run());
        let error = update_readme(&readme, &report, false).unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().contains("has no lines"), "{error}");
    }

    #[test]
    fn no_path_of_this_machine_is_published() {
        let elsewhere = relative(
            Path::new("/somewhere/else/2026-02-03-vm"),
            Path::new("README.md"),
        );
        assert_eq!(elsewhere, Path::new("2026-02-03-vm"));
        assert_eq!(
            relative(Path::new("results/x"), Path::new("README.md")),
            Path::new("results/x")
        );
        assert_eq!(
            relative(Path::new("results/x"), Path::new("docs/a/b.md")),
            Path::new("../../results/x")
        );
        assert_eq!(
            relative(Path::new("docs/x/y"), Path::new("docs/a/b.md")),
            Path::new("../x/y")
        );
        assert_eq!(
            relative(Path::new("results/x"), Path::new("../docs/b.md")),
            Path::new("x")
        );
    }
}
