//! Bits, with the number of ones before any of them.
//!
//! Why: a rank is one cache line, because a line holds its bits and their counts: 448 bits, the ones before the line,
//! and the ones before each 128 bits of it. (As rank9 of Vigna 2008 interleaves them, with one line in place of two
//! arrays.) That takes 8/7 of the bits; a descent waits for memory, not for memory's size.

/// Bits of a line.
const LINE: usize = 448;
/// Bits between two counts within a line. A count is below 512, so it takes nine bits.
const STEP: usize = 128;
const COUNT_BITS: usize = 9;
/// The ones before the line are above the counts within it: at most 2^28 of them.
const BEFORE: usize = 4 * COUNT_BITS;

/// Seven words of bits, and the counts.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([u64; 8]);

/// Bits by their index from 0. There are fewer than 2^28.
#[derive(Debug)]
pub(crate) struct Bits(Box<[Line]>);

impl Bits {
    /// Takes one bit of each number.
    pub(crate) fn of(numbers: &[u64], shift: u32) -> Self {
        // One line more than full ones, so that there is one for the index behind the last bit.
        let mut lines = Vec::with_capacity(numbers.len() / LINE + 1);
        let mut ones = 0;
        let mut numbers = numbers.chunks(LINE);
        let mut part = numbers.next().unwrap_or_default();
        loop {
            let mut line = Line([0; 8]);
            for (word, numbers) in line.0.iter_mut().zip(part.chunks(64)) {
                let bits = numbers.iter().enumerate();
                *word = bits.fold(0, |word, (at, number)| word | (number >> shift & 1) << at);
            }
            let (head, within) = head(&line.0, ones);
            line.0[7] = head;
            lines.push(line);
            ones += within;
            if part.len() < LINE {
                return Self(lines.into_boxed_slice());
            }
            part = numbers.next().unwrap_or_default();
        }
    }

    /// How many ones are before `index`, which is at most the number of bits.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)]
    pub(crate) fn ones_before(&self, index: usize) -> usize {
        let Line(line) = &self.0[index / LINE];
        let rest = index % LINE;
        let pair = rest / STEP;
        // Of the last pair the second word is the head. All of it is masked out, because a line ends before it.
        let words = u128::from(line[2 * pair]) | u128::from(line[2 * pair + 1]) << 64;
        let kept = words & ((1 << (rest % STEP)) - 1);
        let within = line[7] >> (COUNT_BITS * pair) & ((1 << COUNT_BITS) - 1);
        let before = (line[7] >> BEFORE) + within;
        before as usize + kept.count_ones() as usize
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

/// The counts of a line, and its ones.
fn head(words: &[u64; 8], ones_before: u64) -> (u64, u64) {
    let mut head = ones_before << BEFORE;
    let mut within = 0;
    for (pair, words) in words[..7].chunks(2).enumerate() {
        head |= within << (COUNT_BITS * pair);
        within += words
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum::<u64>();
    }
    (head, within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rank_is_counted() {
        for len in [0, 1, 63, 64, 447, 448, 449, 896, 5_000] {
            let numbers: Vec<u64> = (0..len).map(|n| n * n / 3 * 2).collect();
            for shift in [0, 1, 2, 9] {
                let bits = Bits::of(&numbers, shift);
                let mut ones = 0;
                for (index, number) in numbers.iter().enumerate() {
                    assert_eq!(bits.ones_before(index), ones);
                    ones += usize::from(number >> shift & 1 == 1);
                }
                assert_eq!(bits.ones_before(numbers.len()), ones);
            }
        }
        let full = vec![1; 10_000];
        assert_eq!(Bits::of(&full, 0).ones_before(9_999), 9_999);
    }
}
