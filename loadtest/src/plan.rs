//! Decides which window comes next: a state machine without clocks or IO. The caller runs the window and tells how it
//! went.
//!
//! ```text
//!  WarmUp ──> Escalate ──────────> Refine ─────────────> Equal ─────> Full ────────> over
//!  one pass   passes at one rate,  passes of bisection,  rounds at    rounds of a
//!             which then rises     each target at a      one rate     closed loop
//!                                  rate of its own
//! ```
//!
//! A target leaves `Escalate` once it broke (or its windows stay void, or the highest rate is reached), and `Refine`
//! once its highest rate is narrowed down (`climb`). Everywhere but in `WarmUp` the baseline takes part
//! twice, which shows the noise. Every second pass runs backwards, so that the machine's drift affects all targets
//! alike. With a time budget (`budget`) the search ends early, and rounds are left out.

mod budget;
mod climb;
mod settings;
#[cfg(test)]
mod tests;

use crate::report::{input::SearchOutcome, model::Phase};
use budget::{Budget, Kind};
use climb::Climb;
pub use settings::{Equal, Full, Load, Search, Seeds, Settings, Step};
use std::{collections::VecDeque, time::Duration};

/// A window to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Next {
    /// The phase that it belongs to.
    pub phase: Phase,
    /// The pass over the targets, from 0 in each phase.
    pub round: u32,
    /// Index of the target. One past the last is the baseline's second pass.
    pub target: usize,
    /// The rate at its beginning.
    pub from_qps: f64,
    /// The rate at its end, which is the one that is judged.
    pub to_qps: f64,
    /// Its length.
    pub duration: Duration,
    /// The seed, the same for all targets of a round.
    pub seed: u64,
}

/// How a window went.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The objective held.
    Held,
    /// The objective broke, by the named rule.
    Broke(String),
    /// The window says nothing. The word (`generator` or `backlog`) is the reason that ends the search if repetitions
    /// are void too.
    Void(&'static str),
}

/// The state of a run.
#[derive(Debug)]
pub struct Plan {
    settings: Settings,
    phase: Option<Phase>,
    /// Rounds of this phase that were begun.
    rounds: u32,
    /// Passes of all phases that were begun.
    passes: u64,
    /// Targets that are still to run in this pass; the first runs now.
    queue: VecDeque<usize>,
    climbs: Vec<Climb>,
    /// Rates of the escalation, in this pass and in the previous one.
    rate: f64,
    last_rate: f64,
    equal_qps: f64,
    budget: Budget,
    notes: Vec<String>,
}

impl Plan {
    /// Makes a plan whose first window is still to come.
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

    /// Returns the window to run now, and the same one until [`Self::finished`] is called. `None` means that the run is
    /// over.
    pub fn next_window(&mut self) -> Option<Next> {
        while self.queue.is_empty() {
            let phase = self.phase?;
            self.begin_pass(phase);
        }
        let target = *self.queue.front()?;
        self.phase.map(|phase| self.window(phase, target))
    }

    /// Takes in how the window that [`Self::next_window`] returned went, and how long it took in all.
    pub fn finished(&mut self, verdict: Verdict, took: Duration) {
        let Some(next) = self.next_window() else {
            return;
        };
        self.queue.pop_front();
        let kind = match next.phase {
            Phase::Escalate | Phase::Refine => Kind::Search,
            Phase::WarmUp | Phase::Equal | Phase::Full => Kind::Unloaded,
        };
        self.budget.spent(kind, next.duration, took);
        if kind == Kind::Unloaded {
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

    /// Ends the search for a target that answers wrongly: it sustains no rate.
    pub fn disqualify(&mut self, target: usize, rule: &str) {
        if self.settings.search.is_some()
            && let Some(climb) = self.climbs.get_mut(target)
        {
            climb.disqualify(rule);
        }
    }

    /// Returns what the search has found out about a target so far.
    #[must_use]
    pub fn outcome(&self, target: usize) -> Option<SearchOutcome> {
        self.settings.search.as_ref()?;
        self.climbs.get(target).map(Climb::outcome)
    }

    /// Returns what was left out, in words.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns the share of the run that is done, once that can be estimated.
    #[must_use]
    pub fn done(&self) -> Option<f64> {
        if let Some(share) = self.budget.share() {
            return Some(share);
        }
        let known = self.settings.search.is_none()
            || matches!(self.phase, None | Some(Phase::Equal | Phase::Full));
        let (mut left, mut window) = (Duration::ZERO, Duration::ZERO);
        if let Some(equal) = &self.settings.equal
            && self.phase != Some(Phase::Full)
        {
            let rounds = equal.rounds.saturating_sub(self.rounds);
            left += self.round_cost(equal.window).saturating_mul(rounds);
            window = equal.window;
        }
        if let Some(full) = &self.settings.full {
            let begun = if self.phase == Some(Phase::Full) {
                window = full.window;
                self.rounds
            } else {
                0
            };
            let rounds = full.rounds.saturating_sub(begun);
            left += self.round_cost(full.window).saturating_mul(rounds);
        }
        left += self.budget.cost(Kind::Unloaded, window, self.queue.len());
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
            Phase::Full => {
                let full = self.settings.full.as_ref();
                (0.0, 0.0, full.map_or(Duration::ZERO, |full| full.window))
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

    /// Fills the queue with the next pass of the phase, or goes on to the next phase.
    fn begin_pass(&mut self, phase: Phase) {
        let members = match phase {
            Phase::WarmUp => self.warm_up_members(),
            Phase::Escalate => self.escalate_members(),
            Phase::Refine => self.refine_members(),
            Phase::Equal => self.equal_members(),
            Phase::Full => self.full_members(),
        };
        if members.is_empty() {
            return self.next_phase(phase);
        }
        self.queue = members.into();
        // Every pair of passes (there and back) begins with another target. Otherwise one target would always have the
        // turning point, or always meet a slow phase of the machine that recurs with the passes.
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
            Phase::Equal => Some(Phase::Full),
            Phase::Full => None,
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

    /// Returns the members, or none if the time that is left is needed for the equal load. That ends the search.
    fn within_budget(&mut self, members: Vec<usize>, search: &Search) -> Vec<usize> {
        let equal = self.settings.equal.as_ref();
        let (round, rounds) = equal.map_or((Duration::ZERO, 0), |equal| {
            (self.round_cost(equal.window), equal.rounds)
        });
        // Equal load needs a rate that held. Until there is one, the search has priority, and time is reserved for one
        // round only.
        let begun = self.climbs.iter().any(|climb| climb.held.is_some());
        let rounds = if begun { rounds } else { rounds.min(1) };
        let cost = self.budget.cost(Kind::Search, search.window, members.len());
        let cost = cost + self.full_cost();
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
                let mut lowest = self.lowest_held(|target| self.settings.leads(target));
                if !lowest.is_finite() {
                    lowest = self.lowest_held(|_| true);
                }
                if lowest.is_finite() {
                    rounded(lowest * share)
                } else {
                    0.0
                }
            }
        }
    }

    fn lowest_held(&self, wanted: impl Fn(usize) -> bool) -> f64 {
        let climbs = self.climbs.iter().enumerate();
        let held = climbs.filter(|&(target, _)| wanted(target));
        let held = held.filter_map(|(_, climb)| climb.held);
        held.fold(f64::INFINITY, f64::min)
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
        if !self
            .budget
            .fits(self.round_cost(equal.window) + self.full_cost())
        {
            self.notes.push(format!(
                "the time budget left room for {} of {} rounds of equal load",
                self.rounds, equal.rounds
            ));
            return Vec::new();
        }
        (0..self.settings.members()).collect()
    }

    fn full_members(&mut self) -> Vec<usize> {
        let Some(full) = self.settings.full.clone() else {
            return Vec::new();
        };
        if self.rounds >= full.rounds {
            return Vec::new();
        }
        if !self.budget.fits(self.round_cost(full.window)) {
            self.notes.push(format!(
                "the time budget left room for {} of {} rounds of full load",
                self.rounds, full.rounds
            ));
            return Vec::new();
        }
        (0..self.settings.members()).collect()
    }

    /// Returns the time that is kept for full load: for all its rounds, or for those that fit into a part of the budget.
    fn full_cost(&self) -> Duration {
        let Some(full) = &self.settings.full else {
            return Duration::ZERO;
        };
        let round = self.round_cost(full.window);
        round.saturating_mul(self.budget.rounds_for_full_load(round, full.rounds))
    }

    fn round_cost(&self, window: Duration) -> Duration {
        let members = self.settings.members();
        self.budget.cost(Kind::Unloaded, window, members)
    }
}

/// Rounds to four significant digits: easy to read, and still finer than any bisection.
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
