#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::{
    target::{Running, What},
    *,
};
use crate::{generator::Address, plan::Step};
use std::time::Duration;

fn parsed(line: &str) -> Result<Command> {
    parse(line.split_whitespace().map(OsString::from))
}

fn run(line: &str) -> Run {
    match parsed(line) {
        Ok(Command::Run(run)) => *run,
        other => panic!("{line}: {other:?}"),
    }
}

fn mistakes(line: &str) -> Vec<String> {
    let error = parsed(line).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    let text = error.to_string();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let hint = lines.pop().unwrap();
    assert!(hint.starts_with("`loadtest "), "{hint}");
    lines
}

#[test]
fn all_mistakes_are_told_at_once() {
    let found = mistakes(
        "run --target nope --from 0 --quite --p99-ms soon --keep --out x --refine 99 --qps 5",
    );
    let expected = [
        "unexpected argument '--quite' found; tip: a similar argument exists: '--quiet'",
        "--from \"0\": must be a number from 0.1 to 10000000",
        "--p99-ms \"soon\": must be a number from 0 to 60000",
        "--refine \"99\": must be a whole number from 0 to 20",
        "the following required arguments were not provided: <SCENARIO>",
        "--qps and --from: a fixed rate is not searched for",
        "--qps and --refine: a fixed rate is not searched for",
        "--keep and --out: either says where the report goes",
        "--target \"nope\": must be one of legacy, store, best-go-scan, best-go, sidecar, direct, each with :workers, :workers=N or :no-workers if need be, sidecar with :unary, :legacy or :shadow, sidecar and direct with :store, :pair or :scan, all but legacy and store with :spliced, or NAME=ADDRESS",
    ];
    assert_eq!(found, expected);
}

#[test]
fn commands_and_values_that_are_missing_are_named() {
    let only = |line: &str, said: &[&str]| {
        let found = mistakes(line);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(said.iter().all(|part| found[0].contains(part)), "{found:?}");
    };
    only("", &["requires a subcommand", "break-even"]);
    only("runn", &["unrecognized subcommand 'runn'", "exists: 'run'"]);
    only("help xyzzy", &["unrecognized subcommand 'xyzzy'"]);
    only("--nope", &["unexpected argument '--nope'"]);
    only(
        "run mixed --seed",
        &["a value is required for '--seed <N>'"],
    );
    only(
        "run mixed --seed 1 --seed 2",
        &["'--seed <N>' cannot be used multiple times"],
    );
    only(
        "run mixed --quiet=1",
        &["unexpected value '1' for '--quiet'"],
    );
    only("run a b", &["unexpected argument 'b'"]);
    only("run a -x", &["unexpected argument '-x'"]);
    only("scenarios a", &["unexpected argument 'a'"]);
    only(
        "run a --from -5",
        &["--from \"-5\": must be a number from 0.1"],
    );
    assert_eq!(
        mistakes("run a --from 9 --to 5"),
        ["--from 9 must not be over --to 5"]
    );
    assert_eq!(
        mistakes("record --to nowhere"),
        [
            "--to \"nowhere\": \"nowhere\" must be host:port, such as 127.0.0.1:7450, or unix:PATH",
            "the following required arguments were not provided: --listen <ADDRESS> --out <FILE>",
        ]
    );
    assert_eq!(
        mistakes("report x --check"),
        ["--check does nothing without --readme"]
    );
}

#[test]
fn a_mistake_hides_none_that_follow() {
    let found = mistakes(
        "run --quiet=1 a b c --seed --quiet -y --seed 2 --nope=3 --hot /a/b --rounds 0 --work",
    );
    let named = [
        "'--quiet'",
        "'b'",
        "'c'",
        "'--seed <N>'",
        "'-y'",
        "'--nope'",
        "'--hot'",
        "'/a/b'",
        "--rounds \"0\"",
        "'--work <DIR>'",
    ];
    assert_eq!(found.len(), named.len(), "{found:?}");
    for (told, name) in found.iter().zip(named) {
        assert!(told.contains(name), "{told}, not of {name}");
    }
    let empty = ["report", "", "--readme="].map(OsString::from);
    let text = parse(empty).unwrap_err().to_string();
    assert!(
        text.contains("'<FOLDER>...'") && text.contains("'--readme <FILE>'"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 3, "{text}");
    let both = mistakes("replay c --hot Get --hot Post --target a --target b");
    assert_eq!(both.len(), 4, "{both:?}");
    assert!(matches!(
        parsed("run --quite --seed --help"),
        Ok(Command::Print(_))
    ));
}

#[test]
fn defaults_are_those_of_the_help() {
    let run = run("run mixed");
    assert_eq!(run.source, Source::Scenario("mixed".into()));
    assert_eq!(run.options.overrides, Overrides::default());
    assert_eq!(
        (run.options.conduct.seed, run.options.conduct.max_lag),
        (1, Duration::from_millis(1))
    );
    assert_eq!(run.options.conduct.work.to_str(), Some("target/loadtest"));
    assert_eq!(run.targets.len(), 1);
    assert_eq!(run.targets[0].name, "legacy");
}

#[test]
fn the_search_is_read() {
    let search = run("run x --from 100 --step x1.5 --every 2.5 --until-failure --ramp --refine 3")
        .options
        .overrides
        .search;
    assert_eq!(search.step, Some(Step::Times(1.5)));
    assert_eq!(search.every, Some(Duration::from_millis(2500)));
    assert_eq!(search.to, Some(10_000_000.0));
    assert!(search.ramp);
    assert_eq!(
        run("run x --step 250").options.overrides.search.step,
        Some(Step::Add(250.0))
    );
}

#[test]
fn a_limit_of_zero_is_none() {
    let asked = run("run x --p99-ms 2.5 --p999-ms 0").options.overrides;
    let mut parts = crate::run::parts::plain();
    parts.objective.p999 = parts.objective.p99;
    parts.apply(&asked).unwrap();
    let limits = (parts.objective.p99, parts.objective.p999);
    assert_eq!(limits, (Some(Duration::from_micros(2500)), None));
}

#[test]
fn targets_are_named_after_what_they_are() {
    let run = run(
        "run x --target legacy --target legacy --target sidecar:no-workers --stream-workers on",
    );
    let names: Vec<_> = run
        .targets
        .iter()
        .map(|target| target.name.as_str())
        .collect();
    assert_eq!(names, ["legacy", "legacy-2", "sidecar:no-workers"]);
    let workers = run.targets.iter().map(|target| match &target.what {
        What::Topology(spec) => {
            assert_eq!(spec.name, target.name.replace(':', "-"));
            spec.stream_workers
        }
        What::Running(_) => panic!(),
    });
    assert_eq!(workers.collect::<Vec<_>>(), [128, 128, 0]);
}

#[test]
fn a_sidecar_may_be_asked_by_a_call_each() {
    let run = run("run x --target sidecar --target sidecar:unary:no-workers");
    let told = run.targets.iter().map(|target| match &target.what {
        What::Topology(spec) => (spec.name.as_str(), spec.unary_hop, spec.stream_workers),
        What::Running(_) => panic!(),
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("sidecar", false, 128),
            ("sidecar-unary-no-workers", true, 0)
        ]
    );
}

#[test]
fn all_but_legacy_may_stand_behind_spliced_fronts() {
    let run = run(
        "run x --target sidecar --target sidecar:spliced --target sidecar:spliced:no-workers \
         --target sidecar:workers=2:spliced --target sidecar:spliced --target best-go:spliced --target direct:spliced",
    );
    let told = run.targets.iter().map(|target| match &target.what {
        What::Topology(spec) => (spec.name.as_str(), spec.spliced, spec.stream_workers),
        What::Running(_) => panic!(),
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("sidecar", false, 128),
            ("sidecar-spliced", true, 128),
            ("sidecar-spliced-no-workers", true, 0),
            ("sidecar-workers=2-spliced", true, 2),
            ("sidecar-spliced-2", true, 128),
            ("best-go-spliced", true, 128),
            ("direct-spliced", true, 128),
        ]
    );
}

#[test]
fn numbers_of_workers_are_told_apart() {
    let run = run(
        "run x --stream-workers off --target legacy --target legacy:workers \
         --target legacy:workers=1 --target sidecar:workers=4096:unary",
    );
    let told = run.targets.iter().map(|target| match &target.what {
        What::Topology(spec) => (target.name.as_str(), spec.stream_workers, spec.unary_hop),
        What::Running(_) => panic!(),
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("legacy", 0, false),
            ("legacy:workers", 128, false),
            ("legacy:workers=1", 1, false),
            ("sidecar:workers=4096:unary", 4096, true)
        ]
    );
}

#[test]
fn a_running_server_may_say_more_about_itself() {
    let run = run(
        "run x --target a=localhost:7450,hot=unix:/h.sock,pid=walletd:7,pid=hotpathd:8,admin=127.0.0.1:9",
    );
    let What::Running(Running {
        endpoints,
        processes,
        admin,
    }) = &run.targets[0].what
    else {
        panic!()
    };
    assert_eq!(endpoints.front, "localhost:7450".parse().unwrap());
    assert_eq!(endpoints.hot, Some(Address::Unix("/h.sock".into())));
    assert_eq!(
        processes,
        &[("walletd".to_owned(), 7), ("hotpathd".to_owned(), 8)]
    );
    assert_eq!(admin.as_deref(), Some("127.0.0.1:9"));
}

#[test]
fn bad_targets_are_told_by_their_rule() {
    let rules = [
        (
            "sidecar:fast",
            "fast must be workers, workers=N, no-workers, unary, legacy, shadow, spliced, store, pair or scan",
        ),
        (
            "legacy:workers=0",
            "workers=0: must be a whole number from 1 to 4096; no-workers is 0",
        ),
        ("legacy:workers=4097", "workers=4097: must be a whole"),
        ("legacy:workers=", "workers=: must be a whole number"),
        ("legacy:workers=many", "workers=many: must be a whole"),
        ("legacy:unary=1", "unary=1 must be workers"),
        ("a:b=127.0.0.1:1", "must be one of legacy"),
        ("legacy:unary", "unary is for sidecar only"),
        ("best-go:unary", "unary is for sidecar only"),
        ("legacy:spliced", "spliced is not for legacy and store"),
        (
            "store:workers:spliced",
            "spliced is not for legacy and store",
        ),
        ("store:store", "store is for sidecar and direct only"),
        ("direct:shadow", "shadow is for sidecar only"),
        ("best-go:legacy", "legacy is for sidecar only"),
        ("best-go:pair", "pair is for sidecar and direct only"),
        ("best-go:scan", "scan is for sidecar and direct only"),
        ("sidecar:spliced=1", "spliced=1 must be workers"),
        (
            "sidecar:unary:spliced",
            "unary and spliced: the spliced front door forwards by the exchange only",
        ),
        ("sidecar:spliced:workers=2:unary", "unary and spliced: "),
        ("sidecar:", "must be one of"),
        ("=127.0.0.1:1", "the name must be"),
        ("../x=127.0.0.1:1", "the name must be"),
        ("a=nowhere", "must be host:port"),
        ("a=unix:", "unix: needs a path"),
        ("a=127.0.0.1:1,pid=x", "must be NAME:NUMBER"),
        ("a=127.0.0.1:1,pid=x:0", "must be NAME:NUMBER"),
        ("a=127.0.0.1:1,admin=127.0.0.1:2", "needs the pid="),
        ("a=127.0.0.1:1,cold=1", "must be one of hot=ADDRESS"),
    ];
    for (target, rule) in rules {
        let found = mistakes(&format!("run x --target {target}"));
        assert!(found[0].contains(rule), "{found:?}");
    }
    let twice = mistakes("run x --target a=127.0.0.1:1 --target a=127.0.0.1:2");
    assert_eq!(twice, ["--target: the name a is given more than once"]);
}

#[test]
fn a_capture_runs_at_its_own_speed_unless_rates_are_given() {
    let speed = |line: &str| match run(line).source {
        Source::Capture { speed, .. } => speed,
        Source::Scenario(_) => panic!(),
    };
    assert_eq!(speed("replay c"), Some(1.0));
    assert_eq!(speed("replay c --speed 3"), Some(3.0));
    assert_eq!(speed("replay c --qps 30"), None);
    assert_eq!(speed("replay c --closed"), None);
    assert_eq!(
        mistakes("replay c --closed --speed 2"),
        ["--closed and --speed: a closed loop goes as fast as answers come"]
    );
    let both = mistakes("replay c --speed 3 --qps 9");
    assert_eq!(
        both,
        ["--speed and --qps: a capture at its own times has no rates"]
    );
    assert_eq!(
        mistakes("replay c --hot GetBalance"),
        ["--hot \"GetBalance\": must be /package.Service/Method"]
    );
}

#[test]
fn a_closed_loop_goes_with_nothing_that_names_a_rate_or_a_wait() {
    let asked = run(
        "run x --closed --max-in-flight 64 --rounds 6 --window 2 --writes 20 \
         --max-error-rate 0.01 --no-noise-floor --warm-up 1",
    );
    assert!(asked.options.overrides.equal.closed);
    assert_eq!(asked.options.overrides.traffic.max_in_flight, Some(64));
    for other in [
        "from 5",
        "step x2",
        "every 2",
        "to 9",
        "until-failure",
        "ramp",
        "refine 3",
        "failing-windows 2",
        "qps 9",
        "equal-share 0.5",
        "no-equal",
        "spread poisson",
        "max-lag-us 500",
        "p50-ms 1",
        "p99-ms 1",
        "p999-ms 1",
        "min-achieved 0.9",
        "compare",
    ] {
        let name = other.split(' ').next().unwrap();
        let found = mistakes(&format!("run x --closed --{other}"));
        assert_eq!(found.len(), 1, "{found:?}");
        let begin = format!("--closed and --{name}: ");
        assert!(found[0].starts_with(&begin), "{found:?}");
    }
    assert_eq!(
        mistakes("run x --closed --qps 9"),
        ["--closed and --qps: a closed loop goes as fast as answers come"]
    );
}

#[test]
fn help_and_version_are_printed() {
    let text = |line: &str| match parsed(line).unwrap() {
        Command::Print(text) => text,
        other => panic!("{other:?}"),
    };
    for word in [
        "open loop",
        "planned send",
        "void",
        "noise floor",
        "Exit codes",
        "64",
        "Examples",
    ] {
        assert!(text("--help").contains(word), "{word}");
    }
    assert_eq!(text("help run"), text("run --help"));
    for word in ["--until-failure", ":unary", ":spliced"] {
        assert!(text("help run").contains(word), "{word}");
    }
    assert!(text("--version").starts_with("loadtest "));
    let mut texts = vec![text("--help")];
    for command in Line::command().get_subcommands() {
        assert!(text("--help").contains(&command.get_about().unwrap().to_string()));
        texts.push(text(&format!("help {}", command.get_name())));
    }
    assert_eq!(texts.len(), 9);
    for text in texts {
        let longest = text.lines().map(str::len).max().unwrap();
        assert!(longest <= 120, "{longest}: {text}");
    }
}

#[test]
fn works_are_ascending_and_begin_with_none() {
    let Ok(Command::BreakEven(run)) = parsed("break-even --work-us 0,2.5,10 --budget 30") else {
        panic!()
    };
    assert_eq!(run.works_us, [0.0, 2.5, 10.0]);
    assert_eq!(run.heap_mib, 64);
    assert_eq!(run.conduct.budget, Some(Duration::from_secs(30)));
    for wrong in ["1,2", "0", "0,5,5", "0,9,3", "0,x", "0,NaN", "0,20000"] {
        let found = mistakes(&format!("break-even --work-us {wrong}"));
        assert!(found[0].contains("ascending"), "{wrong}: {found:?}");
    }
}

#[test]
fn contradictions_are_told() {
    let found = mistakes("break-even now --keep --out x --no-pin --generator-core 1").join("\n");
    for part in ["now", "--keep and --out", "--no-pin and --generator-core"] {
        assert!(found.contains(part), "{found}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    /// The arguments that `forgive` adds or changes must not confuse clap.
    #[test]
    fn any_line_is_a_command_or_a_usage_error(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "run", "replay", "record", "inspect", "check", "report", "break-even", "scenarios", "help", "x", "", "-", "--", "-x",
            "-xy", "-x=1", "-5", "--=", "--no", "--no=1", "--help=1", "--quiet", "--quiet=1", "--from", "--from=", "--from=0",
            "--to", "--target", "--target=", "--hot", "--hot=a", "--only", "--out", "--out=", "--listen", "--check", "ü", "-ü", "--ü",
        ]), 0..9),
    ) {
        if let Err(error) = parse(words.iter().map(OsString::from)) {
            proptest::prop_assert_eq!(error.kind(), Kind::Usage);
            let told = error.to_string();
            proptest::prop_assert!(told.lines().count() <= 2 * words.len() + 4, "{}", told);
        }
    }
}

#[test]
fn rounds_of_full_load_need_a_search() {
    let Ok(Command::Run(run)) = parsed("run x --full-rounds 0") else {
        panic!()
    };
    assert_eq!(run.options.overrides.equal.full_rounds, Some(0));
    for with in ["--qps 10", "--closed", "--no-equal"] {
        let found = mistakes(&format!("run x --full-rounds 2 {with}"));
        assert_eq!(found.len(), 1, "{with}: {found:?}");
    }
}
