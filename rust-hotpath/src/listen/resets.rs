//! Counts cancelled calls by their reset frames.
//!
//! Cancelling is normal: deadlines pass, and a caller may have thousands of calls on a connection that all end at once.
//! So the count covers only the current second. A second limit bounds the resets in one turn of the connection, because
//! HTTP/2 keeps each call that was cancelled before it was accepted, and because the other calls need their turn.

use crate::limits;
use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Bytes of a frame's head: length, type, flags and stream.
const HEAD: usize = 9;
const RST_STREAM: u8 = 3;
/// Bytes that a client sends before its first frame.
pub(super) const PREFACE: usize = 24;

/// Follows the frames of one direction.
pub(super) struct Frames {
    head: [u8; HEAD],
    /// How many bytes of the head have come.
    have: usize,
    /// How many bytes come before the next head.
    skip: usize,
}

/// Counts the resets of one connection in both directions, because a peer can also make the server reset. One task uses
/// it.
pub(crate) struct Resets {
    /// `None` for a trusted peer: the shim relays what all of its callers cancel.
    most_per_second: Option<u32>,
    turn: AtomicU32,
    opened: Instant,
    /// The current second since `opened`.
    second: AtomicU64,
    in_second: AtomicU32,
}

impl Frames {
    pub(super) fn after(skip: usize) -> Self {
        Self {
            head: [0; HEAD],
            have: 0,
            skip,
        }
    }

    /// Follows `bytes`, and returns how many frame heads in them reset a stream.
    pub(super) fn resets(&mut self, mut bytes: &[u8]) -> u32 {
        let mut resets = 0;
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return resets;
            }
            let taken = (HEAD - self.have).min(bytes.len());
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == HEAD {
                let [high, middle, low, kind, ..] = self.head;
                self.have = 0;
                self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                resets += u32::from(kind == RST_STREAM);
            }
        }
    }

    /// Whether the next byte begins a frame.
    pub(super) fn at_boundary(&self) -> bool {
        self.have == 0 && self.skip == 0
    }
}

impl Resets {
    pub(crate) fn new(most_per_second: Option<u32>) -> Self {
        Self {
            most_per_second,
            turn: AtomicU32::new(0),
            opened: Instant::now(),
            second: AtomicU64::new(0),
            in_second: AtomicU32::new(0),
        }
    }

    pub(crate) fn count(&self, resets: u32) {
        if resets > 0 {
            self.count_at(resets, self.opened.elapsed());
        }
    }

    fn count_at(&self, resets: u32, at: Duration) {
        self.turn.fetch_add(resets, Relaxed);
        let second = at.as_secs();
        if self.second.swap(second, Relaxed) != second {
            self.in_second.store(0, Relaxed);
        }
        self.in_second.fetch_add(resets, Relaxed);
    }

    pub(crate) fn begin_turn(&self) {
        self.turn.store(0, Relaxed);
    }

    /// Whether this turn has so many resets that the rest must wait for the next one.
    pub(crate) fn fill_the_turn(&self) -> bool {
        self.turn.load(Relaxed) >= limits::RESETS_PER_TURN
    }

    /// If the second has more resets than allowed, returns the limit.
    pub(crate) fn flood(&self) -> Option<u32> {
        let most = self.most_per_second?;
        (self.in_second.load(Relaxed) > most).then_some(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        // The payload looks like frames that reset.
        let head = [0, 0, length, kind, 0, 0, 0, 0, 1];
        [&head[..], &vec![RST_STREAM; usize::from(length)]].concat()
    }

    #[test]
    fn frames_are_followed_through_any_pieces() {
        let preface = vec![RST_STREAM; PREFACE];
        let frames = [frame(4, 0), frame(3, 4), frame(0, 200), frame(3, 4)].concat();
        let bytes = [preface, frames].concat();
        for piece in 1..=bytes.len() {
            let mut follower = Frames::after(PREFACE);
            let resets: u32 = bytes
                .chunks(piece)
                .map(|piece| follower.resets(piece))
                .sum();
            assert_eq!(resets, 2, "in pieces of {piece}");
            assert!(follower.at_boundary());
            assert_eq!(follower.resets(&[0]), 0);
            assert!(!follower.at_boundary());
        }
    }

    #[test]
    fn a_flood_is_too_many_within_one_second() {
        let resets = Resets::new(Some(10));
        let at = Duration::from_millis;
        for second in 0..100 {
            resets.count_at(9, at(second * 1_000));
            resets.count_at(1, at(second * 1_000 + 999));
            assert_eq!(resets.flood(), None);
        }
        resets.count_at(10, at(100_000));
        assert_eq!(resets.flood(), None);
        resets.count_at(1, at(100_999));
        assert_eq!(resets.flood(), Some(10));
        let trusted = Resets::new(None);
        trusted.count(u32::MAX);
        assert_eq!(trusted.flood(), None);
    }

    #[test]
    fn a_turn_is_filled_and_begun_anew() {
        let resets = Resets::new(None);
        resets.count(limits::RESETS_PER_TURN - 1);
        assert!(!resets.fill_the_turn());
        resets.count(1);
        assert!(resets.fill_the_turn());
        resets.begin_turn();
        assert!(!resets.fill_the_turn());
    }
}
