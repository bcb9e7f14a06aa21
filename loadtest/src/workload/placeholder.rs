//! Placeholders: texts of a request that begin with `$`; see [`crate::workload`].

use std::ops::RangeInclusive;

/// The most accounts that a request may name.
const MAX_ACCOUNTS: usize = 1_000;
const KNOWN: &str = "$account, $asset, $counterparty, $accounts:N, $from_us, $to_us, $position";

/// One placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placeholder {
    Account,
    Asset,
    Counterparty,
    Accounts(RangeInclusive<usize>),
    From(Length),
    To(Length),
    /// With `None` the highest position is the number of the ledger's transactions.
    Position(Option<u64>),
}

/// The length of a period in microseconds, or `None` for a random one.
pub(crate) type Length = Option<i64>;

/// The kinds of fields that a placeholder may stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fits {
    Text,
    Texts,
    Time,
    Number,
}

impl Placeholder {
    /// Parses a placeholder, which includes its dollar sign.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        match (name, argument) {
            ("$account", None) => Ok(Self::Account),
            ("$asset", None) => Ok(Self::Asset),
            ("$counterparty", None) => Ok(Self::Counterparty),
            ("$accounts", Some(count)) => accounts(count).map(Self::Accounts),
            ("$from_us", length) => length_of(length).map(Self::From),
            ("$to_us", length) => length_of(length).map(Self::To),
            ("$position", None) => Ok(Self::Position(None)),
            ("$position", Some(last)) => position(last).map(|last| Self::Position(Some(last))),
            _ => Err(format!(
                "unknown placeholder {text:?}; known are {KNOWN}; $$ begins a text with a dollar sign"
            )),
        }
    }

    /// Returns the kind of field that it may stand in.
    pub(crate) fn fits(&self) -> Fits {
        match self {
            Self::Account | Self::Asset | Self::Counterparty => Fits::Text,
            Self::Accounts(_) => Fits::Texts,
            Self::From(_) | Self::To(_) => Fits::Time,
            Self::Position(_) => Fits::Number,
        }
    }
}

impl Fits {
    /// Returns the kind's name, for errors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Texts => "a repeated string",
            Self::Time => "an int64",
            Self::Number => "an int64, uint32 or uint64",
        }
    }
}

fn accounts(text: &str) -> Result<RangeInclusive<usize>, String> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let bounds = (low.parse::<usize>(), high.parse::<usize>());
    match bounds {
        (Ok(low), Ok(high)) if 1 <= low && low <= high && high <= MAX_ACCOUNTS => Ok(low..=high),
        _ => Err(format!(
            "$accounts takes a number of accounts from 1 to {MAX_ACCOUNTS}, or two such as 20-50, not {text:?}"
        )),
    }
}

fn length_of(text: Option<&str>) -> Result<Length, String> {
    let Some(text) = text else {
        return Ok(None);
    };
    let seconds = match text.as_bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3_600,
        Some(b'd') => 86_400,
        _ => 0,
    };
    // A century is more than any ledger holds, and far from an overflow.
    let number = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
    let length = number.parse::<i64>().ok().filter(|n| *n > 0);
    let length = length.and_then(|n| n.checked_mul(seconds));
    match length.filter(|seconds| (1..=100 * 366 * 86_400).contains(seconds)) {
        Some(seconds) => Ok(Some(seconds * 1_000_000)),
        None => Err(format!(
            "a period takes a length up to a century, such as 90s, 15m, 12h or 30d, not {text:?}"
        )),
    }
}

fn position(text: &str) -> Result<u64, String> {
    let last = text.parse::<u64>().ok();
    last.filter(|last| (1..=u64::from(u32::MAX)).contains(last))
        .ok_or_else(|| {
            format!(
                "$position takes the highest position, from 1 to {}, not {text:?}",
                u32::MAX
            )
        })
}
