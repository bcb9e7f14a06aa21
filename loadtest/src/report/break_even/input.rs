//! The results of a break-even run, from which its report is made.

use super::model::{Answer, Load};
use crate::report::{input, model::Run};

/// The name of the target whose windows ask the Go handler for no work.
pub const IDLE: &str = "idle";

/// The name of the answer through the spliced front door.
pub(super) const SPLICED: &str = "spliced";

/// The results of a run.
#[derive(Debug, Clone)]
pub struct Finished {
    /// When, how and on what machine the run was made.
    pub run: Run,
    /// What the Go service kept in memory beside its requests, in MiB.
    pub service_heap_mib: u32,
    /// The answers that were compared, the baseline first.
    pub answers: Vec<Answer>,
    /// The baseline's name in its second pass.
    pub again: String,
    /// The costs of the handler in µs, ascending.
    pub works_us: Vec<f64>,
    /// All windows in the order of running.
    pub windows: Vec<Measured>,
    /// Requests that the Go handler answered in place of the sidecar.
    pub fallbacks: u64,
    /// Requests that went through grpc-go though the spliced front door should have answered them.
    pub handed_over: u64,
    /// Whether Ctrl-C ended the run early.
    pub interrupted: bool,
    /// The run is void if a larger share of its windows is.
    pub max_void_share: f64,
    /// What was left out, in words.
    pub notes: Vec<String>,
}

/// A window, with its load and its work.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The load of the window.
    pub load: Load,
    /// The work of the window's round, in µs.
    pub work_us: f64,
    /// The same data as in every report.
    pub measured: input::Measured,
}

impl Measured {
    /// Whether conclusions may be drawn from the window.
    pub(super) fn counts(&self) -> bool {
        self.measured.window.void.is_none() && !self.measured.observed.interrupted
    }
}
