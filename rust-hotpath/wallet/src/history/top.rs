//! The counterparties of a window with the largest sums.
//!
//! Why: only sizes decide who is shown, and no amount is zero, so one sum by code is enough to find them. The counts
//! and the two sides are looked up for those who are shown, at most 100.

use std::cell::RefCell;
use std::cmp::Ordering;

use super::entry::{Logged, Slot};
use super::parties::{Detail, Wanted};
use super::slices::{self, Part, Slices};

/// The sums of the entries with one counterparty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartySums {
    /// The number of entries.
    pub count: u64,
    /// Sum of the credits.
    pub credit_sum: u128,
    /// Sum of |amount| of the debits.
    pub debit_sum: u128,
}

/// Tables by code. They are kept, because new ones of many pages would be cleared by the system as well.
struct Tables {
    sizes: Vec<u64>,
    marks: Vec<u16>,
}

/// With fewer entries than this for each code, entries are sorted by code. Otherwise, a table by code is filled.
const CODES_PER_ENTRY: usize = 8;

thread_local! {
    static TABLES: RefCell<Tables> = const { RefCell::new(Tables { sizes: Vec::new(), marks: Vec::new() }) };
}

impl PartySums {
    fn size(&self) -> u128 {
        self.credit_sum + self.debit_sum
    }

    fn add(&mut self, size: u128, is_debit: bool) {
        let side = if is_debit {
            &mut self.debit_sum
        } else {
            &mut self.credit_sum
        };
        *side += size;
        self.count += 1;
    }
}

impl Slices<'_> {
    /// Returns the `limit` counterparties with the largest sum of |amount|, the largest first. `by_name` orders equals.
    #[must_use]
    pub fn top(
        &self,
        limit: usize,
        by_name: impl Fn(Slot, Slot) -> Ordering,
    ) -> Vec<(Slot, PartySums)> {
        if limit == 0 {
            return Vec::new();
        }
        let (tail, new) = self.tail_codes();
        let next = self.next_code();
        let codes = next as usize + new.len();
        let name = |code: u32| match code.checked_sub(next) {
            Some(at) => new.get(at as usize).copied(),
            None => slices::name(self.runs, code),
        };
        let by_name = |a: u32, b: u32| match (name(a), name(b)) {
            (Some(a), Some(b)) => by_name(a, b),
            (a, b) => a.cmp(&b),
        };
        let is_dense = self.count().saturating_mul(CODES_PER_ENTRY) >= codes;
        let found = if is_dense && self.fits(&tail) && limit < usize::from(u16::MAX) {
            self.top_by_table(&tail, codes, limit, by_name)
        } else {
            self.top_by_sorting(&tail, limit, by_name)
        };
        let named = found.into_iter();
        named
            .filter_map(|(code, sums)| Some((name(code)?, sums)))
            .collect()
    }

    /// Whether any sum of sizes fits 64 bits. The runs as a whole must, because their sums are differences.
    fn fits(&self, tail: &[(u32, &Logged)]) -> bool {
        let runs = self.parts.iter().map(|part| part.run.size_sum());
        let tail = tail
            .iter()
            .map(|(_, row)| u128::from(row.amount.unsigned_abs()));
        u64::try_from(runs.chain(tail).sum::<u128>()).is_ok()
    }

    fn top_by_table(
        &self,
        tail: &[(u32, &Logged)],
        codes: usize,
        limit: usize,
        by_name: impl Fn(u32, u32) -> Ordering,
    ) -> Vec<(u32, PartySums)> {
        TABLES.with_borrow_mut(|Tables { sizes, marks }| {
            sizes.clear();
            sizes.resize(codes, 0);
            for Part { run, range } in &self.parts {
                run.add_sizes(range.clone(), sizes);
            }
            for (code, row) in tail {
                sizes[*code as usize] += row.amount.unsigned_abs();
            }
            let sized = (0..).zip(sizes.iter().copied()).skip(1);
            let best = best(sized.filter(|(_, size)| *size > 0), limit, by_name);
            marks.clear();
            marks.resize(codes, 0);
            for (mark, code) in (1..).zip(&best) {
                marks[*code as usize] = mark;
            }
            let details = self.details(
                tail,
                &Wanted {
                    codes: &best,
                    marks,
                },
            );
            let sums = details.into_iter().map(|detail| PartySums {
                count: detail.count,
                credit_sum: detail.credits.into(),
                debit_sum: detail.debits.into(),
            });
            best.into_iter().zip(sums).collect()
        })
    }

    fn details(&self, tail: &[(u32, &Logged)], wanted: &Wanted<'_>) -> Vec<Detail> {
        let mut details = vec![Detail::default(); wanted.codes.len()];
        for Part { run, range } in &self.parts {
            run.add_details(range.clone(), wanted, &mut details);
        }
        for (code, row) in tail {
            let mark = usize::from(wanted.marks[*code as usize]);
            if let Some(detail) = mark.checked_sub(1).and_then(|at| details.get_mut(at)) {
                let size = row.amount.unsigned_abs();
                let credit = if row.amount > 0 { size } else { 0 };
                detail.add(1, credit, size - credit, false);
            }
        }
        details
    }

    /// Groups entries, in wide sums.
    fn top_by_sorting(
        &self,
        tail: &[(u32, &Logged)],
        limit: usize,
        by_name: impl Fn(u32, u32) -> Ordering,
    ) -> Vec<(u32, PartySums)> {
        let tail = tail.iter();
        let tail = tail.map(|(code, row)| (*code, row.amount.unsigned_abs(), row.amount < 0));
        let mut entries: Vec<(u32, u64, bool)> = tail.collect();
        for Part { run, range } in &self.parts {
            run.each(range.clone(), |folded, code| {
                if code > 0 {
                    entries.push((code, folded >> 1, folded & 1 == 1));
                }
            });
        }
        entries.sort_unstable_by_key(|&(code, ..)| code);
        let groups = entries.chunk_by(|a, b| a.0 == b.0).map(|group| {
            let mut sums = PartySums::default();
            group
                .iter()
                .for_each(|&(_, size, is_debit)| sums.add(size.into(), is_debit));
            (group[0].0, sums)
        });
        let groups: Vec<(u32, PartySums)> = groups.collect();
        let sized = groups.iter().map(|(code, sums)| (*code, sums.size()));
        let found = best(sized, limit, by_name).into_iter();
        let sums = |code| {
            let at = groups.binary_search_by_key(&code, |(code, _)| *code);
            at.map_or(PartySums::default(), |at| groups[at].1)
        };
        found.map(|code| (code, sums(code))).collect()
    }
}

/// Returns the `limit` codes of the largest size, the largest first. It keeps twice as many candidates at most, and
/// passes over sizes below the smallest that is still in question.
fn best<S: Copy + Ord>(
    sizes: impl Iterator<Item = (u32, S)>,
    limit: usize,
    by_name: impl Fn(u32, u32) -> Ordering,
) -> Vec<u32> {
    let rank = |a: &(u32, S), b: &(u32, S)| b.1.cmp(&a.1).then_with(|| by_name(a.0, b.0));
    let mut candidates = Vec::new();
    let mut floor = None;
    for (code, size) in sizes {
        if floor.is_some_and(|floor| size < floor) {
            continue;
        }
        candidates.push((code, size));
        if candidates.len() > limit.saturating_mul(2) {
            let (_, last, _) = candidates.select_nth_unstable_by(limit - 1, rank);
            floor = Some(last.1);
            candidates.truncate(limit);
        }
    }
    candidates.sort_unstable_by(rank);
    candidates.truncate(limit);
    candidates.into_iter().map(|(code, _)| code).collect()
}
