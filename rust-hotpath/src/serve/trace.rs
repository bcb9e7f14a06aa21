//! Logs the caller's trace context when a request failed or took long. The sidecar calls nobody, so it has nothing to
//! pass the context on to.

use crate::limits;
use std::time::Duration;
use tonic::Code;

/// The header with the caller's trace context, as W3C Trace Context defines it.
pub(super) const TRACEPARENT: &str = "traceparent";

/// Logs how a request ended, if that is worth a line. It asks for `traceparent` only then.
#[inline]
pub(crate) fn ended<'a>(
    method: &str,
    code: Code,
    took: Duration,
    traceparent: impl FnOnce() -> &'a str,
) {
    let notable = code != Code::Ok || took >= limits::SLOW_REPLY;
    if notable && tracing::enabled!(tracing::Level::DEBUG) {
        tell(method, code, took, traceparent());
    }
}

#[cold]
fn tell(method: &str, code: Code, took: Duration, traceparent: &str) {
    let (trace_id, parent_id) = ids(traceparent).unwrap_or_default();
    tracing::debug!(method, ?code, ?took, trace_id, parent_id, "a request ended");
}

/// The trace id and the parent id. Nothing else of the header is ever logged, because callers may send any text.
fn ids(traceparent: &str) -> Option<(&str, &str)> {
    let mut parts = traceparent.split('-');
    let version = hex(parts.next()?, 2).filter(|version| *version != "ff")?;
    let ids = (hex(parts.next()?, 32)?, hex(parts.next()?, 16)?);
    hex(parts.next()?, 2)?;
    // Only later versions may have more parts.
    (parts.next().is_none() || version != "00").then_some(ids)
}

fn hex(text: &str, digits: usize) -> Option<&str> {
    let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(is_hex)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    #[test]
    fn only_a_trace_context_is_logged() {
        let good = format!("00-{TRACE}-{PARENT}-01");
        assert_eq!(ids(&good), Some((TRACE, PARENT)));
        let later = format!("cc-{TRACE}-{PARENT}-01-what-ever");
        assert_eq!(ids(&later), Some((TRACE, PARENT)));
        let bad = [
            String::new(),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}0-{PARENT}-01"),
            format!("00-{}-{PARENT}-01", "\n".repeat(32)),
        ];
        for traceparent in bad {
            assert_eq!(ids(&traceparent), None, "{traceparent:?}");
        }
    }
}
