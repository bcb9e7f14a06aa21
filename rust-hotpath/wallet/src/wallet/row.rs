//! Writes by hand the rows that are asked for most often, or of which a reply has thousands. Building a balance that
//! owns its asset, and measuring its length before writing it, took longer than finding the account.

use super::check;
use crate::ledger::rules::MAX_ASSET_BYTES;
use crate::stats::asof::Standing;
use crate::stats::series::Bucket;
use hotpath::model::Refusal;

/// A key and a number. A negative number takes ten bytes.
const NUMBER_BYTES: usize = 11;
/// The row's key and length, those of the asset, the asset, and eight numbers.
const ROW_BYTES: usize = 2 + 2 + MAX_ASSET_BYTES + 8 * NUMBER_BYTES;
/// A number is written as eight bytes. The next number overwrites those that it did not need.
const SPARE_BYTES: usize = 8;

// The length of a row takes one byte.
const _: () = assert!(ROW_BYTES - 2 < 0x80);

/// An encoded row with its key and length.
pub(super) struct Row {
    bytes: [u8; ROW_BYTES + SPARE_BYTES],
    len: usize,
}

/// Encodes a `Balance` as a field with this key.
pub(super) fn balance(key: u8, asset: &str, standing: &Standing) -> Result<Row, Refusal> {
    let counters = standing.counters;
    let mut row = Row::new();
    row.text(1, asset);
    for (tag, name, figure) in [
        (2, "credits_posted", counters.credits_posted),
        (3, "debits_posted", counters.debits_posted),
        (4, "credits_pending", counters.credits_pending),
        (5, "debits_pending", counters.debits_pending),
        (6, "posted", counters.posted()),
        (7, "available", counters.available()),
    ] {
        row.number(tag, check::fit(name, figure)?.cast_unsigned());
    }
    row.number(8, standing.entry_count);
    if let Some(at) = standing.last_occurred_at_us {
        row.present(9, at.cast_unsigned());
    }
    Ok(row.under(key))
}

/// Encodes a `TimeBucket` as a field with this key.
pub(super) fn bucket(key: u8, bucket: &Bucket) -> Result<Row, Refusal> {
    let mut row = Row::new();
    row.number(1, bucket.start_us.cast_unsigned());
    row.number(2, bucket.count);
    for (tag, name, figure) in [
        (3, "credit_sum", bucket.credit_sum),
        (4, "debit_sum", bucket.debit_sum),
        (5, "closing_balance", bucket.closing_balance),
    ] {
        row.number(tag, check::fit(name, figure)?.cast_unsigned());
    }
    Ok(row.under(key))
}

impl Row {
    #[inline]
    fn new() -> Self {
        Self {
            bytes: [0; ROW_BYTES + SPARE_BYTES],
            len: 2,
        }
    }

    #[inline]
    fn under(mut self, key: u8) -> Self {
        self.bytes[0] = key;
        self.bytes[1] = u8::try_from(self.len - 2).unwrap_or(u8::MAX);
        self
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Writes a field without presence. Such a field is left out when it is zero.
    fn number(&mut self, tag: u8, number: u64) {
        if number != 0 {
            self.present(tag, number);
        }
    }

    #[inline]
    fn present(&mut self, tag: u8, number: u64) {
        let (low, len) = varint(number);
        let at = self.len;
        self.bytes[at] = tag << 3;
        self.bytes[at + 1..at + 9].copy_from_slice(&low.to_le_bytes());
        if len > 8 {
            self.bytes[at + 8] |= 0x80;
            // Numbers of more than 56 bits take one or two bytes more.
            let high = number >> 56;
            self.bytes[at + 9] = (high & 0x7f).to_le_bytes()[0];
            if len > 9 {
                self.bytes[at + 9] |= 0x80;
                self.bytes[at + 10] = 1;
            }
        }
        self.len += 1 + len;
    }

    fn text(&mut self, tag: u8, text: &str) {
        // An asset is never longer.
        let len = text.len().min(MAX_ASSET_BYTES);
        if len > 0 {
            let at = self.len;
            self.bytes[at] = tag << 3 | 2;
            self.bytes[at + 1] = u8::try_from(len).unwrap_or(0);
            self.bytes[at + 2..at + 2 + len].copy_from_slice(&text.as_bytes()[..len]);
            self.len += 2 + len;
        }
    }
}

/// Returns the first eight bytes of a varint, and its length. It computes them without a loop, because a loop over the
/// bytes would end unpredictably.
#[inline]
fn varint(number: u64) -> (u64, usize) {
    let bits = u64::BITS - (number | 1).leading_zeros();
    let len = bits.div_ceil(7) as usize;
    // Each byte takes seven bits. So 56 bits are cut into halves, quarters and eighths.
    let x = number & 0x0fff_ffff | (number & 0x00ff_ffff_f000_0000) << 4;
    let x = x & 0x0000_3fff_0000_3fff | (x & 0x0fff_c000_0fff_c000) << 2;
    let x = x & 0x007f_007f_007f_007f | (x & 0x3f80_3f80_3f80_3f80) << 1;
    let more = (1 << (8 * (len.min(8) - 1))) - 1;
    (x | 0x8080_8080_8080_8080 & more, len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Counters;
    use crate::proto::{Balance, GetBalanceResponse, GetTimeSeriesResponse, TimeBucket};
    use proptest::prelude::*;
    use prost::Message as _;

    /// A number of any number of bits.
    fn number() -> impl Strategy<Value = i64> {
        (any::<i64>(), 0..64_u32).prop_map(|(number, shift)| number >> shift)
    }

    fn encoded(asset: &str, standing: &Standing) -> Option<Vec<u8>> {
        let row = balance(1 << 3 | 2, asset, standing).ok()?;
        Some(row.bytes().to_vec())
    }

    fn expected(asset: &str, standing: &Standing) -> Option<Vec<u8>> {
        let c = &standing.counters;
        let balance = Balance {
            asset: asset.to_owned(),
            credits_posted: c.credits_posted.try_into().ok()?,
            debits_posted: c.debits_posted.try_into().ok()?,
            credits_pending: c.credits_pending.try_into().ok()?,
            debits_pending: c.debits_pending.try_into().ok()?,
            posted: c.posted().try_into().ok()?,
            available: c.available().try_into().ok()?,
            entry_count: standing.entry_count,
            last_occurred_at_us: standing.last_occurred_at_us,
        };
        let balances = vec![balance];
        Some(GetBalanceResponse { balances }.encode_to_vec())
    }

    #[test]
    fn the_longest_row_fits() {
        let standing = Standing {
            counters: Counters {
                credits_posted: -5,
                debits_posted: -1,
                credits_pending: -1,
                debits_pending: -1,
            },
            entry_count: u64::MAX,
            last_occurred_at_us: Some(-1),
        };
        let asset = "A".repeat(MAX_ASSET_BYTES);
        let row = encoded(&asset, &standing);
        assert_eq!(row, expected(&asset, &standing));
        assert_eq!(row.map(|row| row.len()), Some(ROW_BYTES));
    }

    #[test]
    fn varints_are_exact_at_every_length() {
        for bits in 0..64 {
            for number in [(1_u64 << bits) - 1, 1 << bits, u64::MAX >> bits] {
                let standing = Standing {
                    entry_count: number,
                    ..Standing::default()
                };
                assert_eq!(encoded("", &standing), expected("", &standing), "{number}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_bucket_is_what_the_generated_code_writes(
            start_us in number(),
            count in number(),
            figures in prop::array::uniform3(number()),
        ) {
            let [credit_sum, debit_sum, closing_balance] = figures;
            let count = count.unsigned_abs();
            let row = bucket(1 << 3 | 2, &Bucket {
                start_us,
                count,
                credit_sum: credit_sum.into(),
                debit_sum: debit_sum.into(),
                closing_balance: closing_balance.into(),
            }).expect("figures that fit");
            let buckets = vec![TimeBucket { start_us, count, credit_sum, debit_sum, closing_balance }];
            let expected = GetTimeSeriesResponse { buckets }.encode_to_vec();
            prop_assert_eq!(row.bytes(), expected);
        }

        #[test]
        fn a_row_is_what_the_generated_code_writes(
            asset in "[!-~]{0,16}",
            figures in prop::array::uniform4(number()),
            entry_count in number(),
            last_occurred_at_us in prop::option::of(number()),
        ) {
            let [credits_posted, debits_posted, credits_pending, debits_pending] = figures.map(i128::from);
            let standing = Standing {
                counters: Counters { credits_posted, debits_posted, credits_pending, debits_pending },
                entry_count: entry_count.unsigned_abs(),
                last_occurred_at_us,
            };
            prop_assert_eq!(encoded(&asset, &standing), expected(&asset, &standing));
        }
    }
}
