//! Computes counts, sums, extremes, mean and standard deviation over a window.

use super::wide::Wide;
use super::{Selection, Window, signed};
use crate::history::{Bounds, Sums};
use crate::ledger::Logged;
use crate::ledger::log::BLOCK;
use crate::ledger::rules::MAX_AMOUNT;

/// Exact sums over the posted entries of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Entries above zero.
    pub credit_count: u64,
    /// Entries below zero.
    pub debit_count: u64,
    /// Sum of the credits.
    pub credit_sum: i128,
    /// Sum of |amount| of the debits.
    pub debit_sum: i128,
    /// The extremes, if there are entries.
    pub extremes: Option<Extremes>,
    square_sum: Wide,
}

/// The extremes of a window that has entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extremes {
    /// Smallest signed amount.
    pub min: i64,
    /// Largest signed amount.
    pub max: i64,
    /// Earliest time, in microseconds since the epoch.
    pub first_occurred_at_us: i64,
    /// Latest time, in microseconds since the epoch.
    pub last_occurred_at_us: i64,
}

// One part of the log is summed up in i64 and u128. Only the totals of a part are added to the wider sums.
const _: () = assert!(BLOCK as i128 * MAX_AMOUNT as i128 <= i64::MAX as i128);
const _: () = assert!(BLOCK as u128 <= u128::MAX / (MAX_AMOUNT as u128 * MAX_AMOUNT as u128));

impl Summary {
    /// Sums up a selection.
    #[must_use]
    pub fn over(selection: &Selection<'_>) -> Self {
        let mut summary = Self::default();
        if let Some(slices) = &selection.slices {
            slices.sums().for_each(|sums| summary.add(&sums));
            slices.bounds().for_each(|bounds| summary.widen(&bounds));
        }
        for part in selection.log.scanned() {
            summary.scan(part, selection.window);
        }
        summary
    }

    /// How many entries were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.credit_count + self.debit_count
    }

    /// Credits minus debits.
    #[must_use]
    pub fn net(&self) -> i128 {
        self.credit_sum - self.debit_sum
    }

    /// `net / count`, rounded half to even. `None` if there are no entries.
    #[must_use]
    pub fn mean(&self) -> Option<i64> {
        let count = i128::from(self.count());
        if count == 0 {
            return None;
        }
        let (floor, rest) = (self.net().div_euclid(count), self.net().rem_euclid(count));
        let up = match (2 * rest).cmp(&count) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => floor.rem_euclid(2),
            std::cmp::Ordering::Greater => 1,
        };
        // A mean lies between the extremes.
        i64::try_from(floor + up).ok()
    }

    /// The population standard deviation, rounded down: the largest `s` with `(s * n)^2 <= n * sum(x^2) - sum(x)^2`.
    /// `None` if there are no entries.
    ///
    /// Only integers decide. A root in floating point says where to begin, which saves most steps of a bisection. The
    /// deviation is at most half the range of values.
    #[must_use]
    pub fn stddev(&self) -> Option<i64> {
        let extremes = self.extremes?;
        let count = self.count();
        let sum = self.net().unsigned_abs();
        let target = self.square_sum.times(count).minus(Wide::product(sum, sum));
        let fits = |s: u64| {
            let scaled = u128::from(s) * u128::from(count);
            Wide::product(scaled, scaled) <= target
        };
        let highest = extremes.max.abs_diff(extremes.min) / 2;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a cast of a float saturates, and any estimate will do"
        )]
        let about = (target.root() / count as f64) as u64;
        i64::try_from(last_that_fits(about.min(highest), highest, fits)).ok()
    }

    fn add(&mut self, sums: &Sums) {
        self.credit_count += sums.credit_count;
        self.debit_count += sums.debit_count;
        self.credit_sum += signed(sums.credit_sum);
        self.debit_sum += signed(sums.debit_sum);
        self.square_sum = self.square_sum.plus(sums.square_sum);
    }

    fn widen(&mut self, bounds: &Bounds) {
        let outer = Extremes {
            min: bounds.min,
            max: bounds.max,
            first_occurred_at_us: bounds.first_us,
            last_occurred_at_us: bounds.last_us,
        };
        self.extremes = Some(self.extremes.map_or(outer, |inner| Extremes {
            min: inner.min.min(outer.min),
            max: inner.max.max(outer.max),
            first_occurred_at_us: inner.first_occurred_at_us.min(outer.first_occurred_at_us),
            last_occurred_at_us: inner.last_occurred_at_us.max(outer.last_occurred_at_us),
        }));
    }

    fn scan(&mut self, part: &[Logged], window: Window) {
        let (mut credits, mut debits) = ((0, 0), (0, 0));
        let mut squares = 0;
        let mut extremes: Option<Extremes> = self.extremes;
        for entry in part.iter().filter(|entry| window.takes(entry)) {
            let size = entry.amount.unsigned_abs();
            let (count, sum) = if entry.amount > 0 {
                &mut credits
            } else {
                &mut debits
            };
            *count += 1;
            *sum += size;
            squares += u128::from(size) * u128::from(size);
            extremes = Some(Extremes::with(extremes, entry));
        }
        self.credit_count += credits.0;
        self.debit_count += debits.0;
        self.credit_sum += i128::from(credits.1);
        self.debit_sum += i128::from(debits.1);
        self.square_sum = self.square_sum.plus(squares);
        self.extremes = extremes;
    }
}

/// Returns the largest number up to `highest` that fits, where 0 does, and all below one that does. It looks further and
/// further away from `about`.
fn last_that_fits(about: u64, highest: u64, fits: impl Fn(u64) -> bool) -> u64 {
    let (mut below, mut above) = (0, highest + 1);
    let mut step = 1;
    let mut at = about;
    while above - below > 1 {
        if fits(at) {
            below = at;
            at = at.saturating_add(step);
        } else {
            above = at;
            at = at.saturating_sub(step);
        }
        step = step.saturating_mul(2);
        if at <= below || at >= above {
            at = below + (above - below) / 2;
        }
    }
    below
}

impl Extremes {
    fn with(before: Option<Self>, entry: &Logged) -> Self {
        let (amount, at) = (entry.amount, entry.occurred_at_us);
        match before {
            None => Self {
                min: amount,
                max: amount,
                first_occurred_at_us: at,
                last_occurred_at_us: at,
            },
            Some(e) => Self {
                min: e.min.min(amount),
                max: e.max.max(amount),
                first_occurred_at_us: e.first_occurred_at_us.min(at),
                last_occurred_at_us: e.last_occurred_at_us.max(at),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ALWAYS, ledger, posted, select};
    use super::*;
    use crate::ledger::Phase;

    fn summary(amounts: &[i64]) -> Summary {
        Summary::over(&select(&posted(amounts), ALWAYS))
    }

    #[test]
    fn an_empty_window_has_no_extremes_mean_or_deviation() {
        let nowhere = Window {
            from_us: 10,
            to_us: 20,
        };
        let summary = Summary::over(&select(&posted(&[5, -5]), nowhere));
        assert_eq!(summary, Summary::default());
        assert_eq!((summary.mean(), summary.stddev()), (None, None));
    }

    #[test]
    fn each_side_is_counted_and_summed() {
        let summary = summary(&[5, -7, 1]);
        assert_eq!((summary.credit_count, summary.debit_count), (2, 1));
        assert_eq!((summary.credit_sum, summary.debit_sum), (6, 7));
        assert_eq!(summary.net(), -1);
        let extremes = summary.extremes.expect("entries");
        assert_eq!((extremes.min, extremes.max), (-7, 5));
    }

    #[test]
    fn back_dated_entries_move_first_and_last_by_time() {
        let ledger = ledger(&[
            (50, 1, Phase::Posted, ""),
            (-90, 1, Phase::Posted, ""),
            (7, 1, Phase::Posted, ""),
        ]);
        let extremes = Summary::over(&select(&ledger, ALWAYS))
            .extremes
            .expect("entries");
        let seen = (extremes.first_occurred_at_us, extremes.last_occurred_at_us);
        assert_eq!(seen, (-90, 50));
    }

    #[test]
    fn a_mean_is_rounded_half_to_even() {
        let cases: [(&[i64], i64); 9] = [
            (&[1, 2], 2),
            (&[2, 3], 2),
            (&[-1, -2], -2),
            (&[-2, -3], -2),
            (&[1, -2], 0),
            (&[-1, 2], 0),
            (&[3, -2, 1], 1),
            (&[-3, 1, 1, -1], 0),
            (&[-5, -4, -4], -4),
        ];
        for (amounts, mean) in cases {
            assert_eq!(summary(amounts).mean(), Some(mean), "{amounts:?}");
        }
    }

    #[test]
    fn a_deviation_is_rounded_down() {
        let cases: [(&[i64], i64); 6] = [
            (&[7], 0),
            (&[1, 2], 0),
            (&[1, 3], 1),
            (&[1, 4], 1),
            (&[2, 4, 4, 4, 5, 5, 7, 9], 2),
            (&[-10, 10, 10], 9),
        ];
        for (amounts, stddev) in cases {
            assert_eq!(summary(amounts).stddev(), Some(stddev), "{amounts:?}");
        }
    }

    #[test]
    fn the_last_that_fits_is_found_from_anywhere() {
        for highest in [0, 1, 2, 3, 10, 1_000] {
            for last in 0..=highest.min(12) {
                for about in 0..=highest.min(14) {
                    assert_eq!(last_that_fits(about, highest, |n| n <= last), last);
                }
            }
        }
        let tries = std::cell::Cell::new(0);
        let fits = |n| {
            tries.set(tries.get() + 1);
            n <= 999_999_999_998
        };
        let last = last_that_fits(1_000_000_000_000, 1 << 60, fits);
        assert_eq!(last, 999_999_999_998);
        assert!(tries.get() <= 6, "{} tries", tries.get());
        let worst = last_that_fits(5, u64::MAX / 2, |n| n <= u64::MAX / 3);
        assert_eq!(worst, u64::MAX / 3);
    }

    #[test]
    fn the_extremes_have_an_exact_deviation() {
        const M: i64 = MAX_AMOUNT;
        assert_eq!(summary(&[M, -M]).stddev(), Some(M));
        assert_eq!(summary(&[M, -M, M, -M]).mean(), Some(0));
        // The deviation is just under M. A float would round it up.
        assert_eq!(summary(&[M, -M + 1]).stddev(), Some(M - 1));
        let many: Vec<i64> = (0..2_000)
            .map(|n| if n % 2 == 0 { M } else { -M })
            .collect();
        assert_eq!(summary(&many).stddev(), Some(M));
        assert_eq!(summary(&vec![-M; 500]).stddev(), Some(0));
    }
}
