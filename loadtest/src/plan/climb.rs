//! The search for one target's highest rate: up until a rate breaks it, then bisection.

use super::{Verdict, rounded};
use crate::report::input::SearchOutcome;

/// A void window is repeated this often. Then the reason that voids it ends the search.
const VOID_REPEATS: u32 = 4;
/// The bisection ends once the rates that broke and held differ by less than this factor.
const CLOSE_ENOUGH: f64 = 1.03;
/// If the first rate is too high, it is halved this often.
const HALVINGS: i32 = 4;

/// What is known about a target's highest rate.
#[derive(Debug, Clone, Default)]
pub(super) struct Climb {
    /// The highest rate that held.
    pub(super) held: Option<f64>,
    /// Whether the rate of the last window must be tried again.
    pub(super) again: bool,
    broken: Option<f64>,
    rule: Option<String>,
    ended: Option<String>,
    failed_in_a_row: u32,
    voids: u32,
    refinements: u32,
}

impl Climb {
    pub(super) fn is_climbing(&self) -> bool {
        self.broken.is_none() && self.ended.is_none()
    }

    /// Whether every rate was too high.
    pub(super) fn held_nothing(&self) -> bool {
        self.broken.is_some() && self.held.is_none() && self.ended.is_none()
    }

    pub(super) fn judge(&mut self, qps: f64, verdict: Verdict, failing: u32, refining: bool) {
        if self.ended.is_some() {
            return;
        }
        match verdict {
            Verdict::Void(why) => {
                self.voids += 1;
                self.again = self.voids <= VOID_REPEATS;
                if !self.again {
                    self.ended = Some(why.to_owned());
                }
                return;
            }
            Verdict::Broke(rule) => {
                self.failed_in_a_row += 1;
                if self.failed_in_a_row < failing {
                    self.again = true;
                    return;
                }
                self.broken = Some(self.broken.map_or(qps, |broken| broken.min(qps)));
                self.rule = Some(rule);
            }
            Verdict::Held => self.held = Some(self.held.map_or(qps, |held| held.max(qps))),
        }
        // Halving a first rate that was too high does not count as a refinement.
        self.refinements += u32::from(refining && self.held.is_some());
        self.again = false;
        self.failed_in_a_row = 0;
        self.voids = 0;
    }

    pub(super) fn end(&mut self, why: &str) {
        self.again = false;
        if self.ended.is_none() && self.broken.is_none() {
            self.ended = Some(why.to_owned());
        }
    }

    pub(super) fn disqualify(&mut self, rule: &str) {
        self.again = false;
        self.held = None;
        self.ended = Some(rule.to_owned());
    }

    /// The rate to try next, between the highest that held and the lowest that broke.
    pub(super) fn candidate(&self, from_qps: f64, refinements: u32) -> Option<f64> {
        let broken = self.broken.filter(|_| self.ended.is_none())?;
        match self.held {
            None => {
                let lower = broken / 2.0;
                (lower >= from_qps / 2_f64.powi(HALVINGS) * 0.999).then_some(lower)
            }
            Some(held) => (self.refinements < refinements && broken / held > CLOSE_ENOUGH)
                .then(|| rounded((held * broken).sqrt())),
        }
    }

    pub(super) fn outcome(&self) -> SearchOutcome {
        let limited_by = self.ended.as_ref().or(self.rule.as_ref());
        SearchOutcome {
            sustained_qps: self.held,
            broken_qps: self.broken,
            limited_by: limited_by.map_or_else(|| "interrupted".to_owned(), Clone::clone),
        }
    }
}
