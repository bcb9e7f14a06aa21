//! Unsigned 256-bit integers, with only the operations that a standard deviation needs.

const HALF_BITS: u32 = 64;
const HALF_MASK: u128 = (1 << HALF_BITS) - 1;

/// `high * 2^128 + low`. The fields are in the order in which they decide comparisons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wide {
    high: u128,
    low: u128,
}

impl Wide {
    /// `a * b`. The product of any two u128 fits.
    #[must_use]
    pub fn product(a: u128, b: u128) -> Self {
        let (a_high, a_low) = (a >> HALF_BITS, a & HALF_MASK);
        let (b_high, b_low) = (b >> HALF_BITS, b & HALF_MASK);
        let (cross_a, cross_b) = (a_high * b_low, a_low * b_high);
        let low = a_low * b_low;
        // The sum of three numbers below 2^64 cannot overflow.
        let middle = (low >> HALF_BITS) + (cross_a & HALF_MASK) + (cross_b & HALF_MASK);
        Self {
            high: a_high * b_high
                + (cross_a >> HALF_BITS)
                + (cross_b >> HALF_BITS)
                + (middle >> HALF_BITS),
            low: middle << HALF_BITS | low & HALF_MASK,
        }
    }

    /// `self + term`, which must fit.
    #[must_use]
    pub fn plus(self, term: u128) -> Self {
        let (low, carry) = self.low.overflowing_add(term);
        Self {
            high: self.high + u128::from(carry),
            low,
        }
    }

    /// `self * factor`, which must fit.
    #[must_use]
    pub fn times(self, factor: u64) -> Self {
        let product = Self::product(self.low, u128::from(factor));
        Self {
            high: product.high + self.high * u128::from(factor),
            low: product.low,
        }
    }

    /// Its square root, with the error of an `f64`: a few parts in 2^53.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
    pub fn root(self) -> f64 {
        const HIGH: f64 = 340_282_366_920_938_463_463_374_607_431_768_211_456.0; // 2^128
        (self.high as f64).mul_add(HIGH, self.low as f64).sqrt()
    }

    /// `self - other`, which must not be negative.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        let (low, borrow) = self.low.overflowing_sub(other.low);
        Self {
            high: self.high - other.high - u128::from(borrow),
            low,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigUint;
    use proptest::prelude::*;

    fn big(wide: Wide) -> BigUint {
        (BigUint::from(wide.high) << 128) + wide.low
    }

    #[test]
    fn the_largest_product_fits() {
        let max = BigUint::from(u128::MAX);
        assert_eq!(big(Wide::product(u128::MAX, u128::MAX)), &max * &max);
    }

    proptest! {
        #[test]
        #[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
        fn a_root_is_near(a in 0..=1_u128 << 100) {
            let root = Wide::product(a, a).root();
            prop_assert!((root - a as f64).abs() <= a as f64 * 1e-15, "{root} for {a}");
        }

        #[test]
        fn agrees_with_big_integers(a: u128, b: u128, c: u128, n: u64) {
            let product = Wide::product(a, b);
            prop_assert_eq!(big(product), BigUint::from(a) * b);
            // It is below 2^192, so that every step fits.
            let small = Wide { high: product.high >> 65, low: product.low };
            let result = small.plus(c).times(n);
            prop_assert_eq!(big(result), (big(small) + c) * n);
            let (less, more) = if product < small { (product, small) } else { (small, product) };
            prop_assert_eq!(big(more.minus(less)), big(more) - big(less));
            prop_assert_eq!(product.cmp(&result), big(product).cmp(&big(result)));
        }
    }
}
