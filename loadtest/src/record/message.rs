//! gRPC's framing of messages: a byte that says whether the message is compressed, four bytes of length (big-endian),
//! the message.

use super::journal::Why;

const PREFIX: usize = 5;

/// Collects the one message of a unary request from the pieces in which it comes.
#[derive(Debug)]
pub(super) struct Single {
    bytes: Vec<u8>,
    max_bytes: usize,
    refused: Option<Why>,
}

impl Single {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            bytes: Vec::new(),
            max_bytes,
            refused: None,
        }
    }

    /// Takes the next piece. Once it is clear that the request won't be recorded, nothing is kept.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        if self.refused.is_some() {
            return;
        }
        let room = (PREFIX + self.max_bytes + 1).saturating_sub(self.bytes.len());
        self.bytes
            .extend_from_slice(&piece[..piece.len().min(room)]);
        self.refused = match (self.bytes.first(), self.length()) {
            (Some(compressed), _) if *compressed != 0 => Some(Why::Compressed),
            (_, Some(length)) if length > self.max_bytes => Some(Why::TooLarge),
            (_, Some(length)) if self.bytes.len() > PREFIX + length => Some(Why::Streaming),
            _ => None,
        };
        if self.refused.is_some() {
            self.bytes = Vec::new();
        }
    }

    /// Returns the message, at the end of the stream.
    pub(super) fn take(&mut self) -> Result<Vec<u8>, Why> {
        if let Some(why) = self.refused {
            return Err(why);
        }
        match self.length() {
            Some(length) if self.bytes.len() == PREFIX + length => Ok(self.bytes.split_off(PREFIX)),
            None if self.bytes.is_empty() => Err(Why::Streaming),
            _ => Err(Why::Unfinished),
        }
    }

    fn length(&self) -> Option<usize> {
        let length = self.bytes.get(1..PREFIX)?.try_into().ok()?;
        usize::try_from(u32::from_be_bytes(length)).ok()
    }
}

/// Counts the messages of a stream.
#[derive(Debug, Default)]
pub(super) struct Counter {
    prefix: Vec<u8>,
    left: usize,
    messages: u64,
}

impl Counter {
    /// Takes the next piece.
    pub(super) fn feed(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(piece.len());
                self.left -= skipped;
                piece = &piece[skipped..];
                continue;
            }
            let (taken, rest) = piece.split_at(piece.len().min(PREFIX - self.prefix.len()));
            self.prefix.extend_from_slice(taken);
            piece = rest;
            if let Ok([_, length @ ..]) = <[u8; PREFIX]>::try_from(self.prefix.as_slice()) {
                self.left = u32::from_be_bytes(length) as usize;
                self.messages += 1;
                self.prefix.clear();
            }
        }
    }

    /// Returns the number of messages that began.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
        let frame = |message: &Vec<u8>| {
            let length = u32::try_from(message.len()).unwrap().to_be_bytes();
            [&[0], &length[..], message].concat()
        };
        messages.iter().flat_map(frame).collect()
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_make_the_same_messages(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..4),
            size in 1..30_usize,
        ) {
            let (mut single, mut counter) = (Single::new(16), Counter::default());
            for piece in framed(&messages).chunks(size) {
                single.feed(piece);
                counter.feed(piece);
            }
            prop_assert_eq!(counter.messages(), messages.len() as u64);
            let expected = match &messages[..] {
                [first, ..] if first.len() > 16 => Err(Why::TooLarge),
                [only] => Ok(only.clone()),
                _ => Err(Why::Streaming),
            };
            prop_assert_eq!(single.take(), expected);
        }

        #[test]
        fn no_bytes_make_it_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..8)) {
            let (mut single, mut counter) = (Single::new(16), Counter::default());
            for piece in &pieces {
                single.feed(piece);
                counter.feed(piece);
            }
            prop_assert!(single.take().is_ok_and(|message| message.len() <= 16) || single.take().is_err());
        }
    }

    #[test]
    fn a_request_that_is_cut_is_not_whole() {
        for end in 1..8 {
            let mut single = Single::new(16);
            single.feed(&framed(&[vec![1, 2, 3]])[..end]);
            assert_eq!(single.take(), Err(Why::Unfinished));
        }
    }
}
