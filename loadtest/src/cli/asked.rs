//! What the commands are asked for.

use super::target::Target;
use crate::{generator::Address, plan::Step, record::RecordOptions, traffic::Spread};
use std::{path::PathBuf, time::Duration};

/// `run` or `replay`.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What is sent.
    pub source: Source,
    /// To whom, the baseline first.
    pub targets: Vec<Target>,
    /// How servers are started.
    pub servers: Servers,
    /// What the scenario says otherwise.
    pub overrides: Overrides,
    /// Compare answers.
    pub compare: bool,
    /// Where scenarios are found by name.
    pub scenarios: PathBuf,
    /// Load, utilisation and price of the estimate.
    pub plan: crate::report::input::Plan,
    /// Where it runs, and what becomes of it.
    pub conduct: Conduct,
}

/// `break-even`.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakEven {
    /// What handlers cost, ascending, in microseconds.
    pub works_us: Vec<f64>,
    /// The service, built with cgo.
    pub burnd: PathBuf,
    /// Its sidecar.
    pub sidecar: PathBuf,
    /// What the service keeps in memory.
    pub heap_mib: u32,
    /// Where it runs, and what becomes of it.
    pub conduct: Conduct,
}

/// What all commands that measure are told alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Conduct {
    /// For ledgers, logs and sockets.
    pub work: PathBuf,
    /// As asked for.
    pub server_cores: Option<Vec<usize>>,
    /// As asked for.
    pub generator_core: Option<usize>,
    /// Nothing is pinned.
    pub no_pin: bool,
    /// Of arrival times and of what is asked.
    pub seed: u64,
    /// Longest run.
    pub budget: Option<Duration>,
    /// A window with more lag is void.
    pub max_lag: Duration,
    /// A run with more void windows is void.
    pub max_void_share: f64,
    /// Where the report goes.
    pub out: Option<PathBuf>,
    /// Into the folder of results to be kept.
    pub keep: bool,
    /// No progress.
    pub quiet: bool,
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

/// How servers are started.
#[derive(Debug, Clone, PartialEq)]
pub struct Servers {
    /// The program.
    pub walletd: PathBuf,
    /// The program.
    pub hotpathd: PathBuf,
    /// A ledger to copy.
    pub db: Option<PathBuf>,
}

/// What the scenario says otherwise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// Rates and windows of the search.
    pub search: Search,
    /// No search: this rate.
    pub qps: Option<f64>,
    /// No search and no rate: a closed loop.
    pub closed: bool,
    /// Share of the lowest sustained rate.
    pub equal_share: Option<f64>,
    /// Rounds of equal load.
    pub rounds: Option<u32>,
    /// Length of a window of equal load.
    pub window: Option<Duration>,
    /// Search only.
    pub no_equal: bool,
    /// No second pass over the baseline.
    pub no_noise_floor: bool,
    /// Limits of latency, by p50, p99, p99.9; `Some(None)`: none.
    pub latency: [Option<Option<Duration>>; 3],
    /// Errors over planned reads.
    pub max_error_rate: Option<f64>,
    /// Achieved over planned rate.
    pub min_achieved: Option<f64>,
    /// Requests.
    pub traffic: Traffic,
}

/// The search.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Search {
    /// First rate.
    pub from: Option<f64>,
    /// To the next.
    pub step: Option<Step>,
    /// Length of a window.
    pub every: Option<Duration>,
    /// Highest rate.
    pub to: Option<f64>,
    /// Rise within windows.
    pub ramp: bool,
    /// Bisections.
    pub refine: Option<u32>,
    /// Windows in a row.
    pub failing_windows: Option<u32>,
}

/// Requests.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    /// That carry reads.
    pub connections: Option<usize>,
    /// That carry none.
    pub idle_connections: Option<usize>,
    /// At once.
    pub max_in_flight: Option<usize>,
    /// Given up after.
    pub timeout: Option<Duration>,
    /// Of planned times.
    pub spread: Option<Spread>,
    /// A second.
    pub writes_per_second: Option<f64>,
    /// Before anything is measured.
    pub warm_up: Option<Duration>,
}

/// `record`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordTraffic {
    /// Where callers connect.
    pub listen: Address,
    /// Who answers.
    pub to: Address,
    /// The capture.
    pub out: PathBuf,
    /// Beginnings of the paths of methods; none: all.
    pub only: Vec<String>,
    /// Ends before the file is larger.
    pub max_file_bytes: u64,
    /// Larger messages are left out.
    pub max_message_bytes: usize,
    /// Ends after so long.
    pub max_duration: Duration,
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
            max_file_bytes: self.max_file_bytes,
            max_duration: self.max_duration,
            max_message_bytes: self.max_message_bytes,
        }
    }
}

/// `inspect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspect {
    /// The capture.
    pub path: PathBuf,
}

/// `check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The scenarios: paths or names.
    pub paths: Vec<PathBuf>,
    /// Where they are found by name.
    pub scenarios: PathBuf,
}

/// `scenarios`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Where they are.
    pub folder: PathBuf,
}

/// `report`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rerender {
    /// Where the report is.
    pub folder: PathBuf,
    /// The README to put its table into.
    pub readme: Option<PathBuf>,
    /// Only fail if the README says otherwise.
    pub check: bool,
}
