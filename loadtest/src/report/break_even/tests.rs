//! A run whose figures are known.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::{
    input::{IDLE, Measured},
    model::Answer,
    *,
};
use crate::{measure::latencies, report::fixture};

const WORKS: [f64; 3] = [0.0, 10.0, 100.0];
const AGAIN: &str = "local again";
/// The overheads over local, in µs of CPU.
const OVERHEADS: [(&str, f64); 5] = [
    ("local", 0.0),
    ("unary", 20.0),
    ("batched", 4.0),
    ("spliced", -8.0),
    ("cgo", 1.0),
];

/// Makes a run with two rounds at every cost. Local takes 10 µs plus the work, and the others also their overhead. In
/// the second round each takes a microsecond more.
pub(crate) fn finished() -> Finished {
    let mut all = fixture::run();
    let template = all.windows.remove(0);
    let mut windows = Vec::new();
    let loads = WORKS.map(|work| (Load::Full, work));
    for (load, work) in loads.into_iter().chain([(Load::OneInFlight, 0.0)]) {
        for round in 0..2 {
            let others = [(AGAIN, 0.0), (IDLE, -work)];
            for (name, overhead) in OVERHEADS.into_iter().chain(others) {
                let cpu = 10.0 + work + overhead + f64::from(round);
                windows.push(window(&template, name, round, cpu, (load, work)));
            }
        }
    }
    Finished {
        run: all.run,
        service_heap_mib: 64,
        answers: OVERHEADS
            .map(|(name, _)| Answer {
                name: name.to_owned(),
                about: format!("{name} <answers>"),
            })
            .to_vec(),
        again: AGAIN.to_owned(),
        works_us: WORKS.to_vec(),
        windows,
        fallbacks: 0,
        handed_over: 0,
        interrupted: false,
        max_void_share: 0.2,
        notes: Vec::new(),
    }
}

/// Makes a run from before there was an answer.
fn without(answer: &str) -> Finished {
    let mut run = finished();
    run.answers.retain(|kept| kept.name != answer);
    run.windows
        .retain(|measured| measured.measured.window.target != answer);
    run
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn window(
    template: &crate::report::input::Measured,
    name: &str,
    round: u32,
    cpu_us: f64,
    (load, work_us): (Load, f64),
) -> Measured {
    let mut measured = template.clone();
    let mut times = latencies();
    times.saturating_record_n((cpu_us * 2e3) as u64, 1000);
    measured.observed.from_planned = times;
    let window = &mut measured.window;
    name.clone_into(&mut window.target);
    (window.round, window.ok, window.errors) = (round, 1000, 0);
    window.cpu_us = Some((cpu_us * 1000.0) as u64);
    window.cpu_us_per_request = Some(cpu_us);
    window.void = None;
    Measured {
        load,
        work_us,
        measured,
    }
}

fn near(found: f64, wanted: f64) {
    assert!((found - wanted).abs() < 1e-6, "{found}, not {wanted}");
}

#[test]
fn overheads_and_the_work_are_told_apart() {
    let report = assemble(finished());
    assert!(!report.void, "{:?}", report.void_reason);
    let works: Vec<_> = report.points.iter().map(|point| point.work_us).collect();
    assert_eq!(works, WORKS);
    for point in &report.points {
        for (figures, (name, overhead)) in point.figures.iter().zip(OVERHEADS) {
            assert_eq!(figures.answer, name);
            near(figures.overhead_us, overhead);
            near(figures.cpu_us, 10.5 + point.work_us + overhead);
            assert_eq!((figures.requests, figures.errors), (2000, 0));
        }
        near(point.measured_work_us.unwrap(), point.work_us);
        assert_eq!(point.noise_us, Some((0.0, 0.0)));
    }
    assert!(report.one_in_flight.is_some());
}

#[test]
fn it_pays_from_the_overhead_over_what_is_saved() {
    let report = assemble(finished());
    let from = |answer: &str, faster: f64| {
        let mut rows = report.break_even.iter();
        let row = rows.find(|row| row.answer == answer && (row.faster - faster).abs() < 1e-9);
        let row = row.expect("a row");
        near(row.one_in_flight_us.unwrap(), row.handler_us.unwrap());
        assert!(!row.extrapolated);
        row.handler_us.unwrap()
    };
    assert_eq!(report.break_even.len(), 12);
    near(from("unary", 2.0), 40.0);
    near(from("batched", 2.0), 8.0);
    near(from("batched", 4.0), 4.0 / 0.75);
    near(from("cgo", 10.0), 1.0 / 0.9);
    let text = summary(&report);
    assert!(
        text.contains("batched pays for handlers from 8 µs on if Rust is 2 times as fast"),
        "{text}"
    );
}

#[test]
fn who_adds_nothing_pays_for_any_handler() {
    let mut run = finished();
    for measured in run
        .windows
        .iter_mut()
        .filter(|m| m.measured.window.target == "cgo")
    {
        let window = &mut measured.measured.window;
        window.cpu_us = window.cpu_us.map(|cpu| cpu - 2000);
    }
    let text = summary(&assemble(run));
    assert!(text.contains("cgo pays for any handler"), "{text}");
}

#[test]
fn who_takes_less_than_go_pays_for_any_handler_with_its_figures() {
    let report = assemble(finished());
    let spliced = report
        .break_even
        .iter()
        .filter(|row| row.answer == "spliced");
    assert!(spliced.clone().count() == 3);
    assert!(
        spliced
            .clone()
            .all(|row| row.handler_us == Some(0.0) && row.one_in_flight_us == Some(0.0))
    );
    let text = summary(&report);
    let told = "spliced pays for any handler: a request without work costs 2.5 µs with it, and 10.5 µs if Go";
    assert!(text.contains(told), "{text}");
    let advice = words::when_not(&report).join("\n");
    for part in [
        "The handler is cheap, and every call must go through grpc-go",
        "Below 4.44 µs of CPU no sidecar pays behind grpc-go",
        "Behind the spliced front door a sidecar pays for any handler.",
        "by cgo, needs no second process. It adds 1 µs to a request here, and the batched hop adds 4 µs; the spliced front door takes 8 µs off.",
        "Through the spliced front door a request then takes 2.5 µs of CPU, where Go alone takes 10.5 µs.",
    ] {
        assert!(advice.contains(part), "{part}: {advice}");
    }
}

#[test]
fn a_report_from_before_an_answer_has_no_word_of_it() {
    let report = assemble(without("spliced"));
    let folder = tempfile::tempdir().unwrap();
    write(&report, folder.path()).unwrap();
    assert_eq!(read(folder.path()).unwrap(), Some(report.clone()));
    let advice = words::when_not(&report).join("\n");
    assert!(
        advice.contains("The handler is cheap. Below 4.44 µs"),
        "{advice}"
    );
    assert!(advice.contains(
        "by cgo, is cheaper. It adds 1 µs to a request here, and the batched hop adds 4 µs."
    ));
    for text in [advice, summary(&report), html::page(&report)] {
        assert!(!text.contains("spliced"), "{text}");
    }
}

#[test]
fn an_overhead_below_zero_is_drawn_below_zero() {
    let drawn = |run| html::standalone(&assemble(run));
    let (with, before) = (drawn(finished()), drawn(without("spliced")));
    assert!(with.contains(r#"<line class="one""#) && with.contains(">-10</text>"));
    assert!(!before.contains(r#"<line class="one""#) && !before.contains(">-10</text>"));
    // Three lines of keys need more room than two.
    assert!(with.contains(r#"<svg y="106""#) && before.contains(r#"<svg y="84""#));
}

#[test]
fn too_many_answers_of_the_wrong_side_void_the_run() {
    let mut run = finished();
    run.fallbacks = 10;
    let report = assemble(run.clone());
    assert!(
        !report.void && report.notes[0].starts_with("10 requests"),
        "{:?}",
        report.notes
    );
    run.fallbacks = 10_000;
    assert!(assemble(run.clone()).void);
    run.windows.clear();
    assert!(assemble(run).void);
}

#[test]
fn too_many_answers_through_grpc_go_void_the_run() {
    let mut run = finished();
    run.handed_over = 8;
    let report = assemble(run.clone());
    assert!(
        !report.void && report.notes[0].starts_with("8 requests went through grpc-go"),
        "{:?}",
        report.notes
    );
    run.handed_over = 9;
    let reason = assemble(run).void_reason.unwrap();
    assert!(
        reason.starts_with("9 requests went through grpc-go"),
        "{reason}"
    );
}

#[test]
fn a_round_counts_for_both_or_for_none() {
    let mut run = finished();
    let mut unary = run
        .windows
        .iter_mut()
        .filter(|m| m.measured.window.target == "unary");
    unary.next().unwrap().measured.window.void = Some("it lagged".to_owned());
    let report = assemble(run);
    let figures = &report.points[0].figures[1];
    near(figures.cpu_us, 31.0);
    near(figures.overhead_us, 20.0);
    near(figures.overhead_high_us, 20.0);
}

#[test]
fn void_windows_are_left_out_and_too_many_void_the_run() {
    let mut run = finished();
    for measured in run
        .windows
        .iter_mut()
        .filter(|m| m.measured.window.round == 1)
    {
        measured.measured.window.void = Some("it lagged".to_owned());
    }
    let report = assemble(run);
    near(report.points[0].figures[0].cpu_us, 10.0);
    let reason = report.void_reason.expect("half of them are void");
    assert!(reason.contains("it lagged"), "{reason}");
}

#[test]
fn what_is_written_is_read_again() {
    let report = assemble(finished());
    let folder = tempfile::tempdir().unwrap();
    write(&report, folder.path()).unwrap();
    assert_eq!(read(folder.path()).unwrap(), Some(report.clone()));
    let mut csv = csv::Reader::from_path(folder.path().join(files::CSV)).unwrap();
    let heads: Vec<String> = csv.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(heads[..4], ["work_us", "load", "index", "target"]);
    let rows: Vec<_> = csv.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), report.windows.len());
    assert_eq!(
        (&rows[0][1], &rows.last().unwrap()[1]),
        ("full", "one_in_flight")
    );
    let svg = std::fs::read_to_string(folder.path().join(SVG)).unwrap();
    assert!(svg.starts_with("<svg xmlns=") && !svg.contains("NaN"));
}

#[test]
fn a_report_of_another_kind_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let other = crate::report::assemble(&fixture::run());
    crate::report::write(&other, folder.path()).unwrap();
    assert_eq!(read(folder.path()).unwrap(), None);
}

#[test]
fn the_page_says_it_all_and_loads_nothing() {
    let report = assemble(finished());
    let page = html::page(&report);
    for text in [
        "When not to use a sidecar",
        "One request in flight",
        "saved at 4×",
        "local &lt;answers&gt;",
        "5.33 µs",
    ] {
        assert!(page.contains(text), "{text}");
    }
    for text in ["NaN", "http:", "https:", "src=", "<answers>"] {
        assert!(!page.contains(text), "{text}");
    }
    let mut empty = finished();
    empty.windows.clear();
    assert!(html::page(&assemble(empty)).contains("Void."));
}

#[test]
fn a_readme_gets_the_picture_the_figures_and_the_advice() {
    let report = assemble(finished());
    let parent = tempfile::tempdir().unwrap();
    let (readme, folder) = (parent.path().join("README.md"), parent.path().join("x"));
    write(&report, &folder).unwrap();
    std::fs::write(&readme, "a\n<!-- break-even -->\n<!-- /break-even -->\nz\n").unwrap();
    assert!(update_readme(&readme, &report, &folder, true).is_err());
    update_readme(&readme, &report, &folder, false).unwrap();
    update_readme(&readme, &report, &folder, true).unwrap();
    let text = std::fs::read_to_string(&readme).unwrap();
    for part in [
        "(x/break-even.svg)",
        "(x/report.json)",
        "| handler | measured |",
        "* batched pays for handlers from 8 µs",
        "* The handler is cheap, and every call",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_heap_is_told_of_only_if_there_was_one() {
    let told = |mib| {
        let mut run = finished();
        run.service_heap_mib = mib;
        let report = assemble(run);
        let kept = report.service_heap_mib;
        (kept, html::page(&report), words::heap(&report))
    };
    let (kept, page, text) = told(64);
    assert_eq!(kept, Some(64));
    assert!(text.unwrap().contains("keeps 64 MiB"));
    assert!(page.contains("keeps 64 MiB") && !page.contains("keeps nothing"));
    let (kept, page, text) = told(0);
    assert_eq!((kept, text), (None, None));
    assert!(page.contains("keeps nothing") && !page.contains("MiB of small objects"));
}
