//! A scenario: what is sent, to how large a ledger, and what must hold. Read from TOML.

pub mod parse;

use crate::traffic::Spread;
use std::{path::PathBuf, time::Duration};

/// A checked scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// File name without `.toml`, for titles and folders.
    pub name: String,
    /// One line.
    pub title: String,
    /// What it shows, for the report.
    pub about: String,
    /// The file, as text, kept in the report.
    pub text: String,
    /// Reads, by weight.
    pub mix: Vec<MixEntry>,
    /// Which ids are asked for.
    pub ids: Ids,
    /// Writes a second beside the reads (0: none).
    pub writes_per_second: f64,
    /// How requests get to the target.
    pub load: Load,
    /// Rates and windows; the command line may override each.
    pub pace: Pace,
    /// What must hold for a rate to count as sustained.
    pub objective: Objective,
    /// The ledger that topologies are filled with.
    pub ledger: Ledger,
}

/// One kind of read.
#[derive(Debug, Clone, PartialEq)]
pub struct MixEntry {
    /// `/package.Service/Method`.
    pub path: String,
    /// Relative weight.
    pub weight: u32,
    /// The request as a TOML table with placeholders, filled in when requests are made.
    pub request: toml::Table,
    /// Where in the file it stands, for errors.
    pub line: usize,
}

/// How ids are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Ids {
    /// `None`: the ids of the ledger, busiest first, as `walletd ids` lists them.
    pub file: Option<PathBuf>,
    /// How many of the list take part, from its top.
    pub at_most: usize,
    /// How they are drawn.
    pub draw: Draw,
}

/// The distribution of ids.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Draw {
    /// Each as often.
    Uniform,
    /// The one at place `i` (from 1) with weight `1 / i^exponent`.
    Zipf {
        /// > 0.
        exponent: f64,
    },
}

/// Connections and limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Connections that carry requests.
    pub connections: usize,
    /// Connections that are held open beside them and carry none.
    pub idle_connections: usize,
    /// Reads in flight at once, over all connections; more wait in the generator, and their latency counts it.
    pub max_in_flight: usize,
    /// Given up after this long, counted from the planned send.
    pub timeout: Duration,
    /// How planned times are spread.
    pub spread: Spread,
}

/// Rates and windows.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// Reads a second of the first step.
    pub from_qps: f64,
    /// Factor between steps, > 1. (The command line also knows absolute steps.)
    pub step_factor: f64,
    /// Never more than this.
    pub to_qps: f64,
    /// Length of a window of the search.
    pub search_window: Duration,
    /// Refinements by bisection after the first rate that broke.
    pub refinements: u32,
    /// Load of the equal-load windows as a share of the lowest sustained rate.
    pub equal_share: f64,
    /// Length of an equal-load window.
    pub equal_window: Duration,
    /// Rounds of equal-load windows (a round is one pass over all targets, every second one in reverse).
    pub equal_rounds: u32,
    /// Load before anything is measured, per target.
    pub warm_up: Duration,
}

/// The service-level objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// From the planned send, if set.
    pub p50: Option<Duration>,
    /// From the planned send, if set.
    pub p99: Option<Duration>,
    /// From the planned send, if set.
    pub p999: Option<Duration>,
    /// Errors (anything but OK, dropped ones included) over planned.
    pub max_error_rate: f64,
    /// Achieved over offered rate.
    pub min_achieved: f64,
    /// Windows in a row that must break it for a rate to count as too high.
    pub windows: u32,
}

/// What `walletd generate` is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Seed.
    pub seed: u64,
    /// Accounts that may take part.
    pub accounts: u64,
    /// Transactions.
    pub transactions: u64,
}
