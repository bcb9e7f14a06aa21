//! The ids that requests ask for.

use crate::error::{Error, Kind, Result};
use std::path::Path;

/// An account with one of its assets, and when it was booked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Account id.
    pub account: String,
    /// One of its assets.
    pub asset: String,
    /// `occurred_at_us` of its first and last entry; reads of periods are drawn from between.
    pub span_us: (i64, i64),
}

/// Reads a list as `walletd ids` prints it (tab-separated: account, asset, entries, first_us, last_us; lines that begin
/// with `#` are skipped), or of account ids alone, which take their asset and span from `fallback`.
pub fn read(_path: &Path, _fallback: &Place) -> Result<Vec<Place>> {
    Err(Error::new(Kind::Internal, "not there yet"))
}
