//! A run made by hand, so small that every result is known.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

use super::{
    input::{Finished, Measured, Plan, SearchOutcome, TargetInput},
    model::{Machine, Phase, Run, Window},
};
use crate::{
    measure::{
        GcUsage, GeneratorObserved, MethodObserved, Observed, ProcessUsage, WritesObserved,
        latencies,
    },
    scenario::Objective,
};
use std::{collections::BTreeMap, time::Duration};

/// Makes a run with two rounds of equal load: `a` is the baseline, `b` takes half its time and CPU, `a again` is the
/// noise floor.
pub(crate) fn run() -> Finished {
    let mut finished = Finished {
        run: about(),
        targets: vec![
            target("a", Some((1000.0, 1100.0))),
            target("b", Some((3000.0, 3300.0))),
            target("a again", None),
        ],
        windows: Vec::new(),
        comparison: None,
        methods: vec!["/s/Read".into(), "/s/Write".into()],
        objective: objective(),
        interrupted: false,
        max_void_share: 0.2,
        plan: Plan {
            qps: 10_000.0,
            utilisation: 0.5,
            price_per_core_hour: 0.04,
        },
    };
    finished.targets[2].against_itself = true;
    for (round, drift) in [(0, 1.0), (1, 2.0)] {
        add(&mut finished, "a", round, 400.0 * drift);
        add(&mut finished, "b", round, 200.0 * drift);
        add(&mut finished, "a again", round, 400.0 * drift + 40.0);
    }
    finished
}

/// Makes the same run in a closed loop, without a search and a rate.
pub(crate) fn closed() -> Finished {
    let mut finished = run();
    for target in &mut finished.targets {
        target.search = None;
    }
    for measured in &mut finished.windows {
        let window = &mut measured.window;
        window.closed_in_flight = Some(8);
        window.achieved_qps = 4000.0 / window.p50_us;
        measured.observed.generator.in_flight_max = 8;
    }
    finished.objective.p99 = None;
    finished.objective.min_achieved = 0.0;
    finished.run.objective = vec!["errors at most 0.1%".into()];
    finished
}

pub(crate) fn add(finished: &mut Finished, target: &str, round: u32, micros: f64) {
    let index = finished.windows.len() as u32;
    finished
        .windows
        .push(measured(index, target, round, micros));
}

/// Makes a window of ten reads of `micros` each. CPU is a tenth of that, and memory a megabyte per microsecond.
pub(crate) fn measured(index: u32, target: &str, round: u32, micros: f64) -> Measured {
    let mut times = latencies();
    times.saturating_record_n((micros * 1e3) as u64, 10);
    let cpu = Duration::from_secs_f64(micros / 1e6);
    let rss_peak_bytes = (micros * 1e6) as u64;
    Measured {
        window: Window {
            rss_peak_bytes: Some(rss_peak_bytes),
            cpu_us: Some(micros as u64),
            cpu_us_per_request: Some(micros / 10.0),
            ..row(index, target, round, micros)
        },
        observed: observed(&times),
        processes: vec![ProcessUsage {
            name: "walletd".into(),
            cpu,
            rss_peak_bytes,
            context_switches: 20,
            fallbacks: Some(0),
            handed_over: Some(0),
            gc: Some(GcUsage {
                cpu: cpu / 4,
                pause: Duration::from_millis(10),
                cycles: 2,
            }),
        }],
    }
}

fn row(index: u32, target: &str, round: u32, micros: f64) -> Window {
    Window {
        index,
        target: target.into(),
        phase: Phase::Equal,
        round,
        at_s: f64::from(index),
        duration_s: 1.0,
        closed_in_flight: None,
        offered_qps: 10.0,
        achieved_qps: 10.0,
        planned: 10,
        sent: 10,
        ok: 10,
        errors: 0,
        p50_us: micros,
        p90_us: micros,
        p99_us: micros,
        p999_us: micros,
        max_us: micros,
        sent_p99_us: micros,
        writes: 0,
        lag_p99_us: 5.0,
        generator_cpu_fraction: 0.1,
        held_back: 0,
        expired: 0,
        cpu_us: None,
        cpu_us_per_request: None,
        rss_peak_bytes: None,
        context_switches: Some(20),
        gc_cpu_us: None,
        gc_pause_us: None,
        gc_cycles: None,
        fallbacks: Some(0),
        handed_over: Some(0),
        broke: None,
        void: None,
    }
}

fn observed(times: &crate::measure::Latencies) -> Observed {
    let mut lag = latencies();
    lag.saturating_record_n(5_000, 10);
    let method = |planned, from_planned| MethodObserved {
        planned,
        errors: 0,
        from_planned,
    };
    Observed {
        planned: 10,
        sent: 10,
        expired: 0,
        ok: 10,
        statuses: BTreeMap::from([(0, 10)]),
        elapsed: Duration::from_secs(1),
        achieved_qps: 10.0,
        until_drained: Duration::from_secs(1),
        from_planned: times.clone(),
        from_sent: times.clone(),
        methods: vec![method(10, times.clone()), method(0, latencies())],
        generator: GeneratorObserved {
            cpu_fraction: 0.1,
            lag,
            held_back: 0,
            in_flight_max: 1,
        },
        writes: WritesObserved {
            done: 0,
            failed: 0,
            last_failure: None,
            from_planned: latencies(),
        },
        replies: None,
        interrupted: false,
    }
}

fn target(name: &str, search: Option<(f64, f64)>) -> TargetInput {
    TargetInput {
        name: name.into(),
        about: format!("what {name} is"),
        against_itself: false,
        search: search.map(|(sustained, broken)| SearchOutcome {
            sustained_qps: Some(sustained),
            broken_qps: Some(broken),
            limited_by: "p99 over 10 ms".into(),
        }),
    }
}

fn objective() -> Objective {
    Objective {
        p50: None,
        p99: Some(Duration::from_millis(10)),
        p999: None,
        max_error_rate: 0.001,
        min_achieved: 0.98,
        windows: 2,
    }
}

fn about() -> Run {
    Run {
        started_at: "2026-02-03T04:05:06Z".into(),
        duration_s: 6.0,
        command: ["loadtest", "run", "a.toml"].map(str::to_owned).into(),
        scenario: "a".into(),
        title: "A title".into(),
        about: "About it.".into(),
        scenario_text: "title = \"A title\"\n".into(),
        versions: BTreeMap::from([("walletd".into(), "walletd 0.1.0 (abc)".into())]),
        machine: Machine {
            cpu: "A CPU".into(),
            cores: 2,
            memory_bytes: 8_000_000_000,
            kernel: "6.1.0".into(),
            host_kind: "vm-2-cores".into(),
        },
        server_cores: vec![0],
        generator_cores: vec![1],
        ledger: None,
        objective: vec!["p99 at most 10 ms".into()],
    }
}
