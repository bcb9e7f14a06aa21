//! Fuzzes the way from the bytes of a stream to its messages. The messages must not depend on how the bytes are split.

use bytes::Bytes;
use hotpath::{error::Kind, exchange::Pieces, limits};

const PREFIX: usize = 5;
/// Streams that are at most this long are split at every place.
const SHORT_BYTES: usize = 64;

/// The messages of a stream, and why the next one cannot be read.
#[derive(Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) messages: Vec<Bytes>,
    pub(crate) end: End,
}

#[derive(Debug, PartialEq)]
pub(crate) enum End {
    Whole,
    Within,
    Fault(Kind),
}

/// Tests one input. Its first byte says how to split the others.
pub(crate) fn splits_alike(data: &[u8]) {
    let Some((split, stream)) = data.split_first() else {
        return;
    };
    let stream = Bytes::copy_from_slice(stream);
    let expected = told(&stream);
    assert_eq!(collected(chunks(*split, &stream)), expected);
    if stream.len() <= SHORT_BYTES {
        for at in 0..=stream.len() {
            let halves = [stream.slice(..at), stream.slice(at..)];
            assert_eq!(collected(halves.into_iter()), expected, "split at {at}");
        }
    }
}

/// Reads the stream as a whole.
pub(crate) fn told(stream: &Bytes) -> Told {
    let (mut messages, mut rest) = (Vec::new(), stream.clone());
    let end = loop {
        let Some(&[flag, a, b, c, d]) = rest.first_chunk::<PREFIX>() else {
            break if rest.is_empty() {
                End::Whole
            } else {
                End::Within
            };
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if flag != 0 {
            break End::Fault(Kind::Unsupported);
        }
        if length > limits::EXCHANGE_MESSAGE_BYTES {
            break End::Fault(Kind::TooLong);
        }
        if rest.len() < PREFIX + length {
            break End::Within;
        }
        messages.push(rest.split_to(PREFIX + length).slice(PREFIX..));
    };
    Told { messages, end }
}

/// Splits a stream. If `split` is 0, it stays in one piece. Otherwise the pieces have made-up sizes of at most `split`
/// squared.
pub(crate) fn chunks(split: u8, stream: &Bytes) -> impl Iterator<Item = Bytes> {
    let most = usize::from(split) * usize::from(split);
    let (mut rest, mut state) = (stream.clone(), u32::from(split));
    std::iter::from_fn(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = match most {
            0 => rest.len(),
            most => 1 + (state >> 8) as usize % most,
        };
        (!rest.is_empty()).then(|| rest.split_to(size.min(rest.len())))
    })
}

fn collected(chunks: impl Iterator<Item = Bytes>) -> Told {
    let (mut pieces, mut messages) = (Pieces::default(), Vec::new());
    for chunk in chunks {
        pieces.push(chunk);
        loop {
            match pieces.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => {
                    let end = End::Fault(error.kind());
                    return Told { messages, end };
                }
            }
        }
    }
    let end = match pieces.is_empty() {
        true => End::Whole,
        false => End::Within,
    };
    Told { messages, end }
}
