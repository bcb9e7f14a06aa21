//! When runs are merged, and the merge itself.
//!
//! Why: four runs of a tier become one of the next tier (the logarithmic method of Bentley & Saxe 1980, as LSM stores
//! do it by size). An entry of n is then rewritten log4(n / 63) times, 7 times in 862,344. Keeping each run longer than
//! three times all that follow would need a third of the runs, and rewrite an entry some 30 times.
//!
//! ```text
//!  tail ──63 entries──> run ──4──> run of 252 ──4──> 1,008 ──4──> ...   in place, by the writer
//!                                  from DEFERRED_FROM on: a `Merge`, done elsewhere ──> `Merged`, swapped in
//! ```

use std::ops::Range;
use std::sync::{Arc, Weak};

use super::codes::Codes;
use super::entry::{Phase, Row};
use super::memory::Memory;
use super::run::{MOST_ENTRIES, Run};

/// Who merges long runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Merging {
    /// The writer, at once. Every ledger with the same entries then has the same runs.
    #[default]
    InPlace,
    /// Whoever takes the merges that are due. Answers do not depend on when that happens.
    Deferred,
}

/// Merges that make fewer entries than this take less than half a millisecond. They are not worth deferring.
pub(crate) const DEFERRED_FROM: usize = 8_192;

/// This many runs of a tier are merged.
const FAN: usize = 4;

/// Runs of one phase, the oldest first. Whoever changes them passes what all runs of the history take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs {
    runs: Vec<Arc<Run>>,
    /// Up to where runs are being merged elsewhere, for as long as somebody holds the token.
    busy: Option<(usize, Weak<()>)>,
}

/// Runs that follow each other and should become one.
#[derive(Debug)]
pub struct Merge {
    phase: Phase,
    runs: Vec<Arc<Run>>,
    token: Arc<()>,
}

/// A merge that is done.
#[derive(Debug)]
pub struct Merged {
    phase: Phase,
    replaced: Vec<Arc<Run>>,
    run: Arc<Run>,
    token: Arc<()>,
}

impl Merge {
    /// Merges. This takes some 0.1 µs for an entry.
    #[must_use]
    pub fn run(self) -> Merged {
        let run = Arc::new(merge(&self.runs));
        Merged {
            phase: self.phase,
            replaced: self.runs,
            run,
            token: self.token,
        }
    }

    /// How many entries are merged.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.runs.iter().map(|run| run.len()).sum()
    }
}

impl Merged {
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }
}

impl Runs {
    pub(crate) fn as_slice(&self) -> &[Arc<Run>] {
        &self.runs
    }

    /// The first code that is not given out yet.
    pub(crate) fn next_code(&self) -> u32 {
        self.runs.last().map_or(1, |run| run.codes().end())
    }

    pub(crate) fn push(&mut self, run: Run, memory: &mut Memory) {
        self.replace(self.runs.len()..self.runs.len(), Arc::new(run), memory);
    }

    fn replace(&mut self, range: Range<usize>, run: Arc<Run>, memory: &mut Memory) {
        let added = run.memory();
        let removed = self.runs.splice(range, [run]);
        let removed: Memory = removed.map(|run| run.memory()).sum();
        *memory = *memory + added - removed;
    }

    /// Merges what is due. Returns true if a merge should be taken, because it is long.
    pub(crate) fn settle(&mut self, merging: Merging, memory: &mut Memory) -> bool {
        let most = match merging {
            Merging::InPlace => MOST_ENTRIES,
            // What is longer waits for somebody to take it. Meanwhile the short runs are merged on.
            Merging::Deferred => DEFERRED_FROM - 1,
        };
        // Asked once, because the merge can end at any moment.
        let frozen = self.frozen();
        if let Some(start) = due(&self.lens(frozen), most) {
            self.merge_from(frozen + start, memory);
        }
        merging == Merging::Deferred && frozen == 0 && long_due(&self.lens(0)).is_some()
    }

    /// Takes the merge that is due, if it is long and none is under way.
    pub(crate) fn take(&mut self, phase: Phase) -> Option<Merge> {
        if self.frozen() > 0 {
            return None;
        }
        let range = long_due(&self.lens(0))?;
        let token = Arc::new(());
        self.busy = Some((range.end, Arc::downgrade(&token)));
        Some(Merge {
            phase,
            runs: self.runs[range].to_vec(),
            token,
        })
    }

    /// Swaps a merged run in, if the runs that it replaces are all here. Returns whether they were.
    pub(crate) fn swap(&mut self, merged: &Merged, memory: &mut Memory) -> bool {
        if self
            .busy
            .as_ref()
            .is_some_and(|(_, token)| token.ptr_eq(&Arc::downgrade(&merged.token)))
        {
            self.busy = None;
        }
        let replaced = &merged.replaced;
        let Some(first) = replaced.first() else {
            return false;
        };
        let at = self.runs.iter().position(|run| Arc::ptr_eq(run, first));
        let Some(range) = at.map(|at| at..at + replaced.len()) else {
            return false;
        };
        let here = self.runs.get(range.clone()).unwrap_or_default();
        if here.len() != replaced.len()
            || !here.iter().zip(replaced).all(|(a, b)| Arc::ptr_eq(a, b))
        {
            return false;
        }
        self.replace(range, Arc::clone(&merged.run), memory);
        true
    }

    /// How many of the oldest runs may not be merged, because that is under way elsewhere. 0 if nothing is.
    fn frozen(&self) -> usize {
        let busy = self.busy.as_ref();
        let busy = busy.filter(|(_, token)| token.strong_count() > 0);
        // After a panic the writer goes back, and then fewer runs can be here than were when the merge was taken.
        busy.map_or(0, |(end, _)| *end).min(self.runs.len())
    }

    fn lens(&self, from: usize) -> Vec<usize> {
        self.runs[from..].iter().map(|run| run.len()).collect()
    }

    fn merge_from(&mut self, start: usize, memory: &mut Memory) {
        let merged = merge(&self.runs[start..]);
        self.replace(start..self.runs.len(), Arc::new(merged), memory);
    }
}

/// Merges runs that follow each other.
fn merge(runs: &[Arc<Run>]) -> Run {
    let mut rows = Vec::with_capacity(runs.iter().map(|run| run.len()).sum());
    runs.iter().for_each(|run| run.append_rows(&mut rows));
    // Runs are sorted in themselves, and often follow each other in time as well. The stable sort finds that, merges,
    // and keeps the order of booking.
    rows.sort_by_key(|row: &Row| row.at);
    Run::of(&rows, Codes::join(runs.iter().map(|run| run.codes())))
}

/// From which of these lengths on all should become one, of at most `most`. Short runs cascade: if the merged run
/// completes its tier, it is merged at once with that, too.
fn due(lens: &[usize], most: usize) -> Option<usize> {
    let mut start = lens.len().checked_sub(1)?;
    let mut total = lens[start];
    let mut due = None;
    loop {
        let tier = tier(total);
        let (mut first, mut sum) = (start, total);
        while first > 0 && self::tier(lens[first - 1]) <= tier {
            first -= 1;
            sum += lens[first];
        }
        if start - first + 1 < FAN || sum > most {
            return due;
        }
        (start, total, due) = (first, sum, Some(first));
    }
}

/// The newest merge that is due and long, whatever short runs came after it.
fn long_due(lens: &[usize]) -> Option<Range<usize>> {
    let ranges = (1..=lens.len()).rev().filter_map(|end| {
        let start = due(&lens[..end], MOST_ENTRIES)?;
        Some(start..end)
    });
    let is_long = |range: &Range<usize>| lens[range.clone()].iter().sum::<usize>() >= DEFERRED_FROM;
    ranges.into_iter().find(is_long)
}

/// Four runs of a tier make one of the next tier, or a longer one.
fn tier(len: usize) -> u32 {
    len.max(1).ilog2() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_stay_few_and_entries_are_rewritten_seldom() {
        for part in [63, 40, 17] {
            let (mut lens, mut rewritten, mut most) = (Vec::new(), 0, 0);
            let mut total = 0;
            while total < 862_344 {
                // Some of a tail can be of other phases.
                let len = part - (total * 7 + 3) % (part / 2);
                total += len;
                lens.push(len);
                if let Some(start) = due(&lens, MOST_ENTRIES) {
                    let merged: usize = lens.drain(start..).sum();
                    rewritten += merged;
                    lens.push(merged);
                }
                most = most.max(lens.len());
            }
            assert!(most <= 3 * 9, "{most} runs");
            assert!(rewritten < 9 * total, "{} times", rewritten / total);
        }
    }

    #[test]
    fn a_bound_keeps_long_runs_as_they_are() {
        let lens = [4_032, 4_032, 4_032, 4_032, 1_008, 1_008, 1_008, 1_008];
        assert_eq!(due(&lens, MOST_ENTRIES), Some(0));
        assert_eq!(due(&lens, 5_000), Some(4));
        assert_eq!(due(&lens, 4_000), None);
        assert_eq!(due(&[], 9), None);
        assert_eq!(due(&[5, 5, 5], 99), None);
        assert_eq!(long_due(&lens), Some(0..8));
        assert_eq!(long_due(&[4_032, 4_032, 4_032, 4_032, 252, 63]), Some(0..4));
        assert_eq!(long_due(&[1_008, 1_008, 1_008, 1_008, 252]), None);
    }
}
