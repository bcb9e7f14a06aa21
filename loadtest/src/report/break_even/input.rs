//! What a run hands over to be reported.

use super::model::{Answer, Load};
use crate::report::{input, model::Run};

/// Target of the windows in which the Go handler was asked for no work.
pub const IDLE: &str = "idle";

/// A finished run.
#[derive(Debug, Clone)]
pub struct Finished {
    /// When, how and on what.
    pub run: Run,
    /// What the Go service kept in memory beside its requests.
    pub service_heap_mib: u32,
    /// Who was compared, the baseline first.
    pub answers: Vec<Answer>,
    /// The baseline's name in its second pass.
    pub again: String,
    /// Works, ascending.
    pub works_us: Vec<f64>,
    /// In the order run.
    pub windows: Vec<Measured>,
    /// Requests that the Go handler answered though the sidecar should have.
    pub fallbacks: u64,
    /// Ended by Ctrl-C.
    pub interrupted: bool,
    /// Void if more than this share of the windows is.
    pub max_void_share: f64,
    /// What was left out, in words.
    pub notes: Vec<String>,
}

/// A window, and what it was about.
#[derive(Debug, Clone)]
pub struct Measured {
    /// What it was for.
    pub load: Load,
    /// The work of its round.
    pub work_us: f64,
    /// As in every report.
    pub measured: input::Measured,
}

impl Measured {
    /// Whether conclusions may be drawn from it.
    pub(super) fn counts(&self) -> bool {
        self.measured.window.void.is_none() && !self.measured.observed.interrupted
    }
}
