//! What a run hands over to be reported.

use super::model::{Comparison, Run, Window};
use crate::{
    measure::{Observed, ProcessUsage},
    scenario::Objective,
};

/// A finished run.
#[derive(Debug, Clone)]
pub struct Finished {
    /// When, how and on what.
    pub run: Run,
    /// In the order given; the first is the baseline.
    pub targets: Vec<TargetInput>,
    /// In the order run, void ones included.
    pub windows: Vec<Measured>,
    /// If answers were compared.
    pub comparison: Option<Comparison>,
    /// Paths of the workload's methods, in its order: what [`Observed::methods`] are about.
    pub methods: Vec<String>,
    /// What had to hold.
    pub objective: Objective,
    /// Ended by Ctrl-C.
    pub interrupted: bool,
    /// Void if more than this share of the windows is.
    pub max_void_share: f64,
    /// Planned load of the estimate, with utilisation and price per core-hour.
    pub plan: Plan,
}

/// Planned load of the estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Reads a second.
    pub qps: f64,
    /// Highest planned share of a core.
    pub utilisation: f64,
    /// Of one core for an hour.
    pub price_per_core_hour: f64,
}

/// One target.
#[derive(Debug, Clone)]
pub struct TargetInput {
    /// As named on the command line.
    pub name: String,
    /// In words.
    pub about: String,
    /// The second pass over the baseline.
    pub against_itself: bool,
    /// If a highest rate was looked for.
    pub search: Option<SearchOutcome>,
}

/// What the search found.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOutcome {
    /// Highest rate that held.
    pub sustained_qps: Option<f64>,
    /// Lowest rate that broke.
    pub broken_qps: Option<f64>,
    /// Why it ended, in words.
    pub limited_by: String,
}

/// One window: its row, and what it was made from.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The row as it is reported.
    pub window: Window,
    /// The generator's side.
    pub observed: Observed,
    /// The servers' side, one for each process of the target.
    pub processes: Vec<ProcessUsage>,
}
