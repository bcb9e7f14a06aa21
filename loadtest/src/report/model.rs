//! `report.json`: schema 1. Fields are only ever added; a change of meaning is a new schema number.
//!
//! `_us` are microseconds, `_bytes` bytes, `_qps` reads a second, `_fraction` shares of 1 (CPU: of one core).

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// The number in [`Report::schema`].
pub const SCHEMA: u32 = 1;

/// All that a run found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The numbers are not to be trusted: the generator fell behind in too many windows.
    pub void: bool,
    /// Why, if so.
    pub void_reason: Option<String>,
    /// Ended early, by Ctrl-C: what is here was measured, but not all that was planned.
    pub interrupted: bool,
    /// What a reader must know before believing a figure, in words; empty if nothing stands out.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The objective as numbers.
    #[serde(default)]
    pub limits: Limits,
    /// When, how and on what.
    pub run: Run,
    /// The targets, in the order given. The first is the baseline of all ratios.
    pub targets: Vec<Target>,
    /// Every target over the baseline, the second pass over the baseline included: that one is the noise floor.
    pub ratios: Vec<Ratio>,
    /// Answers that differed between a target and the baseline at equal position; `null` if none were compared.
    pub mismatches: Option<u64>,
    /// What was compared.
    pub comparison: Option<Comparison>,
    /// The generator over all windows that count.
    pub generator: Generator,
    /// Every window, those that don't count included, in the order they were run.
    pub windows: Vec<Window>,
    /// Cores and cost of a planned load.
    pub estimate: Option<Estimate>,
    /// Where the report lies. No part of the file: whoever reads or writes one knows.
    #[serde(skip)]
    pub folder: Option<PathBuf>,
}

/// The objective as numbers; `null` where it sets none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// From the planned send.
    pub p50_us: Option<f64>,
    /// From the planned send.
    pub p99_us: Option<f64>,
    /// From the planned send.
    pub p999_us: Option<f64>,
    /// Errors over planned.
    pub max_error_rate: f64,
    /// Achieved over offered rate.
    pub min_achieved: f64,
}

/// When, how and on what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// RFC 3339, UTC.
    pub started_at: String,
    /// From the first window to the last.
    pub duration_s: f64,
    /// The command line, paths as given.
    pub command: Vec<String>,
    /// Name, title and text of the scenario; a capture has its name only.
    pub scenario: String,
    /// One line.
    pub title: String,
    /// What it shows.
    pub about: String,
    /// The scenario's file.
    pub scenario_text: String,
    /// Program -> version line, the commit included if it is known.
    pub versions: BTreeMap<String, String>,
    /// The machine.
    pub machine: Machine,
    /// Cores of the servers and of the generator.
    pub server_cores: Vec<usize>,
    /// Core of the generator.
    pub generator_cores: Vec<usize>,
    /// What was in the ledgers at the start; `null` for targets that this program did not start.
    pub ledger: Option<Ledger>,
    /// What had to hold, in words, one rule a line.
    pub objective: Vec<String>,
}

/// The machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Model name of the CPU.
    pub cpu: String,
    /// Logical cores.
    pub cores: usize,
    /// Memory.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
    /// A short name for folders, such as `vm-2-cores`.
    pub host_kind: String,
}

/// What was in the ledgers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Accounts with entries.
    pub accounts: u64,
    /// Entries.
    pub entries: u64,
    /// The newest position.
    pub position: u64,
}

/// One target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// As named on the command line.
    pub name: String,
    /// What it is, in words.
    pub about: String,
    /// True for the second pass over the baseline that shows the noise floor.
    pub against_itself: bool,
    /// The highest rate that held the objective; `null` if none was looked for or none held.
    pub max_qps_within_slo: Option<f64>,
    /// The lowest rate that broke it; `null` if none did.
    pub min_qps_broken: Option<f64>,
    /// Why the search ended: the rule that broke, or `generator` or `limit` (the highest rate asked for), in words.
    pub limited_by: Option<String>,
    /// The planned rate of the equal-load windows that the figures below are from, their mean over time if they differ (a
    /// capture at its own times); `null` if there were none, and of a closed loop.
    pub equal_qps: Option<f64>,
    /// OK answers a second in those windows: in a closed loop, what the target can do.
    #[serde(default)]
    pub achieved_qps: Option<f64>,
    /// CPU of all its processes, per answered read (writes are in it as well). `null` if no process is known.
    pub cpu_us_per_request: Option<f64>,
    /// Peak resident memory of all its processes together.
    pub rss_peak_bytes: Option<u64>,
    /// From the planned send.
    pub p50_us: Option<f64>,
    /// From the planned send.
    pub p99_us: Option<f64>,
    /// From the planned send.
    pub p999_us: Option<f64>,
    /// Reads of all windows of equal load.
    pub requests: u64,
    /// Errors among them.
    pub errors: u64,
    /// Statuses other than OK, by gRPC code.
    pub statuses: BTreeMap<u32, u64>,
    /// Errors that were never sent, because the target did not let them out before their time was up.
    #[serde(default)]
    pub expired: u64,
    /// Hot requests that Go answered in its sidecar's place, in all windows of equal load; `null` without a sidecar behind Go.
    #[serde(default)]
    pub fallbacks: Option<u64>,
    /// Its processes, each with its figures.
    pub processes: Vec<ProcessFigures>,
    /// The methods that were asked, each with its figures.
    pub methods: Vec<MethodFigures>,
    /// Latency from the planned send at equal load, merged over its windows: (quantile 0..1, µs), ascending.
    pub latency_curve: Vec<(f64, f64)>,
}

/// One process of a target at equal load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessFigures {
    /// `walletd` or `hotpathd`, or what the command line called it.
    pub name: String,
    /// CPU per answered read.
    pub cpu_us_per_request: f64,
    /// Peak resident memory.
    pub rss_peak_bytes: u64,
    /// Context switches per answered read, voluntary and not.
    pub context_switches_per_request: f64,
    /// Go only, if it says so.
    pub gc: Option<GcFigures>,
}

/// Go's garbage collector at equal load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GcFigures {
    /// Cycles a second.
    pub cycles_per_s: f64,
    /// CPU of the collector over CPU of the process.
    pub cpu_fraction: f64,
    /// Stop-the-world pauses, share of wall time.
    pub pause_fraction: f64,
}

/// One method at equal load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodFigures {
    /// `/package.Service/Method`.
    pub path: String,
    /// Reads.
    pub requests: u64,
    /// Errors among them.
    pub errors: u64,
    /// From the planned send.
    pub p50_us: f64,
    /// From the planned send.
    pub p99_us: f64,
}

/// A target over the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Name of the target.
    pub target: String,
    /// Name of the baseline.
    pub baseline: String,
    /// Figure (`max_qps_within_slo`, in a closed loop `achieved_qps`; `cpu_us_per_request`, `rss_peak_bytes`, `p50_us`, `p99_us`, `p999_us`) -> ratio.
    pub figures: BTreeMap<String, RatioFigure>,
}

/// One ratio with its spread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RatioFigure {
    /// Target over baseline: the median of the rounds; of rates, the sustained ones.
    pub ratio: f64,
    /// Lowest of the rounds; of rates, sustained over the baseline's broken one.
    pub low: f64,
    /// Highest of the rounds; of rates, broken one over the baseline's sustained one.
    pub high: f64,
    /// How many rounds.
    pub rounds: u32,
    /// The same ratio of the baseline against itself: a ratio within `noise_low..noise_high` says nothing.
    pub noise_low: Option<f64>,
    /// See `noise_low`.
    pub noise_high: Option<f64>,
    /// Set if one side's limit was never found: the true ratio is beyond `ratio`, and `low` or `high` is no bracket.
    #[serde(default)]
    pub open: Option<Open>,
}

/// On which side a ratio of rates is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Open {
    /// The target never broke.
    AtLeast,
    /// The baseline never broke.
    AtMost,
}

/// What was compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Pairs of answers to the same request at the same position.
    pub compared: u64,
    /// Pairs that were not at the same position (writes ran), or of which one had no answer.
    pub incomparable: u64,
    /// Of those compared, the ones that differed.
    pub mismatches: u64,
    /// Files with the first mismatches, relative to the report.
    pub samples: Vec<String>,
}

/// The generator over all windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Highest share of its core in a window that counts.
    pub cpu_fraction_max: f64,
    /// p99 of the lag over all windows that count.
    pub lag_p99_us: f64,
    /// All windows but warm-up.
    pub windows: u32,
    /// Those that are void.
    pub void_windows: u32,
}

/// What a window was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before anything is measured.
    WarmUp,
    /// Raising the rate step by step.
    Escalate,
    /// Bisecting between the last that held and the first that broke.
    Refine,
    /// The same rate for all targets.
    Equal,
}

impl Phase {
    /// For people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::WarmUp => "warm-up",
            Self::Escalate => "escalate",
            Self::Refine => "refine",
            Self::Equal => "equal load",
        }
    }

    /// The same; in a closed loop, loads are full instead of equal.
    #[must_use]
    pub const fn words_at(self, closed_in_flight: Option<u64>) -> &'static str {
        match (self, closed_in_flight) {
            (Self::Equal, Some(_)) => "full load",
            _ => self.words(),
        }
    }
}

/// One window against one target; also a row of `windows.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// From 0, in the order run.
    pub index: u32,
    /// Name of the target.
    pub target: String,
    /// What it was for.
    pub phase: Phase,
    /// Which pass over the targets, from 0 in each phase.
    pub round: u32,
    /// Seconds since the run began.
    pub at_s: f64,
    /// Seconds of planned sends.
    pub duration_s: f64,
    /// Reads that were always in flight, if the load was a closed loop: then none was planned, `offered_qps` is what was
    /// sent, and there is no lag.
    #[serde(default)]
    pub closed_in_flight: Option<u64>,
    /// Planned rate.
    pub offered_qps: f64,
    /// OK answers to the window's reads, whenever they came, over its duration, or over the time that the target took for
    /// them if it fell behind.
    pub achieved_qps: f64,
    /// Reads that were due.
    pub planned: u64,
    /// Reads that were sent.
    pub sent: u64,
    /// Answered with OK.
    pub ok: u64,
    /// Errors: planned less ok.
    pub errors: u64,
    /// From the planned send.
    pub p50_us: f64,
    /// From the planned send.
    pub p90_us: f64,
    /// From the planned send.
    pub p99_us: f64,
    /// From the planned send.
    pub p999_us: f64,
    /// From the planned send.
    pub max_us: f64,
    /// From the actual send: shows what coordinated omission would have hidden.
    pub sent_p99_us: f64,
    /// Writes done.
    pub writes: u64,
    /// Lag of the generator.
    pub lag_p99_us: f64,
    /// CPU of the generator, share of a core.
    pub generator_cpu_fraction: f64,
    /// Reads that the target did not let out in time.
    pub held_back: u64,
    /// Those of them that were never sent, because their time was up; they are errors.
    #[serde(default)]
    pub expired: u64,
    /// CPU of the target's processes, µs.
    pub cpu_us: Option<u64>,
    /// CPU per answered read.
    pub cpu_us_per_request: Option<f64>,
    /// Highest resident memory seen in the window, all processes.
    pub rss_peak_bytes: Option<u64>,
    /// Context switches of all processes.
    pub context_switches: Option<u64>,
    /// CPU of Go's collector, µs, if the target tells.
    pub gc_cpu_us: Option<u64>,
    /// Stop-the-world pauses of Go's collector, µs, if the target tells.
    pub gc_pause_us: Option<u64>,
    /// Cycles of Go's collector, if the target tells.
    pub gc_cycles: Option<u64>,
    /// Hot requests that Go answered in its sidecar's place; `null` without a sidecar behind Go.
    #[serde(default)]
    pub fallbacks: Option<u64>,
    /// The rule of the objective that broke, in words; `null` if it held.
    pub broke: Option<String>,
    /// Why the window does not count, in words; `null` if it does.
    pub void: Option<String>,
}

impl Report {
    /// Reads that were always in flight, if all measured loads were closed loops.
    #[must_use]
    pub fn closed_in_flight(&self) -> Option<u64> {
        let windows = self.windows.iter();
        let mut measured = windows.filter(|window| window.phase != Phase::WarmUp);
        let first = measured.next()?.closed_in_flight;
        first.filter(|_| measured.all(|window| window.closed_in_flight == first))
    }

    /// What the load of the compared windows is called.
    #[must_use]
    pub fn load_words(&self) -> &'static str {
        Phase::Equal.words_at(self.closed_in_flight())
    }
}

impl Window {
    /// The rate, if one was planned.
    #[must_use]
    pub fn planned_qps(&self) -> Option<f64> {
        self.closed_in_flight.is_none().then_some(self.offered_qps)
    }

    /// The generator's lag, if there was anything to be late for.
    #[must_use]
    pub fn lag_us(&self) -> Option<f64> {
        self.closed_in_flight.is_none().then_some(self.lag_p99_us)
    }
}

/// Cores and cost of a planned load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Reads a second to plan for.
    pub qps: f64,
    /// Highest share of a core that is planned to be used.
    pub utilisation: f64,
    /// Of one core for an hour.
    pub price_per_core_hour: f64,
    /// By target: cores = qps * cpu_us_per_request / 1e6 / utilisation.
    pub targets: Vec<EstimateRow>,
}

/// One target's row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EstimateRow {
    /// Name of the target.
    pub target: String,
    /// Cores, not rounded.
    pub cores: f64,
    /// cores * price * 730 hours.
    pub cost_per_month: f64,
}

#[cfg(test)]
mod tests;
