//! A scenario, read from TOML: what is sent, to how large a ledger, and what must hold.
//!
//! Only `title` and one `[[mix]]` are required. A value outside its limits is an error, never a warning.
//!
//! | key | default | limits |
//! |---|---|---|
//! | `title` | required | one line of 1-100 characters |
//! | `about` | empty | at most 2,000 characters |
//! | `ids.draw` | `"zipf"` | `"zipf"`, `"uniform"` |
//! | `ids.exponent` | 1.0 | 0.01-10; Zipf only |
//! | `ids.at_most` | 16000 | 1-1,000,000 |
//! | `ids.file` | the ledger's ids | a path, relative to the scenario; see [`crate::ids`] |
//! | `ids.asset`, `ids.from_us`, `ids.to_us` | none | all three or none; for a file of account ids alone |
//! | `load.connections` | 4 | 1-1,000 |
//! | `load.idle_connections` | 0 | 0-50,000 |
//! | `load.max_in_flight` | 4096 | 1-65,536 |
//! | `load.timeout_ms` | 2000 | 1-60,000; not below a limit of the objective |
//! | `load.spread` | `"poisson"` | `"poisson"`, `"constant"` |
//! | `load.writes_per_second` | 0 | 0-100,000 |
//! | `load.writes_per_read` | 0 | 0-1 |
//! | `load.writes_at_once` | 1 | 1-64; with more than 1, answers cannot be compared |
//! | `pace.from_qps` | 1000 | 1-1,000,000 |
//! | `pace.step_factor` | 1.5 | 1.01-10 |
//! | `pace.to_qps` | 400000 | `from_qps`-1,000,000 |
//! | `pace.search_window_ms` | 1500 | 100-600,000 |
//! | `pace.refinements` | 4 | 0-20 |
//! | `pace.equal_share` | 0.7 | 0.01-1 |
//! | `pace.equal_window_ms` | 3000 | 100-600,000 |
//! | `pace.equal_rounds` | 6 | 0-1,000 |
//! | `pace.warm_up_ms` | 2000 | 0-600,000 |
//! | `objective.p50_ms`, `p99_ms`, `p999_ms` | p99: 10, if none is given | 0.01-60,000, in ascending order |
//! | `objective.max_error_rate` | 0.001 | 0-1 |
//! | `objective.min_achieved` | 0.98 | 0-1 |
//! | `objective.windows` | 2 | 1-10 |
//! | `ledger.seed` | 1 | 0-2^63-1 |
//! | `ledger.accounts` | 50000 | 2-5,000,000 |
//! | `ledger.transactions` | 500000 | 1-50,000,000 |
//! | `ledger.shape` | `"wallet"` | `"wallet"`, `"spending"` |
//! | `mix.method` | required | `package.Service/Method`, unary, a read; 1-64 entries |
//! | `mix.weight` | 1 | 1-1,000,000 |
//! | `mix.pool` | 16384 | 1-1,048,576, that many over all entries |
//! | `mix.request` | `{}` | fields of the method's request; placeholders: [`crate::workload`] |

pub mod parse;

mod mistakes;
mod requests;
mod section;
mod tables;

use crate::{ids::Place, traffic::Spread, workload::Draw};
use std::{path::PathBuf, time::Duration};

/// A checked scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// File name without `.toml`; names reports and folders.
    pub name: String,
    /// Title for the report: one line.
    pub title: String,
    /// What it shows, for the report.
    pub about: String,
    /// The text of the file, which the report keeps.
    pub text: String,
    /// The kinds of reads, with their weights.
    pub mix: Vec<MixEntry>,
    /// Which ids are asked for.
    pub ids: Ids,
    /// The writes beside the reads.
    pub writes: Writes,
    /// How requests get to the target.
    pub load: Load,
    /// Rates and windows; the command line may override each of them.
    pub pace: Pace,
    /// What must hold for a rate to count as sustained.
    pub objective: Objective,
    /// The ledger that targets are started with.
    pub ledger: Ledger,
}

/// The writes beside the reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Writes {
    /// Writes a second, at any rate of the reads.
    pub per_second: f64,
    /// Further writes for each read that is planned. A closed loop plans none.
    pub per_read: f64,
    /// The most writes under way at once. With more than one, targets may book them in different orders, so their answers
    /// at a position cannot be compared.
    pub at_once: usize,
}

impl Writes {
    /// No writes.
    pub const NONE: Self = Self {
        per_second: 0.0,
        per_read: 0.0,
        at_once: 1,
    };

    /// Whether there are any.
    #[must_use]
    pub fn wanted(&self) -> bool {
        self.per_second > 0.0 || self.per_read > 0.0
    }
}

/// One kind of read.
#[derive(Debug, Clone, PartialEq)]
pub struct MixEntry {
    /// `/package.Service/Method`.
    pub path: String,
    /// Weight relative to the other entries.
    pub weight: u32,
    /// The number of different requests that are encoded before the first is sent.
    pub pool: usize,
    /// The request as a TOML table with placeholders, filled in when requests are made.
    pub request: toml::Table,
    /// The entry's line in the file, for errors.
    pub line: usize,
}

/// How ids are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Ids {
    /// A file with ids. `None`: the ids of the ledger, busiest first, as `walletd ids` lists them.
    pub file: Option<PathBuf>,
    /// How many of the list are used, from its top.
    pub at_most: usize,
    /// Asset and span for a file that lists account ids only. The account id in it is empty; so is the asset if none is
    /// given.
    pub fallback: Place,
    /// The distribution of the draws.
    pub draw: Draw,
}

/// Connections and limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Connections that carry requests.
    pub connections: usize,
    /// Connections that are held open beside them and carry no requests.
    pub idle_connections: usize,
    /// The most reads in flight at once, over all connections. Further reads wait in the generator, and the wait counts
    /// as latency.
    pub max_in_flight: usize,
    /// A read is given up after this long, counted from the planned send.
    pub timeout: Duration,
    /// How planned times are spread.
    pub spread: Spread,
}

/// Rates and windows.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// The first rate, in reads a second.
    pub from_qps: f64,
    /// Factor from one rate to the next, above 1. (The command line also has absolute steps.)
    pub step_factor: f64,
    /// The highest rate.
    pub to_qps: f64,
    /// Length of a window of the search.
    pub search_window: Duration,
    /// Bisections after the first rate that broke.
    pub refinements: u32,
    /// Rate of the equal-load windows, as a share of the lowest sustained rate.
    pub equal_share: f64,
    /// Length of an equal-load window.
    pub equal_window: Duration,
    /// Rounds of equal load. A round is one pass over all targets; every second pass is in reverse order.
    pub equal_rounds: u32,
    /// Length of the load on each target before anything is measured.
    pub warm_up: Duration,
}

/// The service-level objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// Limit of the median latency, from the planned send.
    pub p50: Option<Duration>,
    /// Limit of the p99, from the planned send.
    pub p99: Option<Duration>,
    /// Limit of the p99.9, from the planned send.
    pub p999: Option<Duration>,
    /// Highest share of errors among the planned reads. Every read without an OK answer is an error, also one that was
    /// never sent.
    pub max_error_rate: f64,
    /// Lowest achieved rate, as a share of the offered rate.
    pub min_achieved: f64,
    /// How many windows in a row must break the objective before a rate counts as too high.
    pub windows: u32,
}

/// Arguments of `walletd generate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Seed of the generated data.
    pub seed: u64,
    /// Number of accounts that may take part.
    pub accounts: u64,
    /// Number of transactions.
    pub transactions: u64,
    /// Who has how many entries: a word of `walletd generate --shape`.
    pub shape: &'static str,
}
