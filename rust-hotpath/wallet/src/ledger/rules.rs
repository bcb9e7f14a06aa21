//! The rules for ids, assets, amounts and times, which hold in entries as well as in requests. Rules that need the ledger,
//! such as that of releases, are in `apply`.

/// The largest amount of one entry, in minor units, of either sign.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000_000;
/// The most entries of one transaction.
pub const MAX_ENTRIES: usize = 1_000;
/// 0001-01-01T00:00:00Z in microseconds since the epoch.
pub const MIN_TIME_US: i64 = -62_135_596_800_000_000;
/// The last microsecond of 9999-12-31 UTC.
pub const MAX_TIME_US: i64 = 253_402_300_799_999_999;

const MAX_ID_BYTES: usize = 64;
/// The longest name of an asset.
pub const MAX_ASSET_BYTES: usize = 16;
const MAX_KIND_BYTES: usize = 32;

/// 1-64 bytes of printable ASCII without spaces.
#[must_use]
pub fn is_account_id(text: &str) -> bool {
    is_token(text, MAX_ID_BYTES)
}

/// 1-16 bytes of printable ASCII without spaces.
#[must_use]
pub fn is_asset(text: &str) -> bool {
    is_token(text, MAX_ASSET_BYTES)
}

/// 1-64 bytes of any text.
#[must_use]
pub fn is_transaction_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len())
}

/// At most 32 bytes of any text.
#[must_use]
pub fn is_kind(text: &str) -> bool {
    text.len() <= MAX_KIND_BYTES
}

/// Non-zero and at most 10^15 in size.
#[must_use]
pub fn is_amount(amount: i64) -> bool {
    amount != 0 && (-MAX_AMOUNT..=MAX_AMOUNT).contains(&amount)
}

/// From 0001-01-01 to 9999-12-31 UTC.
#[must_use]
pub fn is_time_us(time_us: i64) -> bool {
    (MIN_TIME_US..=MAX_TIME_US).contains(&time_us)
}

fn is_token(text: &str, max_bytes: usize) -> bool {
    (1..=max_bytes).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_printable_ascii_without_spaces() {
        assert!(is_account_id("!~"));
        assert!(is_account_id(&"a".repeat(64)));
        for bad in ["", "a b", "caf\u{e9}", "a\u{7f}", "a\n", &"a".repeat(65)] {
            assert!(!is_account_id(bad), "{bad:?}");
        }
        assert!(is_asset(&"A".repeat(16)));
        assert!(!is_asset(&"A".repeat(17)));
    }

    #[test]
    fn amounts_are_bounded_and_never_zero() {
        assert!(is_amount(MAX_AMOUNT) && is_amount(-MAX_AMOUNT));
        for bad in [0, MAX_AMOUNT + 1, -MAX_AMOUNT - 1, i64::MIN, i64::MAX] {
            assert!(!is_amount(bad), "{bad}");
        }
    }

    #[test]
    fn times_span_the_years_1_to_9999() {
        assert!(is_time_us(MIN_TIME_US) && is_time_us(MAX_TIME_US));
        assert!(!is_time_us(MIN_TIME_US - 1) && !is_time_us(MAX_TIME_US + 1));
    }
}
