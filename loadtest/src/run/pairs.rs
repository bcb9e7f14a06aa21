//! Collects the replies of the windows of one round and rate, to compare them with the baseline's.

use crate::{
    compare::{Comparer, Pair},
    error::Result,
    measure::Replies,
    plan::Next,
    report::model::{Comparison, Phase},
};

/// Phase, round, and the bits of the rate.
type Key = (Phase, u32, u64);

pub(super) struct Pairs<'a> {
    comparer: Comparer<'a>,
    names: &'a [String],
    key: Option<Key>,
    baseline: Option<Replies>,
    /// Windows that ran before the baseline's: their index, target and replies.
    waiting: Vec<(usize, usize, Replies)>,
}

impl<'a> Pairs<'a> {
    pub(super) fn new(comparer: Comparer<'a>, names: &'a [String]) -> Self {
        Self {
            comparer,
            names,
            key: None,
            baseline: None,
            waiting: Vec::new(),
        }
    }

    /// Takes the replies of a window. Returns the windows that have replies that differ: index, target, number of these
    /// replies.
    pub(super) fn add(
        &mut self,
        next: &Next,
        seed: u64,
        index: usize,
        replies: Replies,
    ) -> Result<Vec<(usize, usize, u64)>> {
        let key = (next.phase, next.round, next.to_qps.to_bits());
        if self.key != Some(key) {
            self.key = Some(key);
            self.baseline = None;
            self.waiting.clear();
        }
        let of_baseline = next.target == 0 || next.target >= self.names.len();
        if of_baseline {
            // Only the baseline's first pass is compared. Before the second, it has done more writes than the other
            // targets.
            if self.baseline.is_some() {
                return Ok(Vec::new());
            }
            self.baseline = Some(replies);
        } else {
            self.waiting.push((index, next.target, replies));
        }
        let Some(baseline) = &self.baseline else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for (index, target, replies) in self.waiting.drain(..) {
            let differing = self.comparer.compare(Pair {
                names: [&self.names[0], &self.names[target]],
                replies: [baseline, &replies],
                seed,
            })?;
            if differing > 0 {
                found.push((index, target, differing));
            }
        }
        Ok(found)
    }

    pub(super) fn total(self) -> Comparison {
        self.comparer.total().clone()
    }
}
