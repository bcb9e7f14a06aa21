//! Which window comes next. A state machine without clocks or IO: told how windows went, it says what to run.
//!
//! Warm-up per target; then the search: passes over the targets at one rate, each target until it breaks, then bisection
//! per target; then rounds of equal load. In both the baseline takes part twice. Every second pass goes backwards, so that the
//! machine's drift hits all targets alike.

mod budget;
mod climb;
#[cfg(test)]
mod tests;

use crate::report::{input::SearchOutcome, model::Phase};
use budget::{Budget, Kind};
use climb::Climb;
use std::{collections::VecDeque, time::Duration};

/// What a run shall find out.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How many targets; the first is the baseline.
    pub targets: usize,
    /// Measure the baseline a second time, as if it were one more target: what differs is noise.
    pub noise_floor: bool,
    /// Where windows get their seeds.
    pub seeds: Seeds,
    /// Load on each target before anything is measured.
    pub warm_up: Option<(f64, Duration)>,
    /// Look for the highest rate that holds.
    pub search: Option<Search>,
    /// Then measure all at one rate.
    pub equal: Option<Equal>,
    /// Planned time of all windows together stays within this: the search ends early, rounds are left out.
    pub budget: Option<Duration>,
}

/// Where windows get their seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seeds {
    /// Hash of this, the phase and the round.
    Hashed(u64),
    /// The number of the pass over the targets, as captures at their own speed need it.
    Passes,
}

/// The search for the highest rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// The first rate.
    pub from_qps: f64,
    /// To the next.
    pub step: Step,
    /// Never more than this.
    pub to_qps: f64,
    /// Windows rise from the rate before to theirs, instead of keeping it.
    pub ramp: bool,
    /// Bisections after the first rate that broke.
    pub refinements: u32,
    /// Windows in a row that must break for a rate to count as too high.
    pub failing_windows: u32,
    /// Length of a window.
    pub window: Duration,
}

/// From a rate to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// So much more.
    Add(f64),
    /// So many times as much.
    Times(f64),
}

/// Rounds at one rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Equal {
    /// Which rate.
    pub load: Load,
    /// Passes over all targets.
    pub rounds: u32,
    /// Length of a window.
    pub window: Duration,
}

/// The rate of the equal load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load {
    /// This share of the lowest rate that a target sustained.
    Share(f64),
    /// Reads a second.
    Qps(f64),
}

/// A window to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Next {
    /// What for.
    pub phase: Phase,
    /// Which pass over the targets, from 0 in each phase.
    pub round: u32,
    /// Index of the target; one past the last is the baseline's second pass.
    pub target: usize,
    /// Rate at its begin.
    pub from_qps: f64,
    /// Rate at its end, and the one that is judged.
    pub to_qps: f64,
    /// How long.
    pub duration: Duration,
    /// Equal for all targets of the round.
    pub seed: u64,
}

/// How a window went.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The objective held.
    Held,
    /// It broke, by this rule.
    Broke(String),
    /// The window says nothing; what the search is ended by if that goes on: `generator` or `backlog`.
    Void(&'static str),
}

/// The state of a run.
#[derive(Debug)]
pub struct Plan {
    settings: Settings,
    phase: Option<Phase>,
    /// Rounds that were begun in this phase.
    rounds: u32,
    /// Passes that were begun in all phases.
    passes: u64,
    /// Targets that are left in this pass.
    queue: VecDeque<usize>,
    climbs: Vec<Climb>,
    /// Of the escalation: this pass's and the one before.
    rate: f64,
    last_rate: f64,
    equal_qps: f64,
    budget: Budget,
    notes: Vec<String>,
}

impl Settings {
    /// Targets that are measured, the baseline's second pass included.
    fn members(&self) -> usize {
        self.targets + usize::from(self.noise_floor)
    }
}

impl Plan {
    /// Before the first window.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            phase: Some(Phase::WarmUp),
            rounds: 0,
            passes: 0,
            queue: VecDeque::new(),
            climbs: vec![Climb::default(); settings.members()],
            rate: 0.0,
            last_rate: 0.0,
            equal_qps: 0.0,
            budget: Budget::new(settings.budget),
            notes: Vec::new(),
            settings,
        }
    }

    /// The window to run now; the same until [`Self::finished`] is told of it. `None`: the run is over.
    pub fn next_window(&mut self) -> Option<Next> {
        while self.queue.is_empty() {
            let phase = self.phase?;
            self.begin_pass(phase);
        }
        let target = *self.queue.front()?;
        self.phase.map(|phase| self.window(phase, target))
    }

    /// How the window went that [`Self::next_window`] said, and how long it took in all.
    pub fn finished(&mut self, verdict: Verdict, took: Duration) {
        let Some(next) = self.next_window() else {
            return;
        };
        self.queue.pop_front();
        let kind = match next.phase {
            Phase::Escalate | Phase::Refine => Kind::Search,
            Phase::WarmUp | Phase::Equal => Kind::Calm,
        };
        self.budget.spent(kind, next.duration, took);
        if kind == Kind::Calm {
            return;
        }
        let failing = self
            .settings
            .search
            .as_ref()
            .map_or(1, |s| s.failing_windows);
        if let Some(climb) = self.climbs.get_mut(next.target) {
            climb.judge(next.to_qps, verdict, failing, next.phase == Phase::Refine);
        }
    }

    /// A target that answers wrongly sustains no rate: it leaves the search.
    pub fn disqualify(&mut self, target: usize, rule: &str) {
        if self.settings.search.is_some()
            && let Some(climb) = self.climbs.get_mut(target)
        {
            climb.disqualify(rule);
        }
    }

    /// What the search found out about a target so far.
    #[must_use]
    pub fn outcome(&self, target: usize) -> Option<SearchOutcome> {
        self.settings.search.as_ref()?;
        self.climbs.get(target).map(Climb::outcome)
    }

    /// What was left out, in words.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Share of the run that is done, once it can be told.
    #[must_use]
    pub fn done(&self) -> Option<f64> {
        if let Some(share) = self.budget.share() {
            return Some(share);
        }
        let equal = self.settings.equal.as_ref()?;
        let known = self.phase == Some(Phase::Equal) || self.settings.search.is_none();
        let rounds = equal.rounds.saturating_sub(self.rounds);
        let left = self.round_cost(equal).saturating_mul(rounds)
            + self.budget.cost(Kind::Calm, equal.window, self.queue.len());
        let spent = self.budget.total().as_secs_f64();
        known.then(|| spent / (spent + left.as_secs_f64()).max(1e-9))
    }

    fn window(&self, phase: Phase, target: usize) -> Next {
        let search = self.settings.search.as_ref();
        let window = search.map_or(Duration::ZERO, |search| search.window);
        let (from_qps, to_qps, duration) = match phase {
            Phase::WarmUp => {
                let (qps, duration) = self.settings.warm_up.unwrap_or_default();
                (qps, qps, duration)
            }
            Phase::Escalate if search.is_some_and(|search| search.ramp) => {
                (self.last_rate, self.rate, window)
            }
            Phase::Escalate => (self.rate, self.rate, window),
            Phase::Refine => {
                let rate = self.candidate(target).unwrap_or(self.rate);
                (rate, rate, window)
            }
            Phase::Equal => {
                let equal = self.settings.equal.as_ref();
                let duration = equal.map_or(Duration::ZERO, |equal| equal.window);
                (self.equal_qps, self.equal_qps, duration)
            }
        };
        let round = self.rounds.saturating_sub(1);
        Next {
            phase,
            round,
            target,
            from_qps,
            to_qps,
            duration,
            seed: self.seed(phase, round),
        }
    }

    fn seed(&self, phase: Phase, round: u32) -> u64 {
        match self.settings.seeds {
            Seeds::Passes => self.passes.saturating_sub(1),
            Seeds::Hashed(seed) => mix(seed ^ mix(((phase as u64) << 32) | u64::from(round))),
        }
    }

    /// Fills the queue, or goes on to the next phase.
    fn begin_pass(&mut self, phase: Phase) {
        let members = match phase {
            Phase::WarmUp => self.warm_up_members(),
            Phase::Escalate => self.escalate_members(),
            Phase::Refine => self.refine_members(),
            Phase::Equal => self.equal_members(),
        };
        if members.is_empty() {
            return self.next_phase(phase);
        }
        self.queue = members.into();
        // Each there-and-back begins with another target: nobody always has the turning point, or a slow phase of the
        // machine that comes as often as the passes do.
        let first = self.rounds as usize / 2 % self.queue.len();
        self.queue.rotate_left(first);
        if self.rounds % 2 == 1 {
            self.queue.make_contiguous().reverse();
        }
        self.rounds += 1;
        self.passes += 1;
    }

    fn next_phase(&mut self, phase: Phase) {
        self.rounds = 0;
        self.phase = match phase {
            Phase::WarmUp => Some(Phase::Escalate),
            Phase::Escalate => Some(Phase::Refine),
            Phase::Refine => {
                self.equal_qps = self.equal_rate();
                Some(Phase::Equal)
            }
            Phase::Equal => None,
        };
    }

    fn warm_up_members(&self) -> Vec<usize> {
        let wanted = self.rounds == 0 && self.settings.warm_up.is_some();
        (0..if wanted { self.settings.targets } else { 0 }).collect()
    }

    fn escalate_members(&mut self) -> Vec<usize> {
        let Some(search) = self.settings.search.clone() else {
            return Vec::new();
        };
        let mut members = self.climbs_where(|climb| climb.again);
        if members.is_empty() {
            members = self.climbs_where(Climb::is_climbing);
            if self.rounds > 0 && self.rate >= search.to_qps {
                for member in members.drain(..) {
                    self.climbs[member].end("limit");
                }
            } else {
                self.raise(&search);
            }
        }
        self.within_budget(members, &search)
    }

    fn raise(&mut self, search: &Search) {
        let next = match search.step {
            _ if self.rounds == 0 => search.from_qps,
            Step::Add(qps) => self.rate + qps,
            Step::Times(factor) => rounded(self.rate * factor),
        };
        self.last_rate = if self.rounds == 0 { next } else { self.rate };
        self.rate = next.min(search.to_qps);
        self.last_rate = self.last_rate.min(self.rate);
    }

    fn refine_members(&mut self) -> Vec<usize> {
        let Some(search) = self.settings.search.clone() else {
            return Vec::new();
        };
        let members = (0..self.climbs.len()).filter(|&i| self.candidate(i).is_some());
        let members = members.collect();
        self.within_budget(members, &search)
    }

    fn candidate(&self, target: usize) -> Option<f64> {
        let search = self.settings.search.as_ref()?;
        self.climbs
            .get(target)?
            .candidate(search.from_qps, search.refinements)
    }

    fn climbs_where(&self, wanted: impl Fn(&Climb) -> bool) -> Vec<usize> {
        let found = self
            .climbs
            .iter()
            .enumerate()
            .filter(|(_, climb)| wanted(climb));
        found.map(|(index, _)| index).collect()
    }

    /// The pass, unless the time left is needed for the equal load.
    fn within_budget(&mut self, members: Vec<usize>, search: &Search) -> Vec<usize> {
        let equal = self.settings.equal.as_ref();
        let (round, rounds) = equal.map_or((Duration::ZERO, 0), |equal| {
            (self.round_cost(equal), equal.rounds)
        });
        // Without a rate that held there is nothing to run them at: the search's beginning comes before their number.
        let begun = self.climbs.iter().any(|climb| climb.held.is_some());
        let rounds = if begun { rounds } else { rounds.min(1) };
        let cost = self.budget.cost(Kind::Search, search.window, members.len());
        if members.is_empty() || self.budget.leaves(cost, round, rounds) {
            return members;
        }
        let note = "the time budget ended the search";
        if !self.notes.iter().any(|known| known.starts_with(note)) {
            let windows = self.budget.windows();
            self.notes.push(format!("{note} after {windows} windows"));
        }
        self.climbs.iter_mut().for_each(|climb| climb.end("budget"));
        Vec::new()
    }

    fn equal_rate(&self) -> f64 {
        match self.settings.equal.as_ref().map(|equal| equal.load) {
            None => 0.0,
            Some(Load::Qps(qps)) => qps,
            Some(Load::Share(share)) => {
                let held = self.climbs.iter().filter_map(|climb| climb.held);
                let lowest = held.fold(f64::INFINITY, f64::min);
                if lowest.is_finite() {
                    rounded(lowest * share)
                } else {
                    0.0
                }
            }
        }
    }

    fn equal_members(&mut self) -> Vec<usize> {
        let Some(equal) = self.settings.equal.clone() else {
            return Vec::new();
        };
        if self.equal_qps <= 0.0 && matches!(equal.load, Load::Share(_)) {
            let why = "no target sustained a rate, so that no windows of equal load were run";
            self.notes.push(why.to_owned());
            return Vec::new();
        }
        if self.rounds >= equal.rounds {
            return Vec::new();
        }
        let overloaded = self.climbs_where(Climb::held_nothing).len();
        if self.rounds == 0 && overloaded > 0 && matches!(equal.load, Load::Share(_)) {
            self.notes.push(format!(
                "{overloaded} of the targets sustained no rate: equal load is more than they hold"
            ));
        }
        if !self.budget.fits(self.round_cost(&equal)) {
            self.notes.push(format!(
                "the time budget left room for {} of {} rounds of equal load",
                self.rounds, equal.rounds
            ));
            return Vec::new();
        }
        (0..self.settings.members()).collect()
    }

    fn round_cost(&self, equal: &Equal) -> Duration {
        self.budget
            .cost(Kind::Calm, equal.window, self.settings.members())
    }
}

/// To four significant digits: rates that people can read, finer than any bisection goes.
fn rounded(qps: f64) -> f64 {
    if qps <= 0.0 {
        return 0.0;
    }
    let unit = 10_f64.powf(qps.log10().floor() - 3.0);
    (qps / unit).round() * unit
}

/// The finaliser of splitmix64.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
