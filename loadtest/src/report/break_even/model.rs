//! `report.json` of a break-even report, schema 1. Fields are only ever added. CPU, works and latencies are in µs.

use crate::report::model::{Generator, Run, Window};
use serde::{Deserialize, Serialize};

/// The value of [`Report::kind`], which no other report has.
pub const KIND: &str = "break-even";

/// All that a run found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// 1.
    pub schema: u32,
    /// [`KIND`].
    pub kind: String,
    /// True if the numbers are not to be trusted.
    pub void: bool,
    /// Why the run is void; `null` if it is not.
    pub void_reason: Option<String>,
    /// True if Ctrl-C ended the run early.
    pub interrupted: bool,
    /// What a reader must know before trusting a figure.
    pub notes: Vec<String>,
    /// When, how and on what machine the run was made.
    pub run: Run,
    /// What the Go service kept in memory beside its requests, in MiB; `null` if nothing.
    #[serde(default)]
    pub service_heap_mib: Option<u32>,
    /// The answers that were compared, the baseline first.
    pub answers: Vec<Answer>,
    /// The figures at full load, by the work of the handler, ascending.
    pub points: Vec<Point>,
    /// The answers with one request in flight and no work.
    pub one_in_flight: Option<Point>,
    /// The handler from which on each answer pays.
    pub break_even: Vec<BreakEven>,
    /// How well the generator did its work, over all windows that count.
    pub generator: Generator,
    /// Every window, in the order of running.
    pub windows: Vec<Row>,
}

/// A way to answer requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// `local`, `unary`, `batched`, `spliced` (from 2026-11-27 on) or `cgo`.
    pub name: String,
    /// The answer in words.
    pub about: String,
}

/// All answers at the same work, with the same number of requests in flight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The work that each request asks for.
    pub work_us: f64,
    /// The rate of the baseline: at full load what it achieved, otherwise what was planned.
    pub qps: f64,
    /// CPU per request of the Go handler with this work, minus that of the same handler without work, both at full
    /// load; `null` without work.
    pub measured_work_us: Option<f64>,
    /// The difference of the baseline from itself in the lowest and the highest round. An overhead within these says
    /// nothing.
    pub noise_us: Option<(f64, f64)>,
    /// The figures of each answer.
    pub figures: Vec<Figures>,
}

/// The figures of one answer at one point. CPU is that of all server processes, over all windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Name of the answer.
    pub answer: String,
    /// CPU per request.
    pub cpu_us: f64,
    /// CPU per request over that of the Go handler that does the work itself.
    pub overhead_us: f64,
    /// The overhead in the lowest round.
    pub overhead_low_us: f64,
    /// The overhead in the highest round.
    pub overhead_high_us: f64,
    /// Median latency, from the planned send (at full load, from the send).
    pub p50_us: f64,
    /// p99 of the latency, from the planned send (at full load, from the send).
    pub p99_us: f64,
    /// Requests that were answered with OK.
    pub requests: u64,
    /// All other requests that were due.
    pub errors: u64,
}

/// The handler from which on an answer pays, if Rust does the work `faster` times as fast as the handler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BreakEven {
    /// Name of the answer.
    pub answer: String,
    /// How many times as fast Rust does the work.
    pub faster: f64,
    /// The least CPU cost of such a handler; `null` if it is unknown.
    pub handler_us: Option<f64>,
    /// True if `handler_us` is beyond the most expensive handler that was measured. It then follows from the overhead
    /// there.
    pub extrapolated: bool,
    /// The same with one request in flight, which shares no message and no wake-up with others.
    pub one_in_flight_us: Option<f64>,
}

/// The load of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Load before anything is measured.
    WarmUp,
    /// Every answer has the same number of requests in flight, and goes as fast as it can.
    Full,
    /// One request at a time.
    OneInFlight,
}

/// A window, with its load and its work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The load of the window.
    pub load: Load,
    /// The work that the other windows of the round asked for.
    pub work_us: f64,
    /// The same row as in every report. Target `idle` is the Go handler without work.
    #[serde(flatten)]
    pub window: Window,
}
