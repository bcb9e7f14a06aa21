//! Hands each answer to the part that accounts for its request.

use super::{
    links::Timed,
    tally::{Purpose, Tally, Token},
    writes::Writes,
};
use crate::http2::reply::{Answer, Sink};

/// The accounts of a window.
#[derive(Debug)]
pub(super) struct Answers {
    /// When the answers that are handed over now arrived.
    pub(super) now: u64,
    pub(super) tally: Tally,
    pub(super) writes: Writes,
}

/// The sink for answers between windows, when nothing is in flight.
#[derive(Debug)]
pub(super) struct Discard;

impl Sink<Token> for Answers {
    fn answered(&mut self, token: Token, answer: &Answer<'_>) {
        match token.purpose {
            Purpose::Read { n, method } => {
                (self.tally).answered(token, (n, method), answer, self.now);
            }
            Purpose::Write { k } => self.writes.answered(k, answer, self.now),
        }
    }
}

impl Timed for Answers {
    fn arrived(&mut self, now: u64) {
        self.now = now;
    }
}

impl Sink<Token> for Discard {
    fn answered(&mut self, _token: Token, _answer: &Answer<'_>) {}
}

impl Timed for Discard {
    fn arrived(&mut self, _now: u64) {}
}
