//! Every option, once: what it is called, what it takes, for which commands, and its line in the help.

/// One option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flag {
    /// Without dashes.
    pub(crate) name: &'static str,
    /// Placeholder of its value; a switch has none.
    pub(crate) value: &'static str,
    /// May be given more than once.
    pub(crate) many: bool,
    /// One line.
    pub(crate) help: &'static str,
}

/// Options under one heading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    pub(crate) title: &'static str,
    /// Commands that take them.
    pub(crate) commands: &'static [&'static str],
    pub(crate) flags: &'static [Flag],
}

const fn flag(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        value,
        many: false,
        help,
    }
}

const fn many(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        value,
        many: true,
        help,
    }
}

const MEASURE: &[&str] = &["run", "replay"];
/// Everything that measures.
const ALL: &[&str] = &["run", "replay", "break-even"];

pub(crate) const GROUPS: &[Group] = &[
    Group {
        title: "Targets",
        commands: MEASURE,
        flags: &[
            many(
                "target",
                "T",
                "What to measure, the baseline first; see below [legacy]",
            ),
            flag(
                "stream-workers",
                "on|off",
                "NumStreamWorkers of walletd, for all targets alike: 128 or 0 [on]",
            ),
            flag("walletd", "FILE", "The program [target/bin/walletd]"),
            flag("hotpathd", "FILE", "The program [target/bin/hotpathd]"),
            flag(
                "db",
                "FILE",
                "Start the targets on copies of this ledger instead of a generated one",
            ),
        ],
    },
    Group {
        title: "Search for the highest rate",
        commands: MEASURE,
        flags: &[
            flag("from", "QPS", "The first rate"),
            flag(
                "step",
                "QPS|xF",
                "To the next: so much more, or so many times as much (x1.5)",
            ),
            flag("every", "SECONDS", "Length of a window of the search"),
            flag("to", "QPS", "Never more than this"),
            flag(
                "until-failure",
                "",
                "Until the objective breaks (or --to), whatever rate the scenario ends at",
            ),
            flag(
                "ramp",
                "",
                "Rise within each window from the rate before, instead of in steps",
            ),
            flag(
                "refine",
                "N",
                "Bisections after the first rate that broke, 0-20",
            ),
            flag(
                "failing-windows",
                "K",
                "Windows in a row that must break, 1-10",
            ),
        ],
    },
    Group {
        title: "Equal load",
        commands: MEASURE,
        flags: &[
            flag("qps", "QPS", "No search: all targets at this rate"),
            flag(
                "closed",
                "",
                "No rate either: --max-in-flight reads [128] in flight at each target, always",
            ),
            flag(
                "equal-share",
                "SHARE",
                "Else at this share of the lowest rate that a target held, 0.01-1",
            ),
            flag("rounds", "N", "Passes over all targets, 1-1000"),
            flag("window", "SECONDS", "Length of a window"),
            flag("no-equal", "", "Search only"),
            flag(
                "no-noise-floor",
                "",
                "Don't run the baseline a second time in each round",
            ),
        ],
    },
    Group {
        title: "Objective (0: no limit)",
        commands: MEASURE,
        flags: &[
            flag(
                "p50-ms",
                "MS",
                "Half of the reads are answered by then, from planned send",
            ),
            flag("p99-ms", "MS", "99% are"),
            flag("p999-ms", "MS", "99.9% are"),
            flag("max-error-rate", "SHARE", "Errors over planned reads, 0-1"),
            flag("min-achieved", "SHARE", "Achieved over planned rate, 0-1"),
            flag(
                "compare",
                "",
                "Compare the answers with the baseline's; one that differs breaks the objective",
            ),
        ],
    },
    Group {
        title: "Traffic",
        commands: MEASURE,
        flags: &[
            flag("connections", "N", "That carry reads, 1-1000"),
            flag("idle-connections", "N", "Held open beside them, 0-50000"),
            flag(
                "max-in-flight",
                "N",
                "Reads at once, 1-65536; more wait in the generator, and count as waiting",
            ),
            flag("timeout-ms", "MS", "Given up after, 1-60000"),
            flag(
                "spread",
                "WORD",
                "poisson (independent callers) or constant (even gaps)",
            ),
            flag(
                "warm-up",
                "SECONDS",
                "Load on each target before anything is measured",
            ),
        ],
    },
    Group {
        title: "Writes",
        commands: &["run"],
        flags: &[flag(
            "writes",
            "N",
            "Writes a second beside the reads, 0-100000",
        )],
    },
    Group {
        title: "Scenarios",
        commands: &["run", "replay", "check", "scenarios"],
        flags: &[flag(
            "scenarios",
            "DIR",
            "Where scenarios are found by name [loadtest/scenarios]",
        )],
    },
    Group {
        title: "Capture",
        commands: &["replay"],
        flags: &[
            flag(
                "speed",
                "X",
                "At its own times, so many times as fast [1, unless rates are given]",
            ),
            many(
                "hot",
                "METHOD",
                "/package.Service/Method that a target with a hot address is asked there",
            ),
            flag(
                "like",
                "SCENARIO",
                "Objective, rates and ledger of this scenario",
            ),
        ],
    },
    Group {
        title: "Break-even",
        commands: &["break-even"],
        flags: &[
            flag(
                "work-us",
                "LIST",
                "What handlers cost in µs, such as 0,2.5,10 [0,1,2,5,10,20,50,100]",
            ),
            flag(
                "burnd",
                "FILE",
                "The service, built with cgo [target/bin/burnd]",
            ),
            flag(
                "burn-sidecar",
                "FILE",
                "Its sidecar [target/bin/burn-sidecar]",
            ),
            flag(
                "heap-mib",
                "MIB",
                "What the service keeps in memory beside its requests, 0-1024 [64]",
            ),
        ],
    },
    Group {
        title: "Place",
        commands: ALL,
        flags: &[
            flag(
                "server-cores",
                "LIST",
                "Cores of the servers, such as 0,1 [all but the generator's]",
            ),
            flag("generator-core", "N", "Core of the generator [the last]"),
            flag("no-pin", "", "Leave it to the kernel who runs where"),
            flag(
                "work",
                "DIR",
                "For ledgers, copies of them, logs and sockets [target/loadtest]",
            ),
        ],
    },
    Group {
        title: "Honesty",
        commands: ALL,
        flags: &[
            flag("seed", "N", "Of arrival times and of what is asked [1]"),
            flag(
                "max-lag-us",
                "US",
                "A window is void if the generator's lag p99 is above [1000]",
            ),
            flag(
                "max-void-share",
                "SHARE",
                "The run is void if more of its windows are [0.2]",
            ),
            flag(
                "budget",
                "SECONDS",
                "The whole run ends within this; what was left out is said [of break-even 225]",
            ),
        ],
    },
    Group {
        title: "Report",
        commands: ALL,
        flags: &[
            flag(
                "out",
                "DIR",
                "For the report; it must hold none [target/loadtest/results/TIME-NAME]",
            ),
            flag(
                "keep",
                "",
                "Write it to loadtest/results/DATE-HOST/NAME instead, to be committed",
            ),
            flag("quiet", "", "Notes only, no progress"),
        ],
    },
    Group {
        title: "Estimate",
        commands: MEASURE,
        flags: &[
            flag("plan-qps", "QPS", "Load to plan for [10000]"),
            flag(
                "price-per-core-hour",
                "PRICE",
                "For the estimate of cost [0.04]",
            ),
            flag(
                "utilisation",
                "SHARE",
                "Highest planned use of a core [0.6]",
            ),
        ],
    },
    Group {
        title: "Recording",
        commands: &["record"],
        flags: &[
            flag(
                "listen",
                "ADDRESS",
                "Where callers connect: host:port or unix:PATH",
            ),
            flag("to", "ADDRESS", "The server that answers them"),
            flag("out", "FILE", "The capture"),
            many(
                "only",
                "PREFIX",
                "Methods whose path begins so, such as /wallet.v1. [all]",
            ),
            flag("seconds", "N", "The recording ends after this long [3600]"),
            flag(
                "max-bytes",
                "N",
                "It ends before the file is larger [2147483648]",
            ),
            flag(
                "max-message-bytes",
                "N",
                "Larger messages are passed on only [4194304]",
            ),
        ],
    },
    Group {
        title: "README",
        commands: &["report"],
        flags: &[
            flag(
                "readme",
                "FILE",
                "Rewrite the part between <!-- results --> (or break-even) and <!-- /results -->",
            ),
            flag("check", "", "Only fail if it is another"),
        ],
    },
    Group {
        title: "Help",
        commands: &[
            "run",
            "replay",
            "break-even",
            "record",
            "inspect",
            "check",
            "scenarios",
            "report",
        ],
        flags: &[flag("help", "", "Print this (also -h)")],
    },
];

/// What a command takes.
pub(crate) fn groups(command: &str) -> impl Iterator<Item = &'static Group> {
    GROUPS
        .iter()
        .filter(move |group| group.commands.contains(&command))
}

/// All flags of a command.
pub(crate) fn flags(command: &str) -> impl Iterator<Item = &'static Flag> {
    groups(command).flat_map(|group| group.flags)
}
