//! A persistent array that only grows. A clone is O(1). An update copies the path from the root to one leaf.
//!
//! ```text
//!  root: a vector ──> branches (32 twigs each) ──> twigs (32 leaves each) ──> leaves (LEAF items each)
//! ```
//!
//! The root is copied once for each version that is changed: 7 pointers for 50,000 accounts, 140 for a million. A
//! fourth level would copy fewer pointers, but would add one step to every read.
//!
//! An `im::Vector` may also be cut and joined. So its every step looks into a table of sizes, and each of its leaves
//! has a header of its own. A read there takes about twice the cache misses. Here a read takes three steps, and usually
//! only the last is a miss.

use std::array;
use std::sync::Arc;

/// Children of an inner node. An update counts a reference to each child of every node that it copies, so wide nodes
/// are expensive.
const FAN: usize = 32;

type Leaf<T, const LEAF: usize> = Option<Arc<[T; LEAF]>>;
type Twig<T, const LEAF: usize> = Option<Arc<[Leaf<T, LEAF>; FAN]>>;
type Branch<T, const LEAF: usize> = Arc<[Twig<T, LEAF>; FAN]>;

/// Items by their index from 0. A leaf has `LEAF` items.
#[derive(Debug)]
pub struct Array<T, const LEAF: usize> {
    branches: Arc<Vec<Branch<T, LEAF>>>,
    len: usize,
}

impl<T: Clone + Default, const LEAF: usize> Array<T, LEAF> {
    const TWIG: usize = LEAF * FAN;
    const BRANCH: usize = Self::TWIG * FAN;

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The item at this index, if there is one.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index >= self.len {
            return None;
        }
        let branch = self.branches.get(index / Self::BRANCH)?;
        let twig = branch[index / Self::TWIG % FAN].as_ref()?;
        let leaf = twig[index / LEAF % FAN].as_ref()?;
        Some(&leaf[index % LEAF])
    }

    /// The item at this index, to be changed. It first copies what other clones share.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        (index < self.len).then(|| self.place(index))
    }

    /// Appends an item.
    pub fn push(&mut self, item: T) {
        let index = self.len;
        self.len += 1;
        *self.place(index) = item;
    }

    /// All items in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len).filter_map(|index| self.get(index))
    }

    fn place(&mut self, index: usize) -> &mut T {
        let branches = Arc::make_mut(&mut self.branches);
        let at = index / Self::BRANCH;
        if at == branches.len() {
            branches.push(Arc::new([const { None }; FAN]));
        }
        let branch = Arc::make_mut(&mut branches[at]);
        let twig =
            branch[index / Self::TWIG % FAN].get_or_insert_with(|| Arc::new([const { None }; FAN]));
        let leaf = Arc::make_mut(twig)[index / LEAF % FAN]
            .get_or_insert_with(|| Arc::new(array::from_fn(|_| T::default())));
        &mut Arc::make_mut(leaf)[index % LEAF]
    }
}

impl<T, const LEAF: usize> Clone for Array<T, LEAF> {
    fn clone(&self) -> Self {
        Self {
            branches: Arc::clone(&self.branches),
            len: self.len,
        }
    }
}

impl<T, const LEAF: usize> Default for Array<T, LEAF> {
    fn default() -> Self {
        Self {
            branches: Arc::default(),
            len: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// With small leaves, few items reach every level.
    type Small = Array<usize, 2>;

    #[test]
    fn items_come_back_across_all_levels() {
        let mut array = Small::default();
        assert!(array.is_empty());
        const COUNT: usize = 3 * Small::BRANCH + 5;
        for n in 0..COUNT {
            assert_eq!((array.len(), array.get(n)), (n, None));
            array.push(n);
        }
        assert!(array.iter().copied().eq(0..COUNT));
        assert_eq!(array.get_mut(COUNT), None);
    }

    proptest! {
        #[test]
        fn every_clone_is_a_vector_of_its_own(
            steps in prop::collection::vec((0..3_usize, any::<prop::sample::Index>(), 0..200_usize), 1..60),
        ) {
            let mut kept = vec![(Small::default(), Vec::new())];
            for (what, index, number) in steps {
                let (mut array, mut expected) = kept[index.index(kept.len())].clone();
                for n in 0..number {
                    match what {
                        0 => { array.push(n); expected.push(n); }
                        _ => if let Some(item) = array.get_mut(n * 7) {
                            *item += number;
                            expected[n * 7] += number;
                        },
                    }
                }
                kept.push((array, expected));
            }
            for (array, expected) in &kept {
                prop_assert_eq!(array.len(), expected.len());
                prop_assert!(array.iter().eq(expected));
            }
        }
    }
}
