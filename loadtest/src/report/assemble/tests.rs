#![allow(clippy::unwrap_used, clippy::float_cmp)]

use super::*;
use crate::report::{
    fixture,
    input::SearchOutcome,
    model::{Open, RatioFigure},
};

fn figure(report: &Report, target: &str, figure: &str) -> Option<RatioFigure> {
    let ratio = report.ratios.iter().find(|ratio| ratio.target == target)?;
    ratio.figures.get(figure).cloned()
}

fn near(value: f64, expected: f64) -> bool {
    (value / expected - 1.0).abs() < 0.002
}

#[test]
fn figures_are_of_all_rounds_and_ratios_round_by_round() {
    let report = assemble(&fixture::run());
    assert!(!report.void, "{:?}", report.void_reason);
    let baseline = &report.targets[0];
    // Windows of ten reads that take 400 and 800 µs.
    assert!(near(baseline.cpu_us_per_request.unwrap(), 60.0));
    assert!(near(baseline.p50_us.unwrap(), 400.0));
    assert!(near(baseline.p99_us.unwrap(), 800.0));
    assert_eq!(baseline.rss_peak_bytes, Some(800_000_000));
    assert_eq!(
        (baseline.requests, baseline.errors, baseline.equal_qps),
        (20, 0, Some(10.0))
    );
    assert!(baseline.statuses.is_empty());
    // A method that was never asked has no row.
    assert_eq!(baseline.methods.len(), 1);
    assert_eq!(baseline.methods[0].path, "/s/Read");
    let gc = baseline.processes[0].gc.as_ref().unwrap();
    assert_eq!((gc.cycles_per_s, gc.cpu_fraction), (2.0, 0.25));
    assert!(near(gc.pause_fraction, 0.01));
    assert_eq!(baseline.processes[0].context_switches_per_request, 2.0);
    assert_eq!(baseline.latency_curve.first().unwrap().0, 0.0);
    assert_eq!(baseline.latency_curve.last().unwrap().0, 1.0);

    let p99 = figure(&report, "b", "p99_us").unwrap();
    assert_eq!(
        (p99.ratio, p99.low, p99.high, p99.rounds),
        (0.5, 0.5, 0.5, 2)
    );
    assert_eq!((p99.noise_low, p99.noise_high), (Some(1.05), Some(1.1)));
    let itself = figure(&report, "a again", "p99_us").unwrap();
    assert!(near(itself.ratio, 1.075));
}

#[test]
fn what_go_answered_in_the_sidecars_place_is_told() {
    let mut finished = fixture::run();
    let said = |finished: &Finished| {
        let report = assemble(finished);
        let note = |note: &&String| note.contains("b: 6 of 20 reads");
        (
            report.targets[1].fallbacks,
            report.notes.iter().any(|text| note(&text)),
        )
    };
    assert_eq!(said(&finished), (Some(0), false));
    for measured in finished
        .windows
        .iter_mut()
        .filter(|measured| measured.window.target == "b")
    {
        measured.window.fallbacks = Some(3);
    }
    assert_eq!(said(&finished), (Some(6), true));
}

#[test]
fn what_went_past_the_spliced_door_is_told_if_it_is_much() {
    let mut finished = fixture::run();
    for (each, told) in [(0, false), (1, true)] {
        for measured in &mut finished.windows {
            measured.window.handed_over = Some(each);
        }
        let report = assemble(&finished);
        assert_eq!(report.targets[1].handed_over, Some(2 * each));
        let note = "b: 2 of 20 reads at equal load went through grpc-go";
        assert_eq!(
            report.notes.iter().any(|text| text.starts_with(note)),
            told,
            "{:?}",
            report.notes
        );
    }
}

#[test]
fn rates_have_the_bracket_of_the_search() {
    let report = assemble(&fixture::run());
    let rate = figure(&report, "b", "max_qps_within_slo").unwrap();
    assert_eq!((rate.ratio, rate.open), (3.0, None));
    assert!(near(rate.low, 3000.0 / 1100.0) && near(rate.high, 3.3));
    assert!(figure(&report, "a again", "max_qps_within_slo").is_none());
}

#[test]
fn a_side_that_never_broke_leaves_the_ratio_open() {
    let search = |broken_qps| {
        Some(SearchOutcome {
            sustained_qps: Some(1000.0),
            broken_qps,
            limited_by: "limit".into(),
        })
    };
    let open = |target, baseline| {
        let mut finished = fixture::run();
        finished.targets[0].search = search(baseline);
        finished.targets[1].search = search(target);
        let report = assemble(&finished);
        let rate = figure(&report, "b", "max_qps_within_slo");
        (rate.map(|rate| rate.open), report.notes)
    };
    let (at_least, notes) = open(None, Some(1100.0));
    assert_eq!(at_least, Some(Some(Open::AtLeast)));
    assert!(
        notes[0].contains("not what breaks it: b (1,000);"),
        "{notes:?}"
    );
    let (_, notes) = open(None, None);
    assert!(
        notes[0].contains(": a (1,000), b (1,000);"),
        "one note for both: {notes:?}"
    );
    assert_eq!(open(Some(1100.0), None).0, Some(Some(Open::AtMost)));
    assert_eq!(open(None, None).0, None);
}

#[test]
fn rates_that_differ_by_window_are_told_by_their_mean() {
    let mut finished = fixture::run();
    let rate = finished.windows[0].window.offered_qps;
    let rate_of_a = |finished: &_| assemble(finished).targets[0].equal_qps.unwrap();
    assert!(near(rate_of_a(&finished), rate));
    finished.windows[0].window.offered_qps = rate * 2.0;
    assert!(near(rate_of_a(&finished), rate * 1.5));
}

#[test]
fn void_windows_are_in_the_list_and_in_no_figure() {
    let mut finished = fixture::run();
    // Without the baseline's second round, only the first round of `b` has a partner.
    finished.windows[3].window.void = Some("the generator was late".into());
    let report = assemble(&finished);
    assert!(!report.void);
    assert!(near(report.targets[0].p99_us.unwrap(), 400.0));
    assert_eq!(figure(&report, "b", "p99_us").unwrap().rounds, 1);
    assert_eq!(
        (report.generator.windows, report.generator.void_windows),
        (6, 1)
    );
    assert_eq!(report.windows.len(), 6);
}

#[test]
fn too_many_void_windows_void_the_run() {
    let mut finished = fixture::run();
    for measured in &mut finished.windows[..2] {
        measured.window.void = Some("the generator was late".into());
    }
    let report = assemble(&finished);
    let reason = report.void_reason.unwrap();
    assert_eq!(
        reason,
        "2 of 6 windows do not count (33%; allowed are 20%); the first is window 0: the generator was late"
    );
    // Warm-up is never judged.
    finished.windows[0].window.phase = Phase::WarmUp;
    assert_eq!(assemble(&finished).void_reason, None);
}

#[test]
fn nothing_measured_is_void_and_has_no_figures() {
    let mut finished = fixture::run();
    finished.windows.clear();
    finished.interrupted = true;
    let report = assemble(&finished);
    assert_eq!(
        report.void_reason.as_deref(),
        Some("no window was measured")
    );
    assert_eq!(report.targets[0].p50_us, None);
    assert!(report.targets[0].latency_curve.is_empty());
    assert_eq!(report.estimate, None);
    finished.targets.clear();
    assert!(assemble(&finished).ratios.is_empty());
}

#[test]
fn what_cannot_be_divided_is_left_out() {
    let mut finished = fixture::run();
    for measured in &mut finished.windows {
        measured.window.p99_us = f64::NAN;
        measured.window.p50_us = 0.0;
        measured.window.cpu_us_per_request = None;
        measured.processes.clear();
        measured.observed.ok = 0;
    }
    let report = assemble(&finished);
    for figure_name in ["p99_us", "p50_us", "cpu_us_per_request"] {
        assert_eq!(figure(&report, "b", figure_name), None, "{figure_name}");
    }
    assert_eq!(report.targets[0].cpu_us_per_request, None);
    assert_eq!(report.targets[0].rss_peak_bytes, None);
    assert_eq!(report.targets[0].errors, 20);
    assert_eq!(report.estimate, None);
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

#[test]
fn a_window_cut_short_is_neither_counted_nor_held_against_the_run() {
    let mut finished = fixture::run();
    finished.windows[5].observed.interrupted = true;
    let report = assemble(&finished);
    assert_eq!(
        (report.generator.windows, report.generator.void_windows),
        (5, 0)
    );
    assert_eq!(
        report.windows[5].void.as_deref(),
        Some("stopped early, by Ctrl-C")
    );
    assert_eq!(figure(&report, "a again", "p99_us").unwrap().rounds, 1);
}

#[test]
fn what_a_closed_loop_hides_is_noted() {
    let noted = |finished: &_, part: &str| {
        let notes = assemble(finished).notes;
        notes.iter().filter(|note| note.contains(part)).count()
    };
    let mut finished = fixture::closed();
    let report = assemble(&finished);
    assert!(report.notes[0].starts_with("Closed loop: each target always had 8 reads in flight"));
    assert_eq!(report.targets[0].equal_qps, None);
    assert!(near(report.targets[1].achieved_qps.unwrap(), 15.0));
    assert!(near(
        figure(&report, "b", "achieved_qps").unwrap().ratio,
        2.0
    ));
    assert_eq!(figure(&report, "b", "max_qps_within_slo"), None);
    assert_eq!(noted(&finished, "Writes came at a rate"), 0);
    assert_eq!(noted(&finished, "at most 3 reads were in flight"), 0);
    // A millisecond a second is used of the one server core.
    let idle = "Not at full load, of 1 server core: a 0.001, b 0, a again 0.001;";
    assert_eq!(noted(&finished, idle), 1, "{:?}", report.notes);
    finished.windows[0].window.writes = 1;
    for measured in &mut finished.windows {
        measured.observed.generator.in_flight_max = 3;
        measured.window.cpu_us = Some(950_000);
    }
    assert_eq!(noted(&finished, "Writes came at a rate"), 1);
    assert_eq!(noted(&finished, "at most 3 reads were in flight"), 3);
    assert_eq!(noted(&finished, "Not at full load"), 0);
    // If one window has a rate, the run is no closed loop.
    finished.windows[0].window.closed_in_flight = None;
    assert_eq!(assemble(&finished).closed_in_flight(), None);
    assert_eq!(noted(&finished, "Closed loop"), 0);
}

#[test]
fn the_estimate_follows_its_formula() {
    let report = assemble(&fixture::run());
    let estimate = report.estimate.unwrap();
    // 10,000 reads of 60 µs are 0.6 cores. With cores used to a half that makes 1.2, at 0.04 an hour.
    assert_eq!(estimate.targets.len(), 2);
    assert!(near(estimate.targets[0].cores, 1.2));
    assert!(near(estimate.targets[0].cost_per_month, 1.2 * 0.04 * 730.0));
    let mut finished = fixture::run();
    finished.plan.utilisation = 0.0;
    assert_eq!(assemble(&finished).estimate, None);
}

#[test]
fn full_load_has_figures_of_its_own_and_voids_no_run() {
    let mut finished = fixture::run();
    let before = assemble(&finished);
    assert_eq!(before.targets[0].full_load_qps, None);
    assert!(figure(&before, "b", "full_load_cpu_us_per_request").is_none());
    for round in 0..3 {
        for (name, micros) in [("a", 400.0), ("b", 100.0), ("a again", 400.0)] {
            fixture::add(&mut finished, name, round, micros);
            let window = &mut finished.windows.last_mut().unwrap().window;
            window.phase = Phase::Full;
            window.closed_in_flight = Some(128);
            window.achieved_qps = 4e5 / micros;
            window.cpu_us_per_request = Some(micros / 10.0);
        }
    }
    let report = assemble(&finished);
    assert_eq!(
        report.closed_in_flight(),
        None,
        "the load as a whole is none"
    );
    let b = &report.targets[1];
    assert_eq!(b.full_load_qps, Some(4000.0));
    assert!(b.full_load_cpu_us_per_request.is_some());
    let ratio = figure(&report, "b", "full_load_cpu_us_per_request").unwrap();
    assert!((ratio.ratio - 0.25).abs() < 1e-9, "{ratio:?}");
    assert_eq!(b.cpu_us_per_request, before.targets[1].cpu_us_per_request);
    for measured in finished.windows.iter_mut().rev().take(9) {
        measured.window.void = Some("the generator was at full load".into());
    }
    let report = assemble(&finished);
    assert!(!report.void, "{:?}", report.void_reason);
    assert_eq!(report.targets[1].full_load_qps, None);
    let told = |note: &String| note.contains("No window of full load counts for a, b");
    assert!(report.notes.iter().any(told), "{:?}", report.notes);
}

#[test]
fn few_rounds_of_full_load_say_nothing_of_equal_load() {
    let mut finished = fixture::run();
    for name in ["a", "b"] {
        fixture::add(&mut finished, name, 0, 400.0);
        let window = &mut finished.windows.last_mut().unwrap().window;
        window.phase = Phase::Full;
        window.cpu_us_per_request = Some(40.0);
    }
    let report = assemble(&finished);
    let full = figure(&report, "b", "full_load_cpu_us_per_request").unwrap();
    assert_eq!(full.rounds, 1);
    let mut notes = report.notes.iter();
    let few = notes.find(|note| note.starts_with("Ratios at equal load"));
    assert!(few.unwrap().contains("as few as 2 rounds"), "{few:?}");
}
