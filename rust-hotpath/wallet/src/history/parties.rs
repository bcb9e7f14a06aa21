//! Who is in a range of a run, and with how much, without looking at each entry.
//!
//! Why: being present is idempotent, so sets may overlap, and a set of codes is a row of bits: the union of the spans
//! in a range is an OR of words. Sums are not, but they have an inverse: with the sums by code before every so many
//! entries, a range is a difference of two rows (prefix sums of a data cube, Ho et al. 1997), plus or minus the entries
//! between its ends and the nearest rows. Spans and distances between rows grow with the dictionary. So reading rows
//! and reading entries take about the same time, and the memory for an entry is bounded: about 1 byte for the sets, 10
//! for the rows, and 20 for the one row of a run that has few more entries than codes. Lists of sums per span, to
//! shorten the last step, would take as much again, and save less than half of the time.

use std::ops::Range;

use super::packed::{BLOCK, Packed, blocks};

/// The codes that occur in each span of entries, in each 16 spans, and at all.
#[derive(Debug)]
pub(crate) struct Presence {
    len: usize,
    span: usize,
    /// Words of one set.
    words: usize,
    fine: Box<[u64]>,
    coarse: Box<[u64]>,
    /// Most windows hold most of their runs as a whole.
    all: Box<[u64]>,
}

/// The sums by code of all entries before some indexes.
#[derive(Debug)]
pub(crate) struct Totals {
    /// Row k is about the entries before `k * step`; the last row is about all. Row 0 would be all zeros and is
    /// missing.
    step: usize,
    len: usize,
    /// The codes of a row.
    bound: usize,
    sizes: Box<[u64]>,
    credits: Box<[u64]>,
    counts: Box<[u32]>,
}

/// What is looked for of one code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Detail {
    pub(crate) count: u64,
    pub(crate) credits: u64,
    pub(crate) debits: u64,
}

/// The columns that are scanned between rows.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    pub(crate) folded: &'a Packed,
    pub(crate) codes: &'a Packed,
}

/// The codes for which details are wanted.
pub(crate) struct Wanted<'a> {
    pub(crate) codes: &'a [u32],
    /// By code: its index in `codes` plus 1, or 0.
    pub(crate) marks: &'a [u16],
}

const FAN: usize = 16;
const LEAST_SPAN: usize = 1_024;
/// Codes for each entry of a span.
const CODES_PER_ENTRY: usize = 8;
const LEAST_STEP: usize = 1_024;
/// Entries between rows for each code of a row.
const ENTRIES_PER_CODE: usize = 2;

impl Presence {
    /// `bound` is above every code.
    pub(crate) fn of(codes: &Packed, len: usize, bound: usize) -> Self {
        let span = (bound / CODES_PER_ENTRY)
            .max(LEAST_SPAN)
            .next_multiple_of(BLOCK);
        let words = bound.div_ceil(64);
        let mut fine = vec![0; len / span * words];
        for (index, set) in fine.chunks_mut(words).enumerate() {
            note(codes, index * span..(index + 1) * span, set);
        }
        let mut coarse = vec![0; len / span / FAN * words];
        for (set, parts) in coarse.chunks_mut(words).zip(fine.chunks(words * FAN)) {
            parts.chunks(words).for_each(|part| unite(set, part));
        }
        let mut all = vec![0; words];
        fine.chunks(words).for_each(|set| unite(&mut all, set));
        note(codes, len / span * span..len, &mut all);
        Self {
            len,
            span,
            words,
            fine: fine.into_boxed_slice(),
            coarse: coarse.into_boxed_slice(),
            all: all.into_boxed_slice(),
        }
    }

    /// Adds the codes of a range to `seen`, a set of all codes of the history.
    pub(crate) fn collect(&self, codes: &Packed, range: Range<usize>, seen: &mut [u64]) {
        if range == (0..self.len) {
            return unite(seen, &self.all);
        }
        let (first, last) = (range.start.div_ceil(self.span), range.end / self.span);
        if first >= last {
            return note(codes, range, seen);
        }
        note(codes, range.start..first * self.span, seen);
        note(codes, last * self.span..range.end, seen);
        let (high_first, high_last) = (first.div_ceil(FAN), last / FAN);
        if high_first >= high_last {
            return self.unite_all(&self.fine, first..last, seen);
        }
        self.unite_all(&self.fine, first..high_first * FAN, seen);
        self.unite_all(&self.coarse, high_first..high_last, seen);
        self.unite_all(&self.fine, high_last * FAN..last, seen);
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let sets = [&self.fine, &self.coarse, &self.all];
        sets.iter().map(|sets| size_of_val(&***sets)).sum()
    }

    fn unite_all(&self, sets: &[u64], range: Range<usize>, seen: &mut [u64]) {
        let sets = &sets[range.start * self.words..range.end * self.words];
        sets.chunks(self.words).for_each(|set| unite(seen, set));
    }
}

/// Adds the codes of a range to a set.
pub(crate) fn note(codes: &Packed, range: Range<usize>, seen: &mut [u64]) {
    codes.each(range, |block| {
        for &code in block {
            seen[index(code / 64)] |= 1 << (code % 64);
        }
    });
}

fn unite(seen: &mut [u64], set: &[u64]) {
    seen.iter_mut()
        .zip(set)
        .for_each(|(seen, set)| *seen |= set);
}

impl Totals {
    /// `None` if the run has more codes than entries. A run with few more entries than codes has one row, for windows
    /// that hold all of it.
    ///
    /// All sums of the run must fit 64 bits.
    pub(crate) fn of(columns: Columns<'_>, len: usize, bound: usize) -> Option<Self> {
        if len < bound.max(LEAST_STEP) {
            return None;
        }
        let rows = (len / (ENTRIES_PER_CODE * bound).max(LEAST_STEP)).max(1);
        let step = len.div_ceil(rows);
        let mut totals = Self {
            step,
            len,
            bound,
            sizes: vec![0; rows * bound].into_boxed_slice(),
            credits: vec![0; rows * bound].into_boxed_slice(),
            counts: vec![0; rows * bound].into_boxed_slice(),
        };
        for row in 0..rows {
            totals.fill(columns, row);
        }
        Some(totals)
    }

    /// Fills row `row + 1`, which is stored as the one of index `row`.
    fn fill(&mut self, columns: Columns<'_>, row: usize) {
        let start = row * self.bound;
        if row > 0 {
            let before = start - self.bound..start;
            self.sizes.copy_within(before.clone(), start);
            self.credits.copy_within(before.clone(), start);
            self.counts.copy_within(before, start);
        }
        let range = row * self.step..self.end(row + 1);
        let (sizes, credits, counts) = (&mut self.sizes, &mut self.credits, &mut self.counts);
        columns.each(range, |folded, code| {
            let at = start + code;
            sizes[at] += folded >> 1;
            credits[at] += credit(folded);
            counts[at] += 1;
        });
    }

    /// Adds the sizes of a range to those by code, with wrapping: in between, a sum may be below zero.
    pub(crate) fn add_sizes(&self, columns: Columns<'_>, range: Range<usize>, sizes: &mut [u64]) {
        if self.is_short(&range) {
            return columns.add_sizes(range, sizes, false);
        }
        let (low, high) = (self.near(range.start), self.near(range.end));
        let higher = self.row(&self.sizes, high);
        match low {
            0 => add(sizes, higher.iter().copied()),
            _ => {
                let pairs = higher.iter().zip(self.row(&self.sizes, low));
                add(sizes, pairs.map(|(high, low)| high - low));
            }
        }
        for (part, minus) in self.edges(&range, low, high) {
            columns.add_sizes(part, sizes, minus);
        }
    }

    /// Adds the details of the wanted codes in a range.
    pub(crate) fn add_details(
        &self,
        columns: Columns<'_>,
        range: Range<usize>,
        wanted: &Wanted<'_>,
        details: &mut [Detail],
    ) {
        if self.is_short(&range) {
            return columns.add_details(range, wanted, details, false);
        }
        let (low, high) = (self.near(range.start), self.near(range.end));
        for (row, minus) in [(high, false), (low, true)] {
            if row == 0 {
                continue;
            }
            for (&code, detail) in wanted.codes.iter().zip(details.iter_mut()) {
                let at = (row - 1) * self.bound + code as usize;
                // The history has more codes than this run, if they came later.
                if (code as usize) < self.bound {
                    let credits = self.credits[at];
                    let debits = self.sizes[at] - credits;
                    detail.add(self.counts[at].into(), credits, debits, minus);
                }
            }
        }
        for (part, minus) in self.edges(&range, low, high) {
            columns.add_details(part, wanted, details, minus);
        }
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.sizes) + size_of_val(&*self.credits) + size_of_val(&*self.counts)
    }

    /// Whether reading the entries of a range is faster than reading rows and the entries around them.
    fn is_short(&self, range: &Range<usize>) -> bool {
        range.len() <= self.step && *range != (0..self.len)
    }

    /// What the rows `low` and `high` leave out of a range, or hold too much (true).
    fn edges(&self, range: &Range<usize>, low: usize, high: usize) -> [(Range<usize>, bool); 2] {
        let (start, end) = (self.end(low), self.end(high));
        [
            (
                range.start.min(start)..range.start.max(start),
                start < range.start,
            ),
            (range.end.min(end)..range.end.max(end), range.end < end),
        ]
    }

    /// The row whose end is nearest to an index.
    fn near(&self, index: usize) -> usize {
        let row = index / self.step;
        let (below, above) = (self.end(row), self.end(row + 1));
        row + usize::from(above - index < index - below)
    }

    /// How many entries a row is about.
    fn end(&self, row: usize) -> usize {
        (row * self.step).min(self.len)
    }

    /// A row from 1 on.
    fn row<'a>(&self, column: &'a [u64], row: usize) -> &'a [u64] {
        &column[(row - 1) * self.bound..row * self.bound]
    }
}

impl Columns<'_> {
    /// Shows the folded amount and the code of each entry of a range.
    fn each(self, range: Range<usize>, mut show: impl FnMut(u64, usize)) {
        let mut rooms = [[0; BLOCK]; 2];
        let [folded, codes] = &mut rooms;
        for block in blocks(range) {
            let folded = self.folded.read(&block, folded);
            let codes = self.codes.read(&block, codes);
            for (&folded, &code) in folded.iter().zip(codes) {
                show(folded, index(code));
            }
        }
    }

    /// Adds the sizes of a range, or takes them away, with wrapping.
    pub(crate) fn add_sizes(self, range: Range<usize>, sizes: &mut [u64], minus: bool) {
        let sign = if minus { u64::MAX } else { 1 };
        self.each(range, |folded, code| {
            sizes[code] = sizes[code].wrapping_add((folded >> 1).wrapping_mul(sign));
        });
    }

    /// Adds the details of the wanted codes in a range, or takes them away, with wrapping.
    pub(crate) fn add_details(
        self,
        range: Range<usize>,
        wanted: &Wanted<'_>,
        details: &mut [Detail],
        minus: bool,
    ) {
        let mut room = [0; BLOCK];
        for block in blocks(range) {
            let codes = self.codes.read(&block, &mut room);
            for (at, &code) in block.zip(codes) {
                let mark = usize::from(wanted.marks[index(code)]);
                if let Some(detail) = mark.checked_sub(1).and_then(|at| details.get_mut(at)) {
                    let folded = self.folded.get(at);
                    let credit = credit(folded);
                    detail.add(1, credit, (folded >> 1) - credit, minus);
                }
            }
        }
    }
}

impl Detail {
    pub(crate) fn add(&mut self, count: u64, credits: u64, debits: u64, minus: bool) {
        let sign = if minus { u64::MAX } else { 1 };
        let plus = |sum: u64, term: u64| sum.wrapping_add(term.wrapping_mul(sign));
        self.count = plus(self.count, count);
        self.credits = plus(self.credits, credits);
        self.debits = plus(self.debits, debits);
    }
}

fn add(sums: &mut [u64], terms: impl Iterator<Item = u64>) {
    sums.iter_mut()
        .zip(terms)
        .for_each(|(sum, term)| *sum = sum.wrapping_add(term));
}

/// The size of a credit, or 0 for a debit.
fn credit(folded: u64) -> u64 {
    (folded >> 1) & (folded & 1).wrapping_sub(1)
}

/// A number out of a column of codes, which have at most 32 bits.
#[inline]
#[allow(clippy::cast_possible_truncation)]
fn index(code: u64) -> usize {
    code as usize
}

#[cfg(test)]
mod tests {
    use super::super::entry::fold;
    use super::*;

    /// Entries of `bound` codes, of which the higher come later, as in a real history.
    fn entries(len: usize, bound: usize) -> (Packed, Packed, Vec<(i64, usize)>) {
        let mut state = 9_u64;
        let mut all = Vec::new();
        for n in 0..len {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(77);
            let known = (n * bound / len + 1).min(bound) as u64;
            let amount = (state >> 40) as i64 % 500 - 250;
            all.push((
                if amount == 0 { 7 } else { amount },
                ((state >> 20) % known) as usize,
            ));
        }
        let folded = Packed::of(all.iter().map(|(amount, _)| fold(*amount)));
        let codes = Packed::of(all.iter().map(|(_, code)| *code as u64));
        (folded, codes, all)
    }

    fn ranges(len: usize) -> Vec<Range<usize>> {
        let ends = [
            0,
            1,
            127,
            128,
            1_023,
            1_024,
            1_025,
            1_600,
            5_000,
            16_384,
            17_000,
            len - 1,
            len,
        ];
        let pairs = ends.iter().flat_map(|from| ends.map(|to| *from..to));
        pairs
            .filter(|range| range.start <= range.end && range.end <= len)
            .collect()
    }

    #[test]
    fn sets_of_any_range_are_exact() {
        for (len, bound) in [(1_000, 5), (5_000, 700), (40_000, 100), (40_000, 12_000)] {
            let (_, codes, all) = entries(len, bound);
            let presence = Presence::of(&codes, len, bound);
            for range in ranges(len) {
                let mut seen = vec![0; bound.div_ceil(64) + 1];
                presence.collect(&codes, range.clone(), &mut seen);
                let mut expected = vec![0_u64; seen.len()];
                all[range]
                    .iter()
                    .for_each(|(_, code)| expected[code / 64] |= 1 << (code % 64));
                assert_eq!(seen, expected);
            }
        }
    }

    #[test]
    fn sums_by_code_of_any_range_are_exact() {
        for (len, bound) in [
            (1_500, 5),
            (1_500, 1_400),
            (5_000, 700),
            (40_000, 100),
            (40_000, 9_000),
        ] {
            let (folded, codes, all) = entries(len, bound);
            let columns = Columns {
                folded: &folded,
                codes: &codes,
            };
            let totals = Totals::of(columns, len, bound).expect("rows");
            let wanted: Vec<u32> = (0..u32::try_from(bound).expect("few codes") + 3)
                .step_by(bound / 5)
                .collect();
            let mut marks = vec![0; bound + 3];
            wanted
                .iter()
                .zip(1..)
                .for_each(|(code, mark)| marks[*code as usize] = mark);
            let wanted = Wanted {
                codes: &wanted,
                marks: &marks,
            };
            for range in ranges(len) {
                let mut sizes = vec![5_u64; bound + 3];
                let mut expected = sizes.clone();
                let mut details = vec![Detail::default(); wanted.codes.len()];
                let mut details_expected = details.clone();
                for (amount, code) in &all[range.clone()] {
                    expected[*code] += amount.unsigned_abs();
                    if let Some(at) = usize::from(marks[*code]).checked_sub(1) {
                        let [credit, debit] = [*amount, -amount].map(|x| x.max(0).unsigned_abs());
                        details_expected[at].add(1, credit, debit, false);
                    }
                }
                totals.add_sizes(columns, range.clone(), &mut sizes);
                totals.add_details(columns, range.clone(), &wanted, &mut details);
                assert_eq!(sizes, expected, "{range:?}");
                assert_eq!(details, details_expected, "{range:?}");
            }
        }
    }

    #[test]
    fn too_many_codes_have_no_rows() {
        let (folded, codes, _) = entries(1_400, 1_500);
        let columns = Columns {
            folded: &folded,
            codes: &codes,
        };
        assert!(Totals::of(columns, 1_400, 1_500).is_none());
    }
}
