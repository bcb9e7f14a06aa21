//! What a run is to find out.

use std::time::Duration;

/// What a run is to find out.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The number of targets. The first is the baseline.
    pub targets: usize,
    /// Whether the baseline is measured a second time, as if it were one more target. The difference is noise.
    pub noise_floor: bool,
    /// The source of the windows' seeds.
    pub seeds: Seeds,
    /// Rate and duration of the load on each target before anything is measured.
    pub warm_up: Option<(f64, Duration)>,
    /// The search for the highest rate that holds, if wanted.
    pub search: Option<Search>,
    /// The rounds in which all targets get one rate, if wanted.
    pub equal: Option<Equal>,
    /// The rounds of full load, if wanted.
    pub full: Option<Full>,
    /// The targets that a share is taken of the weakest of. The others get the same rate, even if it is too much for them.
    pub leaders: Vec<usize>,
    /// The time that all windows may take together. Within it the search ends early and rounds are left out.
    pub budget: Option<Duration>,
}

/// The source of the windows' seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seeds {
    /// A hash of this number, the phase and the round.
    Hashed(u64),
    /// The number of the pass over the targets. Captures that are replayed at their own times need it.
    Passes,
}

/// The search for the highest rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// The first rate.
    pub from_qps: f64,
    /// The step from a rate to the next.
    pub step: Step,
    /// The highest rate.
    pub to_qps: f64,
    /// Whether a window rises from the previous rate to its own, instead of keeping its own.
    pub ramp: bool,
    /// Bisections after the first rate that broke.
    pub refinements: u32,
    /// How many windows in a row must break before a rate counts as too high.
    pub failing_windows: u32,
    /// Length of a window.
    pub window: Duration,
}

/// The step from a rate to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// The next rate is this many reads a second higher.
    Add(f64),
    /// The next rate is this many times as high.
    Times(f64),
}

/// Rounds at one rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Equal {
    /// The rate of all windows.
    pub load: Load,
    /// Passes over all targets.
    pub rounds: u32,
    /// Length of a window.
    pub window: Duration,
}

/// The rate of the equal load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load {
    /// This share of the lowest rate that one of the leaders sustained.
    Share(f64),
    /// Reads a second.
    Qps(f64),
}

/// Rounds of full load: a closed loop, in which each answer is followed by the next read.
#[derive(Debug, Clone, PartialEq)]
pub struct Full {
    /// Reads that are always in flight.
    pub in_flight: usize,
    /// Passes over all targets.
    pub rounds: u32,
    /// Length of a window.
    pub window: Duration,
}

impl Settings {
    /// The number of targets to measure, the baseline's second pass included.
    pub(super) fn members(&self) -> usize {
        self.targets + usize::from(self.noise_floor)
    }

    /// Whether a target is a leader. One past the last is the baseline.
    pub(super) fn leads(&self, target: usize) -> bool {
        let target = if target < self.targets { target } else { 0 };
        self.leaders.contains(&target)
    }
}
