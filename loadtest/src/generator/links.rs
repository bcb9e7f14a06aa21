//! All connections of a generator, in one epoll set.

use super::{
    address::Address,
    clock::{Clock, timespec},
    link::Link,
    tally::Token,
};
use crate::{
    error::{Error, Kind, Result},
    http2::{connection::Connection, reply::Sink},
};
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, Event, EventFlags},
    fd::OwnedFd,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

const READ_BYTES: usize = 256 << 10;
const EVENTS: usize = 256;
/// Connections that are being opened at once: fewer than any listener queues.
const OPENING: usize = 64;
/// Opening fails if no further connection has opened for this long.
const STANDSTILL_NS: u64 = 5_000_000_000;
/// The most polls before a window, so that a peer that never stops sending can't delay it for ever.
const SETTLING: usize = 10_000;
const TICK_NS: u64 = 50_000_000;

/// A sink that is told the arrival time of the answers that follow.
pub(super) trait Timed: Sink<Token> {
    fn arrived(&mut self, now: u64);
}

pub(super) struct Links {
    epoll: OwnedFd,
    links: Vec<Link>,
    /// By link: a number that changes with each new socket and is part of its epoll key, so that events of an earlier
    /// socket can be told from those of the current one.
    generations: Vec<u32>,
    events: Vec<Event>,
    buffer: Vec<u8>,
    /// Links that have something to write.
    dirty: Vec<usize>,
    /// Links that are not open.
    closed: Vec<usize>,
    /// When [`Self::maintain`] has something to do.
    maintain_at: u64,
    clock: Clock,
}

impl Links {
    pub(super) fn new(clock: Clock) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)
            .map_err(|error| Error::caused(Kind::Internal, "no epoll", error))?;
        Ok(Self {
            epoll,
            links: Vec::new(),
            generations: Vec::new(),
            events: Vec::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES],
            dirty: Vec::new(),
            closed: Vec::new(),
            maintain_at: 0,
            clock,
        })
    }

    /// Adds links that are not connected yet, and returns their indices.
    pub(super) fn add(&mut self, address: &Arc<Address>, count: usize) -> std::ops::Range<usize> {
        let first = self.links.len();
        for at in first..first + count {
            self.links.push(Link::new(Arc::clone(address)));
            self.generations.push(0);
            self.closed.push(at);
        }
        first..self.links.len()
    }

    pub(super) fn http(&self, at: usize) -> Option<&Connection<Token>> {
        self.links.get(at).map(|link| &link.http)
    }

    /// Whether a request can be sent on the link now.
    pub(super) fn accepts(&self, at: usize) -> bool {
        (self.links.get(at)).is_some_and(|link| link.open() && link.http.accepts())
    }

    /// Returns the connection, which is to be given a request. The next [`Self::flush`] writes it.
    pub(super) fn sending(&mut self, at: usize) -> Option<&mut Connection<Token>> {
        let link = self.links.get_mut(at)?;
        if !std::mem::replace(&mut link.dirty, true) {
            self.dirty.push(at);
        }
        Some(&mut link.http)
    }

    /// Cancels the oldest request of a connection if that was planned at `planned_by` or before.
    pub(super) fn cancel(&mut self, at: usize, planned_by: u64) -> Option<Token> {
        let link = self.links.get_mut(at)?;
        link.http
            .oldest()
            .filter(|token| token.planned <= planned_by)?;
        if !std::mem::replace(&mut link.dirty, true) {
            self.dirty.push(at);
        }
        link.http.cancel_oldest()
    }

    /// Opens all links that are not open.
    ///
    /// # Errors
    /// [`Kind::Target`] if no further link has opened for five seconds.
    pub(super) fn open_all(&mut self, sink: &mut impl Timed, stop: &AtomicBool) -> Result<()> {
        let mut progress_at = self.clock.now();
        let mut open = 0;
        loop {
            self.maintain(self.clock.now(), sink);
            self.flush(sink);
            let now_open = self.links.len().saturating_sub(self.closed.len());
            let now = self.clock.now();
            if self.closed.is_empty() || stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if now_open > open {
                (open, progress_at) = (now_open, now);
            }
            if now > progress_at + STANDSTILL_NS {
                return Err(self.not_opened());
            }
            let wait = self.maintain_at.saturating_sub(now).min(TICK_NS);
            self.poll(wait, sink);
        }
    }

    fn not_opened(&self) -> Error {
        let closed = self.closed.iter().filter_map(|&at| self.links.get(at));
        let why = |link: &Link| {
            let why = link.failure.as_deref().unwrap_or("no answer");
            (link.address().to_string(), why.to_owned())
        };
        // A link that waits for its turn to connect has no reason of its own, so another one's is told first.
        let (address, why) = (closed.clone().find(|link| link.failure.is_some()))
            .or_else(|| closed.clone().next())
            .map_or_else(Default::default, why);
        let (closed, all) = (self.closed.len(), self.links.len());
        Error::new(
            Kind::Target,
            format!("{address}: {closed} of {all} connections not opened within 5 s: {why}"),
        )
    }

    /// Waits for the sockets, at most `timeout_ns`, and takes what came. Returns the number of events.
    pub(super) fn poll(&mut self, timeout_ns: u64, sink: &mut impl Timed) -> usize {
        self.events.clear();
        let timeout = timespec(timeout_ns);
        match epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            Some(&timeout),
        ) {
            // An epoll set can't fail; a signal is treated like a timeout.
            Ok(0) | Err(_) => return 0,
            Ok(_) => {}
        }
        let events = std::mem::take(&mut self.events);
        for event in &events {
            self.event(event.data.u64(), event.flags, sink);
        }
        self.events = events;
        self.events.len()
    }

    fn event(&mut self, key: u64, flags: EventFlags, sink: &mut impl Timed) {
        let (at, generation) = split(key);
        if self.generations.get(at) != Some(&generation) {
            return;
        }
        let Some(link) = self.links.get_mut(at) else {
            return;
        };
        let was_open = link.open();
        if flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP) {
            let now = self.clock.now();
            sink.arrived(now);
            link.writable(now, sink);
        }
        if flags.intersects(EventFlags::IN | EventFlags::ERR | EventFlags::HUP) {
            let clock = self.clock;
            link.readable(&mut self.buffer, sink, |sink| {
                let now = clock.now();
                sink.arrived(now);
                now
            });
        }
        if !link.http.unsent().is_empty() && !std::mem::replace(&mut link.dirty, true) {
            self.dirty.push(at);
        }
        let open = link.open();
        self.changed(at, was_open, open);
    }

    /// Writes what is to be written, with one write per connection.
    pub(super) fn flush(&mut self, sink: &mut impl Timed) {
        if self.dirty.is_empty() {
            return;
        }
        let now = self.clock.now();
        sink.arrived(now);
        while let Some(at) = self.dirty.pop() {
            let Some(link) = self.links.get_mut(at) else {
                continue;
            };
            link.dirty = false;
            let was_open = link.open();
            link.flush(now, &self.epoll, sink);
            let open = link.open();
            self.changed(at, was_open, open);
        }
    }

    /// Connects lost links again.
    pub(super) fn maintain(&mut self, now: u64, sink: &mut impl Timed) {
        if now < self.maintain_at {
            return;
        }
        sink.arrived(now);
        self.maintain_at = u64::MAX;
        let mut opening = 0;
        let (links, generations, epoll) = (&mut self.links, &mut self.generations, &self.epoll);
        self.closed.retain(|&at| {
            let (Some(link), Some(generation)) = (links.get_mut(at), generations.get_mut(at))
            else {
                return false;
            };
            link.closed = !link.open();
            if !link.closed {
                return false;
            }
            if opening < OPENING {
                if link.down() {
                    *generation = generation.wrapping_add(1);
                }
                link.maintain(now, epoll, join(at, *generation), sink);
                self.maintain_at = self.maintain_at.min(link.next_at());
                opening += usize::from(!link.down());
            }
            true
        });
    }

    fn changed(&mut self, at: usize, was_open: bool, open: bool) {
        if was_open
            && !open
            && let Some(link) = self.links.get_mut(at)
            && !std::mem::replace(&mut link.closed, true)
        {
            self.closed.push(at);
        }
        if was_open != open || !open {
            self.maintain_at = 0;
        }
    }

    /// When [`Self::maintain`] is to be called next.
    pub(super) fn maintain_at(&self) -> u64 {
        self.maintain_at
    }

    /// Why the link was last lost.
    pub(super) fn failure(&self, at: usize) -> Option<&str> {
        self.links.get(at)?.failure.as_deref()
    }

    /// Takes what came since the last window, so that pings and closed connections don't disturb the next one. Then
    /// opens the links that are not open.
    pub(super) fn settle(&mut self, sink: &mut impl Timed, stop: &AtomicBool) -> Result<()> {
        for _ in 0..SETTLING {
            let events = self.poll(0, sink);
            self.flush(sink);
            if events == 0 {
                break;
            }
        }
        self.open_all(sink, stop)
    }
}

fn join(at: usize, generation: u32) -> u64 {
    (at as u64) << 32 | u64::from(generation)
}

fn split(key: u64) -> (usize, u32) {
    let [a, b, c, d, e, f, g, h] = key.to_be_bytes();
    let at = u32::from_be_bytes([a, b, c, d]) as usize;
    (at, u32::from_be_bytes([e, f, g, h]))
}
