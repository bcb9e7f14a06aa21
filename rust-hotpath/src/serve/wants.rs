//! Reads what a request's metadata says about positions and time. The rules and texts are those of the shim's
//! `position` package.

use hyper::http::HeaderMap;
use std::time::Duration;

const PREFIX: &str = "x-hotpath-";
pub(crate) const POSITION: &str = "x-hotpath-position";
const MIN: &str = "x-hotpath-min-position";
const AT: &str = "x-hotpath-at-position";
const TIMEOUT: &str = "grpc-timeout";

/// What the metadata of one request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wants {
    /// Whether the request has any `x-hotpath-*` key. The response then says its position.
    pub asked: bool,
    /// The bounds, or the rule that the metadata breaks.
    pub bounds: Result<Bounds, String>,
    /// The caller's remaining time.
    pub timeout: Option<Duration>,
}

/// The positions that may answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The lowest position.
    pub min: u64,
    /// The only position, if one is named.
    pub at: Option<u64>,
}

impl Wants {
    /// Reads the keys.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let asked = headers.keys().any(|key| key.as_str().starts_with(PREFIX));
        let bounds = if asked {
            Bounds::read(headers)
        } else {
            Ok(Bounds::default())
        };
        Self {
            asked,
            bounds,
            timeout: timeout_of(headers),
        }
    }
}

impl Bounds {
    fn read(headers: &HeaderMap) -> Result<Self, String> {
        let min = number(headers, MIN)?.unwrap_or(0);
        let at = number(headers, AT)?;
        Self::new(min, at)
    }

    /// # Errors
    /// Returns the rule that the bounds break.
    pub(crate) fn new(min: u64, at: Option<u64>) -> Result<Self, String> {
        if at.is_some_and(|at| at < min) {
            return Err(format!("{AT}: must not be below {MIN}"));
        }
        Ok(Self { min, at })
    }

    /// The position that must be published before the request can be answered.
    #[must_use]
    pub fn target(&self) -> u64 {
        self.at.unwrap_or(self.min)
    }
}

/// How long to wait for a position. It keeps back a little time, so that a refusal still reaches the caller.
pub(super) fn wait_budget(timeout: Option<Duration>, most: Duration, spent: Duration) -> Duration {
    const REPLY: Duration = Duration::from_millis(20);
    let Some(timeout) = timeout else {
        return most;
    };
    let kept_back = REPLY.min(timeout / 10);
    most.min(timeout.saturating_sub(spent + kept_back))
}

fn number(headers: &HeaderMap, key: &str) -> Result<Option<u64>, String> {
    let mut values = headers.get_all(key).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(format!("{key}: must be given once"));
    }
    let digits = value
        .to_str()
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse().ok());
    number
        .map(Some)
        .ok_or_else(|| format!("{key}: must be an unsigned 64-bit decimal"))
}

/// The caller's remaining time, from headers that [`super::admit`] accepted.
pub(crate) fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    timeout(headers).unwrap_or(None)
}

/// The caller's remaining time. If there are several values, the last one counts but all must be well formed, as in
/// grpc-go.
///
/// # Errors
/// Returns the rule that is broken.
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, String> {
    let mut last = None;
    for value in headers.get_all(TIMEOUT) {
        let parsed = value.to_str().ok().and_then(duration);
        let rule =
            || format!("malformed {TIMEOUT}: must be 1 to 8 digits and one of H, M, S, m, u and n");
        last = Some(parsed.ok_or_else(rule)?);
    }
    Ok(last)
}

/// A value of `grpc-timeout`; none if it is malformed.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.len().checked_sub(1)?;
    let (digits, unit) = (text.get(..unit_at)?, text.get(unit_at..)?);
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::http::{HeaderName, HeaderValue};

    fn read(pairs: &[(&'static str, &str)]) -> Wants {
        let mut headers = HeaderMap::new();
        for (key, value) in pairs {
            let value = HeaderValue::from_str(value).expect("a legal value");
            headers.append(HeaderName::from_static(key), value);
        }
        Wants::read(&headers)
    }

    fn rule(pairs: &[(&'static str, &str)]) -> String {
        let wants = read(pairs);
        assert!(wants.asked);
        wants.bounds.expect_err("a broken rule")
    }

    #[test]
    fn nothing_asked_nothing_said() {
        let wants = read(&[("authorization", "x")]);
        assert_eq!(
            wants,
            Wants {
                asked: false,
                bounds: Ok(Bounds::default()),
                timeout: None
            }
        );
    }

    #[test]
    fn any_key_of_the_prefix_asks() {
        assert!(read(&[("x-hotpath-position", "want")]).asked);
        assert!(read(&[("x-hotpath-whatever", "")]).asked);
    }

    #[test]
    fn bounds() {
        let both = read(&[(MIN, "7"), (AT, "007")]).bounds.expect("good");
        assert_eq!(
            both,
            Bounds {
                min: 7,
                at: Some(7)
            }
        );
        let largest = read(&[(MIN, "18446744073709551615")]).bounds.expect("good");
        assert_eq!(largest.target(), u64::MAX);
        let empty = read(&[(AT, "0")]).bounds.expect("good");
        assert_eq!((empty.at, empty.target()), (Some(0), 0));
    }

    #[test]
    fn broken_rules_in_order() {
        let decimal = "x-hotpath-min-position: must be an unsigned 64-bit decimal";
        for bad in [
            "",
            "+1",
            "-1",
            "1.0",
            "1_000",
            "0x1",
            " 1",
            "18446744073709551616",
        ] {
            assert_eq!(rule(&[(MIN, bad)]), decimal, "{bad:?}");
        }
        assert_eq!(rule(&[(MIN, "x"), (AT, "x")]), decimal);
        assert_eq!(
            rule(&[(AT, "x")]),
            "x-hotpath-at-position: must be an unsigned 64-bit decimal"
        );
        assert_eq!(
            rule(&[(MIN, "1"), (MIN, "1")]),
            "x-hotpath-min-position: must be given once"
        );
        let below = "x-hotpath-at-position: must not be below x-hotpath-min-position";
        assert_eq!(rule(&[(MIN, "8"), (AT, "7")]), below);
    }

    #[test]
    fn timeouts() {
        assert_eq!(duration("100m"), Some(Duration::from_millis(100)));
        assert_eq!(
            duration("99999999H"),
            Some(Duration::from_secs(99_999_999 * 3_600))
        );
        for bad in ["", "S", "1", "-1S", "123456789S", "1x", "1é"] {
            assert_eq!(duration(bad), None, "{bad:?}");
        }
        let two = read(&[(TIMEOUT, "1S"), (TIMEOUT, "2S")]);
        assert_eq!(two.timeout, Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_wait_ends_before_the_deadline() {
        let most = Duration::from_secs(5);
        assert_eq!(wait_budget(None, most, Duration::ZERO), most);
        let tight = Some(Duration::from_millis(20));
        assert_eq!(
            wait_budget(tight, most, Duration::from_millis(8)),
            Duration::from_millis(10)
        );
        assert_eq!(wait_budget(tight, most, most), Duration::ZERO);
    }
}
