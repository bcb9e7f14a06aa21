//! The entries of one (account, asset), indexed, so that a window is answered without reading its entries.
//!
//! ```text
//!  tail (the ledger's log): < 63 rows in booking order ──sealed──> runs
//!
//!  runs   posted    [ 16,128 ][ 4,032 ][ 1,008 ][ 252 ][ 63 ]   each in order of time, shared by versions
//!         holds     [ 63 ]                                     only balances at an instant need these
//!         releases
//!
//!  run    columns:  times | folded amounts | codes of counterparties
//!         index:    prefix sums | extremes | wavelet matrix | sets and sums by code      (from 512 entries on)
//! ```
//!
//! A window is one range of each run, because runs are in order of time. So an entry that is booked late needs no care:
//! it is in a later run. Most accounts have few entries; they have a tail and no history. Each part of the index says
//! in its file why it was chosen, and from where it is.
//!
//! This module needs the standard library only.

mod bits;
mod codes;
mod descent;
mod entry;
mod memory;
mod merge;
mod packed;
mod parties;
mod run;
mod slices;
mod sums;
mod times;
mod top;
mod wavelet;

use std::sync::Arc;

use codes::Codes;
use entry::{Row, fold, unfold};
use merge::Runs;

pub use entry::{Logged, Phase, Slot};
pub use memory::Memory;
pub use merge::{Merge, Merged, Merging};
pub use run::Run;
pub use slices::{Bounds, Slices};
pub use sums::Sums;
pub use top::PartySums;

pub(crate) use descent::place;

/// The sealed entries of one (account, asset). A clone shares the runs.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// By phase.
    series: [Runs; 3],
    len: usize,
    /// What the runs of all phases take.
    memory: Memory,
    /// Kept, because estimating a cost must not touch every run.
    shape: Shape,
}

/// What is before an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// Counts and sums.
    pub sums: Sums,
    /// The latest time, in microseconds since the epoch.
    pub last_us: Option<i64>,
}

/// What a question about a history has to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Posted entries without an index.
    pub scanned: usize,
    /// Runs with an index.
    pub indexed_runs: usize,
    /// Counterparties.
    pub codes: usize,
}

impl History {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes rows in booking order. Returns true if a long merge is due: see [`Self::take`].
    pub(crate) fn seal(&mut self, rows: &[Logged], merging: Merging) -> bool {
        let mut rows = rows.to_vec();
        rows.sort_by_key(|row| row.occurred_at_us);
        self.len += rows.len();
        let mut due = false;
        for (phase, runs) in Phase::ALL.into_iter().zip(&mut self.series) {
            let of_phase = rows.iter().filter(|row| row.phase == phase);
            let of_phase: Vec<&Logged> = of_phase.collect();
            if !of_phase.is_empty() {
                let run = sealed(runs, &of_phase);
                runs.push(run, &mut self.memory);
                due |= runs.settle(merging, &mut self.memory);
            }
        }
        self.shape = self.measured();
        due
    }

    /// Takes a long merge that is due, to be done elsewhere. There is at most one for each phase at a time.
    pub(crate) fn take(&mut self) -> Option<Merge> {
        let mut series = Phase::ALL.into_iter().zip(&mut self.series);
        series.find_map(|(phase, runs)| runs.take(phase))
    }

    /// Swaps the result of a merge in, if what it replaces is still here. Returns true if another long merge is due.
    pub(crate) fn swap(&mut self, merged: &Merged) -> bool {
        let runs = &mut self.series[index(merged.phase())];
        let memory = &mut self.memory;
        let due = runs.swap(merged, memory) && runs.settle(Merging::Deferred, memory);
        self.shape = self.measured();
        due
    }

    /// The posted entries of a window, with those of the tail.
    #[must_use]
    pub fn slices<'a>(&'a self, tail: &'a [Logged], from_us: i64, to_us: i64) -> Slices<'a> {
        Slices::of(self.runs(Phase::Posted), tail, (from_us, to_us))
    }

    /// The entries of a phase before an instant.
    #[must_use]
    pub fn before(&self, phase: Phase, time_us: i64) -> Before {
        let mut before = Before::default();
        for run in self.runs(phase) {
            let count = run.before(time_us, 0);
            if let Some(last) = count.checked_sub(1) {
                before.sums = before.sums.plus(run.sides(0..count));
                before.last_us = before.last_us.max(Some(run.time(last)));
            }
        }
        before
    }

    /// All entries, run by run. Those of a run are in order of time.
    pub fn entries(&self) -> impl Iterator<Item = Logged> {
        Phase::ALL.into_iter().flat_map(move |phase| {
            let runs = self.runs(phase);
            let rows = runs.iter().flat_map(|run| {
                let mut rows = Vec::with_capacity(run.len());
                run.append_rows(&mut rows);
                rows
            });
            rows.map(move |row| {
                let slot = slices::name(runs, row.code);
                Logged::new(row.at, unfold(row.folded), slot, phase)
            })
        })
    }

    /// The runs of a phase, the oldest first.
    #[must_use]
    pub fn runs(&self, phase: Phase) -> &[Arc<Run>] {
        self.series[index(phase)].as_slice()
    }

    /// What a question about the posted entries has to look at.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What the runs of all phases take.
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.memory
    }

    fn measured(&self) -> Shape {
        let mut shape = Shape::default();
        for run in self.runs(Phase::Posted) {
            if run.is_indexed() {
                shape.indexed_runs += 1;
            } else {
                shape.scanned += run.len();
            }
            shape.codes = shape.codes.max(run.bound() - 1);
        }
        shape
    }
}

fn index(phase: Phase) -> usize {
    phase as usize - 1
}

/// A run of rows in order of time, which will follow these runs.
fn sealed(runs: &Runs, rows: &[&Logged]) -> Run {
    let is_posted = rows.first().is_some_and(|row| row.phase == Phase::Posted);
    // Nothing asks for the counterparties of other phases.
    let party = |row: &&Logged| row.counterparty().filter(|_| is_posted);
    let mut slots: Vec<Slot> = rows.iter().filter_map(party).collect();
    slots.sort_unstable();
    slots.dedup();
    let first = runs.next_code();
    let (mut next, mut new) = (first, Vec::new());
    let codes = slots.iter().map(|&slot| {
        slices::find(runs.as_slice(), slot).unwrap_or_else(|| {
            new.push(slot);
            next += 1;
            next - 1
        })
    });
    let codes: Vec<u32> = codes.collect();
    let code = |slot: Slot| slots.binary_search(&slot).map_or(0, |at| codes[at]);
    let rows = rows.iter().map(|row| Row {
        at: row.occurred_at_us,
        folded: fold(row.amount),
        code: party(row).map_or(0, code),
    });
    Run::of(&rows.collect::<Vec<_>>(), Codes::of(first, new))
}

#[cfg(test)]
mod tests;
