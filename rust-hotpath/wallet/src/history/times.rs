//! A column of ascending times.
//!
//! Why: a block keeps its first time, and steps from there in the largest unit that fits all of its times. Ledgers that
//! know only days then need a byte for a time, and no ledger needs eight. (Frame of reference, as in `packed`; the unit
//! is a greatest common divisor, as Parquet and Gorilla users know it from timestamps in milliseconds.)

use std::ops::Range;

use super::entry::Row;
use super::packed::{BLOCK, Builder, Packed};

/// Times by their index from 0.
#[derive(Debug)]
pub(crate) struct Times {
    blocks: Box<[Block]>,
    /// By index: how many units the time is after the first of its block.
    steps: Packed,
    len: usize,
    last: i64,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    first: i64,
    unit: u64,
}

impl Times {
    /// The times of rows that are in order of time.
    pub(crate) fn of(rows: &[Row]) -> Self {
        let mut blocks = Vec::with_capacity(rows.len().div_ceil(BLOCK));
        let mut steps = Builder::default();
        let mut block = Vec::with_capacity(BLOCK);
        for rows in rows.chunks(BLOCK) {
            let first = rows.first().map_or(0, |row| row.at);
            block.clear();
            block.extend(rows.iter().map(|row| row.at.abs_diff(first)));
            let unit = unit(&block);
            block.iter_mut().for_each(|step| *step /= unit);
            steps.add(&block);
            blocks.push(Block { first, unit });
        }
        Self {
            blocks: blocks.into_boxed_slice(),
            steps: steps.done(),
            len: rows.len(),
            last: rows.last().map_or(i64::MIN, |row| row.at),
        }
    }

    /// The time at this index, which must exist.
    pub(crate) fn get(&self, index: usize) -> i64 {
        let block = &self.blocks[index / BLOCK];
        block
            .first
            .saturating_add_unsigned(block.unit * self.steps.get(index))
    }

    /// The times of a range that lies in one block.
    pub(crate) fn read<'a>(
        &self,
        range: &Range<usize>,
        room: &'a mut [u64; BLOCK],
    ) -> impl Iterator<Item = i64> + use<'a> {
        let Block { first, unit } = self.blocks[range.start / BLOCK];
        let steps = self.steps.read(range, room).iter();
        steps.map(move |step| first.saturating_add_unsigned(unit * step))
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many times are before `time`. `near` is such a number for an earlier time, or 0; looking starts there.
    pub(crate) fn before(&self, time: i64, near: usize) -> usize {
        if time > self.last {
            return self.len;
        }
        let skipped = near / BLOCK;
        let begun = skipped + begun(&self.blocks[skipped..], time);
        let Some(block) = begun.checked_sub(1) else {
            return 0;
        };
        // Each time of this block is before `time` if it has fewer steps than that.
        let Block { first, unit } = self.blocks[block];
        let steps = time.abs_diff(first).div_ceil(unit);
        let (mut low, mut high) = (block * BLOCK, self.len.min(begun * BLOCK));
        while low < high {
            let middle = low.midpoint(high);
            if self.steps.get(middle) < steps {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.blocks) + self.steps.bytes()
    }
}

/// How many of the blocks begin before `time`. It looks near the start first, because a series asks in order of time.
fn begun(blocks: &[Block], time: i64) -> usize {
    let mut reach = 1;
    while reach <= blocks.len() && blocks[reach - 1].first < time {
        reach *= 2;
    }
    let (low, high) = (reach / 2, reach.min(blocks.len()));
    low + blocks[low..high].partition_point(|block| block.first < time)
}

/// The largest number that divides all of these. 1 if all are 0.
fn unit(steps: &[u64]) -> u64 {
    let (mut unit, mut last) = (0, 0);
    for &step in steps {
        // Neighbours are often equal, and a division takes long.
        if step == last {
            continue;
        }
        last = step;
        let mut rest = step;
        while rest != 0 {
            (unit, rest) = (rest, if unit == 0 { 0 } else { unit % rest });
        }
        if unit == 1 {
            break;
        }
    }
    unit.max(1)
}

#[cfg(test)]
mod tests {
    use super::super::packed::blocks;
    use super::*;

    const DAY: i64 = 86_400_000_000;

    fn rows(times: &[i64]) -> Vec<Row> {
        let row = |&at| Row {
            at,
            folded: 2,
            code: 0,
        };
        times.iter().map(row).collect()
    }

    fn check(times: &[i64]) {
        let column = Times::of(&rows(times));
        let got: Vec<i64> = (0..times.len()).map(|index| column.get(index)).collect();
        assert_eq!(got, times);
        let mut room = [0; BLOCK];
        for block in blocks(0..times.len()) {
            assert!(
                column
                    .read(&block, &mut room)
                    .eq(times[block].iter().copied())
            );
        }
        let around = times
            .iter()
            .flat_map(|&t| [t.saturating_sub(1), t, t.saturating_add(1)]);
        let mut near = (i64::MIN, 0);
        for time in around.chain([i64::MIN, i64::MAX]) {
            let expected = times.partition_point(|&t| t < time);
            assert_eq!(column.before(time, 0), expected, "{time}");
            if time >= near.0 {
                assert_eq!(
                    column.before(time, near.1),
                    expected,
                    "{time} from {near:?}"
                );
                near = (time, expected);
            }
        }
    }

    #[test]
    fn times_are_found_whatever_their_unit() {
        for (count, per_day) in [(1, 1), (127, 1), (128, 50), (129, 200), (1_000, 130)] {
            check(
                &(0..count)
                    .map(|n| n / per_day * DAY - 7)
                    .collect::<Vec<_>>(),
            );
            check(&(0..count).map(|n| n * n * 1_000).collect::<Vec<_>>());
        }
        check(&[]);
        check(&[5; 300]);
    }

    #[test]
    fn the_ends_of_time_are_found() {
        check(&[i64::MIN, -1, 0, i64::MAX - 1, i64::MAX]);
        check(&[-62_135_596_800_000_000, 253_402_300_799_999_999]);
    }

    #[test]
    fn days_take_a_byte() {
        let days: Vec<i64> = (0..12_800).map(|n| n / 90 * DAY).collect();
        assert!(Times::of(&rows(&days)).bytes() < 12_800 * 2);
    }

    #[test]
    fn a_unit_divides_all_steps() {
        assert_eq!(unit(&[0, 0]), 1);
        assert_eq!(unit(&[0, 12, 18, 18, 30]), 6);
        assert_eq!(unit(&[0, 7, 9]), 1);
        assert_eq!(unit(&[0, 5]), 5);
    }
}
