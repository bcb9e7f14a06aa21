//! Compares the parser of requests with the generated type.

use hotpath::{
    error::{Error, Kind},
    exchange::{Cursor, Item},
    proto::hotpath::{ExchangeRequest, RequestFrame},
};
use prost::Message as _;

/// Tests one input. Both must accept the same bytes and read the same from them. Whatever the parser reads must lie in
/// the message.
pub(crate) fn agree(message: &[u8]) {
    match (parsed(message), ExchangeRequest::decode(message)) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs),
        (Err(ours), Err(_)) => assert_eq!(ours.kind(), Kind::Argument),
        (ours, theirs) => assert_eq!(format!("{ours:?}"), format!("{theirs:?}")),
    }
}

fn parsed(message: &[u8]) -> Result<ExchangeRequest, Error> {
    let lies_within = |part: &[u8]| {
        let (all, part) = (message.as_ptr_range(), part.as_ptr_range());
        part.is_empty() || (all.start <= part.start && part.end <= all.end)
    };
    let mut all = ExchangeRequest::default();
    let mut cursor = Cursor::default();
    while let Some(item) = cursor.next(message)? {
        let frame = match item {
            Item::Cancelled(id) => {
                all.cancelled.push(id);
                continue;
            }
            Item::Request(frame) => frame,
        };
        let texts = [frame.traceparent, frame.tracestate].map(str::as_bytes);
        assert!(lies_within(frame.body) && texts.into_iter().all(lies_within));
        // Checking must work for any frame.
        let _ = frame.check(usize::from(u8::MAX));
        all.requests.push(RequestFrame {
            id: frame.id,
            method: frame.method,
            budget_us: frame.budget_us,
            min_position: frame.min_position,
            at_position: frame.at_position,
            body: frame.body.to_vec(),
            traceparent: frame.traceparent.to_owned(),
            tracestate: frame.tracestate.to_owned(),
        });
    }
    Ok(all)
}
