//! `report.json` of a break-even report: schema 1. Fields are only ever added.

use crate::report::model::{Generator, Run, Window};
use serde::{Deserialize, Serialize};

/// What [`Report::kind`] says, which no other report has.
pub const KIND: &str = "break-even";

/// All that a run found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// 1.
    pub schema: u32,
    /// [`KIND`].
    pub kind: String,
    /// The numbers are not to be trusted.
    pub void: bool,
    /// Why, if so.
    pub void_reason: Option<String>,
    /// Ended early, by Ctrl-C.
    pub interrupted: bool,
    /// What a reader must know before believing a figure.
    pub notes: Vec<String>,
    /// When, how and on what.
    pub run: Run,
    /// What the Go service kept in memory beside its requests; `null` if nothing.
    #[serde(default)]
    pub service_heap_mib: Option<u32>,
    /// The answers that were compared, the baseline first.
    pub answers: Vec<Answer>,
    /// By the work of the handler, ascending.
    pub points: Vec<Point>,
    /// One request at a time, no work.
    pub one_in_flight: Option<Point>,
    /// From which handler on each answer pays.
    pub break_even: Vec<BreakEven>,
    /// The generator over all windows.
    pub generator: Generator,
    /// Every window, in the order run.
    pub windows: Vec<Row>,
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// `local`, `unary`, `batched` or `cgo`.
    pub name: String,
    /// In words.
    pub about: String,
}

/// All answers at the same work, with the same number of requests in flight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// What each request asks for.
    pub work_us: f64,
    /// Rate of the baseline: at full load what it could do, else what was planned.
    pub qps: f64,
    /// CPU per request of the Go handler with this work, less that without any at full load too; `null` without work.
    pub measured_work_us: Option<f64>,
    /// The baseline less itself, lowest and highest round: what is within says nothing.
    pub noise_us: Option<(f64, f64)>,
    /// One each.
    pub figures: Vec<Figures>,
}

/// One answer at one point. CPU is that of all server processes, over all windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Name of the answer.
    pub answer: String,
    /// CPU per request.
    pub cpu_us: f64,
    /// More CPU per request than the Go handler that does the work itself.
    pub overhead_us: f64,
    /// The same in each round: the lowest.
    pub overhead_low_us: f64,
    /// And the highest.
    pub overhead_high_us: f64,
    /// From the send.
    pub p50_us: f64,
    /// From the send.
    pub p99_us: f64,
    /// Answered with OK.
    pub requests: u64,
    /// All others that were due.
    pub errors: u64,
}

/// From which handler on an answer pays, if it does the work `faster` times as fast as the handler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BreakEven {
    /// Name of the answer.
    pub answer: String,
    /// How many times as fast.
    pub faster: f64,
    /// From this CPU cost of the handler on; `null` if it can't be told.
    pub handler_us: Option<f64>,
    /// Beyond the most expensive handler that was measured: told from the overhead there.
    pub extrapolated: bool,
    /// The same with one request in flight, when nothing shares a message or a wake-up.
    pub one_in_flight_us: Option<f64>,
}

/// What a window was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Before anything is measured.
    WarmUp,
    /// All answers with as many requests in flight as one another: as fast as each goes.
    Full,
    /// One request at a time.
    OneInFlight,
}

/// A window, and what it was about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What it was for.
    pub load: Load,
    /// The work that the others of the same round were asked for.
    pub work_us: f64,
    /// As in every report. Target `idle` is the Go handler without work.
    #[serde(flatten)]
    pub window: Window,
}
