//! Options that exclude each other, with the reason.

use super::value::is_method;
use clap::{ArgMatches, parser::ValueSource};

const SEARCH: &[&str] = &[
    "from",
    "step",
    "every",
    "to",
    "until-failure",
    "ramp",
    "refine",
    "failing-windows",
];
/// Options outside the search that say at which rates a capture is replayed, or that there are none.
const RATES: &[&str] = &["qps", "closed", "no-equal", "equal-share"];

/// An option, the options that it excludes, and the reason.
const EXCLUDED: &[(&str, &[&str], &str)] = &[
    ("qps", SEARCH, "a fixed rate is not searched for"),
    (
        "qps",
        &["no-equal", "equal-share", "full-rounds"],
        "that is all that would be run",
    ),
    (
        "no-equal",
        &[
            "equal-share",
            "rounds",
            "full-rounds",
            "window",
            "no-noise-floor",
        ],
        "there is no equal load",
    ),
    ("speed", SEARCH, "a capture at its own times has no rates"),
    (
        "speed",
        &["qps", "equal-share", "no-equal", "full-rounds"],
        "a capture at its own times has no rates",
    ),
    (
        "closed",
        SEARCH,
        "a closed loop has no rates, and no search",
    ),
    (
        "closed",
        &["qps", "equal-share", "speed", "full-rounds"],
        "a closed loop goes as fast as answers come",
    ),
    ("closed", &["no-equal"], "that is all that would be run"),
    (
        "closed",
        &["spread", "max-lag-us"],
        "a closed loop plans no times of reads",
    ),
    (
        "closed",
        &["p50-ms", "p99-ms", "p999-ms", "min-achieved"],
        "of the objective, only --max-error-rate means anything in a closed loop",
    ),
    (
        "closed",
        &["compare"],
        "targets answer different numbers of reads; compare at a rate",
    ),
    (
        "no-pin",
        &["server-cores", "generator-core"],
        "either pin, or don't",
    ),
    ("keep", &["out"], "either says where the report goes"),
];

/// Returns the options that were given.
pub(super) fn given<'a>(
    reader: &'a clap::Command,
    command: &str,
    given: &ArgMatches,
) -> Vec<&'a str> {
    let known = reader.find_subcommand(command).into_iter();
    let known = known.flat_map(clap::Command::get_arguments);
    let typed = known
        .filter(|arg| given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine));
    typed.filter_map(clap::Arg::get_long).collect()
}

/// Whether one of the options says at which rates a capture is replayed, or that there are none.
pub(super) fn rates(longs: &[&str]) -> bool {
    longs
        .iter()
        .any(|long| SEARCH.contains(long) || RATES.contains(long))
}

/// Returns the contradictions.
pub(super) fn find(longs: &[&str], given: &ArgMatches) -> Vec<String> {
    let mut found = Vec::new();
    for (one, others, why) in EXCLUDED {
        let others = others
            .iter()
            .filter(|other| longs.contains(other) && longs.contains(one));
        found.extend(others.map(|other| format!("--{one} and --{other}: {why}")));
    }
    let number = |name| given.try_get_one::<f64>(name).ok().flatten().copied();
    if let (Some(from), Some(to)) = (number("from"), number("to"))
        && from > to
    {
        found.push(format!("--from {from} must not be over --to {to}"));
    }
    if longs.contains(&"check") && !longs.contains(&"readme") {
        found.push("--check does nothing without --readme".to_owned());
    }
    let hot = given.try_get_many::<String>("hot").ok().flatten();
    for method in hot
        .into_iter()
        .flatten()
        .filter(|method| !is_method(method))
    {
        found.push(format!("--hot {method:?}: must be /package.Service/Method"));
    }
    found
}
