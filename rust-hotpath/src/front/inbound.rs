//! What has come on a lane's stream and was not taken by the lane, and what its client may send ahead.
//!
//! ```text
//!  DATA ──> waiting ── taken by the lane ──> uncredited ── a quarter of the window ──> WINDOW_UPDATE
//!           └────── together at most a window: more breaks a rule ──────┘
//! ```

use crate::{
    exchange::{Came, Source},
    limits,
};
use bytes::BytesMut;
use std::task::{Context, Poll};

/// What the client may send ahead on each stream.
const WINDOW_BYTES: usize = limits::STREAM_WINDOW_BYTES as usize;
/// Bytes that are credited together.
const CREDIT_BYTES: usize = WINDOW_BYTES / 4;
/// Bytes that are taken together: as many as one read brings. More would be joined to a message that is not whole.
const TAKEN_BYTES: usize = 64 << 10;
/// Smallest buffer.
const LEAST_BYTES: usize = 4 << 10;

/// The incoming half of one lane's stream.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    waiting: BytesMut,
    /// How long the buffer of `waiting` is.
    room: usize,
    /// Bytes of the stream's window that the client has not got back, besides those in `waiting`.
    uncredited: usize,
    /// Whether the client has ended its side.
    ended: bool,
}

impl Inbound {
    /// Adds the payload of a frame that takes `spent` bytes of the window. Returns false if the window has no such room.
    pub(super) fn push(&mut self, payload: &[u8], spent: usize) -> bool {
        if self.waiting.len() + self.uncredited + spent > WINDOW_BYTES {
            return false;
        }
        self.uncredited += spent - payload.len();
        self.make_room(payload.len());
        self.waiting.extend_from_slice(payload);
        true
    }

    /// The client ends its side.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether the client has ended its side.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// By how much the client's window must be opened now, if at all.
    pub(super) fn take_credit(&mut self) -> Option<u32> {
        if self.uncredited < CREDIT_BYTES || self.ended {
            return None;
        }
        u32::try_from(std::mem::take(&mut self.uncredited)).ok()
    }

    /// Uses the buffer again as soon as the lane has let go of what it took. It never gets longer than the window.
    fn make_room(&mut self, bytes: usize) {
        if self.waiting.try_reclaim(bytes) {
            return;
        }
        let least = self.waiting.len() + bytes;
        self.room = (2 * least).clamp(LEAST_BYTES, WINDOW_BYTES);
        let mut longer = BytesMut::with_capacity(self.room);
        longer.extend_from_slice(&self.waiting);
        self.waiting = longer;
    }
}

impl Source for Inbound {
    /// Whoever adds bytes polls the lane afterwards, so nobody has to be woken.
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Came> {
        if self.waiting.is_empty() {
            return if self.ended {
                Poll::Ready(Came::End)
            } else {
                Poll::Pending
            };
        }
        let taken = self.waiting.len().min(TAKEN_BYTES);
        let taken = self.waiting.split_to(taken).freeze();
        self.uncredited += taken.len();
        if self.waiting.is_empty() && self.room > 2 * TAKEN_BYTES {
            // An idle lane keeps no long buffer.
            (self.waiting, self.room) = (BytesMut::new(), 0);
        }
        Poll::Ready(Came::Bytes(taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::task::Waker;

    /// What the lane takes; none if it has to wait.
    fn taken(inbound: &mut Inbound) -> Option<Bytes> {
        match inbound.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Came::Bytes(bytes)) => Some(bytes),
            Poll::Ready(Came::End) => Some(Bytes::new()),
            Poll::Ready(Came::Lost(error)) => panic!("{error}"),
            Poll::Pending => None,
        }
    }

    #[test]
    fn the_buffer_is_used_again() {
        let mut inbound = Inbound::default();
        let mut places = Vec::new();
        for number in 0..1_000_u32 {
            let payload = [number.to_be_bytes(); 100].concat();
            assert!(inbound.push(&payload, payload.len()));
            let bytes = taken(&mut inbound).expect("bytes");
            assert_eq!(bytes, payload);
            places.push(bytes.as_ptr());
            assert_eq!(taken(&mut inbound), None);
            inbound.take_credit();
        }
        assert_eq!(inbound.room, LEAST_BYTES);
        places.sort_unstable();
        places.dedup();
        assert!(places.len() <= LEAST_BYTES / 400, "{}", places.len());
    }

    #[test]
    fn what_the_lane_keeps_is_not_written_over() {
        let mut inbound = Inbound::default();
        let mut kept = Vec::new();
        for byte in 0..100 {
            assert!(inbound.push(&[byte; 1_000], 1_000));
            kept.extend(taken(&mut inbound));
        }
        for (byte, bytes) in (0..).zip(kept) {
            assert_eq!(bytes, [byte; 1_000].as_slice());
        }
    }

    #[test]
    fn a_long_buffer_is_given_back_and_none_is_longer_than_the_window() {
        let mut inbound = Inbound::default();
        for _ in 0..WINDOW_BYTES / 16_384 {
            assert!(inbound.push(&[7; 16_384], 16_384));
        }
        assert!(inbound.waiting.capacity() <= WINDOW_BYTES);
        assert!(!inbound.push(&[7], 1));
        let mut bytes = 0;
        while let Some(taken) = taken(&mut inbound) {
            assert!(taken.len() <= TAKEN_BYTES);
            bytes += taken.len();
        }
        assert_eq!((bytes, inbound.room), (WINDOW_BYTES, 0));
        assert_eq!(inbound.waiting.capacity(), 0);
        assert_eq!(inbound.take_credit(), Some(limits::STREAM_WINDOW_BYTES));
        assert!(inbound.push(&[7], 1));
    }

    #[test]
    fn padding_counts_and_is_not_taken() {
        let mut inbound = Inbound::default();
        let mut credited = 0;
        for _ in 0..10_000 {
            assert!(inbound.push(b"", 256));
            credited += inbound.take_credit().unwrap_or(0);
        }
        assert_eq!(taken(&mut inbound), None);
        assert!(credited as usize + CREDIT_BYTES > 2_560_000, "{credited}");
    }

    #[test]
    fn an_end_comes_last_and_no_credit_after_it() {
        let mut inbound = Inbound::default();
        assert!(inbound.push(&[1; WINDOW_BYTES], WINDOW_BYTES));
        inbound.end();
        while taken(&mut inbound).is_some_and(|bytes| !bytes.is_empty()) {}
        assert_eq!(taken(&mut inbound), Some(Bytes::new()));
        assert_eq!(inbound.take_credit(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A client that sends what it may never waits for ever, and a lane gets what was sent.
        #[test]
        fn bytes_come_in_order_and_the_window_opens_again(
            steps in proptest::collection::vec((0..200_000_usize, 0..4_usize), 1..100),
        ) {
            let (mut inbound, mut may) = (Inbound::default(), WINDOW_BYTES);
            let (mut sent, mut got) = (Vec::new(), 0);
            for (byte, (bytes, takes)) in (0_u8..).zip(steps) {
                let payload = vec![byte; bytes.min(may)];
                prop_assert!(inbound.push(&payload, payload.len()));
                may -= payload.len();
                sent.extend(payload);
                for _ in 0..takes {
                    let bytes = taken(&mut inbound).unwrap_or_default();
                    prop_assert!(sent[got..got + bytes.len()] == bytes);
                    got += bytes.len();
                }
                may += inbound.take_credit().unwrap_or(0) as usize;
                prop_assert!(inbound.waiting.capacity() <= WINDOW_BYTES);
                prop_assert_eq!(may + inbound.waiting.len() + inbound.uncredited, WINDOW_BYTES);
            }
            while let Some(bytes) = taken(&mut inbound) {
                prop_assert!(sent[got..got + bytes.len()] == bytes);
                got += bytes.len();
            }
            prop_assert_eq!(got, sent.len());
            may += inbound.take_credit().unwrap_or(0) as usize;
            prop_assert!(may + CREDIT_BYTES > WINDOW_BYTES);
        }
    }
}
