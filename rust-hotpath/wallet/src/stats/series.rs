//! Sums posted entries by calendar bucket.

use super::calendar::Step;
use super::{Window, signed};
use crate::history::{History, Sums};
use crate::ledger::{Log, Phase};

/// The buckets that a window touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buckets {
    step: Step,
    first: i64,
    count: usize,
}

/// One calendar step of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// The calendar start in microseconds since the epoch. It may lie before the window.
    pub start_us: i64,
    /// Entries inside both the bucket and the window.
    pub count: u64,
    /// Sum of the credits.
    pub credit_sum: i128,
    /// Sum of |amount| of the debits.
    pub debit_sum: i128,
    /// The posted balance at the end of the bucket or of the window, whichever comes first.
    pub closing_balance: i128,
}

impl Buckets {
    /// The buckets from the start of the window to its last instant. The window must not be empty.
    #[must_use]
    pub fn of(window: Window, step: Step) -> Self {
        let first = step.bucket(window.from_us);
        let last = step.bucket(window.to_us - 1);
        Self {
            step,
            first,
            count: usize::try_from(last - first + 1).unwrap_or(0),
        }
    }

    /// How many buckets there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns every bucket in order, empty ones included. `log` is `None` if the account never had the asset.
    #[must_use]
    pub fn fill(&self, log: Option<&Log>, window: Window) -> Vec<Bucket> {
        let starts = (self.first..).take(self.count);
        let empty = |bucket| Bucket {
            start_us: self.step.start_us(bucket),
            ..Bucket::default()
        };
        let mut buckets: Vec<Bucket> = starts.map(empty).collect();
        let history = log.and_then(Log::history);
        let mut balance = history.map_or(0, |history| opening(history, window));
        if let Some(history) = history {
            self.fill_indexed(&mut buckets, history, window);
        }
        // Most histories are in order of time, and staying in a bucket is cheaper than finding it again.
        let (mut near, mut index) = (0..0, None);
        for entry in log.into_iter().flat_map(Log::scanned).flatten() {
            if entry.phase != Phase::Posted || entry.occurred_at_us >= window.to_us {
                continue;
            }
            if entry.occurred_at_us < window.from_us {
                balance += i128::from(entry.amount);
                continue;
            }
            if !near.contains(&entry.occurred_at_us) {
                let bucket = self.step.bucket(entry.occurred_at_us);
                near = self.step.start_us(bucket)..self.step.start_us(bucket + 1);
                index = usize::try_from(bucket - self.first).ok();
            }
            if let Some(bucket) = index.and_then(|index| buckets.get_mut(index)) {
                bucket.add(entry.amount);
            }
        }
        for bucket in &mut buckets {
            balance += bucket.credit_sum - bucket.debit_sum;
            bucket.closing_balance = balance;
        }
        buckets
    }

    fn fill_indexed(&self, buckets: &mut [Bucket], history: &History, window: Window) {
        // The first bucket may begin before the window, and the last may end after it.
        let later = buckets.iter().skip(1).map(|bucket| bucket.start_us);
        let mut bounds = Vec::with_capacity(buckets.len() + 1);
        bounds.push(window.from_us);
        bounds.extend(later);
        bounds.push(window.to_us);
        // The tail is scanned with the entries that no history holds.
        let slices = history.slices(&[], window.from_us, window.to_us);
        slices.between(&bounds, |at, sums| {
            if let Some(bucket) = buckets.get_mut(at) {
                bucket.add_sums(&sums);
            }
        });
    }
}

/// The balance of the indexed entries before a window.
fn opening(history: &History, window: Window) -> i128 {
    let sums = history.before(Phase::Posted, window.from_us).sums;
    signed(sums.credit_sum) - signed(sums.debit_sum)
}

impl Bucket {
    fn add_sums(&mut self, sums: &Sums) {
        self.credit_sum += signed(sums.credit_sum);
        self.debit_sum += signed(sums.debit_sum);
        self.count += sums.count();
    }

    fn add(&mut self, amount: i64) {
        let side = if amount > 0 {
            &mut self.credit_sum
        } else {
            &mut self.debit_sum
        };
        *side += i128::from(amount.unsigned_abs());
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ledger, log};
    use super::*;
    use crate::ledger::Phase::{Hold, Posted};
    use crate::ledger::rules::{MAX_TIME_US, MIN_TIME_US};

    const HOUR: i64 = 3_600_000_000;

    fn rows(window: Window) -> Vec<(i64, u64, i128, i128, i128)> {
        let ledger = ledger(&[
            (HOUR, 100, Posted, ""),
            (-HOUR, 7, Posted, ""),
            (2 * HOUR, -30, Posted, ""),
            (2 * HOUR, -30, Hold, ""),
            (4 * HOUR - 1, 5, Posted, ""),
            (4 * HOUR, 1, Posted, ""),
        ]);
        let buckets = Buckets::of(window, Step::Hour);
        let filled = buckets.fill(Some(log(&ledger)), window);
        assert_eq!(filled.len(), buckets.count());
        filled
            .iter()
            .map(|b| {
                (
                    b.start_us / HOUR,
                    b.count,
                    b.credit_sum,
                    b.debit_sum,
                    b.closing_balance,
                )
            })
            .collect()
    }

    #[test]
    fn empty_buckets_are_included_and_carry_the_balance() {
        let window = Window {
            from_us: 0,
            to_us: 4 * HOUR,
        };
        assert_eq!(
            rows(window),
            [
                (0, 0, 0, 0, 7),
                (1, 1, 100, 0, 107),
                (2, 1, 0, 30, 77),
                (3, 1, 5, 0, 82)
            ]
        );
    }

    #[test]
    fn a_window_cuts_its_first_and_last_bucket() {
        let window = Window {
            from_us: HOUR + 1,
            to_us: 4 * HOUR - 1,
        };
        assert_eq!(
            rows(window),
            [(1, 0, 0, 0, 107), (2, 1, 0, 30, 77), (3, 0, 0, 0, 77)]
        );
    }

    #[test]
    fn an_asset_that_never_occurred_gives_zeros() {
        let window = Window {
            from_us: -1,
            to_us: 1,
        };
        let filled = Buckets::of(window, Step::Day).fill(None, window);
        let zero = |start_us| Bucket {
            start_us,
            ..Bucket::default()
        };
        assert_eq!(filled, [zero(-24 * HOUR), zero(0)]);
    }

    #[test]
    fn all_of_time_has_a_known_number_of_buckets() {
        let window = Window {
            from_us: MIN_TIME_US,
            to_us: MAX_TIME_US,
        };
        let counts = [Step::Month, Step::Week, Step::Day, Step::Hour]
            .map(|step| Buckets::of(window, step).count());
        assert_eq!(counts, [119_988, 521_723, 3_652_059, 87_649_416]);
    }
}
