//! The report as text for a terminal.

use super::{
    figures, files,
    format::{
        bytes, closed_loop, count, duration_us, ended_by, headline, percent, range, rate, spread,
        within_noise,
    },
    model::{Estimate, Ratio, RatioFigure, Report, Target},
    text_table::TextTable,
};

/// Returns the report as text for a terminal. If the run is void or was interrupted, the first line says so.
#[must_use]
pub fn summary(report: &Report) -> String {
    let mut sections = Vec::new();
    sections.extend(warning(report));
    sections.push(headlines(report));
    sections.push(targets(report));
    sections.extend(compared(report));
    sections.extend(report.estimate.as_ref().map(estimate));
    sections.push(closing(report));
    sections.retain(|section| !section.is_empty());
    sections.join("\n")
}

fn warning(report: &Report) -> Option<String> {
    let reason = report
        .void_reason
        .as_deref()
        .unwrap_or("its numbers are not to be trusted");
    match (report.void, report.interrupted) {
        (true, true) => Some(format!(
            "VOID: {reason}. INTERRUPTED: not all that was planned was measured.\n"
        )),
        (true, false) => Some(format!("VOID: {reason}\n")),
        (false, true) => Some("INTERRUPTED: not all that was planned was measured.\n".to_owned()),
        (false, false) => None,
    }
}

/// Returns the ratios of all targets except the baseline's second pass.
pub(super) fn compared_targets(report: &Report) -> Vec<&Ratio> {
    let itself = |ratio: &&Ratio| !is_floor(report, ratio);
    report.ratios.iter().filter(itself).collect()
}

/// Whether this is the ratio of the baseline to itself.
pub(super) fn is_floor(report: &Report, ratio: &Ratio) -> bool {
    let mut targets = report.targets.iter();
    targets.any(|target| target.against_itself && target.name == ratio.target)
}

/// Returns the noise floor of a figure, from any ratio that has it.
pub(super) fn floor(report: &Report, figure: &str) -> Option<(f64, f64)> {
    let figures = report
        .ratios
        .iter()
        .filter_map(|ratio| ratio.figures.get(figure));
    figures
        .into_iter()
        .find_map(|figure| Some((figure.noise_low?, figure.noise_high?)))
}

fn headlines(report: &Report) -> String {
    let ratios = compared_targets(report);
    let Some(baseline) = report.targets.first() else {
        return String::new();
    };
    let mut table = TextTable::default();
    let header = [format!("over {}", baseline.name)];
    let names = ratios.iter().map(|ratio| ratio.target.clone());
    table.row(
        header
            .into_iter()
            .chain(names)
            .chain(["noise floor".to_owned()]),
    );
    let mut told = false;
    for (key, words) in figures(report) {
        let noise = floor(report, key).map(|(low, high)| range(low, high));
        let figures: Vec<_> = ratios.iter().map(|ratio| ratio.figures.get(key)).collect();
        if noise.is_none() && figures.iter().all(Option::is_none) {
            continue;
        }
        told = true;
        let cells = figures
            .into_iter()
            .map(|figure| figure.map_or_else(|| "-".to_owned(), cell));
        let noise = noise.unwrap_or_else(|| "-".to_owned());
        table.row([words.to_owned()].into_iter().chain(cells).chain([noise]));
    }
    let load = report.closed_in_flight().map(closed_loop);
    let title = format!(
        "{}: {}\n{}\n",
        report.run.scenario,
        report.run.title,
        load.map(|load| format!("{load}\n")).unwrap_or_default()
    );
    if !told {
        return format!("{title}No ratio can be told.\n");
    }
    format!(
        "{title}{}Medians of ratios round by round (lowest–highest round). ~ is within the noise floor: it says nothing.\n",
        table.text()
    )
}

fn cell(figure: &RatioFigure) -> String {
    let mark = if within_noise(figure) { "~" } else { "" };
    match spread(figure) {
        spread if spread.is_empty() => format!("{mark}{}", headline(figure)),
        spread => format!("{mark}{} ({spread})", headline(figure)),
    }
}

fn targets(report: &Report) -> String {
    let mut table = TextTable::default();
    let in_flight = report.closed_in_flight();
    let (rate, at) = match in_flight {
        Some(_) => ("QPS", "in flight"),
        None => ("max QPS", "at QPS"),
    };
    table.row([
        "target",
        rate,
        "CPU µs/read",
        at,
        "p50",
        "p99",
        "p99.9",
        "memory",
        "errors",
        "reads",
    ]);
    for target in &report.targets {
        table.row(target_row(target, in_flight));
    }
    let mut text = table.text();
    for target in &report.targets {
        if let Some(limited_by) = &target.limited_by {
            text.push_str(&format!(
                "{}: limited by {}\n",
                target.name,
                ended_by(limited_by)
            ));
        }
    }
    text
}

fn target_row(target: &Target, in_flight: Option<u64>) -> [String; 10] {
    let told =
        |value: Option<f64>, words: fn(f64) -> String| value.map_or_else(|| "-".to_owned(), words);
    let (qps, at) = match in_flight {
        Some(in_flight) => (target.achieved_qps, Some(real(in_flight))),
        None => (target.max_qps_within_slo, target.equal_qps),
    };
    [
        target.name.clone(),
        told(qps, rate),
        told(target.cpu_us_per_request, super::format::significant),
        told(at, rate),
        told(target.p50_us, duration_us),
        told(target.p99_us, duration_us),
        told(target.p999_us, duration_us),
        told(memory(target), bytes),
        count(real(target.errors)),
        count(real(target.requests)),
    ]
}

/// Returns the peak memory as a floating-point number.
pub(super) fn memory(target: &Target) -> Option<f64> {
    target.rss_peak_bytes.map(real)
}

#[allow(clippy::cast_precision_loss)] // Shown with three digits.
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

fn compared(report: &Report) -> Option<String> {
    let found = report.comparison.as_ref()?;
    let mut text = format!(
        "{} answers compared at the same position, {} differ; {} could not be compared\n",
        count(real(found.compared)),
        count(real(found.mismatches)),
        count(real(found.incomparable)),
    );
    for sample in &found.samples {
        text.push_str(&format!("  {sample}\n"));
    }
    Some(text)
}

fn estimate(estimate: &Estimate) -> String {
    let rows = estimate.targets.iter().map(|row| {
        format!(
            "{} {:.1} cores ({} a month)",
            row.target,
            row.cores,
            count(row.cost_per_month)
        )
    });
    format!(
        "{} reads a second, cores used to {}, {} per core-hour: {}\n",
        count(estimate.qps),
        percent(estimate.utilisation),
        estimate.price_per_core_hour,
        rows.collect::<Vec<_>>().join(", "),
    )
}

/// Describes how well the generator did its work.
pub(super) fn generator(report: &Report) -> String {
    let generator = &report.generator;
    let lag = match report.closed_in_flight() {
        Some(_) => String::new(),
        None => format!(", lag p99 {}", duration_us(generator.lag_p99_us)),
    };
    format!(
        "at most {} of its core{lag}; {} of {} windows void",
        percent(generator.cpu_fraction_max),
        generator.void_windows,
        generator.windows,
    )
}

fn closing(report: &Report) -> String {
    let mut text = format!("generator: {}\n", generator(report));
    for note in &report.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    if let Some(folder) = &report.folder {
        let path = |name| folder.join(name).display().to_string();
        text.push_str(&format!(
            "{} (for a browser), {}, {}\n",
            path(files::HTML),
            path(files::JSON),
            path(files::CSV)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{super::fixture, *};
    use crate::report::{assemble, model::Comparison};

    #[test]
    fn ratios_come_before_any_number_of_a_target() {
        let mut finished = fixture::run();
        finished.comparison = Some(Comparison {
            compared: 1234,
            incomparable: 5,
            mismatches: 1,
            samples: vec!["mismatches/0.txt".into()],
        });
        let mut report = assemble(&finished);
        report.folder = Some("out/x".into());
        let text = summary(&report);
        assert!(text.starts_with("a: A title\n\nover a"), "{text}");
        assert!(text.contains("0.50× (0.50–0.50)"), "{text}");
        assert!(text.contains("3.00× (2.73–3.30)"), "{text}");
        assert!(text.contains("1.05–1.10"), "{text}");
        assert!(text.find("noise floor") < text.find("max QPS"));
        assert!(
            text.contains("1,234 answers compared at the same position, 1 differ"),
            "{text}"
        );
        assert!(text.contains("  mismatches/0.txt\n"));
        assert!(
            text.contains("a 1.2 cores (35 a month), b 0.6 cores (18 a month)"),
            "{text}"
        );
        assert!(text.ends_with(
            "out/x/report.html (for a browser), out/x/report.json, out/x/windows.csv\n"
        ));
    }

    #[test]
    fn the_first_line_warns() {
        let mut report = assemble(&fixture::run());
        report.interrupted = true;
        assert!(summary(&report).starts_with("INTERRUPTED: "));
        report.void = true;
        report.void_reason = Some("the generator was late".into());
        assert!(summary(&report).starts_with("VOID: the generator was late. INTERRUPTED: "));
        report.interrupted = false;
        assert!(summary(&report).starts_with("VOID: the generator was late\n"));
    }

    #[test]
    fn nothing_to_compare_is_said() {
        let mut finished = fixture::run();
        finished.targets.truncate(1);
        assert!(summary(&assemble(&finished)).contains("No ratio can be told."));
        finished.targets.clear();
        finished.windows.clear();
        assert!(summary(&assemble(&finished)).starts_with("VOID: no window was measured"));
    }

    #[test]
    fn a_closed_loop_is_told_by_what_was_answered() {
        let text = summary(&assemble(&fixture::closed()));
        assert!(
            text.starts_with("a: A title\nclosed loop, 8 in flight\n\nover a"),
            "{text}"
        );
        assert!(
            text.contains("QPS at full load  2.00× (2.00–2.00)"),
            "{text}"
        );
        assert!(
            text.contains("CPU per read      0.50× (0.50–0.50)"),
            "{text}"
        );
        for part in ["coordinated omission", "in flight", "Ratios at full load"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        for part in ["lag", "max QPS", "objective", "equal load", "offered"] {
            assert!(!text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_ratio_within_the_noise_floor_is_marked() {
        let mut finished = fixture::run();
        fixture::add(&mut finished, "b", 2, 430.0);
        fixture::add(&mut finished, "a", 2, 400.0);
        finished
            .windows
            .retain(|measured| measured.window.target != "b" || measured.window.round == 2);
        assert!(summary(&assemble(&finished)).contains("~1.07× (1.07–1.07)"));
    }
}
