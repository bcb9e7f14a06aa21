//! The options of all commands. The comments of the fields are their lines in the help.

use super::{
    target::{self, Target},
    value::{cores, number, on_or_off, seconds, spread, step, whole, works},
};
use crate::{
    capture::{MAX_FILE_BYTES, MAX_MESSAGE_BYTES},
    generator::Address,
    plan::Step,
    record::RecordOptions,
    report::input::Plan,
    traffic,
};
use clap::{Args, builder::TypedValueParser as _};
use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

/// The rates that can be asked for.
pub(super) const QPS: RangeInclusive<f64> = 0.1..=10_000_000.0;
/// The lengths of windows in seconds.
const WINDOW_SECONDS: RangeInclusive<f64> = 0.1..=600.0;

/// The command `run` or `replay`.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What is sent.
    pub source: Source,
    /// The targets, the baseline first.
    pub targets: Vec<Target>,
    /// All other options.
    pub options: Options,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A scenario, by its path or its name.
    Scenario(String),
    /// A capture.
    Capture {
        /// The file.
        path: PathBuf,
        /// How many times as fast to replay at its own times. `None` means at the rates of the windows.
        speed: Option<f64>,
        /// Methods that are sent to a target's hot address.
        hot: Vec<String>,
        /// The scenario whose objective, rates and ledger are used.
        like: Option<String>,
    },
}

/// What `run` and `replay` are told alike.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Options {
    /// How servers are started.
    #[command(flatten)]
    pub servers: Servers,
    /// What the scenario says otherwise.
    #[command(flatten)]
    pub overrides: Overrides,
    /// Where scenarios are found by name.
    #[command(flatten)]
    pub shipped: Shipped,
    /// Where it runs, and what becomes of it.
    #[command(flatten)]
    pub conduct: Conduct,
    /// Of cores and cost.
    #[command(flatten)]
    pub estimate: Estimate,
}

/// Whom to ask, and how servers are started.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Targets")]
pub struct Servers {
    /// What to measure, the baseline first; see below
    #[arg(long, value_name = "T", default_value = "legacy")]
    pub(super) target: Vec<String>,
    /// NumStreamWorkers of walletd, for all targets alike: 128 or 0
    #[arg(long, value_name = "on|off", default_value = "on", value_parser = on_or_off,
        action = clap::ArgAction::Set)]
    pub(super) stream_workers: bool,
    /// The walletd program
    #[arg(long, value_name = "FILE", default_value = "target/bin/walletd")]
    pub walletd: PathBuf,
    /// The hotpathd program
    #[arg(long, value_name = "FILE", default_value = "target/bin/hotpathd")]
    pub hotpathd: PathBuf,
    /// Start the targets on copies of this ledger instead of a generated one
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
}

/// What the scenario says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct Overrides {
    /// Rates and windows of the search.
    #[command(flatten)]
    pub search: Search,
    /// Windows in which all targets get the same.
    #[command(flatten)]
    pub equal: Equal,
    /// What must hold.
    #[command(flatten)]
    pub objective: Objective,
    /// Requests.
    #[command(flatten)]
    pub traffic: Traffic,
}

/// The search.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(next_help_heading = "Search for the highest rate")]
pub struct Search {
    /// The first rate
    #[arg(long, value_name = "QPS", value_parser = number(QPS))]
    pub from: Option<f64>,
    /// From a rate to the next: so many QPS more, or so many times as much (x1.5)
    #[arg(long, value_name = "QPS|xF", value_parser = step)]
    pub step: Option<Step>,
    /// Length of a window of the search
    #[arg(long, value_name = "SECONDS", value_parser = seconds(WINDOW_SECONDS))]
    pub every: Option<Duration>,
    /// The highest rate
    #[arg(long, value_name = "QPS", value_parser = number(QPS))]
    pub to: Option<f64>,
    /// Search until the objective breaks (or --to), beyond the scenario's highest rate
    #[arg(long)]
    pub until_failure: bool,
    /// Raise the rate within each window, instead of from window to window
    #[arg(long)]
    pub ramp: bool,
    /// Bisections after the first rate that broke, 0-20
    #[arg(long, value_name = "N", value_parser = whole::<u32>(0..=20))]
    pub refine: Option<u32>,
    /// Windows in a row that must break the objective, 1-10
    #[arg(long, value_name = "K", value_parser = whole::<u32>(1..=10))]
    pub failing_windows: Option<u32>,
}

/// Equal load.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(next_help_heading = "Equal load")]
pub struct Equal {
    /// No search: load all targets at this rate
    #[arg(long, value_name = "QPS", value_parser = number(QPS))]
    pub qps: Option<f64>,
    /// No rate either: always --max-in-flight reads [128] in flight at each target
    #[arg(long)]
    pub closed: bool,
    /// Rate after a search, as a share of the lowest rate that a target held, 0.01-1
    #[arg(long, value_name = "SHARE", value_parser = number(0.01..=1.0))]
    pub equal_share: Option<f64>,
    /// Passes over all targets, 1-1000
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1..=1000))]
    pub rounds: Option<u32>,
    /// Passes at full load after that, always 128 reads in flight, 0-1000 [3]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(0..=1000))]
    pub full_rounds: Option<u32>,
    /// Length of a window
    #[arg(long, value_name = "SECONDS", value_parser = seconds(WINDOW_SECONDS))]
    pub window: Option<Duration>,
    /// Run the search only
    #[arg(long)]
    pub no_equal: bool,
    /// Don't run the baseline a second time in each round
    #[arg(long)]
    pub no_noise_floor: bool,
}

/// The objective. A latency of 0 is no limit.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(next_help_heading = "Objective (0: no limit)")]
pub struct Objective {
    /// Highest median latency, from the planned send
    #[arg(id = "p50-ms", long, value_name = "MS", value_parser = latency())]
    pub p50: Option<Duration>,
    /// Highest p99 of the latency
    #[arg(id = "p99-ms", long, value_name = "MS", value_parser = latency())]
    pub p99: Option<Duration>,
    /// Highest p99.9 of the latency
    #[arg(id = "p999-ms", long, value_name = "MS", value_parser = latency())]
    pub p999: Option<Duration>,
    /// Highest share of errors among the planned reads, 0-1
    #[arg(long, value_name = "SHARE", value_parser = number(0.0..=1.0))]
    pub max_error_rate: Option<f64>,
    /// Lowest achieved rate, as a share of the planned rate, 0-1
    #[arg(long, value_name = "SHARE", value_parser = number(0.0..=1.0))]
    pub min_achieved: Option<f64>,
    /// Compare the answers with the baseline's; one that differs breaks the objective
    #[arg(long)]
    pub compare: bool,
}

fn latency() -> impl clap::builder::TypedValueParser<Value = Duration> {
    number(0.0..=60_000.0).map(|ms| Duration::from_secs_f64(ms / 1e3))
}

/// Requests.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(next_help_heading = "Traffic")]
pub struct Traffic {
    /// Connections that carry reads, 1-1000
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1..=1000))]
    pub connections: Option<usize>,
    /// Connections held open beside them, 0-50000
    #[arg(long, value_name = "N", value_parser = whole::<usize>(0..=50_000))]
    pub idle_connections: Option<usize>,
    /// Most reads in flight, 1-65536; more wait in the generator (part of their latency)
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1..=65_536))]
    pub max_in_flight: Option<usize>,
    /// A read is given up after this, 1-60000
    #[arg(id = "timeout-ms", long, value_name = "MS")]
    #[arg(value_parser = whole(1..=60_000).map(Duration::from_millis))]
    pub timeout: Option<Duration>,
    /// poisson (independent callers) or constant (even gaps)
    #[arg(long, value_name = "WORD", value_parser = spread)]
    pub spread: Option<traffic::Spread>,
    /// Length of the load on each target before anything is measured
    #[arg(long, value_name = "SECONDS", value_parser = seconds(0.0..=600.0))]
    pub warm_up: Option<Duration>,
    /// Beside the reads; `run` only.
    #[arg(skip)]
    pub writes_per_second: Option<f64>,
}

/// `scenarios`, and where other commands look for one.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Scenarios")]
pub struct Shipped {
    /// Where scenarios are found by name
    #[arg(long, value_name = "DIR", default_value = "loadtest/scenarios")]
    pub scenarios: PathBuf,
}

/// What all commands that measure are told alike.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Conduct {
    /// Cores of the servers, such as 0,1 [all but the generator's]
    #[arg(long, value_name = "LIST", value_parser = cores, help_heading = "Place")]
    pub server_cores: Option<std::vec::Vec<usize>>, // Spelled so because a plain `Vec` means an option that may be repeated.
    /// Core of the generator [the last]
    #[arg(long, value_name = "N", value_parser = whole::<usize>(0..=1023), help_heading = "Place")]
    pub generator_core: Option<usize>,
    /// Let the kernel decide which cores everything runs on
    #[arg(long, help_heading = "Place")]
    pub no_pin: bool,
    /// Folder for ledgers, copies of them, logs and sockets
    #[arg(
        long,
        value_name = "DIR",
        default_value = "target/loadtest",
        help_heading = "Place"
    )]
    pub work: PathBuf,
    /// Seed of the arrival times and of the requests
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<u64>(0..=u64::MAX), help_heading = "Honesty")]
    pub seed: u64,
    /// A window is void if the p99 of the generator's lag is above this
    #[arg(
        id = "max-lag-us",
        long,
        value_name = "US",
        default_value = "1000",
        help_heading = "Honesty"
    )]
    #[arg(value_parser = whole(1..=1_000_000).map(Duration::from_micros))]
    pub max_lag: Duration,
    /// The run is void if a larger share of its windows is
    #[arg(long, value_name = "SHARE", default_value = "0.2", value_parser = number(0.0..=1.0), help_heading = "Honesty")]
    pub max_void_share: f64,
    /// Time limit of the whole run; the report says what was left out [break-even: 225]
    #[arg(long, value_name = "SECONDS", value_parser = seconds(1.0..=86_400.0), help_heading = "Honesty")]
    pub budget: Option<Duration>,
    /// Folder of the report; it must not hold one [target/loadtest/results/TIME-NAME]
    #[arg(long, value_name = "DIR", help_heading = "Report")]
    pub out: Option<PathBuf>,
    /// Write the report to loadtest/results/DATE-HOST/NAME instead, to be committed
    #[arg(long, help_heading = "Report")]
    pub keep: bool,
    /// Show notes only, no progress
    #[arg(long, help_heading = "Report")]
    pub quiet: bool,
}

/// Load, utilisation and price of the estimate.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Estimate")]
pub struct Estimate {
    /// Rate to plan for
    #[arg(long, value_name = "QPS", default_value = "10000", value_parser = number(1.0..=1e9))]
    plan_qps: f64,
    /// Price of a core for an hour
    #[arg(long, value_name = "PRICE", default_value = "0.04", value_parser = number(0.0..=1e6))]
    price_per_core_hour: f64,
    /// Highest planned share of a core
    #[arg(long, value_name = "SHARE", default_value = "0.6", value_parser = number(0.01..=1.0))]
    utilisation: f64,
}

impl Estimate {
    /// Returns the plan as the report takes it.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan {
            qps: self.plan_qps,
            utilisation: self.utilisation,
            price_per_core_hour: self.price_per_core_hour,
        }
    }
}

/// `break-even`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Break-even")]
pub struct BreakEven {
    /// CPU costs of the handler in µs, such as 0,2.5,10
    #[arg(id = "work-us", long, value_name = "LIST", default_value = "0,1,2,5,10,20,50,100", value_parser = works)]
    pub works_us: std::vec::Vec<f64>,
    /// The burnd program, built with cgo
    #[arg(long, value_name = "FILE", default_value = "target/bin/burnd")]
    pub burnd: PathBuf,
    /// The program of its sidecar
    #[arg(
        long = "burn-sidecar",
        value_name = "FILE",
        default_value = "target/bin/burn-sidecar"
    )]
    pub sidecar: PathBuf,
    /// What burnd keeps in memory beside its requests, 0-1024
    // With 64 MiB, Go's collector runs as rarely as in a service that is worth a sidecar.
    #[arg(long, value_name = "MIB", default_value = "64", value_parser = whole::<u32>(0..=1024))]
    pub heap_mib: u32,
    /// Where it runs, and what becomes of it.
    #[command(flatten)]
    pub conduct: Conduct,
}

/// `record`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Recording")]
pub struct RecordTraffic {
    /// Where callers connect: host:port or unix:PATH
    #[arg(long, value_name = "ADDRESS", value_parser = target::address)]
    listen: Address,
    /// The server that calls are passed on to
    #[arg(long, value_name = "ADDRESS", value_parser = target::address)]
    to: Address,
    /// The capture to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Record only methods whose path begins like this, such as /wallet.v1. [all]
    #[arg(long, value_name = "PREFIX")]
    only: Vec<String>,
    /// The recording ends after this long
    #[arg(long, value_name = "N", default_value = "3600", value_parser = seconds(0.1..=86_400.0))]
    seconds: Duration,
    /// The recording ends before the file becomes larger
    #[arg(long, value_name = "N", default_value_t = MAX_FILE_BYTES, value_parser = whole::<u64>(1..=MAX_FILE_BYTES))]
    max_bytes: u64,
    /// Calls with larger messages are passed on, but not recorded
    #[arg(long, value_name = "N", default_value_t = MAX_MESSAGE_BYTES)]
    #[arg(value_parser = whole::<usize>(1..=MAX_MESSAGE_BYTES as u64))]
    max_message_bytes: usize,
}

impl RecordTraffic {
    /// Returns the options as the recorder takes them.
    #[must_use]
    pub fn options(self) -> RecordOptions {
        RecordOptions {
            listen: self.listen,
            target: self.to,
            file: self.out,
            only: self.only,
            max_file_bytes: self.max_bytes,
            max_duration: self.seconds,
            max_message_bytes: self.max_message_bytes,
        }
    }
}

/// `check`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Check {
    /// Files, or names of `loadtest scenarios`
    #[arg(value_name = "SCENARIO", required = true)]
    pub paths: Vec<PathBuf>,
    /// Where they are found by name.
    #[command(flatten)]
    pub shipped: Shipped,
}

/// `report`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Rerender {
    /// The folder of the report, or of several
    #[arg(value_name = "FOLDER", required = true)]
    pub folders: Vec<PathBuf>,
    /// Rewrite the part between <!-- results --> (or break-even; loads, of several) and its end
    #[arg(long, value_name = "FILE")]
    pub readme: Option<PathBuf>,
    /// Change nothing; fail if the part is not up to date
    #[arg(long)]
    pub check: bool,
}
