//! Turns the DATA frames of a stream into gRPC messages.

use crate::{
    error::{Error, Kind},
    limits,
    serve::PREFIX,
};
use bytes::{Buf as _, Bytes, BytesMut};
use std::task::{Context, Poll, ready};

/// Where the bytes of a lane's requests come from.
pub(crate) trait Source {
    /// What comes next. Bytes that are handed out here have been taken: the peer may send as many more.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Came>;
}

/// What comes next on a lane.
pub(crate) enum Came {
    /// Bytes of messages, cut anywhere.
    Bytes(Bytes),
    /// The peer has ended its side.
    End,
    /// The stream broke off.
    Lost(Error),
}

/// Received bytes that are no whole message yet. A message that arrives in one piece is passed on without a copy.
#[derive(Debug, Default)]
pub struct Pieces {
    chunk: Bytes,
    /// Used when a message arrives in several pieces; `chunk` is empty then.
    joined: BytesMut,
}

impl Pieces {
    /// Adds the next bytes of the stream.
    pub fn push(&mut self, data: Bytes) {
        if self.is_empty() {
            self.chunk = data;
        } else {
            self.join(0);
            self.joined.extend_from_slice(&data);
        }
    }

    /// The first whole message. Call it until it returns `None` before you push more bytes; then at most one incomplete
    /// message is ever held.
    ///
    /// # Errors
    /// Fails if the next message is compressed or too long.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let held = if self.joined.is_empty() {
            &self.chunk[..]
        } else {
            &self.joined[..]
        };
        let Some(&[flag, a, b, c, d]) = held.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        if flag != 0 {
            let text = "ExchangeRequest: compressed messages are not supported";
            return Err(Error::new(Kind::Unsupported, text));
        }
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > limits::EXCHANGE_MESSAGE_BYTES {
            let most = limits::EXCHANGE_MESSAGE_BYTES;
            let text = format!("ExchangeRequest: must be at most {most} bytes, not {length}");
            return Err(Error::new(Kind::TooLong, text));
        }
        let whole = PREFIX + length;
        if held.len() < whole {
            self.join(whole);
            return Ok(None);
        }
        let mut message = if self.joined.is_empty() {
            self.chunk.split_to(whole)
        } else {
            let message = self.joined.split_to(whole).freeze();
            if self.joined.is_empty() {
                // Otherwise an idle lane would keep the room of its longest message.
                self.joined = BytesMut::new();
            }
            message
        };
        message.advance(PREFIX);
        Ok(Some(message))
    }

    /// The next message of `source`, or `None` once the peer has ended its side.
    pub(super) fn poll_message(
        &mut self,
        source: &mut impl Source,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            if let Some(message) = self.next()? {
                return Poll::Ready(Ok(Some(message)));
            }
            match ready!(source.poll_next(cx)) {
                Came::Bytes(data) => self.push(data),
                Came::End if self.is_empty() => return Poll::Ready(Ok(None)),
                Came::End => {
                    let text = "ExchangeRequest: the stream ends within a message";
                    return Poll::Ready(Err(Error::new(Kind::Argument, text)));
                }
                Came::Lost(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Whether the stream may end here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunk.is_empty() && self.joined.is_empty()
    }

    fn join(&mut self, expected: usize) {
        if !self.chunk.is_empty() {
            self.joined.reserve(expected.max(self.chunk.len()));
            self.joined.extend_from_slice(&self.chunk);
            self.chunk = Bytes::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in messages {
            bytes.push(0);
            bytes.extend_from_slice(&u32::try_from(message.len()).expect("short").to_be_bytes());
            bytes.extend_from_slice(message);
        }
        bytes
    }

    fn collect(pieces: &mut Pieces, found: &mut Vec<Vec<u8>>) -> Result<(), Error> {
        while let Some(message) = pieces.next()? {
            found.push(message.to_vec());
        }
        Ok(())
    }

    fn byte() -> impl Strategy<Value = u8> {
        prop_oneof![Just(0), any::<u8>()]
    }

    proptest! {
        #[test]
        fn messages_survive_any_splitting(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..90), 0..9),
            sizes in proptest::collection::vec(0..40_usize, 1..60),
        ) {
            let bytes = Bytes::from(framed(&messages));
            let (mut pieces, mut found, mut rest) = (Pieces::default(), Vec::new(), bytes);
            for size in sizes.iter().chain(std::iter::repeat(&7)) {
                if rest.is_empty() {
                    break;
                }
                pieces.push(rest.split_to((*size).min(rest.len())));
                collect(&mut pieces, &mut found).expect("good messages");
            }
            prop_assert_eq!(found, messages);
            prop_assert!(pieces.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            chunks in proptest::collection::vec(proptest::collection::vec(byte(), 0..20), 0..20)
        ) {
            let (mut pieces, mut found) = (Pieces::default(), Vec::new());
            for chunk in chunks {
                pieces.push(Bytes::from(chunk));
                if collect(&mut pieces, &mut found).is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_message_in_one_piece_is_not_copied() {
        let bytes = Bytes::from(framed(&[vec![1; 9], vec![2; 9]]));
        let mut pieces = Pieces::default();
        pieces.push(bytes.clone());
        let first = pieces.next().expect("good").expect("whole");
        assert_eq!(first.as_ptr(), bytes[PREFIX..].as_ptr());
        assert_eq!(pieces.next().expect("good").expect("whole"), &[2; 9][..]);
    }

    #[test]
    fn an_idle_lane_keeps_no_buffer() {
        let bytes = Bytes::from(framed(&[vec![1; 90]]));
        let mut pieces = Pieces::default();
        pieces.push(bytes.slice(..20));
        assert!(pieces.next().expect("good").is_none());
        pieces.push(bytes.slice(20..));
        assert!(pieces.next().expect("good").is_some());
        assert_eq!(pieces.joined.capacity(), 0);
    }

    #[test]
    fn what_is_too_long_or_compressed_is_refused_at_its_prefix() {
        let longest = limits::EXCHANGE_MESSAGE_BYTES;
        let prefix = |flag: u8, length: usize| {
            let length = u32::try_from(length).expect("short").to_be_bytes();
            Bytes::from([&[flag][..], &length].concat())
        };
        for (bytes, kind) in [
            (prefix(0, longest + 1), Kind::TooLong),
            (prefix(1, 3), Kind::Unsupported),
        ] {
            let mut pieces = Pieces::default();
            pieces.push(bytes);
            assert_eq!(pieces.next().expect_err("refused").kind(), kind);
        }
        let mut pieces = Pieces::default();
        pieces.push(prefix(0, longest));
        assert!(pieces.next().expect("good").is_none());
        pieces.push(Bytes::from(vec![0; longest]));
        assert_eq!(pieces.next().expect("good").expect("whole").len(), longest);
    }
}
