//! One connection with its socket. It connects again whenever it was lost.
//!
//! ```text
//!       maintain()              writable()      the peer's greeting
//!  Down ──────────> Connecting ───────────> Up ────────────────────> Up, open
//!   ^                   │ error, or          │ error, or no greeting   │ lost, or retired
//!   │                   │ five seconds over  │ within five seconds     │ by the peer
//!   └───────────────────┴────────────────────┴─────────────────────────┘
//!     a pause, unless another address of the name is left or the peer retired it
//! ```

use super::{
    address::Address,
    socket::{Socket, Written},
    tally::Token,
};
use crate::http2::{Violation, connection::Connection, reply::Sink};
use rustix::{fd::OwnedFd, io::Errno};
use std::sync::Arc;

const MS: u64 = 1_000_000;
/// The pause between attempts to connect. It doubles from the first value to the last.
const BACKOFF_NS: std::ops::RangeInclusive<u64> = 20 * MS..=250 * MS;
/// The pause if a Unix socket's queue of connections is full.
const QUEUE_FULL_NS: u64 = MS;
/// The time limit for connecting and for the peer's greeting.
const OPENING_NS: u64 = 5_000 * MS;

/// A connection that opens itself again whenever it was lost.
#[derive(Debug)]
pub(super) struct Link {
    address: Arc<Address>,
    /// Index of the name's address that is tried, and why the addresses before it failed.
    turn: usize,
    failures: Vec<String>,
    state: State,
    pub(super) http: Connection<Token>,
    /// The beginning of a frame whose rest has not arrived yet.
    partial: Vec<u8>,
    backoff_ns: u64,
    /// Why the connection was last lost.
    pub(super) failure: Option<String>,
    /// Whether it is in the list of links that have something to write.
    pub(super) dirty: bool,
    /// Whether it is in the list of links that are not open.
    pub(super) closed: bool,
}

#[derive(Debug)]
enum State {
    Down {
        retry_at: u64,
    },
    Connecting {
        socket: Socket,
        give_up_at: u64,
    },
    /// Connected. It can be used once the peer has sent its greeting.
    Up {
        socket: Socket,
        give_up_at: u64,
    },
}

impl Link {
    /// A link that is not connected yet.
    pub(super) fn new(address: Arc<Address>) -> Self {
        Self {
            address,
            turn: 0,
            failures: Vec::new(),
            state: State::Down { retry_at: 0 },
            http: Connection::new(),
            partial: Vec::new(),
            backoff_ns: *BACKOFF_NS.start(),
            failure: None,
            dirty: false,
            closed: true,
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it is connected and the peer has sent its greeting.
    pub(super) fn open(&self) -> bool {
        matches!(self.state, State::Up { .. }) && self.http.ready()
    }

    /// Whether it is neither connected nor connecting.
    pub(super) fn down(&self) -> bool {
        matches!(self.state, State::Down { .. })
    }

    /// When [`Self::maintain`] has something to do.
    pub(super) fn next_at(&self) -> u64 {
        match self.state {
            State::Down { retry_at } => retry_at,
            State::Connecting { give_up_at, .. } => give_up_at,
            State::Up { .. } if self.http.ready() => u64::MAX,
            State::Up { give_up_at, .. } => give_up_at,
        }
    }

    /// Begins to connect, or gives up an attempt that takes too long.
    pub(super) fn maintain(
        &mut self,
        now: u64,
        epoll: &OwnedFd,
        key: u64,
        sink: &mut impl Sink<Token>,
    ) {
        if self.next_at() > now {
            return;
        }
        if !self.down() {
            self.lose(now, "no greeting within five seconds".to_owned(), sink);
            return;
        }
        let give_up_at = now + OPENING_NS;
        match Socket::connect(&self.address, self.turn, epoll, key) {
            Ok(socket) => self.state = State::Connecting { socket, give_up_at },
            Err(Errno::AGAIN) => {
                let retry_at = now + QUEUE_FULL_NS;
                self.state = State::Down { retry_at };
            }
            Err(error) => self.lose(now, error.to_string(), sink),
        }
    }

    /// Handles a writable socket, which may be one that has just connected.
    pub(super) fn writable(&mut self, now: u64, sink: &mut impl Sink<Token>) {
        let State::Connecting { socket, .. } = &self.state else {
            return;
        };
        if let Err(error) = socket.connected() {
            self.lose(now, error.to_string(), sink);
            return;
        }
        let down = State::Down { retry_at: now };
        if let State::Connecting { socket, give_up_at } = std::mem::replace(&mut self.state, down) {
            self.state = State::Up { socket, give_up_at };
        }
    }

    /// Reads once, as much as `buffer` holds, and takes the time of that from `arrived`.
    pub(super) fn readable<S: Sink<Token>>(
        &mut self,
        buffer: &mut [u8],
        sink: &mut S,
        arrived: impl FnOnce(&mut S) -> u64,
    ) {
        let State::Up { socket, .. } = &self.state else {
            return;
        };
        // All links share the buffer, so it stays in the CPU's cache. Between reads a link keeps at most the beginning
        // of a frame.
        let held = self.partial.len();
        let Some((begin, room)) = buffer.split_at_mut_checked(held) else {
            return;
        };
        begin.copy_from_slice(&self.partial);
        let length = match socket.read(room) {
            Err(Errno::AGAIN | Errno::INTR) => return,
            Ok(0) => return self.lose(arrived(sink), "closed by the peer".to_owned(), sink),
            Err(error) => return self.lose(arrived(sink), error.to_string(), sink),
            Ok(more) => held + more,
        };
        let now = arrived(sink);
        let received = buffer.get(..length).unwrap_or_default();
        match self.http.receive(received, sink) {
            Ok(rest) => {
                self.partial.clear();
                self.partial.extend_from_slice(rest);
            }
            Err(Violation(what)) => {
                return self.lose(now, format!("HTTP/2 error: the peer sent {what}"), sink);
            }
        }
        if self.http.ready() {
            self.backoff_ns = *BACKOFF_NS.start();
            self.failures.clear();
        }
        self.retire(now, sink);
    }

    /// Writes what is to be written.
    pub(super) fn flush(&mut self, now: u64, epoll: &OwnedFd, sink: &mut impl Sink<Token>) {
        let State::Up { socket, .. } = &mut self.state else {
            return;
        };
        match socket.write(self.http.unsent(), epoll) {
            Written::Bytes(bytes) => self.http.wrote(bytes),
            Written::Lost(error) => return self.lose(now, error.to_string(), sink),
        }
        self.retire(now, sink);
    }

    /// Replaces a connection on which the peer accepts no more requests, once its last request has ended.
    fn retire(&mut self, now: u64, sink: &mut impl Sink<Token>) {
        if self.http.finished() {
            self.lose(now, "the peer went away".to_owned(), sink);
            self.state = State::Down { retry_at: now };
        }
    }

    /// Returns the next address of the name, if this one never answered and another is left. Also notes why this one
    /// failed.
    fn other_address(&mut self, greeted: bool, why: &str) -> Option<usize> {
        let all = self.address.tcp();
        if greeted || all.len() < 2 {
            return None;
        }
        if let Some(address) = all.get(self.turn) {
            self.failures.push(format!("{address}: {why}"));
        }
        Some(self.turn + 1).filter(|&next| next < all.len())
    }

    /// Closes the connection and fails what is in flight on it.
    pub(super) fn lose(&mut self, now: u64, why: String, sink: &mut impl Sink<Token>) {
        let greeted = self.http.ready();
        let retry_at = if let Some(next) = self.other_address(greeted, &why) {
            self.turn = next;
            self.failure.get_or_insert(why);
            now
        } else {
            let all = std::mem::take(&mut self.failures);
            self.failure = Some(if all.is_empty() { why } else { all.join("; ") });
            // An address that has answered before is tried first again.
            self.turn = if greeted { self.turn } else { 0 };
            let wait = self.backoff_ns;
            self.backoff_ns = (wait * 2).min(*BACKOFF_NS.end());
            now + wait
        };
        self.state = State::Down { retry_at };
        self.partial.clear();
        let mut lost = std::mem::replace(&mut self.http, Connection::new());
        lost.fail_all(sink, "the connection was lost");
    }
}
