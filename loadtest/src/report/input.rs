//! The results of a run, from which its report is made.

use super::model::{Comparison, Run, Window};
use crate::{
    measure::{Observed, ProcessUsage},
    scenario::Objective,
};

/// The results of a run.
#[derive(Debug, Clone)]
pub struct Finished {
    /// When, how and on what machine the run was made.
    pub run: Run,
    /// The targets in the order given. The first is the baseline.
    pub targets: Vec<TargetInput>,
    /// All windows in the order of running, void ones included.
    pub windows: Vec<Measured>,
    /// The result of comparing answers, if they were compared.
    pub comparison: Option<Comparison>,
    /// The paths of the workload's methods, in its order, which is that of [`Observed::methods`].
    pub methods: Vec<String>,
    /// The objective.
    pub objective: Objective,
    /// Whether the run ended early, by Ctrl-C or because a target failed.
    pub interrupted: bool,
    /// The run is void if a larger share of its windows is.
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
    /// Price of one core for an hour.
    pub price_per_core_hour: f64,
}

/// One target.
#[derive(Debug, Clone)]
pub struct TargetInput {
    /// The name that the command line gives it.
    pub name: String,
    /// What the target is, in words.
    pub about: String,
    /// Whether this is the second pass over the baseline.
    pub against_itself: bool,
    /// The result of the search, if there was one.
    pub search: Option<SearchOutcome>,
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOutcome {
    /// The highest rate that held.
    pub sustained_qps: Option<f64>,
    /// The lowest rate that broke.
    pub broken_qps: Option<f64>,
    /// Why it ended: a rule in words, or `generator`, `backlog`, `limit`, `budget` or `interrupted`.
    pub limited_by: String,
}

/// One window: its row in the report, and the data behind it.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The row in the report.
    pub window: Window,
    /// What the generator measured.
    pub observed: Observed,
    /// What each process of the target used.
    pub processes: Vec<ProcessUsage>,
}
