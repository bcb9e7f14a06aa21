//! A fast hash of reply bytes, not a cryptographic one.

/// Odd numbers with well-mixed bits, after digits of the golden ratio and of pi.
const FACTORS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0x2443_f6a8_885a_308d | 1];

/// Folds the 128-bit product of the state and each eight bytes, so that every bit of the input reaches every bit of the
/// result. One multiplication per eight bytes is fast enough: hashing a reply of megabytes must not hold up the loop.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let [first, second] = FACTORS;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut state = fold(first ^ bytes.len() as u64, second);
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), first);
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    fold(fold(state ^ u64::from_le_bytes(last), first), second)
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let [low, high] = [product, product >> 64].map(|half| half & u128::from(u64::MAX));
    // Where the two halves cancel each other out, `a` is still left.
    (u64::try_from(low ^ high).unwrap_or(0)).wrapping_add(a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_bit_and_the_length_count() {
        let bytes = [0_u8; 40];
        let mut seen = HashSet::new();
        for length in 0..bytes.len() {
            assert!(seen.insert(hash(&bytes[..length])));
        }
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(seen.insert(hash(&changed)), "bit {bit}");
        }
    }
}
