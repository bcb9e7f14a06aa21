//! gRPC's framing of messages, and the encoding of texts in its headers.

/// Length of the prefix of a message: a flag for compression, and the message's length.
pub(crate) const PREFIX_BYTES: usize = 5;
/// The largest reply that is kept. Where replies are kept, a larger one counts as RESOURCE_EXHAUSTED.
pub(crate) const MAX_KEPT_BYTES: usize = 64 << 20;

/// Follows the one message of a reply through the pieces in which it comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    received: u64,
    length: u32,
    compressed: bool,
}

impl Progress {
    /// Takes the next piece, and returns the part of it that belongs to the message itself.
    pub(crate) fn take<'a>(&mut self, mut piece: &'a [u8]) -> &'a [u8] {
        while self.received < PREFIX_BYTES as u64 {
            let Some((&byte, rest)) = piece.split_first() else {
                return piece;
            };
            match self.received {
                0 => self.compressed = byte != 0,
                _ => self.length = self.length << 8 | u32::from(byte),
            }
            self.received += 1;
            piece = rest;
        }
        self.received += piece.len() as u64;
        piece
    }

    /// Whether exactly one message was received, and is not compressed.
    pub(crate) fn whole(&self) -> bool {
        let expected = PREFIX_BYTES as u64 + u64::from(self.length);
        self.received == expected && !self.compressed
    }
}

/// The prefix of a message of this length.
pub(crate) fn prefix(length: u32) -> [u8; PREFIX_BYTES] {
    let [a, b, c, d] = length.to_be_bytes();
    [0, a, b, c, d]
}

/// Decodes a `grpc-message`: `%XX` is a byte, and what is not UTF-8 is replaced.
pub(crate) fn percent_decode(text: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%'
            && let Some((&[high, low], after)) = rest.split_first_chunk()
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            decoded.push(high << 4 | low);
            rest = after;
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_in_any_pieces() {
        let mut bytes = prefix(300).to_vec();
        bytes.extend([7; 300]);
        for size in [1, 2, 4, 5, 6, 304, 305] {
            let mut progress = Progress::default();
            let mut message: Vec<u8> = Vec::new();
            for piece in bytes.chunks(size) {
                assert!(!progress.whole());
                message.extend_from_slice(progress.take(piece));
            }
            assert!(progress.whole());
            assert_eq!(message, [7; 300]);
        }
    }

    #[test]
    fn too_much_too_little_and_compressed_are_not_whole() {
        for bytes in [
            &[0, 0, 0, 0, 1][..],
            &[0, 0, 0, 0, 0, 9],
            &[1, 0, 0, 0, 0],
            &[0, 0],
        ] {
            let mut progress = Progress::default();
            progress.take(bytes);
            assert!(!progress.whole(), "{bytes:?}");
        }
    }

    #[test]
    fn percents_are_decoded_and_broken_ones_left() {
        assert_eq!(percent_decode(b"50%25 of %C3%A9"), "50% of \u{e9}");
        assert_eq!(percent_decode(b"100% %4 %zz %ff"), "100% %4 %zz \u{fffd}");
    }
}
