//! `report.json`, schema 1. Fields are only ever added; a field whose meaning changes needs a new schema number.
//!
//! Units by the end of a name: `_us` is microseconds, `_bytes` bytes, `_qps` reads a second, `_fraction` a share of 1
//! (for CPU: of one core). Latencies count from the planned send unless a field says otherwise.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// The schema that this program writes; the value of [`Report::schema`].
pub const SCHEMA: u32 = 1;

/// All that a run found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// True if the numbers are not to be trusted, because the generator fell behind in too many windows.
    pub void: bool,
    /// Why the run is void; `null` if it is not.
    pub void_reason: Option<String>,
    /// True if the run ended early, by Ctrl-C or because a target failed: what is here was measured, but not all that
    /// was planned.
    pub interrupted: bool,
    /// What a reader must know before trusting a figure, in words; empty if nothing stands out.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The limits that the objective sets.
    #[serde(default)]
    pub limits: Limits,
    /// When, how and on what machine the run was made.
    pub run: Run,
    /// The targets, in the order given. The first is the baseline of all ratios.
    pub targets: Vec<Target>,
    /// The ratios of every target to the baseline, those of the baseline's second pass (the noise floor) included.
    pub ratios: Vec<Ratio>,
    /// The number of answers that differed from the baseline's at the same position; `null` if none were compared.
    pub mismatches: Option<u64>,
    /// What `--compare` compared.
    pub comparison: Option<Comparison>,
    /// How well the generator did its work, over all windows that count.
    pub generator: Generator,
    /// Every window in the order of running, also those that don't count.
    pub windows: Vec<Window>,
    /// Cores and cost of a planned load.
    pub estimate: Option<Estimate>,
    /// The folder of the report. It is not in the file: whoever reads or writes a report has the path already.
    #[serde(skip)]
    pub folder: Option<PathBuf>,
}

/// The objective as numbers; a latency without a limit is `null`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Limit of the median latency.
    pub p50_us: Option<f64>,
    /// Limit of the p99.
    pub p99_us: Option<f64>,
    /// Limit of the p99.9.
    pub p999_us: Option<f64>,
    /// Highest share of errors among the planned reads.
    pub max_error_rate: f64,
    /// Lowest achieved rate, as a share of the offered rate.
    pub min_achieved: f64,
}

/// When, how and on what machine a run was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// RFC 3339, UTC.
    pub started_at: String,
    /// Seconds from the beginning of the first window to the end of the last.
    pub duration_s: f64,
    /// The command line, paths as given.
    pub command: Vec<String>,
    /// Name of the scenario or of the capture.
    pub scenario: String,
    /// Title of the scenario: one line.
    pub title: String,
    /// What the scenario shows.
    pub about: String,
    /// Text of the scenario's file; for a capture, of the scenario that `--like` names.
    pub scenario_text: String,
    /// By program: the line in which it says its version, with the commit if that is known.
    pub versions: BTreeMap<String, String>,
    /// The machine that everything ran on.
    pub machine: Machine,
    /// Cores of the servers.
    pub server_cores: Vec<usize>,
    /// Core of the generator.
    pub generator_cores: Vec<usize>,
    /// What was in the ledgers at the start; `null` if this program started no target.
    pub ledger: Option<Ledger>,
    /// The rules of the objective, in words, one an entry.
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
    /// The name that the command line gives it.
    pub name: String,
    /// What the target is, in words.
    pub about: String,
    /// True for the second pass over the baseline, which shows the noise floor.
    pub against_itself: bool,
    /// The highest rate at which the objective held; `null` if there was no search, or if it held at none.
    pub max_qps_within_slo: Option<f64>,
    /// The lowest rate at which the objective broke; `null` if it broke at none.
    pub min_qps_broken: Option<f64>,
    /// Why the search ended: the rule that broke, in words, or `generator`, `backlog`, `limit` (the highest rate asked
    /// for), `budget` or `interrupted`.
    pub limited_by: Option<String>,
    /// The planned rate of the equal-load windows that the figures below are from. If they differ (a capture at its own
    /// times), their mean over time; `null` without such windows and in a closed loop.
    pub equal_qps: Option<f64>,
    /// OK answers a second in those windows. In a closed loop this is what the target can do.
    #[serde(default)]
    pub achieved_qps: Option<f64>,
    /// CPU of all processes of the target per answered read, which includes the CPU of writes; `null` if no process is
    /// known.
    pub cpu_us_per_request: Option<f64>,
    /// OK answers a second in the windows of full load, after those of equal load; `null` without such windows.
    #[serde(default)]
    pub full_load_qps: Option<f64>,
    /// CPU of all processes of the target per answered read in the windows of full load.
    #[serde(default)]
    pub full_load_cpu_us_per_request: Option<f64>,
    /// Peak resident memory of all processes together.
    pub rss_peak_bytes: Option<u64>,
    /// Median latency.
    pub p50_us: Option<f64>,
    /// p99 of the latency.
    pub p99_us: Option<f64>,
    /// p99.9 of the latency.
    pub p999_us: Option<f64>,
    /// Reads that were due in all windows of equal load.
    pub requests: u64,
    /// Errors among them.
    pub errors: u64,
    /// Statuses other than OK, by gRPC code.
    pub statuses: BTreeMap<u32, u64>,
    /// Errors that were never sent, because the target did not take them before their time was up.
    #[serde(default)]
    pub expired: u64,
    /// Hot requests that Go answered in place of its sidecar, in all windows of equal load; `null` without a sidecar
    /// behind Go.
    #[serde(default)]
    pub fallbacks: Option<u64>,
    /// Hot requests that the spliced front door left to grpc-go, in all windows of equal load, but for those that came
    /// first on their connections; `null` without a shim.
    #[serde(default)]
    pub handed_over: Option<u64>,
    /// Its processes.
    pub processes: Vec<ProcessFigures>,
    /// The methods that were asked.
    pub methods: Vec<MethodFigures>,
    /// Latency at equal load, merged over its windows: pairs of a quantile (0 to 1) and µs, ascending.
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
    /// Go's garbage collector; `null` if the process does not report it.
    pub gc: Option<GcFigures>,
}

/// Go's garbage collector at equal load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GcFigures {
    /// Cycles a second.
    pub cycles_per_s: f64,
    /// CPU of the collector over CPU of the process.
    pub cpu_fraction: f64,
    /// Stop-the-world pauses as a share of wall time.
    pub pause_fraction: f64,
}

/// One method at equal load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodFigures {
    /// `/package.Service/Method`.
    pub path: String,
    /// Reads that were due.
    pub requests: u64,
    /// Errors among them.
    pub errors: u64,
    /// Median latency.
    pub p50_us: f64,
    /// p99 of the latency.
    pub p99_us: f64,
}

/// The ratios of one target to the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Name of the target.
    pub target: String,
    /// Name of the baseline.
    pub baseline: String,
    /// The ratio by figure: `max_qps_within_slo` (in a closed loop `achieved_qps`), `cpu_us_per_request`,
    /// `full_load_cpu_us_per_request`, `rss_peak_bytes`, `p50_us`, `p99_us`, `p999_us`.
    pub figures: BTreeMap<String, RatioFigure>,
}

/// One ratio with its spread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RatioFigure {
    /// Target over baseline: the median of the rounds. For the highest rates: one sustained rate over the other.
    pub ratio: f64,
    /// The lowest of the rounds. For the highest rates: the target's sustained rate over the baseline's broken one.
    pub low: f64,
    /// The highest of the rounds. For the highest rates: the target's broken rate over the baseline's sustained one.
    pub high: f64,
    /// The number of rounds; 1 for the highest rates.
    pub rounds: u32,
    /// The lowest ratio of the baseline to itself. A ratio within `noise_low..noise_high` says nothing.
    pub noise_low: Option<f64>,
    /// The highest ratio of the baseline to itself.
    pub noise_high: Option<f64>,
    /// Set if one side never broke. The true ratio then lies beyond `ratio`, and `low` or `high` does not bound it.
    #[serde(default)]
    pub open: Option<Open>,
}

/// The side on which a ratio of rates has no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Open {
    /// The target never broke, so the true ratio is at least this one.
    AtLeast,
    /// The baseline never broke, so the true ratio is at most this one.
    AtMost,
}

/// What `--compare` compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Pairs of answers to the same request at the same position.
    pub compared: u64,
    /// Pairs that can't be compared: the positions differ because a write came between, or one answer is missing.
    pub incomparable: u64,
    /// Compared pairs that differed.
    pub mismatches: u64,
    /// Files with the first mismatches; paths are relative to the report.
    pub samples: Vec<String>,
}

/// How well the generator did its work, over all windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// The highest share of its core that it used in a window that counts.
    pub cpu_fraction_max: f64,
    /// p99 of the lag over all windows that count.
    pub lag_p99_us: f64,
    /// The number of windows, warm-up left out.
    pub windows: u32,
    /// The number of these that are void.
    pub void_windows: u32,
}

/// What a window was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Load before anything is measured.
    WarmUp,
    /// The rate rises step by step.
    Escalate,
    /// Bisection between the highest rate that held and the lowest that broke.
    Refine,
    /// All targets get the same rate.
    Equal,
    /// A closed loop at each target.
    Full,
}

impl Phase {
    /// The phase in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::WarmUp => "warm-up",
            Self::Escalate => "escalate",
            Self::Refine => "refine",
            Self::Equal => "equal load",
            Self::Full => "full load",
        }
    }

    /// The phase in words; in a closed loop, equal load is called full load.
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
    /// Number of the window in the order of running, from 0.
    pub index: u32,
    /// Name of the target.
    pub target: String,
    /// The phase that it belongs to.
    pub phase: Phase,
    /// The pass over the targets, from 0 in each phase.
    pub round: u32,
    /// Seconds since the run began.
    pub at_s: f64,
    /// Seconds in which reads were planned.
    pub duration_s: f64,
    /// In a closed loop, the number of reads that were always in flight; otherwise `null`. A closed loop plans no
    /// reads: `offered_qps` is then the rate that was sent, and there is no lag.
    #[serde(default)]
    pub closed_in_flight: Option<u64>,
    /// Planned rate.
    pub offered_qps: f64,
    /// OK answers to the window's reads, however late, a second. The time is the window's duration, or the time that
    /// the target took for these reads if it fell behind.
    pub achieved_qps: f64,
    /// Reads that were due.
    pub planned: u64,
    /// Reads that were sent.
    pub sent: u64,
    /// Reads that were answered with OK.
    pub ok: u64,
    /// Errors: `planned` minus `ok`.
    pub errors: u64,
    /// Median latency.
    pub p50_us: f64,
    /// p90 of the latency.
    pub p90_us: f64,
    /// p99 of the latency.
    pub p99_us: f64,
    /// p99.9 of the latency.
    pub p999_us: f64,
    /// The highest latency.
    pub max_us: f64,
    /// p99 from the actual send: comparing it with `p99_us` shows what coordinated omission would have hidden.
    pub sent_p99_us: f64,
    /// Writes that were done.
    pub writes: u64,
    /// p99 of the generator's lag.
    pub lag_p99_us: f64,
    /// CPU of the generator as a share of a core.
    pub generator_cpu_fraction: f64,
    /// Reads that could not be sent when they were due, because of the target's limits or `max_in_flight`.
    pub held_back: u64,
    /// Reads that were never sent, because their time was up; they are errors.
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
    /// CPU of Go's collector, µs; `null` if the target does not report it.
    pub gc_cpu_us: Option<u64>,
    /// Stop-the-world pauses of Go's collector, µs; `null` if the target does not report them.
    pub gc_pause_us: Option<u64>,
    /// Cycles of Go's collector; `null` if the target does not report them.
    pub gc_cycles: Option<u64>,
    /// Hot requests that Go answered in place of its sidecar; `null` without a sidecar behind Go.
    #[serde(default)]
    pub fallbacks: Option<u64>,
    /// Hot requests that the spliced front door left to grpc-go, but for those that came first on their connections;
    /// `null` without a shim.
    #[serde(default)]
    pub handed_over: Option<u64>,
    /// The rule of the objective that broke, in words; `null` if all held.
    pub broke: Option<String>,
    /// Why the window does not count, in words; `null` if it does.
    pub void: Option<String>,
}

impl Report {
    /// The number of reads that were always in flight, if all measured loads were closed loops.
    #[must_use]
    pub fn closed_in_flight(&self) -> Option<u64> {
        let windows = self.windows.iter();
        let mut measured =
            windows.filter(|window| !matches!(window.phase, Phase::WarmUp | Phase::Full));
        let first = measured.next()?.closed_in_flight;
        first.filter(|_| measured.all(|window| window.closed_in_flight == first))
    }

    /// The name of the load in the compared windows: "equal load" or "full load".
    #[must_use]
    pub fn load_words(&self) -> &'static str {
        Phase::Equal.words_at(self.closed_in_flight())
    }
}

impl Window {
    /// The planned rate; `None` in a closed loop.
    #[must_use]
    pub fn planned_qps(&self) -> Option<f64> {
        self.closed_in_flight.is_none().then_some(self.offered_qps)
    }

    /// p99 of the generator's lag; `None` in a closed loop, which plans no sends.
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
    /// The highest planned share of a core.
    pub utilisation: f64,
    /// Price of one core for an hour.
    pub price_per_core_hour: f64,
    /// By target: cores = qps × cpu_us_per_request / 1e6 / utilisation.
    pub targets: Vec<EstimateRow>,
}

/// One target's row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EstimateRow {
    /// Name of the target.
    pub target: String,
    /// Number of cores, not rounded.
    pub cores: f64,
    /// Cost of a month: cores × price × 730 hours.
    pub cost_per_month: f64,
}

#[cfg(test)]
mod tests;
