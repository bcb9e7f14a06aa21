//! What the commands are asked for. What is said here of an option is its line in the help.

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

/// Rates that can be asked for.
pub(super) const QPS: RangeInclusive<f64> = 0.1..=10_000_000.0;
/// Lengths of windows.
const WINDOW_SECONDS: RangeInclusive<f64> = 0.1..=600.0;

/// `run` or `replay`.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What is sent.
    pub source: Source,
    /// To whom, the baseline first.
    pub targets: Vec<Target>,
    /// All else.
    pub options: Options,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A path, or the name of a scenario.
    Scenario(String),
    /// A capture.
    Capture {
        /// The file.
        path: PathBuf,
        /// At its own times, so many times as fast; `None`: at the rates of the windows.
        speed: Option<f64>,
        /// Methods that are asked at a target's hot address.
        hot: Vec<String>,
        /// Scenario whose objective, rates and ledger are taken.
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
    /// The program
    #[arg(long, value_name = "FILE", default_value = "target/bin/walletd")]
    pub walletd: PathBuf,
    /// The program
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
    /// To the next: so much more, or so many times as much (x1.5)
    #[arg(long, value_name = "QPS|xF", value_parser = step)]
    pub step: Option<Step>,
    /// Length of a window of the search
    #[arg(long, value_name = "SECONDS", value_parser = seconds(WINDOW_SECONDS))]
    pub every: Option<Duration>,
    /// Never more than this
    #[arg(long, value_name = "QPS", value_parser = number(QPS))]
    pub to: Option<f64>,
    /// Until the objective breaks (or --to), whatever rate the scenario ends at
    #[arg(long)]
    pub until_failure: bool,
    /// Rise within each window from the rate before, instead of in steps
    #[arg(long)]
    pub ramp: bool,
    /// Bisections after the first rate that broke, 0-20
    #[arg(long, value_name = "N", value_parser = whole::<u32>(0..=20))]
    pub refine: Option<u32>,
    /// Windows in a row that must break, 1-10
    #[arg(long, value_name = "K", value_parser = whole::<u32>(1..=10))]
    pub failing_windows: Option<u32>,
}

/// Equal load.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(next_help_heading = "Equal load")]
pub struct Equal {
    /// No search: all targets at this rate
    #[arg(long, value_name = "QPS", value_parser = number(QPS))]
    pub qps: Option<f64>,
    /// No rate either: --max-in-flight reads [128] in flight at each target, always
    #[arg(long)]
    pub closed: bool,
    /// Else at this share of the lowest rate that a target held, 0.01-1
    #[arg(long, value_name = "SHARE", value_parser = number(0.01..=1.0))]
    pub equal_share: Option<f64>,
    /// Passes over all targets, 1-1000
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1..=1000))]
    pub rounds: Option<u32>,
    /// Length of a window
    #[arg(long, value_name = "SECONDS", value_parser = seconds(WINDOW_SECONDS))]
    pub window: Option<Duration>,
    /// Search only
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
    /// Half of the reads are answered by then, from planned send
    #[arg(id = "p50-ms", long, value_name = "MS", value_parser = latency())]
    pub p50: Option<Duration>,
    /// 99% are
    #[arg(id = "p99-ms", long, value_name = "MS", value_parser = latency())]
    pub p99: Option<Duration>,
    /// 99.9% are
    #[arg(id = "p999-ms", long, value_name = "MS", value_parser = latency())]
    pub p999: Option<Duration>,
    /// Errors over planned reads, 0-1
    #[arg(long, value_name = "SHARE", value_parser = number(0.0..=1.0))]
    pub max_error_rate: Option<f64>,
    /// Achieved over planned rate, 0-1
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
    /// That carry reads, 1-1000
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1..=1000))]
    pub connections: Option<usize>,
    /// Held open beside them, 0-50000
    #[arg(long, value_name = "N", value_parser = whole::<usize>(0..=50_000))]
    pub idle_connections: Option<usize>,
    /// Reads at once, 1-65536; more wait in the generator, and count as waiting
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1..=65_536))]
    pub max_in_flight: Option<usize>,
    /// Given up after, 1-60000
    #[arg(id = "timeout-ms", long, value_name = "MS")]
    #[arg(value_parser = whole(1..=60_000).map(Duration::from_millis))]
    pub timeout: Option<Duration>,
    /// poisson (independent callers) or constant (even gaps)
    #[arg(long, value_name = "WORD", value_parser = spread)]
    pub spread: Option<traffic::Spread>,
    /// Load on each target before anything is measured
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
    /// Leave it to the kernel who runs where
    #[arg(long, help_heading = "Place")]
    pub no_pin: bool,
    /// For ledgers, copies of them, logs and sockets
    #[arg(
        long,
        value_name = "DIR",
        default_value = "target/loadtest",
        help_heading = "Place"
    )]
    pub work: PathBuf,
    /// Of arrival times and of what is asked
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<u64>(0..=u64::MAX), help_heading = "Honesty")]
    pub seed: u64,
    /// A window is void if the generator's lag p99 is above
    #[arg(
        id = "max-lag-us",
        long,
        value_name = "US",
        default_value = "1000",
        help_heading = "Honesty"
    )]
    #[arg(value_parser = whole(1..=1_000_000).map(Duration::from_micros))]
    pub max_lag: Duration,
    /// The run is void if more of its windows are
    #[arg(long, value_name = "SHARE", default_value = "0.2", value_parser = number(0.0..=1.0), help_heading = "Honesty")]
    pub max_void_share: f64,
    /// The whole run ends within this; what was left out is said [of break-even 225]
    #[arg(long, value_name = "SECONDS", value_parser = seconds(1.0..=86_400.0), help_heading = "Honesty")]
    pub budget: Option<Duration>,
    /// For the report; it must hold none [target/loadtest/results/TIME-NAME]
    #[arg(long, value_name = "DIR", help_heading = "Report")]
    pub out: Option<PathBuf>,
    /// Write it to loadtest/results/DATE-HOST/NAME instead, to be committed
    #[arg(long, help_heading = "Report")]
    pub keep: bool,
    /// Notes only, no progress
    #[arg(long, help_heading = "Report")]
    pub quiet: bool,
}

/// Load, utilisation and price of the estimate.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Estimate")]
pub struct Estimate {
    /// Load to plan for
    #[arg(long, value_name = "QPS", default_value = "10000", value_parser = number(1.0..=1e9))]
    plan_qps: f64,
    /// For the estimate of cost
    #[arg(long, value_name = "PRICE", default_value = "0.04", value_parser = number(0.0..=1e6))]
    price_per_core_hour: f64,
    /// Highest planned use of a core
    #[arg(long, value_name = "SHARE", default_value = "0.6", value_parser = number(0.01..=1.0))]
    utilisation: f64,
}

impl Estimate {
    /// As the report takes it.
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
    /// What handlers cost in µs, such as 0,2.5,10
    #[arg(id = "work-us", long, value_name = "LIST", default_value = "0,1,2,5,10,20,50,100", value_parser = works)]
    pub works_us: std::vec::Vec<f64>,
    /// The service, built with cgo
    #[arg(long, value_name = "FILE", default_value = "target/bin/burnd")]
    pub burnd: PathBuf,
    /// Its sidecar
    #[arg(
        long = "burn-sidecar",
        value_name = "FILE",
        default_value = "target/bin/burn-sidecar"
    )]
    pub sidecar: PathBuf,
    /// What the service keeps in memory beside its requests, 0-1024
    // 64: Go's collector comes as seldom as in a service that is worth a sidecar.
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
    /// The server that answers them
    #[arg(long, value_name = "ADDRESS", value_parser = target::address)]
    to: Address,
    /// The capture
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Methods whose path begins so, such as /wallet.v1. [all]
    #[arg(long, value_name = "PREFIX")]
    only: Vec<String>,
    /// The recording ends after this long
    #[arg(long, value_name = "N", default_value = "3600", value_parser = seconds(0.1..=86_400.0))]
    seconds: Duration,
    /// It ends before the file is larger
    #[arg(long, value_name = "N", default_value_t = MAX_FILE_BYTES, value_parser = whole::<u64>(1..=MAX_FILE_BYTES))]
    max_bytes: u64,
    /// Larger messages are passed on only
    #[arg(long, value_name = "N", default_value_t = MAX_MESSAGE_BYTES)]
    #[arg(value_parser = whole::<usize>(1..=MAX_MESSAGE_BYTES as u64))]
    max_message_bytes: usize,
}

impl RecordTraffic {
    /// As the recorder takes them.
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
    /// Where the report is
    pub folder: PathBuf,
    /// Rewrite the part between <!-- results --> (or break-even) and <!-- /results -->
    #[arg(long, value_name = "FILE")]
    pub readme: Option<PathBuf>,
    /// Only fail if it is another
    #[arg(long)]
    pub check: bool,
}
