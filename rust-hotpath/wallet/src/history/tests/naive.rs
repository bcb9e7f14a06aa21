//! The list, and rows of several styles.

use super::super::*;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const SEALED: usize = 63;
const DAY: i64 = 86_400_000_000;

/// A SplitMix64 generator.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// A number below `n`. Low numbers are more frequent.
    pub(super) fn skewed(&mut self, n: usize) -> usize {
        let most = 1 + self.below(n);
        self.below(most)
    }
}

/// What rows look like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Style {
    /// In order, microseconds, few counterparties.
    Steady,
    /// Days, many at the same instant, some back-dated, many counterparties.
    Late,
    /// No order at all, amounts of all sizes, nearly each counterparty once.
    Wild,
    /// Many holds and releases.
    Held,
}

impl Style {
    pub(super) const ALL: [Self; 4] = [Self::Steady, Self::Late, Self::Wild, Self::Held];

    /// The row that is booked after `n` others.
    pub(super) fn row(self, n: usize, random: &mut Random) -> Logged {
        let n = n as i64;
        let size = match self {
            Self::Wild => 1 + (random.next() >> (14 + random.below(48))) as i64,
            _ => 1 + random.skewed(3_000) as i64,
        };
        let amount = if random.below(4) == 0 { size } else { -size };
        let at = match self {
            Self::Steady => n * 1_500 + random.below(1_000) as i64,
            Self::Late => {
                let late = if random.below(8) == 0 {
                    random.below(40) as i64
                } else {
                    0
                };
                (n / 70 - late) * DAY
            }
            Self::Wild => random.next().cast_signed(),
            Self::Held => n / 3 * 1_000_000,
        };
        let party = match self {
            Self::Steady => random.below(9),
            Self::Late => random.skewed(4_000),
            Self::Wild => random.below(1 << 30),
            Self::Held => random.below(300),
        };
        let phase = match (self, random.below(3)) {
            (Self::Held, 1) => Phase::Hold,
            (Self::Held, 2) => Phase::Release,
            _ => Phase::Posted,
        };
        let party = (random.below(20) > 0).then_some(party as u32);
        Logged::new(at, amount, party, phase)
    }
}

/// A history and the tail that a log keeps.
#[derive(Clone, Default)]
pub(super) struct Book {
    pub(super) history: History,
    pub(super) tail: Vec<Logged>,
}

impl Book {
    /// Returns true if a merge is due.
    pub(super) fn push(&mut self, row: Logged, merging: Merging) -> bool {
        self.tail.push(row);
        if self.tail.len() < SEALED {
            return false;
        }
        let rows = std::mem::take(&mut self.tail);
        self.history.seal(&rows, merging)
    }
}

/// Every row, in booking order.
#[derive(Default)]
pub(super) struct Naive {
    pub(super) rows: Vec<Logged>,
}

impl Naive {
    /// Compares every answer about a window.
    pub(super) fn check(&self, book: &Book, from: i64, to: i64, random: &mut Random) {
        let inside = |row: &&Logged| from <= row.occurred_at_us && row.occurred_at_us < to;
        let posted = self.rows.iter().filter(|row| row.phase == Phase::Posted);
        let rows: Vec<&Logged> = posted.filter(inside).collect();
        let slices = book.history.slices(&book.tail, from, to);
        assert_eq!(slices.count(), rows.len(), "{from}..{to}");
        check_sums(&slices, &rows);
        check_ranks(&slices, &rows, random);
        check_parties(&slices, &rows, random);
        check_pairs(&slices, &rows, (from, to), random);
        for at in [from, to] {
            self.check_before(book, at);
        }
    }

    fn check_before(&self, book: &Book, at: i64) {
        for phase in Phase::ALL {
            let before = |row: &&Logged| row.phase == phase && row.occurred_at_us < at;
            let rows: Vec<&Logged> = self.rows.iter().filter(before).collect();
            let mut got = book.history.before(phase, at);
            for row in book.tail.iter().filter(before) {
                got.sums = got.sums.plus(Sums::of_one(row.amount));
                got.last_us = got.last_us.max(Some(row.occurred_at_us));
            }
            let last_us = rows.iter().map(|row| row.occurred_at_us).max();
            assert_eq!(
                got,
                Before {
                    sums: sums(&rows, false),
                    last_us
                },
                "{phase:?} {at}"
            );
        }
    }
}

fn sums(rows: &[&Logged], squares: bool) -> Sums {
    let mut sums = Sums::default();
    for row in rows {
        let size = u128::from(row.amount.unsigned_abs());
        sums = sums.plus(Sums::of_one(row.amount));
        sums.square_sum += if squares { size * size } else { 0 };
    }
    sums
}

fn check_sums(slices: &Slices<'_>, rows: &[&Logged]) {
    let tail: Vec<&Logged> = slices.tail().collect();
    let got = slices.sums().fold(sums(&tail, true), Sums::plus);
    assert_eq!(got, sums(rows, true));
    let tail = tail.iter().map(|row| Bounds {
        min: row.amount,
        max: row.amount,
        first_us: row.occurred_at_us,
        last_us: row.occurred_at_us,
    });
    let got = slices.bounds().chain(tail).reduce(|a, b| Bounds {
        min: a.min.min(b.min),
        max: a.max.max(b.max),
        first_us: a.first_us.min(b.first_us),
        last_us: a.last_us.max(b.last_us),
    });
    let amounts = || rows.iter().map(|row| row.amount);
    let times = || rows.iter().map(|row| row.occurred_at_us);
    let expected = amounts().min().map(|min| Bounds {
        min,
        max: amounts().max().expect("rows"),
        first_us: times().min().expect("rows"),
        last_us: times().max().expect("rows"),
    });
    assert_eq!(got, expected);
}

fn check_ranks(slices: &Slices<'_>, rows: &[&Logged], random: &mut Random) {
    let mut sizes: Vec<u64> = rows.iter().map(|row| row.amount.unsigned_abs()).collect();
    sizes.sort_unstable();
    if sizes.is_empty() {
        return;
    }
    let ranks = (0..1 + random.below(7)).map(|_| random.below(sizes.len()));
    let ranks: BTreeSet<usize> = ranks.chain([sizes.len() - 1]).collect();
    let ranks: Vec<usize> = ranks.into_iter().collect();
    let expected: Vec<u64> = ranks.iter().map(|rank| sizes[*rank]).collect();
    assert_eq!(slices.select(&ranks), expected);
}

fn check_parties(slices: &Slices<'_>, rows: &[&Logged], random: &mut Random) {
    let mut parties = BTreeMap::<Slot, PartySums>::new();
    for row in rows {
        if let Some(slot) = row.counterparty() {
            let sums = parties.entry(slot).or_default();
            let size = u128::from(row.amount.unsigned_abs());
            sums.count += 1;
            *(if row.amount > 0 {
                &mut sums.credit_sum
            } else {
                &mut sums.debit_sum
            }) += size;
        }
    }
    assert_eq!(slices.distinct(), parties.len() as u64);
    let mut expected: Vec<(Slot, PartySums)> = parties.into_iter().collect();
    // Among equals, the highest slot first, so that the order is neither that of codes nor of booking.
    expected.sort_by_key(|(slot, sums)| Reverse((sums.credit_sum + sums.debit_sum, *slot)));
    let limit = [1, 2, 10, 100, 70_000][random.below(5)];
    expected.truncate(limit);
    assert_eq!(slices.top(limit, |a, b| b.cmp(&a)), expected);
}

fn check_pairs(slices: &Slices<'_>, rows: &[&Logged], (from, to): (i64, i64), random: &mut Random) {
    if from >= to {
        return;
    }
    let mut bounds: BTreeSet<i64> = [from, to].into();
    for _ in 0..random.below(30) {
        let at = match rows.len() {
            0 => from / 2 + to / 2,
            len => rows[random.below(len)].occurred_at_us,
        };
        bounds.extend(
            [at, at.saturating_add(1)]
                .into_iter()
                .filter(|at| from < *at && *at < to),
        );
    }
    let bounds: Vec<i64> = bounds.into_iter().collect();
    let mut got = vec![Sums::default(); bounds.len() - 1];
    slices.between(&bounds, |pair, sums| got[pair] = got[pair].plus(sums));
    for (pair, got) in bounds.windows(2).zip(got) {
        let inside = |row: &&&Logged| pair[0] <= row.occurred_at_us && row.occurred_at_us < pair[1];
        let rows: Vec<&Logged> = rows.iter().filter(inside).copied().collect();
        assert_eq!(got, sums(&rows, false), "{pair:?}");
    }
}
