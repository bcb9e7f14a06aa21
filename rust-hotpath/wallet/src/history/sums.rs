//! Sums and extremes of any range of a run.
//!
//! Why: prefix sums (Ho, Agrawal, Megiddo & Srikant 1997) answer a range by two looks. One for each entry would take 56
//! bytes, so there is one for each block of 128, in a cache line of its own, and the rest is added up from the nearer
//! one. Minima have no inverse, so they have a tree of fan 16 over the blocks: a sparse table answers in two looks, but
//! takes log(n) times the memory, and the two cut blocks have to be scanned anyway.

use std::ops::Range;

use super::entry::unfold;
use super::packed::{BLOCK, Packed};

/// Sums over some entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Entries above zero.
    pub credit_count: u64,
    /// Entries below zero.
    pub debit_count: u64,
    /// Sum of the credits.
    pub credit_sum: u128,
    /// Sum of |amount| of the debits.
    pub debit_sum: u128,
    /// Sum of amount². 0 where nobody asked for it.
    pub square_sum: u128,
}

/// The sums of all entries before a block.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Check {
    square_sum: u128,
    credit_sum: u128,
    debit_sum: u128,
    debit_count: u32,
}

const _: () = assert!(size_of::<Check>() == 64);

/// The sums before each block, and those of all entries.
#[derive(Debug)]
pub(crate) struct Checks(Box<[Check]>);

/// The smallest and the largest amount of some entries. The first is above the second if there are none.
type Pair = (i64, i64);

/// The smallest and the largest amounts: of each block, then of each 16 of those, and so on.
#[derive(Debug)]
pub(crate) struct Extremes(Vec<Box<[Pair]>>);

const FAN: usize = 16;
const NOTHING: Pair = (i64::MAX, i64::MIN);

impl Sums {
    /// How many entries there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.credit_count + self.debit_count
    }

    /// The sum of |amount|.
    #[must_use]
    pub fn size_sum(&self) -> u128 {
        self.credit_sum + self.debit_sum
    }

    /// The sums of one amount, without its square.
    pub(crate) fn of_one(amount: i64) -> Self {
        let size = u128::from(amount.unsigned_abs());
        let is_debit = amount < 0;
        Self {
            credit_count: u64::from(!is_debit),
            debit_count: u64::from(is_debit),
            credit_sum: if is_debit { 0 } else { size },
            debit_sum: if is_debit { size } else { 0 },
            square_sum: 0,
        }
    }

    /// Sums up folded amounts. `SQUARES` says whether the squares are wanted.
    pub(crate) fn of<const SQUARES: bool>(folded: &Packed, range: Range<usize>) -> Self {
        let mut sums = Self::default();
        folded.each(range, |block| sums.add_block::<SQUARES>(block));
        sums
    }

    /// Adds a block. 128 amounts of 10^15 fit 64 bits; their squares do not.
    #[inline]
    fn add_block<const SQUARES: bool>(&mut self, block: &[u64]) {
        let (mut sizes, mut debits, mut debit_count) = (0_u64, 0_u64, 0_u64);
        for &folded in block {
            let (size, is_debit) = (folded >> 1, folded & 1);
            sizes += size;
            debits += size & is_debit.wrapping_neg();
            debit_count += is_debit;
        }
        if SQUARES {
            let squares = block.iter().map(|folded| u128::from(folded >> 1).pow(2));
            self.square_sum += squares.sum::<u128>();
        }
        self.credit_count += block.len() as u64 - debit_count;
        self.debit_count += debit_count;
        self.credit_sum += u128::from(sizes - debits);
        self.debit_sum += u128::from(debits);
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            credit_count: self.credit_count + other.credit_count,
            debit_count: self.debit_count + other.debit_count,
            credit_sum: self.credit_sum + other.credit_sum,
            debit_sum: self.debit_sum + other.debit_sum,
            square_sum: self.square_sum + other.square_sum,
        }
    }

    /// `self - other`, where `other` is a part of `self`.
    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            credit_count: self.credit_count - other.credit_count,
            debit_count: self.debit_count - other.debit_count,
            credit_sum: self.credit_sum - other.credit_sum,
            debit_sum: self.debit_sum - other.debit_sum,
            square_sum: self.square_sum - other.square_sum,
        }
    }
}

impl Checks {
    pub(crate) fn of(folded: &Packed, len: usize) -> Self {
        let mut checks = Vec::with_capacity(len.div_ceil(BLOCK) + 1);
        let mut sums = Sums::default();
        checks.push(Check::default());
        folded.each(0..len, |block| {
            sums.add_block::<true>(block);
            checks.push(Check {
                square_sum: sums.square_sum,
                credit_sum: sums.credit_sum,
                debit_sum: sums.debit_sum,
                debit_count: u32::try_from(sums.debit_count).unwrap_or(u32::MAX),
            });
        });
        Self(checks.into_boxed_slice())
    }

    /// The sums of a range.
    pub(crate) fn between<const SQUARES: bool>(
        &self,
        folded: &Packed,
        range: Range<usize>,
        len: usize,
    ) -> Sums {
        if range.len() <= BLOCK {
            return Sums::of::<SQUARES>(folded, range);
        }
        let end = self.before::<SQUARES>(folded, range.end, len);
        end.minus(self.before::<SQUARES>(folded, range.start, len))
    }

    /// The sums of the entries before `index`.
    pub(crate) fn before<const SQUARES: bool>(
        &self,
        folded: &Packed,
        index: usize,
        len: usize,
    ) -> Sums {
        let (block, rest) = (index / BLOCK, index % BLOCK);
        let start = block * BLOCK;
        if rest <= BLOCK / 2 {
            let check = self.check::<SQUARES>(block, start);
            return check.plus(Sums::of::<SQUARES>(folded, start..index));
        }
        let end = len.min(start + BLOCK);
        let check = self.check::<SQUARES>(block + 1, end);
        check.minus(Sums::of::<SQUARES>(folded, index..end))
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    fn check<const SQUARES: bool>(&self, block: usize, entries: usize) -> Sums {
        let check = self.0[block];
        Sums {
            credit_count: entries as u64 - u64::from(check.debit_count),
            debit_count: check.debit_count.into(),
            credit_sum: check.credit_sum,
            debit_sum: check.debit_sum,
            square_sum: if SQUARES { check.square_sum } else { 0 },
        }
    }
}

impl Extremes {
    pub(crate) fn of(folded: &Packed, len: usize) -> Self {
        let mut pairs = Vec::with_capacity(len.div_ceil(BLOCK));
        folded.each(0..len, |block| pairs.push(extremes(block)));
        let mut levels = vec![pairs.into_boxed_slice()];
        while let Some(below) = levels.last().filter(|level| level.len() > FAN) {
            let above: Box<[Pair]> = below.chunks(FAN).map(join).collect();
            levels.push(above);
        }
        Self(levels)
    }

    /// The extremes of a range.
    pub(crate) fn between(&self, folded: &Packed, range: Range<usize>) -> Pair {
        let (first, last) = (range.start.div_ceil(BLOCK), range.end / BLOCK);
        if first >= last {
            return scan(folded, range);
        }
        let edges = [
            scan(folded, range.start..first * BLOCK),
            scan(folded, last * BLOCK..range.end),
            self.blocks(first, last),
        ];
        join(&edges)
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|level| size_of_val(&**level)).sum()
    }

    fn blocks(&self, mut first: usize, mut last: usize) -> Pair {
        let mut found = NOTHING;
        for (index, level) in self.0.iter().enumerate() {
            let (above_first, above_last) = (first.div_ceil(FAN), last / FAN);
            if above_first >= above_last || index + 1 == self.0.len() {
                return join(&[found, join(&level[first..last])]);
            }
            let edges = [
                found,
                join(&level[first..above_first * FAN]),
                join(&level[above_last * FAN..last]),
            ];
            found = join(&edges);
            (first, last) = (above_first, above_last);
        }
        found
    }
}

/// The extremes of a range that is not indexed.
pub(crate) fn scan(folded: &Packed, range: Range<usize>) -> Pair {
    let mut found = NOTHING;
    folded.each(range, |block| found = join(&[found, extremes(block)]));
    found
}

fn extremes(block: &[u64]) -> Pair {
    block.iter().fold(NOTHING, |(min, max), &folded| {
        let amount = unfold(folded);
        (min.min(amount), max.max(amount))
    })
}

fn join(pairs: &[Pair]) -> Pair {
    pairs.iter().fold(NOTHING, |(min, max), pair| {
        (min.min(pair.0), max.max(pair.1))
    })
}

#[cfg(test)]
mod tests {
    use super::super::entry::fold;
    use super::*;

    const LARGEST: i64 = 1_000_000_000_000_000;

    /// Amounts of both signs and all sizes.
    fn amounts(len: usize) -> Vec<i64> {
        (0..len as i64)
            .map(|n| match n % 7 {
                0 => -LARGEST + n,
                1 => LARGEST - n,
                2 => -(n + 1),
                _ => n % 1_000 + 1,
            })
            .collect()
    }

    fn naive(amounts: &[i64]) -> Sums {
        let mut sums = Sums::default();
        for amount in amounts {
            let size = u128::from(amount.unsigned_abs());
            let (count, sum) = if *amount > 0 {
                (&mut sums.credit_count, &mut sums.credit_sum)
            } else {
                (&mut sums.debit_count, &mut sums.debit_sum)
            };
            *count += 1;
            *sum += size;
            sums.square_sum += size * size;
        }
        sums
    }

    #[test]
    fn any_range_is_summed_and_bounded() {
        for len in [1, 127, 128, 129, 5_000, 40_000] {
            let all = amounts(len);
            let folded = Packed::of(all.iter().map(|amount| fold(*amount)));
            let (checks, extremes) = (Checks::of(&folded, len), Extremes::of(&folded, len));
            let edges = [
                0,
                1,
                63,
                64,
                65,
                127,
                128,
                129,
                2_047,
                2_048,
                2_049,
                32_768,
                len - 1,
                len,
            ];
            for (from, to) in edges.iter().flat_map(|from| edges.map(|to| (*from, to))) {
                if from > to || to > len {
                    continue;
                }
                let part = &all[from..to];
                let sums = checks.between::<true>(&folded, from..to, len);
                assert_eq!(sums, naive(part), "{from}..{to} of {len}");
                let sides = checks.between::<false>(&folded, from..to, len);
                assert_eq!(
                    sides,
                    Sums {
                        square_sum: 0,
                        ..naive(part)
                    }
                );
                let min = part.iter().copied().min().unwrap_or(i64::MAX);
                let max = part.iter().copied().max().unwrap_or(i64::MIN);
                assert_eq!(extremes.between(&folded, from..to), (min, max));
            }
        }
    }
}
