//! The amounts of a run, without their signs, so that the n-th smallest of any range can be found.
//!
//! Why: a wavelet matrix (Claude, Navarro & Ordonez 2015) finds it by two ranks for each bit of an amount, however long
//! the range is, and several runs can be descended together: the counts of their zeros add up. A wavelet tree needs
//! node borders; a matrix needs one number for each level.

use super::bits::Bits;

/// Levels from the highest bit of the largest amount down to the lowest.
#[derive(Debug)]
pub(crate) struct Wavelet(Box<[Level]>);

/// The bit of each amount, in the order that the levels above sorted them into.
#[derive(Debug)]
struct Level {
    bits: Bits,
    zeros: usize,
}

/// The places of some amounts on one level: from the first up to the second.
pub(crate) type Places = (usize, usize);

impl Wavelet {
    pub(crate) fn of(mut amounts: Vec<u64>) -> Self {
        let all = amounts.iter().fold(0_u64, |all, amount| all | amount);
        let mut sorted = vec![0; amounts.len()];
        let levels = (0..u64::BITS - all.leading_zeros()).rev().map(|shift| {
            let bits = Bits::of(&amounts, shift);
            let zeros = amounts.len() - bits.ones_before(amounts.len());
            // Zeros first, each side in the order that it had.
            let mut next = [0, zeros];
            for &amount in &amounts {
                let place = &mut next[usize::from(amount >> shift & 1 == 1)];
                sorted[*place] = amount;
                *place += 1;
            }
            std::mem::swap(&mut amounts, &mut sorted);
            Level { bits, zeros }
        });
        Self(levels.collect())
    }

    /// The bits of the largest amount.
    pub(crate) fn depth(&self) -> usize {
        self.0.len()
    }

    /// Where the amounts with a zero and those with a one at bit `shift` are on the next level.
    #[inline(always)]
    pub(crate) fn split(&self, shift: usize, (start, end): Places) -> [Places; 2] {
        let Some(level) = self.depth().checked_sub(shift + 1) else {
            // No amount is that large.
            return [(start, end), (0, 0)];
        };
        if start == end {
            return [(0, 0); 2];
        }
        let Level { bits, zeros } = &self.0[level];
        let ones = (bits.ones_before(start), bits.ones_before(end));
        [
            (start - ones.0, end - ones.1),
            (zeros + ones.0, zeros + ones.1),
        ]
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let levels = self.0.iter();
        levels
            .map(|level| size_of::<Level>() + level.bits.bytes())
            .sum()
    }
}
