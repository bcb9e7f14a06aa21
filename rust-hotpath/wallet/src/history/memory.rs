//! What runs take, by part. Whoever adds or removes a run counts it, so that nobody has to visit all runs.

use std::ops::{Add, Sub};

/// The sizes of some runs. A difference of two may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// How many runs there are.
    pub runs: i64,
    /// How many entries are in them.
    pub entries: i64,
    /// Bytes of their times, amounts and codes of counterparties, and of the runs themselves.
    pub columns: i64,
    /// Bytes of prefix sums and extremes.
    pub sums: i64,
    /// Bytes of wavelet matrices.
    pub wavelets: i64,
    /// Bytes of dictionaries, and of the sets and sums by counterparty.
    pub parties: i64,
}

impl Memory {
    fn with(self, other: Self, of: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            runs: of(self.runs, other.runs),
            entries: of(self.entries, other.entries),
            columns: of(self.columns, other.columns),
            sums: of(self.sums, other.sums),
            wavelets: of(self.wavelets, other.wavelets),
            parties: of(self.parties, other.parties),
        }
    }
}

impl Add for Memory {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }
}

impl Sub for Memory {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.with(other, |a, b| a - b)
    }
}

impl std::iter::Sum for Memory {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}
