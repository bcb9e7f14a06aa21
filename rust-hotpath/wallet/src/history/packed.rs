//! A column of whole numbers. Each block is as narrow as its largest number needs, in whole bytes, so that a scan
//! widens a block at a time without looking at bits.
//!
//! Why: the amounts of an account are mostly small but not bounded by anything smaller than 10^15, and one large amount
//! should widen its own 128 neighbours only. The method is frame of reference without the reference (Goldstein,
//! Ramakrishnan & Shaft 1998; Lemire & Boytsov 2015 pack to bits, which saves less here than it costs in decoding).

use std::ops::Range;

/// Numbers in a block.
pub(crate) const BLOCK: usize = 128;

/// Bytes behind the last number, so that any number can be read as eight bytes.
const SPARE: usize = 8;
const WIDTH_BITS: u32 = 4;

/// Numbers by their index from 0. There are at most 2^28.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    /// By block: its start in `bytes`, in units of [`BLOCK`], and its width in bytes.
    heads: Box<[u32]>,
    bytes: Box<[u8]>,
}

/// Packs block by block.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    heads: Vec<u32>,
    bytes: Vec<u8>,
}

/// A range, cut where blocks end.
pub(crate) fn blocks(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut next = range.start;
    std::iter::from_fn(move || {
        let start = next;
        next = range.end.min((start / BLOCK + 1) * BLOCK);
        (start < range.end).then_some(start..next)
    })
}

impl Builder {
    /// Adds a block. Each but the last must be full.
    pub(crate) fn add(&mut self, block: &[u64]) {
        let all = block.iter().fold(0_u64, |all, number| all | number);
        let width = (u64::BITS - all.leading_zeros()).div_ceil(8);
        // The start of a block is a multiple of BLOCK, because all blocks before it are full.
        let start = u32::try_from(self.bytes.len() / BLOCK).unwrap_or(u32::MAX);
        self.heads.push(start << WIDTH_BITS | width);
        for number in block {
            let kept = &number.to_le_bytes()[..width as usize];
            self.bytes.extend_from_slice(kept);
        }
    }

    pub(crate) fn done(mut self) -> Packed {
        self.bytes.extend_from_slice(&[0; SPARE]);
        Packed {
            heads: self.heads.into_boxed_slice(),
            bytes: self.bytes.into_boxed_slice(),
        }
    }
}

impl Packed {
    pub(crate) fn of(numbers: impl Iterator<Item = u64>) -> Self {
        let mut builder = Builder::default();
        let mut block = Vec::with_capacity(BLOCK);
        for number in numbers {
            block.push(number);
            if block.len() == BLOCK {
                builder.add(&block);
                block.clear();
            }
        }
        if !block.is_empty() {
            builder.add(&block);
        }
        builder.done()
    }

    /// The number at this index, which must exist.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> u64 {
        let (start, width) = self.place(index);
        let wide = self.bytes[start..].first_chunk();
        let wide = wide.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        wide & u64::MAX.unbounded_shr(64 - 8 * width)
    }

    /// Widens the numbers of a range that lies in one block.
    #[inline]
    pub(crate) fn read<'a>(&self, range: &Range<usize>, room: &'a mut [u64; BLOCK]) -> &'a [u64] {
        let (start, width) = self.place(range.start);
        let out = &mut room[..range.len()];
        let bytes = &self.bytes[start..start + range.len() * width as usize];
        match width {
            0 => out.fill(0),
            1 => widen::<1>(bytes, out),
            2 => widen::<2>(bytes, out),
            3 => widen::<3>(bytes, out),
            4 => widen::<4>(bytes, out),
            5 => widen::<5>(bytes, out),
            6 => widen::<6>(bytes, out),
            7 => widen::<7>(bytes, out),
            _ => widen::<8>(bytes, out),
        }
        out
    }

    /// Shows the numbers of a range, a block at a time.
    #[inline]
    pub(crate) fn each(&self, range: Range<usize>, mut show: impl FnMut(&[u64])) {
        let mut room = [0; BLOCK];
        for block in blocks(range) {
            show(self.read(&block, &mut room));
        }
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.heads) + self.bytes.len()
    }

    #[inline]
    fn place(&self, index: usize) -> (usize, u32) {
        let head = self.heads[index / BLOCK];
        let width = head & ((1 << WIDTH_BITS) - 1);
        let start = (head >> WIDTH_BITS) as usize * BLOCK;
        (start + index % BLOCK * width as usize, width)
    }
}

fn widen<const WIDTH: usize>(bytes: &[u8], out: &mut [u64]) {
    let (narrow, _) = bytes.as_chunks::<WIDTH>();
    for (out, narrow) in out.iter_mut().zip(narrow) {
        let mut wide = [0; 8];
        wide[..WIDTH].copy_from_slice(narrow);
        *out = u64::from_le_bytes(wide);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_comes_back() {
        let numbers: Vec<u64> = (0..64)
            .flat_map(|bits| [0, 1, (1_u64 << bits) - 1, 1 << bits, u64::MAX >> bits])
            .flat_map(|number| (0..70).map(move |n| if n % 3 == 0 { number } else { 0 }))
            .collect();
        for len in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, numbers.len()] {
            let packed = Packed::of(numbers[..len].iter().copied());
            let got: Vec<u64> = (0..len).map(|index| packed.get(index)).collect();
            assert_eq!(got, numbers[..len]);
            for from in (0..len).step_by(61) {
                let mut read = Vec::new();
                let to = (from + 300).min(len);
                packed.each(from..to, |block| read.extend_from_slice(block));
                assert_eq!(read, numbers[from..to]);
            }
        }
    }

    #[test]
    fn a_range_is_cut_where_blocks_end() {
        let cut: Vec<_> = blocks(100..300).collect();
        assert_eq!(cut, [100..128, 128..256, 256..300]);
        assert_eq!(blocks(5..5).count(), 0);
    }
}
