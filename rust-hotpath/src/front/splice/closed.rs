//! Streams that are over, and what their client may still say of them.
//!
//! ```text
//!  ended by                                                     DATA         headers
//!  the client: END_STREAM or RST_STREAM, or it skipped the id   RST_STREAM   GOAWAY
//!  the front or hyper, before the client                        ignored      ignored
//! ```
//!
//! WINDOW_UPDATE, RST_STREAM and PRIORITY are ignored on both, unless they are wrong on any stream. RFC 9113 (5.1) requires
//! the second row, because the client may not have heard yet. Hyper judges as the first row says.

use super::{
    super::frame::{self, Broken, Code, Head, flag, kind},
    Splice, broken,
};
use std::collections::VecDeque;

/// Most streams that are remembered.
const STREAMS: usize = 128;

/// Streams that were reset before their client had ended its side.
#[derive(Debug, Default)]
pub(super) struct Unheard {
    /// The latest of them.
    streams: VecDeque<u32>,
    /// The highest one that was forgotten. Nobody knows who has ended the streams up to it, so all of these are ignored.
    forgotten: u32,
}

impl Unheard {
    pub(super) fn add(&mut self, stream: u32) {
        if self.streams.len() == STREAMS {
            let oldest = self.streams.pop_front();
            self.forgotten = self.forgotten.max(oldest.unwrap_or(0));
        }
        self.streams.push_back(stream);
    }

    /// The client has ended its side.
    pub(super) fn end(&mut self, stream: u32) {
        self.streams.retain(|unheard| *unheard != stream);
    }

    fn contains(&self, stream: u32) -> bool {
        stream <= self.forgotten || self.streams.contains(&stream)
    }
}

impl<K, L> Splice<K, L> {
    /// Drops what the front has of a stream. Returns whether its client had yet to end its side.
    pub(super) fn drop_stream(&mut self, stream: u32) -> bool {
        if let Some(call) = self.take_gathered(stream) {
            self.credit(call.body.len());
            self.decoder.recycle(call.fields.block);
            return true;
        }
        self.windows.drop_stream(stream);
        self.drop_lane(stream)
    }

    /// Drops what the front has of a stream, and resets it. `ends` tells whether the client has just ended its side.
    pub(super) fn reset(&mut self, stream: u32, code: Code, ends: bool) {
        let open = self.drop_stream(stream) && !ends;
        self.say_reset(stream, code, open);
    }

    /// Resets a stream of which the front has nothing. `open` tells whether the client has yet to end its side.
    pub(super) fn say_reset(&mut self, stream: u32, code: Code, open: bool) {
        if open {
            self.unheard.add(stream);
        }
        self.resets += 1;
        frame::reset(&mut self.out, stream, code);
    }

    /// DATA on a stream that is not open.
    pub(super) fn late_data(&mut self, head: Head) -> Result<(), Broken> {
        self.is_known(head.stream)?;
        // The connection's window is for all streams.
        self.credit(head.length);
        if !self.ignores(head.stream, head.has(flag::END_STREAM)) {
            self.reset(head.stream, Code::StreamClosed, true);
        }
        Ok(())
    }

    /// Headers on a stream that is not open, and not a new one.
    pub(super) fn late_headers(&mut self, stream: u32, ends: bool) -> Result<(), Broken> {
        if self.windows.holds(stream) {
            self.reset(stream, Code::StreamClosed, true);
        } else if !self.ignores(stream, ends) {
            return broken("headers on a stream that is over, or was skipped");
        }
        Ok(())
    }

    /// Whether the client says this because it has not heard that the stream is over. Whoever waits for a reply has ended its
    /// side.
    fn ignores(&mut self, stream: u32, ends: bool) -> bool {
        let ignores = self.unheard.contains(stream) && !self.windows.holds(stream);
        if ends {
            self.unheard.end(stream);
        }
        ignores
    }

    pub(super) fn priority(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        if head.stream == 0 {
            return broken("a PRIORITY on no stream");
        }
        self.of_length(head, 5)?;
        if head.depends_on_itself(payload) {
            // A stream that is idle must not be reset, so this ends the connection.
            self.is_known(head.stream)?;
            self.depends_on_itself(head.stream, false);
        }
        Ok(())
    }

    /// The client has made a stream that it has opened depend on itself. `ends` tells whether it has ended its side, too.
    pub(super) fn depends_on_itself(&mut self, stream: u32, ends: bool) {
        if self.passed.contains_key(&stream) {
            // Hyper knows what to say to that.
            let [s0, s1, s2, s3] = stream.to_be_bytes();
            let payload = [s0, s1, s2, s3, 0];
            frame::whole(&mut self.to_hyper, kind::PRIORITY, 0, stream, &payload);
            self.end_passed(stream, ends, false);
        } else {
            self.reset(stream, Code::Protocol, ends);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_known_and_older_ones_are_in_doubt() {
        let mut unheard = Unheard::default();
        assert!(!unheard.contains(1));
        let streams = u32::try_from(STREAMS).unwrap_or(0);
        for number in 0..3 * streams {
            unheard.add(4 * number + 1);
            assert!(unheard.contains(4 * number + 1));
            assert!(!unheard.contains(4 * number + 3));
        }
        assert_eq!(unheard.streams.len(), STREAMS);
        let oldest = 8 * streams + 1;
        assert!(unheard.contains(oldest) && !unheard.contains(oldest - 2));
        assert!(unheard.contains(oldest - 4) && unheard.contains(3));
        unheard.end(oldest);
        assert!(!unheard.contains(oldest));
        unheard.end(1);
        assert!(unheard.contains(1));
    }
}
