//! Compressed messages, for gRPC's `grpc-encoding: gzip`.

use super::{Answered, Core, Share, frame, thread_failed};
use crate::{
    error::{Error, Kind},
    limits,
    model::Model,
};
use bytes::Bytes;
use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use std::{
    io::{Read as _, Write as _},
    sync::Arc,
};

impl<M: Model> Core<M> {
    /// Decompresses a request. It does so here if the message is short both before and after, and otherwise on a thread
    /// that serves no connections.
    pub(super) async fn unpack(&self, packed: Bytes, share: &mut Share) -> Result<Bytes, Error> {
        if packed.len() <= limits::SHORT_MESSAGE_BYTES {
            let short = unpack(&packed, limits::SHORT_MESSAGE_BYTES, |_| Ok(()))?;
            if let Some(message) = short {
                return Ok(message.into());
            }
        }
        let (budget, most) = (Arc::clone(&self.budget), self.config.max_message_bytes);
        let mut held = std::mem::take(share);
        let unpacked = self.apart(move || {
            let grow = |bytes| budget.grow(&mut held, packed.len() + bytes);
            let message = unpack(&packed, most, grow);
            (message, held)
        });
        let (message, held) = unpacked.await.map_err(thread_failed)?;
        *share = held;
        message?.map(Bytes::from).ok_or_else(|| {
            let text = format!("the request is longer than {most} bytes once decompressed");
            Error::new(Kind::TooLong, text)
        })
    }

    /// Compresses the reply of a compressed request unless it is empty, as grpc-go does.
    pub(super) async fn pack(
        &self,
        (answer, mut reply, permit): Answered,
    ) -> Result<Answered, Error> {
        if answer.verdict.is_none() && reply.len() > frame::PREFIX {
            reply[0] = frame::PACKED;
            reply = if reply.len() <= limits::INLINE_PACK_BYTES {
                pack(&reply, frame::PREFIX)?
            } else {
                let share = self.hold(reply.capacity())?;
                let packed = self.apart(move || {
                    let _share = share;
                    pack(&reply, frame::PREFIX)
                });
                packed.await.map_err(thread_failed)??
            };
        }
        Ok((answer, reply, permit))
    }
}

/// Decompresses a message of at most `most` bytes. It asks `grow` before it holds more of the message. It returns
/// `None` if the message is longer, and then has not decompressed the rest, however long that is.
fn unpack(
    packed: &[u8],
    most: usize,
    mut grow: impl FnMut(usize) -> Result<(), Error>,
) -> Result<Option<Vec<u8>>, Error> {
    let mut decoder = MultiGzDecoder::new(packed);
    let (mut message, mut room) = (Vec::new(), limits::SHORT_MESSAGE_BYTES);
    loop {
        // One byte above the limit tells whether there is more.
        room = room.min(most.saturating_add(1));
        grow(room)?;
        let more = room - message.len();
        message.reserve_exact(more);
        let taken = decoder.by_ref().take(more as u64).read_to_end(&mut message);
        let taken = taken.map_err(|error| {
            let text = "the request cannot be decompressed";
            Error::new(Kind::Malformed, text).because(error)
        })?;
        if message.len() > most {
            return Ok(None);
        }
        if taken < more {
            return Ok(Some(message));
        }
        room *= 2;
    }
}

/// Compresses what follows the first `head` bytes, with the least effort. More effort would save a caller with a slow
/// line few more bytes.
fn pack(plain: &[u8], head: usize) -> Result<Vec<u8>, Error> {
    let (head, message) = plain.split_at(head);
    let mut encoder = GzEncoder::new(head.to_vec(), Compression::fast());
    let packed = encoder.write_all(message).and_then(|()| encoder.finish());
    packed.map_err(|error| Error::new(Kind::Io, "the reply cannot be compressed").because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(message: &[u8]) -> Vec<u8> {
        pack(message, 0).expect("packed")
    }

    fn free(_: usize) -> Result<(), Error> {
        Ok(())
    }

    #[test]
    fn what_was_packed_is_unpacked_up_to_the_limit() {
        for length in [0, 1, 8_191, 8_192, 8_193, 100_000] {
            let message: Vec<u8> = (0..length)
                .map(|n| u8::try_from(n % 251).expect("small"))
                .collect();
            let bytes = packed(&message);
            let unpacked = unpack(&bytes, length, free).expect("good");
            assert_eq!(unpacked.as_deref(), Some(&message[..]), "{length}");
            if length > 0 {
                assert_eq!(unpack(&bytes, length - 1, free).expect("good"), None);
            }
        }
        let framed = pack(b"\x01\0\0\0\0abc", 5).expect("packed");
        assert_eq!(framed[..5], *b"\x01\0\0\0\0");
        assert_eq!(
            unpack(&framed[5..], 3, free).expect("good").as_deref(),
            Some(&b"abc"[..])
        );
    }

    #[test]
    fn a_bomb_takes_no_more_than_the_limit() {
        let bomb = packed(&vec![0; 64 << 20]);
        assert!(bomb.len() < 400_000);
        let mut most = 0;
        let count = |bytes| {
            most = bytes;
            Ok(())
        };
        assert_eq!(unpack(&bomb, 100_000, count).expect("good"), None);
        assert_eq!(most, 100_001);
        let full = |bytes| match bytes {
            0..50_000 => Ok(()),
            _ => Err(Error::new(Kind::Overloaded, "full")),
        };
        let refused = unpack(&bomb, 100_000, full).expect_err("refused");
        assert_eq!(refused.kind(), Kind::Overloaded);
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let good = packed(b"abc");
        let mut damaged = good.clone();
        damaged[good.len() - 5] ^= 1;
        for bytes in [&good[..good.len() - 1], &good[..3], &damaged, b"", b"plain"] {
            let refused = unpack(bytes, 100, free).expect_err("refused");
            assert_eq!(refused.kind(), Kind::Malformed, "{bytes:?}");
        }
        let trailing = [&good[..], b"x"].concat();
        assert!(unpack(&trailing, 100, free).is_err());
        let twice = unpack(&[&good[..], &good].concat(), 100, free);
        assert_eq!(twice.expect("two members").as_deref(), Some(&b"abcabc"[..]));
    }
}
