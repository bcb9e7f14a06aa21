//! The posted entries of a history inside a window: a range of each run, and the rows of the tail that are inside.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use super::descent;
use super::entry::{Logged, Phase, Slot};
use super::run::Run;
use super::sums::Sums;

/// Ranges of runs, none of them empty, and a tail.
pub struct Slices<'a> {
    /// All runs. They hold the dictionary.
    pub(super) runs: &'a [Arc<Run>],
    pub(super) parts: Vec<Part<'a>>,
    tail: &'a [Logged],
    from_us: i64,
    to_us: i64,
}

/// A range of a run.
pub(super) struct Part<'a> {
    pub(super) run: &'a Run,
    pub(super) range: Range<usize>,
}

/// The smallest and the largest amount, and the first and the last time, of a window with entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Smallest signed amount.
    pub min: i64,
    /// Largest signed amount.
    pub max: i64,
    /// Earliest time, in microseconds since the epoch.
    pub first_us: i64,
    /// Latest time, in microseconds since the epoch.
    pub last_us: i64,
}

/// A range that is no longer than this is read, because descending its wavelet matrix takes longer.
const SHORT: usize = 64;

thread_local! {
    /// A set of all codes. It is kept, because a new one of many pages would be cleared by the system as well.
    static SEEN: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

impl<'a> Slices<'a> {
    pub(super) fn of(
        runs: &'a [Arc<Run>],
        tail: &'a [Logged],
        (from_us, to_us): (i64, i64),
    ) -> Self {
        let parts = runs.iter().filter_map(|run| {
            let start = run.before(from_us, 0);
            let range = start..run.before(to_us, start);
            (!range.is_empty()).then_some(Part { run, range })
        });
        Self {
            runs,
            parts: parts.collect(),
            tail,
            from_us,
            to_us,
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn count(&self) -> usize {
        let parts = self.parts.iter().map(|part| part.range.len());
        parts.sum::<usize>() + self.tail().count()
    }

    /// The rows of the tail, in booking order.
    pub fn tail(&self) -> impl Iterator<Item = &'a Logged> {
        let (from_us, to_us) = (self.from_us, self.to_us);
        let posted = self.tail.iter().filter(|row| row.phase == Phase::Posted);
        posted.filter(move |row| from_us <= row.occurred_at_us && row.occurred_at_us < to_us)
    }

    /// Counts, sums and sums of squares, without the tail, in parts whose sums of squares fit 128 bits.
    pub fn sums(&self) -> impl Iterator<Item = Sums> {
        self.parts
            .iter()
            .map(|part| part.run.sums(part.range.clone()))
    }

    /// The bounds of each part, without the tail.
    pub fn bounds(&self) -> impl Iterator<Item = Bounds> {
        self.parts.iter().map(|Part { run, range }| {
            let (min, max) = run.extremes(range.clone());
            Bounds {
                min,
                max,
                first_us: run.time(range.start),
                last_us: run.time(range.end - 1),
            }
        })
    }

    /// The sizes at ascending, distinct ranks (from 0) below [`Self::count`].
    #[must_use]
    pub fn select(&self, ranks: &[usize]) -> Vec<u64> {
        let mut loose: Vec<u64> = self.tail().map(|row| row.amount.unsigned_abs()).collect();
        let mut spans = Vec::new();
        for Part { run, range } in &self.parts {
            match run.wavelet().filter(|_| range.len() > SHORT) {
                Some(wavelet) => spans.push((wavelet, range.clone())),
                None => run.append_sizes(range.clone(), &mut loose),
            }
        }
        descent::select(&spans, &mut loose, ranks)
    }

    /// How many counterparties there are.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        let (tail, new) = self.tail_codes();
        if self.parts.is_empty() {
            let mut codes: Vec<u32> = tail.iter().map(|(code, _)| *code).collect();
            codes.sort_unstable();
            codes.dedup();
            return codes.len() as u64;
        }
        let codes = self.next_code() as usize + new.len();
        SEEN.with_borrow_mut(|seen| {
            seen.clear();
            seen.resize(codes.div_ceil(64), 0);
            for Part { run, range } in &self.parts {
                run.collect(range.clone(), seen);
            }
            for (code, _) in tail {
                seen[code as usize / 64] |= 1 << (code % 64);
            }
            // Code 0 is nobody.
            seen[0] &= !1;
            seen.iter().map(|word| u64::from(word.count_ones())).sum()
        })
    }

    /// Shows the sums between each two neighbours of ascending `bounds`, from the start of the window to its end. Those
    /// without entries are left out, and a pair may come several times.
    pub fn between(&self, bounds: &[i64], mut show: impl FnMut(usize, Sums)) {
        for Part { run, range } in &self.parts {
            let (mut at, mut pair) = (range.start, 0);
            // What is before the end of a pair is also before the start of the next, so it is added up once.
            let mut before = run.sides_before(at);
            while at < range.end {
                let time = run.time(at);
                // Most often it lies in the pair that follows, which one look tells.
                if bounds[pair + 1] <= time {
                    pair += 1;
                    pair += bounds[pair + 1..].partition_point(|bound| *bound <= time);
                }
                let next = range.end.min(run.before(bounds[pair + 1], at));
                let after = before.and_then(|_| run.sides_before(next));
                show(
                    pair,
                    match (before, after) {
                        (Some(before), Some(after)) => after.minus(before),
                        _ => run.sides(at..next),
                    },
                );
                (at, before) = (next, after);
            }
        }
        for row in self.tail() {
            let pair = bounds.partition_point(|bound| *bound <= row.occurred_at_us) - 1;
            show(pair, Sums::of_one(row.amount));
        }
    }

    /// The first code that no run has.
    pub(super) fn next_code(&self) -> u32 {
        self.runs.last().map_or(1, |run| run.codes().end())
    }

    /// The rows of the tail that have a counterparty, each with its code, and the slots of codes that no run has.
    pub(super) fn tail_codes(&self) -> (Vec<(u32, &'a Logged)>, Vec<Slot>) {
        let (mut rows, mut new) = (Vec::new(), Vec::new());
        let mut next = self.next_code();
        let mut seen: Vec<(Slot, u32)> = Vec::new();
        for row in self.tail() {
            let Some(slot) = row.counterparty() else {
                continue;
            };
            let known = seen.iter().find(|(other, _)| *other == slot);
            let code = known.map(|(_, code)| *code).unwrap_or_else(|| {
                let code = find(self.runs, slot).unwrap_or_else(|| {
                    new.push(slot);
                    next += 1;
                    next - 1
                });
                seen.push((slot, code));
                code
            });
            rows.push((code, row));
        }
        (rows, new)
    }
}

/// The code of a slot. Old runs have the most codes, so they are asked first.
pub(super) fn find(runs: &[Arc<Run>], slot: Slot) -> Option<u32> {
    runs.iter().find_map(|run| run.codes().code(slot))
}

/// The slot of a code.
pub(super) fn name(runs: &[Arc<Run>], code: u32) -> Option<Slot> {
    let at = runs.partition_point(|run| run.codes().end() <= code);
    runs.get(at)?.codes().slot(code)
}
