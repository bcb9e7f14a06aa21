//! Tests models with mistakes. They are refused at the start, before anything is bound.

use crate::{
    admin::fetch_text,
    counter::{Counter, Counters, Query, proto::Added},
    harness,
};
use hotpath::{
    app,
    config::{self, Asked},
    model::{Model, Refusal},
};

const SOUND: usize = 0;

struct Case {
    service: &'static str,
    methods: &'static [&'static str],
    declines: &'static [&'static str],
    gauges: &'static [(&'static str, &'static str)],
    /// The end of the message: the part of the model that is named, and the rule.
    mistake: &'static str,
}

const GOOD: Case = Case {
    service: Counter::SERVICE,
    methods: Counter::METHODS,
    declines: &["A_9"],
    gauges: &[("counters", "Counters touched"), ("9_More", "ü")],
    mistake: "",
};

const CASES: [Case; 15] = [
    GOOD,
    Case {
        gauges: &[("two words", "")],
        mistake: "gauges[0] \"two words\": the name must be letters, digits and _",
        ..GOOD
    },
    Case {
        gauges: &[("good", ""), ("", "")],
        mistake: "gauges[1] \"\": the name must be letters, digits and _",
        ..GOOD
    },
    Case {
        gauges: &[("a{b=\"c\"}", "")],
        mistake: "gauges[0] \"a{b=\\\"c\\\"}\": the name must be letters, digits and _",
        ..GOOD
    },
    Case {
        gauges: &[("a", "x"), ("b", ""), ("a", "y")],
        mistake: "gauges[2] \"a\" repeats another",
        ..GOOD
    },
    Case {
        gauges: &[("a", "Two\nlines")],
        mistake: "gauges[0] \"a\": the help \"Two\\nlines\" must be one line without quotes and backslashes",
        ..GOOD
    },
    Case {
        methods: &["Get", "List", "Get"],
        mistake: "METHODS[2] \"Get\" repeats another",
        ..GOOD
    },
    Case {
        methods: &["Get\"\n"],
        mistake: "METHODS[0] \"Get\\\"\\n\" is no name of a method",
        ..GOOD
    },
    Case {
        methods: &["Get", "Missing"],
        mistake: "counter.v1.CounterService: descriptors lack Missing",
        ..GOOD
    },
    Case {
        service: "counter.v1.",
        mistake: "SERVICE \"counter.v1.\" is no full name of a service",
        ..GOOD
    },
    Case {
        service: "/counter.v1.CounterService",
        mistake: "SERVICE \"/counter.v1.CounterService\" is no full name of a service",
        ..GOOD
    },
    Case {
        declines: &["good", "two words"],
        mistake: "DECLINES[1] \"two words\" must be 1-64 letters, digits and _",
        ..GOOD
    },
    Case {
        declines: &[LONG],
        mistake: "aaaaaaaa\" must be 1-64 letters, digits and _",
        ..GOOD
    },
    Case {
        declines: &["a", "b", "a"],
        mistake: "DECLINES[2] \"a\" repeats another",
        ..GOOD
    },
    Case {
        declines: &[""; 33],
        mistake: "DECLINES: must be at most 32 reasons, not 33",
        ..GOOD
    },
];

/// A reason that is one byte too long.
const LONG: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The counters, with the names of a case.
enum Named<const CASE: usize> {}

impl<const CASE: usize> Model for Named<CASE> {
    const SERVICE: &'static str = CASES[CASE].service;
    const METHODS: &'static [&'static str] = CASES[CASE].methods;
    const DECLINES: &'static [&'static str] = CASES[CASE].declines;
    const DESCRIPTORS: &'static [u8] = Counter::DESCRIPTORS;
    type State = Counters;
    type Event = Added;
    type Query<'a> = Query;

    fn decode_event(bytes: &[u8]) -> Result<Added, String> {
        Counter::decode_event(bytes)
    }

    fn position(event: &Added) -> u64 {
        event.position
    }

    fn apply(state: &mut Counters, event: &Added) -> Result<(), String> {
        Counter::apply(state, event)
    }

    fn parse(method: usize, request: &[u8]) -> Result<Query, Refusal> {
        Counter::parse(method, request)
    }

    fn answer(state: &Counters, query: &Query, reply: &mut Vec<u8>) -> Result<(), Refusal> {
        Counter::answer(state, query, reply)
    }

    /// A ledger that is not empty has two gauges more, which could not be checked at the start.
    fn gauges(state: &Counters) -> Vec<(&'static str, &'static str, u64)> {
        let gauges = CASES[CASE].gauges.iter();
        let mut gauges: Vec<_> = gauges.map(|(name, help)| (*name, *help, 1)).collect();
        if Counter::gauges(state)[0].2 > 0 {
            gauges.extend([("late\n", "", 2), ("counters", "", 2)]);
        }
        gauges
    }
}

async fn start<const CASE: usize>(dir: &tempfile::TempDir) -> Result<app::Running, (u8, String)> {
    let socket = dir.path().join("s").into_os_string();
    let Asked::Run(config) =
        config::read(harness::PROGRAM, ["--socket".into(), socket], []).unwrap()
    else {
        panic!("help was asked for");
    };
    let started = app::start::<Named<CASE>>(*config).await;
    started.map_err(|error| (error.exit_code(), error.to_string()))
}

async fn is_refused<const CASE: usize>() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text) = start::<CASE>(&dir).await.err().expect("refused");
    assert_eq!(code, 70, "{text}");
    assert!(text.ends_with(CASES[CASE].mistake), "{text}");
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 0, "nothing is left behind");
}

#[tokio::test]
async fn a_mistake_is_named_and_ends_the_start() {
    is_refused::<1>().await;
    is_refused::<2>().await;
    is_refused::<3>().await;
    is_refused::<4>().await;
    is_refused::<5>().await;
    is_refused::<6>().await;
    is_refused::<7>().await;
    is_refused::<8>().await;
    is_refused::<9>().await;
    is_refused::<10>().await;
    is_refused::<11>().await;
    is_refused::<12>().await;
    is_refused::<13>().await;
    is_refused::<14>().await;
}

#[tokio::test]
async fn gauges_that_appear_later_do_not_break_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let running = start::<SOUND>(&dir).await.expect("a good model");
    let channel = harness::connect(&running.addresses.socket).await;
    let open = harness::open(harness::PROTOCOL_VERSION, harness::LEDGER, 1);
    let mut feed = harness::Feed::open(channel, open).await.unwrap();
    feed.send(harness::plain(1..=1)).await;
    feed.reached(1).await;
    let (_, page) = fetch_text(running.addresses.admin, "/metrics").await;
    let shown = page.lines().filter(|line| line.contains("hotpathd_model_"));
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "# HELP hotpathd_model_counters Counters touched",
            "# TYPE hotpathd_model_counters gauge",
            "hotpathd_model_counters 1",
            "# HELP hotpathd_model_9_More ü",
            "# TYPE hotpathd_model_9_More gauge",
            "hotpathd_model_9_More 1",
        ]
    );
    running.stop();
    running.ended().await;
}

/// The ready file is written last of all, when everything else is there already.
#[test]
fn a_start_that_fails_late_leaves_no_task_behind() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("no-such-folder").join("ready");
        let args = ["--ready-file", missing.to_str().unwrap()];
        let failed = harness::Engine::start_in(dir, &args).await;
        let error = failed.err().expect("an error");
        assert!(error.to_string().contains("no-such-folder"), "{error}");
        let alive = || runtime.metrics().num_alive_tasks();
        let gone = async {
            while alive() > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let gone = tokio::time::timeout(harness::SOON, gone).await;
        assert!(gone.is_ok(), "{} tasks are left", alive());
    });
}
