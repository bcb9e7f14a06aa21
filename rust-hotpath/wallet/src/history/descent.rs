//! Finds several ranks among the amounts of several runs by one joint descent.
//!
//! Why: runs are never merged for a question. At each bit, the zeros of all runs together decide where a rank goes, and
//! all ranks of a request descend together, so they share the levels on which they are not yet apart. Amounts that are
//! in no wavelet matrix (short runs, the tail) are partitioned by the same bits, as quickselect does.
//!
//! ```text
//!  bit 33   one node: all ranks, one range in each run
//!  bit 32   ... the node splits when its ranks differ in this bit ...
//!  bit 0    at most one node for each rank; its bits are the answer
//! ```

use std::ops::Range;

use super::wavelet::{Places, Wavelet};

/// A range of a run.
pub(crate) type Span<'a> = (&'a Wavelet, Range<usize>);

/// Some of the ranks, which agree in all bits so far.
struct Node {
    /// Of the ranks that were asked for.
    ranks: Range<usize>,
    /// How many amounts are smaller than all of this node.
    smaller: usize,
    /// The bits so far.
    amount: u64,
    /// Of the loose amounts.
    loose: Range<usize>,
}

/// Nodes of one level, and for each node its places in each span.
#[derive(Default)]
struct Level {
    nodes: Vec<Node>,
    places: Vec<Places>,
}

/// Moves the amounts of ascending, distinct ranks to where sorting would put them. `amounts` starts at rank `first`.
/// The middle rank goes first, so that each half is left with half of the ranks.
pub(crate) fn place(amounts: &mut [u64], ranks: &[usize], first: usize) {
    let middle = ranks.len() / 2;
    let Some(&rank) = ranks.get(middle) else {
        return;
    };
    let (low, _, high) = amounts.select_nth_unstable(rank - first);
    place(low, &ranks[..middle], first);
    place(high, &ranks[middle + 1..], rank + 1);
}

/// Returns the amounts at ascending, distinct ranks (from 0). All must exist.
pub(crate) fn select(spans: &[Span<'_>], loose: &mut [u64], ranks: &[usize]) -> Vec<u64> {
    if spans.is_empty() {
        // Without an index, this takes a tenth of the time.
        place(loose, ranks, 0);
        return ranks.iter().map(|rank| loose[*rank]).collect();
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("popcnt") {
        return with_popcnt(spans, loose, ranks);
    }
    descend(spans, loose, ranks)
}

/// A rank counts ones. Without this instruction, which all but the very first of these processors have, that takes a
/// dozen others.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
fn with_popcnt(spans: &[Span<'_>], loose: &mut [u64], ranks: &[usize]) -> Vec<u64> {
    #[target_feature(enable = "popcnt")]
    fn compiled(spans: &[Span<'_>], loose: &mut [u64], ranks: &[usize]) -> Vec<u64> {
        descend(spans, loose, ranks)
    }
    // SAFETY: the caller has seen that the processor has the instruction.
    unsafe { compiled(spans, loose, ranks) }
}

#[inline(always)]
fn descend(spans: &[Span<'_>], loose: &mut [u64], ranks: &[usize]) -> Vec<u64> {
    let all = loose.iter().fold(0_u64, |all, amount| all | amount);
    let loose_depth = (u64::BITS - all.leading_zeros()) as usize;
    let depths = spans.iter().map(|(wavelet, _)| wavelet.depth());
    let depth = depths.fold(loose_depth, usize::max);
    let mut level = Level {
        nodes: vec![Node {
            ranks: 0..ranks.len(),
            smaller: 0,
            amount: 0,
            loose: 0..loose.len(),
        }],
        places: spans
            .iter()
            .map(|(_, range)| (range.start, range.end))
            .collect(),
    };
    let mut next = Level::default();
    let mut halves = [Vec::new(), Vec::new()];
    for shift in (0..depth).rev() {
        for (index, node) in level.nodes.iter().enumerate() {
            let places = &level.places[index * spans.len()..(index + 1) * spans.len()];
            let mut zeros = split(spans, places, shift, &mut halves);
            let part = &mut loose[node.loose.clone()];
            let loose_zeros = partition(part, shift);
            zeros += loose_zeros;
            let middle = node.loose.start + loose_zeros;
            let wanted = &ranks[node.ranks.clone()];
            let low = wanted.partition_point(|rank| rank - node.smaller < zeros);
            let border = node.ranks.start + low;
            let children = [
                (node.ranks.start..border, 0, node.loose.start..middle),
                (border..node.ranks.end, zeros, middle..node.loose.end),
            ];
            for ((ranks, smaller, loose), (bit, half)) in
                children.into_iter().zip((0_u64..).zip(&halves))
            {
                if !ranks.is_empty() {
                    next.nodes.push(Node {
                        ranks,
                        smaller: node.smaller + smaller,
                        amount: node.amount | bit << shift,
                        loose,
                    });
                    next.places.extend_from_slice(half);
                }
            }
        }
        std::mem::swap(&mut level, &mut next);
        next.nodes.clear();
        next.places.clear();
    }
    let amounts = level.nodes.iter();
    let amounts = amounts.flat_map(|node| node.ranks.clone().map(|_| node.amount));
    amounts.collect()
}

/// Splits a node's places by a bit, and returns how many of its amounts have a zero there.
#[inline(always)]
fn split(
    spans: &[Span<'_>],
    places: &[Places],
    shift: usize,
    halves: &mut [Vec<Places>; 2],
) -> usize {
    let mut count = 0;
    halves.iter_mut().for_each(Vec::clear);
    for ((wavelet, _), places) in spans.iter().zip(places) {
        let [zeros, ones] = wavelet.split(shift, *places);
        count += zeros.1 - zeros.0;
        halves[0].push(zeros);
        halves[1].push(ones);
    }
    count
}

/// Moves the amounts with a zero at bit `shift` to the front, and returns how many there are.
fn partition(amounts: &mut [u64], shift: usize) -> usize {
    let mut zeros = 0;
    for index in 0..amounts.len() {
        let amount = amounts[index];
        amounts.swap(zeros, index);
        zeros += usize::from(amount >> shift & 1 == 0);
    }
    zeros
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: u64, count: usize, bits: u32) -> Vec<u64> {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(seed | 1);
            state >> 33
        };
        (0..count)
            .map(|_| 1 + (next() << 20 ^ next()) % (1 << bits))
            .collect()
    }

    type Select = fn(&[Span<'_>], &mut [u64], &[usize]) -> Vec<u64>;

    /// Compares all ways of selecting with sorting.
    fn check(runs: &[Vec<u64>], loose: &[u64], seed: usize) {
        let wavelets: Vec<Wavelet> = runs.iter().map(|run| Wavelet::of(run.clone())).collect();
        let ranges = runs.iter().enumerate().map(|(index, run)| {
            let from = (seed * 7 + index * 13) % (run.len() + 1);
            from..from.max(run.len() - (seed * 5 + index) % (run.len() + 1))
        });
        let ranges: Vec<Range<usize>> = ranges.collect();
        let mut sorted = loose.to_vec();
        for (run, range) in runs.iter().zip(&ranges) {
            sorted.extend_from_slice(&run[range.clone()]);
        }
        sorted.sort_unstable();
        let spans: Vec<Span<'_>> = wavelets.iter().zip(ranges).collect();
        let step = sorted.len() / 9 + 1;
        let ranks: Vec<usize> = (0..sorted.len())
            .filter(|n| n % step == 0 || n + 1 == sorted.len())
            .collect();
        let expected: Vec<u64> = ranks.iter().map(|rank| sorted[*rank]).collect();
        for way in [select as Select, descend as Select] {
            assert_eq!(way(&spans, &mut loose.to_vec(), &ranks), expected);
        }
        if !sorted.is_empty() {
            let every: Vec<usize> = (0..sorted.len().min(100)).collect();
            assert_eq!(
                select(&spans, &mut loose.to_vec(), &every),
                sorted[..every.len()]
            );
        }
    }

    #[test]
    fn ranks_are_found_over_all_runs_at_once() {
        for seed in 1..40 {
            let run = |n: usize, bits| {
                let count = (seed * 97 + n * 31) % 700;
                numbers((seed * 10 + n) as u64, count, bits)
            };
            check(&[run(1, 12)], &[], seed);
            check(&[run(1, 30), run(2, 3), run(3, 49)], &run(4, 20), seed);
            check(&[run(1, 2), run(2, 2)], &[1, 1, 2], seed);
            check(&[vec![5; 300]], &[5; 9], seed);
            check(&[vec![1_000_000_000_000_000; 129], vec![1; 500]], &[], seed);
            check(&[], &run(5, 40), seed);
        }
    }
}
