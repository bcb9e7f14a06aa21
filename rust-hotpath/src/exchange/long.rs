//! Replies that are too long for one frame. They leave in pieces, one reply at a time and one piece per message. So a
//! short reply waits for at most one piece, and no answer is computed twice.

use super::reply::Replies;
use crate::{
    limits,
    serve::{Permit, Share},
};
use std::collections::VecDeque;

/// The long replies of one lane. Their bytes count among the buffered bytes until they have left.
#[derive(Default)]
pub(super) struct Longs(VecDeque<Long>);

/// One long reply.
pub(super) struct Long {
    pub(super) id: u64,
    pub(super) position: u64,
    pub(super) body: Vec<u8>,
    /// How many bytes have left.
    pub(super) gone: usize,
    /// Keeps the request in flight until the last piece leaves.
    pub(super) _held: (Share, Permit),
}

impl Longs {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.0.iter().any(|long| long.id == id)
    }

    pub(super) fn push(&mut self, long: Long) {
        self.0.push_back(long);
    }

    /// Drops the rest of a reply. Returns true if the reply was here; the lane then has to end it with a status.
    pub(super) fn cancel(&mut self, id: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|long| long.id != id);
        self.0.len() < before
    }

    /// Appends the next piece, if there is one.
    pub(super) fn append(&mut self, replies: &mut Replies) {
        let Some(long) = self.0.front_mut() else {
            return;
        };
        let rest = &long.body[long.gone..];
        if rest.len() > limits::EXCHANGE_PIECE_BYTES {
            replies.piece(long.id, &rest[..limits::EXCHANGE_PIECE_BYTES]);
            long.gone += limits::EXCHANGE_PIECE_BYTES;
            return;
        }
        replies.body(long.id, long.position, rest);
        self.0.pop_front();
    }
}
