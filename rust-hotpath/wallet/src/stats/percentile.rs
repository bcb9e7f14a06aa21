//! Nearest-rank percentiles of |amount|.

use super::Selection;
use crate::history::place;

const WHOLE_BASIS_POINTS: u128 = 10_000;

/// Returns the percentiles (1-10,000 basis points) of |amount| in a selection, in the order in which they were asked
/// for. Empty if the selection is.
#[must_use]
pub fn percentiles(selection: &Selection<'_>, basis_points: &[u32]) -> Vec<u64> {
    if basis_points.is_empty() {
        return Vec::new();
    }
    let mut sizes = Vec::new();
    let count = match &selection.slices {
        Some(slices) => slices.count(),
        None => {
            let entries = selection.scanned();
            sizes.extend(entries.map(|entry| entry.amount.unsigned_abs()));
            sizes.len()
        }
    };
    if count == 0 {
        return Vec::new();
    }
    let ranks: Vec<usize> = basis_points
        .iter()
        .map(|&points| rank(points, count))
        .collect();
    let mut wanted = ranks.clone();
    wanted.sort_unstable();
    wanted.dedup();
    if let Some(slices) = &selection.slices {
        let found = slices.select(&wanted);
        let at = |rank: &usize| wanted.binary_search(rank).ok().and_then(|at| found.get(at));
        return ranks.iter().filter_map(at).copied().collect();
    }
    place(&mut sizes, &wanted, 0);
    let at = |rank: &usize| sizes.get(*rank).copied().unwrap_or_default();
    ranks.iter().map(at).collect()
}

/// The index, from 0, of the ceil(p * n / 10,000)-th smallest value.
fn rank(basis_points: u32, count: usize) -> usize {
    let nth = (u128::from(basis_points) * count as u128).div_ceil(WHOLE_BASIS_POINTS);
    let last = count.saturating_sub(1);
    usize::try_from(nth.saturating_sub(1)).map_or(last, |index| index.min(last))
}

#[cfg(test)]
mod tests {
    use super::super::Window;
    use super::super::tests::{ALWAYS, posted, select};
    use super::*;
    use proptest::prelude::*;

    fn asked(amounts: &[i64], basis_points: &[u32]) -> Vec<u64> {
        percentiles(&select(&posted(amounts), ALWAYS), basis_points)
    }

    #[test]
    fn the_lowest_is_the_smallest_and_the_highest_the_largest() {
        assert_eq!(asked(&[5, -9, 3], &[1, 10_000]), [3, 9]);
        assert_eq!(asked(&[-4], &[10_000, 1, 5_000]), [4, 4, 4]);
    }

    #[test]
    fn ranks_are_rounded_up() {
        let amounts: Vec<i64> = (1..=10).rev().collect();
        let points = [999, 1_000, 1_001, 5_000, 5_001, 9_000, 9_001];
        assert_eq!(asked(&amounts, &points), [1, 1, 2, 5, 6, 9, 10]);
    }

    #[test]
    fn an_empty_window_has_none() {
        let nowhere = Window {
            from_us: -5,
            to_us: 0,
        };
        assert!(percentiles(&select(&posted(&[1]), nowhere), &[5_000]).is_empty());
        assert!(asked(&[1], &[]).is_empty());
    }

    proptest! {
        #[test]
        fn agrees_with_sorting(
            amounts in prop::collection::vec((-50_i64..50).prop_filter("non-zero", |x| *x != 0), 1..300),
            points in prop::collection::vec(1_u32..=10_000, 1..100),
        ) {
            let mut sorted: Vec<u64> = amounts.iter().map(|x| x.unsigned_abs()).collect();
            sorted.sort_unstable();
            let nth = |p: &u32| sorted[(*p as usize * sorted.len()).div_ceil(10_000) - 1];
            prop_assert_eq!(asked(&amounts, &points), points.iter().map(nth).collect::<Vec<_>>());
        }
    }
}
