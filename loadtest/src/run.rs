//! Runs windows of load against the targets, in the order that the plan decides.
//!
//! [`execute`] runs windows through the trait [`Drive`] only, so tests can use targets of known capacity. [`live`]
//! implements it with real servers, and [`setup`] prepares those from a command line.

pub mod break_even;
pub mod clock;
pub mod live;
pub mod machine;
mod objective;
mod pairs;
pub mod parts;
mod row;
#[cfg(test)]
pub(crate) mod sample;
pub mod setup;
#[cfg(test)]
mod tests;

use crate::{
    capture::Replay,
    compare::Comparer,
    error::{Error, Result},
    measure::{Observed, ProcessUsage},
    plan::{self, Next, Plan, Verdict},
    report::{
        input::{Measured, SearchOutcome},
        model,
    },
    scenario::Objective,
    terminal::{Asked, Now},
    traffic::{Spread, Window},
};
use pairs::Pairs;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// Runs windows.
pub trait Drive {
    /// Runs one window against a target, given by its index. One past the last is the baseline again.
    fn run_window(&mut self, target: usize, window: &Window, now: &Now) -> Result<Measurement>;

    /// Shows the row of a window that is over.
    fn finished(&mut self, row: &model::Window);
}

/// What was measured in a window.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// What the generator measured.
    pub observed: Observed,
    /// What the servers used.
    pub processes: Vec<ProcessUsage>,
    /// When the window began, counted from the beginning of the run.
    pub at: Duration,
    /// How long the window took, with everything around it.
    pub took: Duration,
    /// Whether the window began before the target was done with reads that an earlier window gave up.
    pub backlog: bool,
}

/// A run: everything but how windows are run.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Names of the targets, the baseline first.
    pub names: Vec<String>,
    /// What is to be found out.
    pub plan: plan::Settings,
    /// How a capture is replayed; `None` for a scenario.
    pub replay: Option<Replay>,
    /// How planned times are spread.
    pub spread: Spread,
    /// The most reads in flight at once. In a closed loop there are always this many.
    pub max_in_flight: usize,
    /// What must hold.
    pub objective: Objective,
    /// A window is void if the p99 of the generator's lag is above this.
    pub max_lag: Duration,
}

impl Job {
    /// The number of reads that are always in flight, in a window of a closed loop.
    fn closed_in_flight(&self, phase: model::Phase) -> Option<u64> {
        let in_flight = match &self.plan.full {
            Some(full) if phase == model::Phase::Full => Some(full.in_flight),
            _ => (self.spread == Spread::Closed).then_some(self.max_in_flight),
        };
        in_flight.map(|reads| reads as u64)
    }

    /// What must hold in a window.
    fn objective(&self, phase: model::Phase) -> Objective {
        match phase {
            model::Phase::Full => objective::of_closed_loop(&self.objective),
            _ => self.objective.clone(),
        }
    }
}

/// The result of a run.
#[derive(Debug)]
pub struct Done {
    /// All windows, in the order of running.
    pub windows: Vec<Measured>,
    /// By target: the result of the search.
    pub searches: Vec<Option<SearchOutcome>>,
    /// What was left out, in words.
    pub notes: Vec<String>,
    /// Whether the caller ended the run early.
    pub interrupted: bool,
    /// The error of the target that ended the run, if one did.
    pub failure: Option<Error>,
}

/// Runs all windows of the plan, until it ends, `stop` is set, or a target fails.
pub fn execute(
    job: &Job,
    drive: &mut dyn Drive,
    comparer: Option<Comparer<'_>>,
    stop: &AtomicBool,
) -> (Done, Option<model::Comparison>) {
    let mut run = Running {
        job,
        plan: Plan::new(job.plan.clone()),
        pairs: comparer.map(|comparer| Pairs::new(comparer, &job.names)),
        windows: Vec::new(),
    };
    let mut failure = None;
    while !stop.load(Ordering::Relaxed)
        && let Some(next) = run.plan.next_window()
    {
        if let Err(error) = run.window(drive, &next) {
            failure = Some(error);
            break;
        }
    }
    let interrupted = stop.load(Ordering::Relaxed);
    let done = Done {
        // One more than the targets, for the baseline's second pass.
        searches: (0..=job.names.len())
            .map(|target| run.plan.outcome(target))
            .collect(),
        notes: run.plan.notes().to_vec(),
        windows: run.windows,
        interrupted,
        failure,
    };
    (done, run.pairs.map(Pairs::total))
}

/// Returns the baseline's name in its second pass.
#[must_use]
pub fn again(name: &str) -> String {
    format!("{name} again")
}

struct Running<'a> {
    job: &'a Job,
    plan: Plan,
    pairs: Option<Pairs<'a>>,
    windows: Vec<Measured>,
}

impl Running<'_> {
    fn window(&mut self, drive: &mut dyn Drive, next: &Next) -> Result<()> {
        let name = self.name(next.target);
        let window = self.traffic(next);
        let now = Now {
            target: name.clone(),
            phase: self.words(next),
            asked: self.asked(next),
            duration: next.duration,
            done: self.plan.done(),
        };
        let mut measurement = drive.run_window(next.target, &window, &now)?;
        let replies = measurement.observed.replies.take();
        let observed = &measurement.observed;
        let void = self.void(&measurement, next.phase);
        let broke = objective::broke(&self.job.objective(next.phase), observed, next.duration);
        let mut row = row::row(&row::Parts {
            index: u32::try_from(self.windows.len()).unwrap_or(u32::MAX),
            target: name,
            next,
            at: measurement.at,
            observed,
            processes: &measurement.processes,
            closed_in_flight: self.job.closed_in_flight(next.phase),
        });
        row.void.clone_from(&void);
        row.broke.clone_from(&broke);
        drive.finished(&row);
        let (interrupted, backlog) = (measurement.observed.interrupted, measurement.backlog);
        self.windows.push(Measured {
            window: row,
            observed: row::compacted(measurement.observed, next.phase),
            processes: measurement.processes,
        });
        if interrupted {
            return Ok(());
        }
        if let (Some(pairs), Some(replies)) = (&mut self.pairs, replies) {
            let index = self.windows.len() - 1;
            for (index, target, differing) in pairs.add(next, window.seed, index, replies)? {
                self.mismatched(index, target, differing);
            }
        }
        let verdict = match (void, broke) {
            (Some(_), _) if backlog => Verdict::Void("backlog"),
            (Some(_), _) => Verdict::Void("generator"),
            (None, Some(rule)) => Verdict::Broke(rule),
            (None, None) => Verdict::Held,
        };
        self.plan.finished(verdict, measurement.took);
        Ok(())
    }

    fn void(&self, measurement: &Measurement, phase: model::Phase) -> Option<String> {
        let observed = &measurement.observed;
        if measurement.backlog {
            return Some(objective::BACKLOG.to_owned());
        }
        match self.job.closed_in_flight(phase) {
            Some(_) => objective::void_of_closed_loop(observed),
            None => objective::void(observed, self.job.max_lag, &self.job.objective),
        }
    }

    /// Answers that differ break the objective at any rate.
    fn mismatched(&mut self, index: usize, target: usize, differing: u64) {
        let baseline = self.name(0);
        if let Some(measured) = self.windows.get_mut(index) {
            let rule = format!("{differing} answers differ from those of {baseline}");
            measured.window.broke.get_or_insert(rule);
        }
        let rule = format!("answers differ from those of {baseline}");
        self.plan.disqualify(target, &rule);
    }

    fn name(&self, target: usize) -> String {
        let names = &self.job.names;
        match names.get(target) {
            Some(name) => name.clone(),
            None => again(names.first().map_or("", String::as_str)),
        }
    }

    fn traffic(&self, next: &Next) -> Window {
        let replay = self.job.replay;
        let seed = replay.and_then(|replay| replay.seed(next.seed, next.duration));
        let full = self.job.plan.full.as_ref();
        let full = full.filter(|_| next.phase == model::Phase::Full);
        Window {
            from_qps: next.from_qps,
            to_qps: next.to_qps,
            duration: next.duration,
            spread: full.map_or(self.job.spread, |_| Spread::Closed),
            in_flight: full.map(|full| full.in_flight),
            seed: seed.unwrap_or(next.seed),
            // Targets answer different numbers of reads at full load, so there is nothing to compare.
            keep_replies: self.pairs.is_some()
                && !matches!(next.phase, model::Phase::WarmUp | model::Phase::Full),
        }
    }

    fn words(&self, next: &Next) -> String {
        let pass = next.round + 1;
        match next.phase {
            model::Phase::WarmUp => "warm-up".to_owned(),
            model::Phase::Escalate => format!("escalate, pass {pass}"),
            model::Phase::Refine => format!("refine, pass {pass}"),
            model::Phase::Equal => {
                let rounds = self.job.plan.equal.as_ref().map_or(0, |equal| equal.rounds);
                let load = next.phase.words_at(self.job.closed_in_flight(next.phase));
                format!("{load}, round {pass} of {rounds}")
            }
            model::Phase::Full => {
                let rounds = self.job.plan.full.as_ref().map_or(0, |full| full.rounds);
                format!("{}, round {pass} of {rounds}", next.phase.words())
            }
        }
    }

    fn asked(&self, next: &Next) -> Asked {
        match (self.job.closed_in_flight(next.phase), self.job.replay) {
            (Some(in_flight), _) => Asked::InFlight(in_flight),
            (None, Some(Replay::Speed(speed))) => Asked::OwnTimes(speed),
            (None, _) => Asked::Qps(next.to_qps),
        }
    }
}
