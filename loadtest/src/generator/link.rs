//! One connection with its socket, and what becomes of it when it breaks.

use super::{
    address::Address,
    socket::{Socket, Written},
    tally::Token,
};
use crate::http2::{Violation, connection::Connection, reply::Sink};
use rustix::{fd::OwnedFd, io::Errno};
use std::sync::Arc;

const MS: u64 = 1_000_000;
/// Between attempts to connect: doubled from the first to the last.
const BACKOFF_NS: std::ops::RangeInclusive<u64> = 20 * MS..=250 * MS;
/// When a Unix socket's queue of connections is full, it is tried again this soon.
const QUEUE_FULL_NS: u64 = MS;
/// For connecting and the greetings.
const OPENING_NS: u64 = 5_000 * MS;

/// A connection that opens itself again whenever it was lost.
#[derive(Debug)]
pub(super) struct Link {
    address: Arc<Address>,
    /// Which of the name's addresses is tried, and why those before it failed.
    turn: usize,
    failures: Vec<String>,
    state: State,
    pub(super) http: Connection<Token>,
    /// The begin of a frame whose rest has not come yet.
    partial: Vec<u8>,
    backoff_ns: u64,
    /// Why it was lost last.
    pub(super) failure: Option<String>,
    /// It is in the list of those that have something to write.
    pub(super) dirty: bool,
    /// It is in the list of those that are not open.
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
    /// Connected; it can be used once the peer has greeted.
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

    /// It carries requests, or could.
    pub(super) fn open(&self) -> bool {
        matches!(self.state, State::Up { .. }) && self.http.ready()
    }

    /// It is neither open nor about to be.
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

    /// Begins to connect or gives up on it, when it is time.
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

    /// The socket can be written: it may have been connecting.
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

    /// Reads once, as much as `buffer` takes, and tells the time of it through `arrived`.
    pub(super) fn readable<S: Sink<Token>>(
        &mut self,
        buffer: &mut [u8],
        sink: &mut S,
        arrived: impl FnOnce(&mut S) -> u64,
    ) {
        let State::Up { socket, .. } = &self.state else {
            return;
        };
        // The buffer is shared by all links, which keeps it in the cache; a link owns the begin of a frame at most.
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

    /// Writes what waits to be written.
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

    /// Replaces a connection that takes no more requests, once the last one is over.
    fn retire(&mut self, now: u64, sink: &mut impl Sink<Token>) {
        if self.http.finished() {
            self.lose(now, "the peer went away".to_owned(), sink);
            self.state = State::Down { retry_at: now };
        }
    }

    /// The next of the name's addresses, if this one never answered and another is left. A name that has several remembers
    /// why each failed.
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
            // One that has answered is asked again first.
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
