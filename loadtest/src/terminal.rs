//! What is shown while a run goes on: a live view on a terminal, a line per window anywhere else.

use crate::{generator::Progress, report::model::Window};
use std::time::Duration;

/// What is about to run, for the live view.
#[derive(Debug, Clone, PartialEq)]
pub struct Now {
    /// Target.
    pub target: String,
    /// What the window is for, in words, such as `escalate, step 4`.
    pub phase: String,
    /// Planned rate.
    pub offered_qps: f64,
    /// Planned length.
    pub duration: Duration,
    /// Share of the whole run that is done, if it can be told.
    pub done: Option<f64>,
}

/// The view. Writes to standard error, so that standard output holds the summary only.
#[derive(Debug)]
pub struct Terminal {}

impl Terminal {
    /// Live if standard error is a terminal and `quiet` is not set; `quiet` shows notes only.
    #[must_use]
    pub fn new(_quiet: bool) -> Self {
        Self {}
    }

    /// A line that stays, such as `legacy: filled with 1,025,639 entries in 3.1 s`.
    pub fn note(&mut self, _text: &str) {}

    /// A window begins.
    pub fn begin(&mut self, _now: &Now) {}

    /// Called a few times a second, from a thread of its own, while the window runs. `cpu_fraction`: of the target's
    /// processes, in cores.
    pub fn progress(
        &mut self,
        _progress: &Progress,
        _elapsed: Duration,
        _cpu_fraction: Option<f64>,
    ) {
    }

    /// The window is over.
    pub fn end(&mut self, _window: &Window) {}
}
