//! A run: entries of one phase in order of time, and of booking where times are equal. It never changes.

use std::ops::Range;

use super::codes::Codes;
use super::entry::Row;
use super::memory::Memory;
use super::packed::{BLOCK, Packed, blocks};
use super::parties::{self, Columns, Detail, Presence, Totals, Wanted};
use super::sums::{self, Checks, Extremes, Sums};
use super::times::Times;
use super::wavelet::Wavelet;

/// From this length on a run has an index. Scanning a shorter one takes less than a microsecond.
pub(crate) const INDEXED_FROM: usize = 512;

/// The most entries of a run. Its sum of squares then fits 128 bits: 2^27 * 10^30 < 2^128.
pub(crate) const MOST_ENTRIES: usize = 1 << 27;

/// Columns, and an index if they are long.
#[derive(Debug)]
pub struct Run {
    times: Times,
    folded: Packed,
    /// The code of each entry's counterparty.
    parties: Packed,
    /// The codes that first occurred in this run.
    codes: Codes,
    /// Above every code in `parties`. 1 if no entry has a counterparty.
    bound: usize,
    size_sum: u128,
    index: Option<Box<Index>>,
}

#[derive(Debug)]
struct Index {
    checks: Checks,
    extremes: Extremes,
    wavelet: Wavelet,
    presence: Option<Presence>,
    totals: Option<Totals>,
}

impl Run {
    /// A run of rows that are in order of time.
    pub(crate) fn of(rows: &[Row], codes: Codes) -> Self {
        let folded = Packed::of(rows.iter().map(|row| row.folded));
        let parties = Packed::of(rows.iter().map(|row| row.code.into()));
        let bound = rows.iter().map(|row| row.code).max().unwrap_or(0) as usize + 1;
        let size_sum = rows.iter().map(|row| u128::from(row.folded >> 1)).sum();
        let columns = Columns {
            folded: &folded,
            codes: &parties,
        };
        let index = (rows.len() >= INDEXED_FROM)
            .then(|| Box::new(Index::of(columns, rows, bound, size_sum)));
        Self {
            times: Times::of(rows),
            folded,
            parties,
            codes,
            bound,
            size_sum,
            index,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn codes(&self) -> &Codes {
        &self.codes
    }

    /// Above every code of this run.
    pub(crate) fn bound(&self) -> usize {
        self.bound
    }

    /// The sum of |amount| of all entries.
    pub(crate) fn size_sum(&self) -> u128 {
        self.size_sum
    }

    pub(crate) fn is_indexed(&self) -> bool {
        self.index.is_some()
    }

    /// The time of the entry at this index, which must exist.
    pub(crate) fn time(&self, index: usize) -> i64 {
        self.times.get(index)
    }

    /// How many entries are before `time`. `near` is such a number for an earlier time, or 0.
    pub(crate) fn before(&self, time: i64, near: usize) -> usize {
        self.times.before(time, near)
    }

    /// Appends all rows.
    pub(crate) fn append_rows(&self, rows: &mut Vec<Row>) {
        let mut rooms = [[0; BLOCK]; 3];
        let [times, folded, codes] = &mut rooms;
        for block in blocks(0..self.len()) {
            let times = self.times.read(&block, times);
            let folded = self.folded.read(&block, folded);
            let codes = self.parties.read(&block, codes);
            let columns = times.zip(folded).zip(codes);
            rows.extend(columns.map(|((at, &folded), &party)| Row {
                at,
                folded,
                code: code(party),
            }));
        }
    }

    /// Counts, sums and sums of squares of a range.
    pub(crate) fn sums(&self, range: Range<usize>) -> Sums {
        match &self.index {
            Some(index) => index
                .checks
                .between::<true>(&self.folded, range, self.len()),
            None => Sums::of::<true>(&self.folded, range),
        }
    }

    /// Counts and sums of the entries before `index`, if they are known.
    pub(crate) fn sides_before(&self, index: usize) -> Option<Sums> {
        let known = self.index.as_ref()?;
        let sums = known
            .checks
            .before::<false>(&self.folded, index, self.len());
        Some(sums)
    }

    /// Counts and sums of a range.
    pub(crate) fn sides(&self, range: Range<usize>) -> Sums {
        match &self.index {
            Some(index) => index
                .checks
                .between::<false>(&self.folded, range, self.len()),
            None => Sums::of::<false>(&self.folded, range),
        }
    }

    /// The smallest and the largest amount of a range that is not empty.
    pub(crate) fn extremes(&self, range: Range<usize>) -> (i64, i64) {
        match &self.index {
            Some(index) => index.extremes.between(&self.folded, range),
            None => sums::scan(&self.folded, range),
        }
    }

    /// The wavelet matrix, if there is one.
    pub(crate) fn wavelet(&self) -> Option<&Wavelet> {
        self.index.as_ref().map(|index| &index.wavelet)
    }

    /// Appends |amount| of each entry of a range.
    pub(crate) fn append_sizes(&self, range: Range<usize>, sizes: &mut Vec<u64>) {
        self.folded.each(range, |block| {
            sizes.extend(block.iter().map(|folded| folded >> 1));
        });
    }

    /// Adds the codes of a range to a set of all codes.
    pub(crate) fn collect(&self, range: Range<usize>, seen: &mut [u64]) {
        match self.presence() {
            Some(presence) => presence.collect(&self.parties, range, seen),
            None => parties::note(&self.parties, range, seen),
        }
    }

    /// Adds the sizes of a range to the sums by code, with wrapping.
    pub(crate) fn add_sizes(&self, range: Range<usize>, sizes: &mut [u64]) {
        match self.totals() {
            Some(totals) => totals.add_sizes(self.columns(), range, sizes),
            None => self.columns().add_sizes(range, sizes, false),
        }
    }

    /// Adds the details of the wanted codes in a range, with wrapping.
    pub(crate) fn add_details(
        &self,
        range: Range<usize>,
        wanted: &Wanted<'_>,
        details: &mut [Detail],
    ) {
        match self.totals() {
            Some(totals) => totals.add_details(self.columns(), range, wanted, details),
            None => self.columns().add_details(range, wanted, details, false),
        }
    }

    /// Shows the folded amount and the code of each entry of a range.
    pub(crate) fn each(&self, range: Range<usize>, mut show: impl FnMut(u64, u32)) {
        let mut rooms = [[0; BLOCK]; 2];
        let [folded, codes] = &mut rooms;
        for block in blocks(range) {
            let folded = self.folded.read(&block, folded);
            let codes = self.parties.read(&block, codes);
            for (&folded, &party) in folded.iter().zip(codes) {
                show(folded, code(party));
            }
        }
    }

    /// What it takes, by part.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let columns = self.times.bytes() + self.folded.bytes() + self.parties.bytes();
        let index = self.index.as_deref();
        let sums =
            |index: &Index| size_of::<Index>() + index.checks.bytes() + index.extremes.bytes();
        let parties = |index: &Index| {
            let presence = index.presence.as_ref().map_or(0, Presence::bytes);
            presence + index.totals.as_ref().map_or(0, Totals::bytes)
        };
        Memory {
            runs: 1,
            entries: size(self.len()),
            columns: size(size_of::<Self>() + columns),
            sums: size(index.map_or(0, sums)),
            wavelets: size(index.map_or(0, |index| index.wavelet.bytes())),
            parties: size(index.map_or(0, parties) + self.codes.bytes()),
        }
    }

    fn presence(&self) -> Option<&Presence> {
        self.index.as_ref()?.presence.as_ref()
    }

    fn totals(&self) -> Option<&Totals> {
        self.index.as_ref()?.totals.as_ref()
    }

    fn columns(&self) -> Columns<'_> {
        Columns {
            folded: &self.folded,
            codes: &self.parties,
        }
    }
}

impl Index {
    fn of(columns: Columns<'_>, rows: &[Row], bound: usize, size_sum: u128) -> Self {
        let len = rows.len();
        let known = bound > 1;
        let summable = known && u64::try_from(size_sum).is_ok();
        Self {
            checks: Checks::of(columns.folded, len),
            extremes: Extremes::of(columns.folded, len),
            wavelet: Wavelet::of(rows.iter().map(|row| row.folded >> 1).collect()),
            presence: known.then(|| Presence::of(columns.codes, len, bound)),
            totals: if summable {
                Totals::of(columns, len, bound)
            } else {
                None
            },
        }
    }
}

fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A number out of a column of codes.
#[allow(clippy::cast_possible_truncation)]
fn code(number: u64) -> u32 {
    number as u32
}
