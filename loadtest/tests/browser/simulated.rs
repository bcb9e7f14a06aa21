//! A run that is computed from models of queues, without chance: four targets, the noise floor, void and broken
//! windows.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss
)]

use loadtest::{
    measure::{
        GcUsage, GeneratorObserved, Latencies, MethodObserved, Observed, ProcessUsage,
        WritesObserved, latencies,
    },
    report::{
        input::{Finished, Measured, Plan, SearchOutcome, TargetInput},
        model::{Comparison, Ledger, Machine, Phase, Run, Window},
    },
    scenario::Objective,
};
use std::{collections::BTreeMap, time::Duration};

const SECONDS: f64 = 5.0;
const SLOWEST_P99_US: f64 = 10_000.0;
const METHODS: [(&str, f64, f64); 4] = [
    ("GetBalance", 0.6, 0.7),
    ("GetStatistics", 0.25, 1.6),
    ("GetTimeSeries", 0.15, 1.2),
    ("PostTransaction", 0.0, 1.0),
];

struct Server {
    name: &'static str,
    about: &'static str,
    capacity_qps: f64,
    base_us: f64,
    /// By process: its name, CPU µs per read, and megabytes.
    processes: &'static [(&'static str, f64, f64)],
}

const SERVERS: [Server; 5] = [
    Server {
        name: "legacy",
        about: "walletd alone, the read model as it was",
        capacity_qps: 14_000.0,
        base_us: 240.0,
        processes: &[("walletd", 62.0, 312.0)],
    },
    Server {
        name: "best-go",
        about: "walletd alone, immutable snapshots in Go",
        capacity_qps: 26_000.0,
        base_us: 150.0,
        processes: &[("walletd", 34.0, 341.0)],
    },
    Server {
        name: "sidecar",
        about: "walletd with the shim, hotpathd beside it",
        capacity_qps: 41_000.0,
        base_us: 170.0,
        processes: &[("walletd", 14.0, 118.0), ("hotpathd", 7.5, 89.0)],
    },
    Server {
        name: "direct",
        about: "hotpathd's own port",
        capacity_qps: 120_000.0,
        base_us: 70.0,
        processes: &[("walletd", 0.6, 96.0), ("hotpathd", 7.2, 88.0)],
    },
    Server {
        name: "legacy again",
        about: "the baseline against itself",
        capacity_qps: 14_000.0,
        base_us: 240.0,
        processes: &[("walletd", 62.0, 312.0)],
    },
];

/// Makes what a run of `mixed` might result in.
pub(crate) fn finished() -> Finished {
    let mut windows = Vec::new();
    for server in &SERVERS[..4] {
        push(&mut windows, server, Phase::WarmUp, 0, 2_000.0);
    }
    let broken = escalate(&mut windows);
    let outcomes = refine(&mut windows, &broken);
    for round in 0..5 {
        let mut order: Vec<&Server> = SERVERS.iter().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for server in order {
            push(&mut windows, server, Phase::Equal, round, 9_000.0);
        }
    }
    let target = |(server, search): (&Server, Option<SearchOutcome>)| TargetInput {
        name: server.name.into(),
        about: server.about.into(),
        against_itself: server.name == "legacy again",
        search,
    };
    Finished {
        run: run(windows.len() as f64 * SECONDS * 1.05),
        targets: SERVERS.iter().zip(outcomes).map(target).collect(),
        windows,
        comparison: Some(Comparison {
            compared: 183_402,
            incomparable: 1_208,
            mismatches: 0,
            samples: Vec::new(),
        }),
        methods: METHODS
            .iter()
            .map(|(name, ..)| format!("/wallet.v1.WalletService/{name}"))
            .collect(),
        objective: Objective {
            p50: None,
            p99: Some(Duration::from_secs_f64(SLOWEST_P99_US / 1e6)),
            p999: Some(Duration::from_millis(50)),
            max_error_rate: 0.001,
            min_achieved: 0.98,
            windows: 2,
        },
        interrupted: false,
        max_void_share: 0.2,
        plan: Plan {
            qps: 100_000.0,
            utilisation: 0.6,
            price_per_core_hour: 0.045,
        },
    }
}

/// Makes the same run without a search, ended early, too much of it void, and with names that are too long for any
/// table.
pub(crate) fn awkward() -> Finished {
    let mut finished = finished();
    let long = |name: &str| format!("{name}:no-workers-and-a-long-name");
    for target in &mut finished.targets {
        target.name = long(&target.name);
        target.search = None;
    }
    finished
        .windows
        .retain(|measured| measured.window.phase == Phase::Equal);
    for measured in &mut finished.windows {
        measured.window.target = long(&measured.window.target);
        if measured.window.round > 2 {
            measured.window.void = Some("the generator's lag p99 is 4.1 ms, over 1 ms".into());
        }
    }
    finished.run.title =
        "Averyveryveryveryveryveryveryveryveryverylongwordwithoutaspace, and more".into();
    finished.interrupted = true;
    finished
}

/// Runs all targets at rising rates, until each has broken twice in a row. Returns the lowest rate that broke, by
/// target.
fn escalate(windows: &mut Vec<Measured>) -> [Option<f64>; 4] {
    let (mut broken, mut in_a_row) = ([None; 4], [0; 4]);
    let mut qps = 2_000.0;
    for round in 0..14 {
        for (index, server) in SERVERS[..4].iter().enumerate() {
            if in_a_row[index] == 2 {
                continue;
            }
            let broke = push(windows, server, Phase::Escalate, round, qps);
            in_a_row[index] = if broke { in_a_row[index] + 1 } else { 0 };
            if broke && broken[index].is_none() {
                broken[index] = Some(qps);
            }
        }
        qps = (qps * 1.35_f64).round();
    }
    broken
}

fn refine(windows: &mut Vec<Measured>, broken: &[Option<f64>; 4]) -> [Option<SearchOutcome>; 5] {
    let mut outcomes = [const { None }; 5];
    for (index, server) in SERVERS[..4].iter().enumerate() {
        let Some(mut high) = broken[index] else {
            outcomes[index] = Some(SearchOutcome {
                sustained_qps: Some(73_258.0),
                broken_qps: None,
                limited_by: "generator".into(),
            });
            continue;
        };
        let mut low = high / 1.35;
        for round in 0..3 {
            let middle = f64::midpoint(low, high).round();
            match push(windows, server, Phase::Refine, round, middle) {
                true => high = middle,
                false => low = middle,
            }
        }
        outcomes[index] = Some(SearchOutcome {
            sustained_qps: Some(low.round()),
            broken_qps: Some(high.round()),
            limited_by: "p99 over 10 ms".into(),
        });
    }
    outcomes
}

/// Adds a window, and returns whether it broke.
fn push(windows: &mut Vec<Measured>, server: &Server, phase: Phase, round: u32, qps: f64) -> bool {
    let index = windows.len() as u32;
    let drift = 1.0 + 0.05 * (f64::from(index) * 1.7).sin();
    let load = qps / server.capacity_qps * drift;
    let planned = (qps * SECONDS) as u64;
    let errors = if load > 1.2 { planned / 200 } else { 0 };
    let achieved_qps = qps / load.max(1.0);
    let times = waiting(server.base_us * drift, load, 1.0);
    let (p99_us, generator_cpu_fraction) = (micros(&times, 0.99), 0.03 + qps / 78_000.0);
    let broke = p99_us > SLOWEST_P99_US;
    let processes = processes(server, drift, load, planned - errors);
    let cpu: Duration = processes.iter().map(|process| process.cpu).sum();
    let void = void(server, phase, round, generator_cpu_fraction);
    let lag_p99_us = if void.is_some() {
        4_100.0
    } else {
        22.0 + qps / 900.0
    };
    let window = Window {
        index,
        target: server.name.into(),
        phase,
        round,
        at_s: f64::from(index) * SECONDS * 1.05,
        duration_s: SECONDS,
        closed_in_flight: None,
        offered_qps: qps,
        achieved_qps,
        planned,
        sent: planned,
        ok: planned - errors,
        errors,
        p50_us: micros(&times, 0.5),
        p90_us: micros(&times, 0.9),
        p99_us,
        p999_us: micros(&times, 0.999),
        max_us: micros(&times, 1.0),
        sent_p99_us: p99_us.min(server.base_us * 9.0),
        writes: 250,
        lag_p99_us,
        generator_cpu_fraction,
        held_back: errors * 3,
        expired: 0,
        cpu_us: Some(cpu.as_micros() as u64),
        cpu_us_per_request: Some(cpu.as_secs_f64() * 1e6 / (planned - errors) as f64),
        rss_peak_bytes: Some(processes.iter().map(|process| process.rss_peak_bytes).sum()),
        context_switches: Some(
            processes
                .iter()
                .map(|process| process.context_switches)
                .sum(),
        ),
        gc_cpu_us: Some(cpu.as_micros() as u64 / 9),
        gc_pause_us: Some(1_400),
        gc_cycles: Some(12),
        fallbacks: None,
        handed_over: None,
        broke: (broke && void.is_none())
            .then(|| format!("p99 {:.1} ms is over 10 ms", p99_us / 1e3)),
        void,
    };
    let broke = window.broke.is_some();
    windows.push(Measured {
        observed: observed(&window, server, &times, drift * load),
        window,
        processes,
    });
    broke
}

fn void(server: &Server, phase: Phase, round: u32, cpu_fraction: f64) -> Option<String> {
    if cpu_fraction > 0.97 {
        return Some(format!(
            "the generator used {:.0}% of its core, more than 95%",
            cpu_fraction.min(1.0) * 100.0
        ));
    }
    let late = matches!(
        (server.name, phase, round),
        ("best-go", Phase::Escalate, 4) | ("direct", Phase::Equal, 3)
    );
    late.then(|| "the generator was 4.1 ms late (p99), more than 1 ms".to_owned())
}

/// Latencies with a log-logistic service time and an exponential wait. Beyond the capacity, a growing backlog adds to
/// them.
fn waiting(base_us: f64, load: f64, factor: f64) -> Latencies {
    let mut times = latencies();
    let queue_us = base_us * 0.6 * load / (1.0 - load.min(0.985));
    let backlog_us = (1.0 - 1.0 / load.max(1.0)) * SECONDS * 1e6;
    for step in 0..20_000 {
        let quantile = (f64::from(step) + 0.5) / 20_000.0;
        let odds = quantile / (1.0 - quantile);
        let service_us = base_us * factor * odds.powf(0.22);
        let wait_us = -queue_us * (1.0 - quantile.powf(1.5)).ln();
        times.saturating_record(((service_us + wait_us + backlog_us * quantile) * 1e3) as u64);
    }
    times
}

fn micros(times: &Latencies, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1e3
}

fn processes(server: &Server, drift: f64, load: f64, ok: u64) -> Vec<ProcessUsage> {
    let of = |(name, cpu_us, megabytes): &(&str, f64, f64)| {
        let cpu = Duration::from_secs_f64(
            cpu_us * drift * (1.0 + 0.25 / (1.0 + 20.0 * load)) * ok as f64 / 1e6,
        );
        ProcessUsage {
            name: (*name).to_owned(),
            cpu,
            rss_peak_bytes: (megabytes * 1e6 * (1.0 + 0.35 * load.min(1.3))) as u64,
            context_switches: (ok as f64 * 0.8 / (1.0 + load)) as u64,
            fallbacks: None,
            handed_over: None,
            gc: (*name == "walletd").then_some(GcUsage {
                cpu: cpu / 9,
                pause: Duration::from_micros(1_400),
                cycles: 12,
            }),
        }
    };
    server.processes.iter().map(of).collect()
}

fn observed(window: &Window, server: &Server, times: &Latencies, load: f64) -> Observed {
    let mut lag = latencies();
    lag.saturating_record_n((window.lag_p99_us * 1e3) as u64, window.planned);
    let method = |(_, share, factor): &(&str, f64, f64)| MethodObserved {
        planned: (window.planned as f64 * share) as u64,
        errors: (window.errors as f64 * share) as u64,
        from_planned: match *share > 0.0 {
            true => waiting(server.base_us, load, *factor),
            false => latencies(),
        },
    };
    Observed {
        planned: window.planned,
        sent: window.sent,
        expired: window.expired,
        ok: window.ok,
        statuses: BTreeMap::from([(0, window.ok), (4, window.errors)]),
        elapsed: Duration::from_secs_f64(SECONDS),
        achieved_qps: window.achieved_qps,
        until_drained: Duration::from_secs_f64(SECONDS),
        from_planned: times.clone(),
        from_sent: times.clone(),
        methods: METHODS.iter().map(method).collect(),
        generator: GeneratorObserved {
            cpu_fraction: window.generator_cpu_fraction,
            lag,
            held_back: window.held_back,
            in_flight_max: 64,
        },
        writes: WritesObserved {
            done: window.writes,
            failed: 0,
            last_failure: None,
            from_planned: latencies(),
        },
        replies: None,
        interrupted: false,
    }
}

fn run(duration_s: f64) -> Run {
    let version = |name: &str| (name.to_owned(), format!("{name} 0.1.0 (0123456789ab)"));
    Run {
        started_at: "2026-02-03T04:05:06Z".into(),
        duration_s,
        command: "loadtest run loadtest/scenarios/mixed.toml --target legacy --target best-go --target sidecar --target direct --compare"
            .split(' ')
            .map(str::to_owned)
            .collect(),
        scenario: "mixed".into(),
        title: "Hot and cold reads as callers mix them".into(),
        about: "Six reads of ten are balances, the rest statistics; 50 writes a second run beside them.".into(),
        scenario_text: "title = \"Hot and cold reads as callers mix them\"\n\n[[mix]]\nmethod = \"wallet.v1.WalletService/GetBalance\"\nweight = 60\n".into(),
        versions: ["hotpathd", "loadtest", "walletd"].map(version).into(),
        machine: Machine {
            cpu: "Made-up CPU @ 2.80GHz".into(),
            cores: 2,
            memory_bytes: 8_242_000_000,
            kernel: "6.1.0".into(),
            host_kind: "vm-2-cores".into(),
        },
        server_cores: vec![0],
        generator_cores: vec![1],
        ledger: Some(Ledger {
            accounts: 54_975,
            entries: 1_025_639,
            position: 520_000,
        }),
        objective: vec![
            "p99 at most 10 ms, p99.9 at most 50 ms, from the planned send".into(),
            "errors at most 0.1% of planned reads".into(),
            "at least 98% of the offered rate answered in time".into(),
            "a rate is too high once 2 windows in a row break a rule".into(),
        ],
    }
}
