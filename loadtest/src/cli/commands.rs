//! The second stage: what each command is asked for, with every limit checked.

use super::{
    asked::{
        Check, Inspect, List, Overrides, RecordTraffic, Rerender, Run, Search, Servers, Source,
        Traffic,
    },
    conduct,
    record::{Recorded, number},
    target::{self, Target},
};
use crate::{capture, plan::Step, traffic::Spread};
use std::{path::PathBuf, time::Duration};

/// Rates that can be asked for.
const QPS: std::ops::RangeInclusive<f64> = 0.1..=10_000_000.0;
/// Lengths of windows.
const WINDOW_SECONDS: std::ops::RangeInclusive<f64> = 0.1..=600.0;

pub(super) fn run(replay: bool, recorded: &mut Recorded) -> Option<Run> {
    contradictions(recorded);
    let what = if replay {
        "the capture"
    } else {
        "the scenario"
    };
    let argument = recorded.argument(what);
    let source = source(replay, argument, recorded);
    let targets = targets(recorded);
    Some(Run {
        servers: servers(recorded),
        overrides: overrides(recorded),
        compare: recorded.switch("compare"),
        scenarios: scenarios_folder(recorded),
        plan: crate::report::input::Plan {
            qps: recorded.number("plan-qps", 1.0..=1e9).unwrap_or(10_000.0),
            utilisation: recorded.number("utilisation", 0.01..=1.0).unwrap_or(0.6),
            price_per_core_hour: recorded
                .number("price-per-core-hour", 0.0..=1e6)
                .unwrap_or(0.04),
        },
        conduct: conduct::resolve(recorded),
        source: source?,
        targets,
    })
}

/// Options of the search.
const SEARCH: [&str; 8] = [
    "from",
    "step",
    "every",
    "to",
    "until-failure",
    "ramp",
    "refine",
    "failing-windows",
];

fn contradictions(recorded: &mut Recorded) {
    recorded.excludes("qps", &SEARCH, "a fixed rate is not searched for");
    recorded.excludes(
        "qps",
        &["no-equal", "equal-share"],
        "that is all that would be run",
    );
    recorded.excludes(
        "no-equal",
        &["equal-share", "rounds", "window", "no-noise-floor"],
        "there is no equal load",
    );
    recorded.excludes("speed", &SEARCH, "a capture at its own times has no rates");
    recorded.excludes(
        "speed",
        &["qps", "equal-share", "no-equal"],
        "a capture at its own times has no rates",
    );
    closed_contradictions(recorded);
}

fn closed_contradictions(recorded: &mut Recorded) {
    let excluded: [(&[&str], &str); 6] = [
        (&SEARCH, "a closed loop has no rates, and no search"),
        (
            &["qps", "equal-share", "speed"],
            "a closed loop goes as fast as answers come",
        ),
        (&["no-equal"], "that is all that would be run"),
        (
            &["spread", "max-lag-us"],
            "a closed loop plans no times of reads",
        ),
        (
            &["p50-ms", "p99-ms", "p999-ms", "min-achieved"],
            "of the objective, only --max-error-rate means anything in a closed loop",
        ),
        (
            &["compare"],
            "targets answer different numbers of reads; compare at a rate",
        ),
    ];
    for (others, why) in excluded {
        recorded.excludes("closed", others, why);
    }
}

fn source(replay: bool, argument: Option<String>, recorded: &mut Recorded) -> Option<Source> {
    if !replay {
        return argument.map(Source::Scenario);
    }
    let others = ["qps", "closed", "no-equal", "equal-share"];
    let mut rates = SEARCH.iter().chain(&others);
    let given = rates.any(|name| recorded.switch(name));
    let speed = recorded.number("speed", 0.001..=1000.0);
    let hot = recorded.texts("hot");
    for method in &hot {
        let parts = method
            .strip_prefix('/')
            .and_then(|rest| rest.split_once('/'));
        if parts.is_none_or(|(service, name)| service.is_empty() || name.is_empty()) {
            recorded.mistake(format!("--hot {method:?}: must be /package.Service/Method"));
        }
    }
    Some(Source::Capture {
        path: argument?.into(),
        speed: speed.or((!given).then_some(1.0)),
        hot,
        like: recorded.text("like"),
    })
}

fn targets(recorded: &mut Recorded) -> Vec<Target> {
    let workers = recorded.parsed("stream-workers", |text| match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be on or off".to_owned()),
    });
    let mut texts = recorded.texts("target");
    if texts.is_empty() {
        texts.push("legacy".to_owned());
    }
    match target::parse(&texts, workers.unwrap_or(true)) {
        Ok(targets) => targets,
        Err(mistakes) => {
            mistakes
                .into_iter()
                .for_each(|mistake| recorded.mistake(mistake));
            Vec::new()
        }
    }
}

fn servers(recorded: &Recorded) -> Servers {
    Servers {
        walletd: recorded.path("walletd", "target/bin/walletd"),
        hotpathd: recorded.path("hotpathd", "target/bin/hotpathd"),
        db: recorded.text("db").map(PathBuf::from),
    }
}

fn overrides(recorded: &mut Recorded) -> Overrides {
    let latency = ["p50-ms", "p99-ms", "p999-ms"].map(|name| {
        let limit = recorded.number(name, 0.0..=60_000.0);
        limit.map(|ms| (ms > 0.0).then(|| Duration::from_secs_f64(ms / 1e3)))
    });
    Overrides {
        search: search(recorded),
        qps: recorded.number("qps", QPS),
        closed: recorded.switch("closed"),
        equal_share: recorded.number("equal-share", 0.01..=1.0),
        rounds: recorded.whole("rounds", 1..=1000),
        window: recorded.seconds("window", WINDOW_SECONDS),
        no_equal: recorded.switch("no-equal"),
        no_noise_floor: recorded.switch("no-noise-floor"),
        latency,
        max_error_rate: recorded.number("max-error-rate", 0.0..=1.0),
        min_achieved: recorded.number("min-achieved", 0.0..=1.0),
        traffic: traffic(recorded),
    }
}

fn search(recorded: &mut Recorded) -> Search {
    let until_failure = recorded.switch("until-failure").then_some(*QPS.end());
    let search = Search {
        from: recorded.number("from", QPS),
        step: recorded.parsed("step", step),
        every: recorded.seconds("every", WINDOW_SECONDS),
        to: recorded.number("to", QPS).or(until_failure),
        ramp: recorded.switch("ramp"),
        refine: recorded.whole("refine", 0..=20),
        failing_windows: recorded.whole("failing-windows", 1..=10),
    };
    if let (Some(from), Some(to)) = (search.from, search.to)
        && from > to
    {
        recorded.mistake(format!("--from {from} must not be over --to {to}"));
    }
    search
}

fn step(text: &str) -> Result<Step, String> {
    match text.strip_prefix('x') {
        Some(factor) => number(factor, &(1.01..=10.0)).map(Step::Times),
        None => number(text, &QPS).map(Step::Add),
    }
    .map_err(|rule| format!("{rule}; xFACTOR multiplies, a plain number adds"))
}

fn traffic(recorded: &mut Recorded) -> Traffic {
    let timeout: Option<u64> = recorded.whole("timeout-ms", 1..=60_000);
    Traffic {
        connections: recorded.whole("connections", 1..=1000),
        idle_connections: recorded.whole("idle-connections", 0..=50_000),
        max_in_flight: recorded.whole("max-in-flight", 1..=65_536),
        timeout: timeout.map(Duration::from_millis),
        spread: recorded.parsed("spread", |text| match text {
            "poisson" => Ok(Spread::Poisson),
            "constant" => Ok(Spread::Constant),
            _ => Err("must be poisson or constant".to_owned()),
        }),
        writes_per_second: recorded.number("writes", 0.0..=100_000.0),
        warm_up: recorded.seconds("warm-up", 0.0..=600.0),
    }
}

pub(super) fn record(recorded: &mut Recorded) -> Option<RecordTraffic> {
    recorded.no_arguments();
    for name in ["listen", "to", "out"] {
        if !recorded.switch(name) {
            recorded.mistake(format!("--{name} is required"));
        }
    }
    let command = (
        recorded.parsed("listen", target::address),
        recorded.parsed("to", target::address),
        recorded.text("out"),
    );
    let max_file_bytes = recorded.whole("max-bytes", 1..=capture::MAX_FILE_BYTES);
    let largest = capture::MAX_MESSAGE_BYTES;
    let max_message_bytes = recorded.whole("max-message-bytes", 1..=largest as u64);
    let max_duration = recorded.seconds("seconds", 0.1..=86_400.0);
    let (Some(listen), Some(to), Some(out)) = command else {
        return None;
    };
    Some(RecordTraffic {
        listen,
        to,
        out: out.into(),
        only: recorded.texts("only"),
        max_file_bytes: max_file_bytes.unwrap_or(capture::MAX_FILE_BYTES),
        max_message_bytes: max_message_bytes.unwrap_or(largest),
        max_duration: max_duration.unwrap_or(Duration::from_secs(3600)),
    })
}

pub(super) fn inspect(recorded: &mut Recorded) -> Option<Inspect> {
    let path = recorded.argument("the capture")?.into();
    Some(Inspect { path })
}

pub(super) fn check(recorded: &mut Recorded) -> Option<Check> {
    let paths: Vec<_> = recorded
        .arguments()
        .into_iter()
        .map(PathBuf::from)
        .collect();
    if paths.is_empty() {
        recorded.mistake("the scenario is missing".to_owned());
        return None;
    }
    let scenarios = scenarios_folder(recorded);
    Some(Check { paths, scenarios })
}

pub(super) fn scenarios(recorded: &mut Recorded) -> List {
    recorded.no_arguments();
    List {
        folder: scenarios_folder(recorded),
    }
}

fn scenarios_folder(recorded: &Recorded) -> PathBuf {
    recorded.path("scenarios", "loadtest/scenarios")
}

pub(super) fn report(recorded: &mut Recorded) -> Option<Rerender> {
    let folder = recorded.argument("the folder of the report");
    let readme = recorded.text("readme").map(PathBuf::from);
    let check = recorded.switch("check");
    if check && readme.is_none() {
        recorded.mistake("--check does nothing without --readme".to_owned());
    }
    Some(Rerender {
        folder: folder?.into(),
        readme,
        check,
    })
}
