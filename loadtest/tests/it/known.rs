//! Checks that reports of servers whose behaviour is known say the same.

use crate::{
    rig::{Rig, target},
    stub::{Behaviour, Stub},
};
use std::time::Duration;

/// These tests are about counts, not about times, so they must hold on a busy machine too.
const ANY_LAG: &str = "--max-lag-us=1000000";

fn near(what: &str, value: f64, expected: f64, share: f64) {
    assert!(
        (value - expected).abs() <= expected * share,
        "{what}: {value}, not within {share} of {expected}"
    );
}

#[test]
fn latencies_are_those_of_a_known_distribution() {
    let stub = Stub::start(Behaviour {
        delay: Duration::from_millis(20),
        slow: Some((20, Duration::from_secs(5))),
        ..Behaviour::default()
    });
    let rig = Rig::new();
    let report = rig
        .run(&[
            &target("stub", &stub),
            "--qps=400",
            ANY_LAG,
            "--window=2",
            "--rounds=2",
            "--timeout-ms=60000",
            "--no-noise-floor",
        ])
        .report();
    let found = &report.targets[0];
    assert_eq!(found.errors, 0);
    near("reads", found.requests as f64, 1600.0, 0.01);
    let (p50, p99) = (found.p50_us.unwrap(), found.p99_us.unwrap());
    // One in twenty takes 5 s. A sleep is never shorter than asked for. On a busy machine it is longer, but by less
    // than that.
    const SLOW_US: f64 = 4_990_000.0;
    assert!((20_000.0..SLOW_US).contains(&p50), "p50 {p50}");
    assert!(p99 >= SLOW_US, "p99 {p99}");
    let at = |quantile: f64| {
        let next = found.latency_curve.iter().find(|(q, _)| *q >= quantile);
        next.expect("a curve up to 1").1
    };
    assert!(
        at(0.94) < SLOW_US,
        "the 94th percentile is that of the quick ones: {}",
        at(0.94)
    );
}

#[test]
fn a_stall_shows_from_the_planned_send_only() {
    let stub = Stub::start(Behaviour {
        stall: Some((Duration::from_millis(1500), Duration::from_millis(3000))),
        ..Behaviour::default()
    });
    let rig = Rig::new();
    // With one read in flight the generator is a closed loop: it waits for the server, and asks less meanwhile.
    let report = rig
        .run(&[
            &target("stub", &stub),
            "--qps=100",
            ANY_LAG,
            "--window=4",
            "--timeout-ms=60000",
            "--rounds=1",
            "--max-in-flight=1",
            "--no-noise-floor",
            "--warm-up=0",
        ])
        .report();
    let window = report.windows.last().expect("one window");
    assert_eq!(window.errors, 0);
    // 1.5 s of the 4 s of a window are stalled. Of ten reads that were due, more than one waited for over 200 ms.
    assert!(
        window.p90_us > 200_000.0,
        "from the planned send {} us",
        window.p90_us
    );
    assert!(
        window.p99_us > 1_000_000.0,
        "from the planned send {} us",
        window.p99_us
    );
    // Of about 400 reads, one was sent and met the stall. So the p99 from the actual send does not show it.
    assert!(
        window.sent_p99_us < 1_000_000.0,
        "from the actual send {} us",
        window.sent_p99_us
    );
    assert!(window.held_back > 50, "held back {}", window.held_back);
}

/// The tests in `generator::upkeep`, with simulated time, check that the search comes near the cap. Here a machine that
/// stalls breaks lower rates, but it never makes a server answer more than it can.
#[test]
fn the_search_never_finds_more_than_a_known_cap() {
    const CAP: f64 = 300.0;
    let stub = Stub::start(Behaviour {
        cap: Some(CAP),
        delay: Duration::from_millis(100),
        ..Behaviour::default()
    });
    let report = Rig::new()
        .run(&[
            &target("stub", &stub),
            "--from=50",
            "--step=x2.5",
            "--every=1",
            "--until-failure",
            "--refine=2",
            "--failing-windows=1",
            "--p99-ms=400",
            ANY_LAG,
            "--warm-up=0",
            "--no-equal",
        ])
        .report();
    let found = &report.targets[0];
    let broken = found.min_qps_broken.expect("a rate that broke");
    if let Some(held) = found.max_qps_within_slo {
        assert!(held <= CAP * 1.05, "{held} of {CAP}");
        assert!(broken > held);
    }
    let limited_by = found.limited_by.as_deref();
    assert!(limited_by.is_some_and(|rule| !rule.is_empty()));
}

#[test]
fn answers_after_the_end_belong_to_the_window_of_their_reads() {
    let stub = Stub::start(Behaviour {
        delay: Duration::from_millis(900),
        ..Behaviour::default()
    });
    let rig = Rig::new();
    let report = rig
        .run(&[
            &target("slow", &stub),
            "--qps=100",
            ANY_LAG,
            "--window=1",
            "--rounds=1",
            "--warm-up=0",
            // 90% of the window's answers come after its end. Only a machine that stalls for two seconds breaks this test.
            "--min-achieved=0.3",
            "--no-noise-floor",
        ])
        .report();
    let window = report.windows.last().expect("one window");
    assert_eq!((window.ok, window.errors), (window.planned, 0));
    assert_eq!(window.broke, None, "{window:?}");
}

#[test]
fn one_windows_backlog_is_not_the_next_ones() {
    // Each window sends five seconds of work in half a second. The caller waits for one second of it, and the server
    // does the rest in vain.
    let stub = Stub::start(Behaviour {
        cap: Some(50.0),
        ..Behaviour::default()
    });
    let rig = Rig::new();
    let ran = rig.run(&[
        &target("stub", &stub),
        "--qps=500",
        "--timeout-ms=1000",
        ANY_LAG,
        "--window=0.5",
        "--rounds=2",
        "--warm-up=0",
        "--no-noise-floor",
    ]);
    let report = ran.report();
    assert_eq!(report.windows.len(), 2, "{}", ran.stdout);
    for window in &report.windows {
        assert!(window.ok > 0 && window.errors > 0, "{window:?}");
        assert_eq!(window.void, None);
    }
}

#[test]
fn a_closed_loop_asks_as_much_as_is_answered() {
    const IN_FLIGHT: u32 = 8;
    let slow = |millis| {
        Stub::start(Behaviour {
            delay: Duration::from_millis(millis),
            ..Behaviour::default()
        })
    };
    let (base, slower) = (slow(20), slow(60));
    let rig = Rig::new();
    let ran = rig.run(&[
        &target("base", &base),
        &target("slower", &slower),
        "--closed",
        "--max-in-flight=8",
        "--max-void-share=1",
        "--window=1",
        "--rounds=2",
        "--warm-up=0.2",
    ]);
    let report = ran.report();
    for window in &report.windows {
        assert_eq!(window.closed_in_flight, Some(u64::from(IN_FLIGHT)));
        assert_eq!((window.broke.as_deref(), window.errors), (None, 0));
        assert!(window.ok > 0, "{window:?}");
    }
    // A sleep is never shorter than asked for, so no target answers more than this.
    for (found, millis) in report.targets.iter().zip([20.0, 60.0, 20.0]) {
        let most = f64::from(IN_FLIGHT) * 1e3 / millis;
        let qps = found.achieved_qps.expect("what it answered");
        assert!(qps > 0.0 && qps <= most * 1.05, "{qps} of {most}");
        assert!(found.p50_us.is_some_and(|p50| p50 >= millis * 990.0));
        assert_eq!((found.equal_qps, found.limited_by.as_ref()), (None, None));
    }
    assert_eq!(report.run.objective, ["errors at most 0.1%"]);
    assert_eq!(report.limits.p99_us, None);
    assert!(report.notes[0].starts_with("Closed loop: each target always had 8 reads"));
    assert!(
        ran.stdout.contains("closed loop, 8 in flight"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("QPS at full load"), "{}", ran.stdout);
    let csv = std::fs::read_to_string(ran.out.join("windows.csv")).unwrap();
    let columns: Vec<_> = csv.lines().next().unwrap_or_default().split(',').collect();
    assert!(columns.contains(&"closed_in_flight"), "{columns:?}");
}

#[test]
fn errors_are_counted_by_status() {
    let stub = Stub::start(Behaviour {
        errs: Some((20, 13)),
        ..Behaviour::default()
    });
    let rig = Rig::new();
    let report = rig
        .run(&[
            &target("stub", &stub),
            "--qps=200",
            // No read may fail for another reason.
            "--timeout-ms=60000",
            ANY_LAG,
            "--window=3",
            "--rounds=2",
            "--no-noise-floor",
        ])
        .report();
    let found = &report.targets[0];
    near(
        "errors",
        found.errors as f64,
        found.requests as f64 / 20.0,
        0.05,
    );
    assert_eq!(
        found
            .statuses
            .keys()
            .copied()
            .filter(|&status| status != 0)
            .collect::<Vec<_>>(),
        [13]
    );
    let broke = report
        .windows
        .last()
        .unwrap()
        .broke
        .as_deref()
        .unwrap_or_default();
    assert!(
        broke.contains("error"),
        "the objective names what broke it: {broke:?}"
    );
}

#[test]
fn wrong_bytes_are_found_counted_and_kept() {
    let position = Behaviour {
        position: 7,
        ..Behaviour::default()
    };
    let right = Stub::start(position.clone());
    let lying = Stub::start(Behaviour {
        lies: Some(10),
        ..position
    });
    let rig = Rig::new();
    let ran = rig.run(&[
        &target("right", &right),
        &target("lying", &lying),
        "--qps=500",
        ANY_LAG,
        "--window=1",
        "--rounds=2",
        "--compare",
    ]);
    let report = ran.report();
    let comparison = report.comparison.as_ref().expect("it was compared");
    near("compared", comparison.compared as f64, 1000.0, 0.01);
    near(
        "mismatches",
        comparison.mismatches as f64,
        comparison.compared as f64 / 10.0,
        0.05,
    );
    assert_eq!(report.mismatches, Some(comparison.mismatches));
    assert_eq!(ran.code, 4, "{}", ran.stdout);
    assert!(!comparison.samples.is_empty());
    for sample in &comparison.samples {
        let path = ran.out.join(sample);
        assert!(
            path.metadata().is_ok_and(|file| file.len() > 0),
            "{}",
            path.display()
        );
    }
}

#[test]
fn a_target_against_itself_is_the_noise_floor() {
    let stub = Stub::start(Behaviour {
        delay: Duration::from_millis(200),
        ..Behaviour::default()
    });
    let rig = Rig::new();
    let report = rig
        .run(&[
            &target("one", &stub),
            &target("same", &stub),
            "--qps=200",
            ANY_LAG,
            "--window=1",
            "--rounds=3",
        ])
        .report();
    let p50 = &report
        .ratios
        .iter()
        .find(|ratio| ratio.target == "same")
        .expect("same over one")
        .figures["p50_us"];
    near("same over one", p50.ratio, 1.0, 0.5);
    assert!(p50.low <= p50.ratio && p50.ratio <= p50.high);
    let (low, high) = (
        p50.noise_low.expect("a noise floor"),
        p50.noise_high.expect("a noise floor"),
    );
    assert!(low <= high && low > 0.2 && high < 5.0, "{low}..{high}");
    assert_eq!(
        report
            .targets
            .iter()
            .filter(|target| target.against_itself)
            .count(),
        1
    );
}
