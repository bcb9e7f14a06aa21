//! One connection on its core thread: the socket, the splice, the core's answers, and hyper when it is needed.
//!
//! ```text
//!               one turn, until nothing moves or time is up
//!  socket ──> splice ─┬─> core: answers at once ─┬─> splice ──> out ──> socket, once at the end, or 1 ms later
//!                     ├─> lanes: a message each ─┤
//!                     └─> hyper, which begins ───┘
//!                         with the first call that is for it
//! ```

use super::{
    Below,
    clock::{Clock, Due},
    frame::{Broken, Code},
    hpack::fields_in,
    inbound::Inbound,
    inner::Inner,
    splice::{Call, Event, Opening, Rules, Serves, Splice},
};
use crate::{
    exchange::{Exchange, Lane, Said},
    limits,
    listen::Bare,
    model::Model,
    serve::{Bounds, Brief, Once, Share, Wants},
    view::Resolved,
};
use hyper::http::{HeaderMap, HeaderName, HeaderValue};
use std::{
    cell::Cell,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;
/// Room for them behind a frame that has begun.
const INPUT_BYTES: usize = READ_BYTES + (24 << 10);
/// What a connection that reads nothing may be owed before nothing more is read of it. Replies wait elsewhere.
const OWED_BYTES: usize = 4 * limits::OUTBOX_BYTES;

/// Buffers of a core thread, for the connection whose turn it is.
#[derive(Default)]
struct Scratch {
    input: Vec<u8>,
    out: Vec<u8>,
    reply: Vec<u8>,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// Why a connection ends.
pub(super) enum End {
    /// All has been said.
    Over,
    Io(io::Error),
    Rule(Broken),
    Flood(u32),
    /// The client reads nothing, or says nothing.
    Silent,
}

/// A connection. `begin` makes hyper.
pub(super) struct Session<M: Model, F> {
    bare: Bare,
    below: Below<M>,
    splice: Splice<Share, Lane<M>>,
    begin: Option<F>,
    inner: Option<Inner>,
    clock: Clock,
    /// Bytes of the client that have not been followed.
    rest: Vec<u8>,
    /// Whether there may be whole frames in them.
    unread: bool,
    /// How many bytes of what the splice has for the client have left.
    sent: usize,
    /// Since when the others wait, if there are any.
    waits_since: Option<Instant>,
    client_has_gone: bool,
    /// Whether something waits for room in what the splice has for the client.
    blocked: bool,
}

impl<M: Model, F: FnOnce() -> Inner> Session<M, F> {
    pub(super) fn new(bare: Bare, below: Below<M>, rules: Rules, begin: F) -> Self {
        Self {
            bare,
            below,
            splice: Splice::new(rules),
            begin: Some(begin),
            inner: None,
            clock: Clock::new(),
            rest: Vec::new(),
            unread: false,
            sent: 0,
            waits_since: None,
            client_has_gone: false,
            blocked: false,
        }
    }

    /// From now on hyper gets every call, and ends the connection with the last. Returns false if there never was a client.
    pub(super) fn drain(&mut self, cx: &Context<'_>) -> bool {
        if !self.splice.is_greeted() {
            return false;
        }
        self.splice.drain();
        self.give(cx);
        if let Some(inner) = &mut self.inner {
            inner.drain();
        }
        true
    }

    /// Does what can be done now.
    pub(super) fn turn(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let mut scratch = SCRATCH.take().unwrap_or_default();
        scratch.input.resize(INPUT_BYTES, 0);
        if self.splice.out.is_empty() {
            std::mem::swap(&mut self.splice.out, &mut scratch.out);
        }
        let ended = self.work(cx, &mut scratch);
        if self.splice.out.is_empty() && self.splice.out.capacity() <= 2 * limits::OUTBOX_BYTES {
            std::mem::swap(&mut self.splice.out, &mut scratch.out);
        }
        SCRATCH.set(Some(scratch));
        match ended {
            Ok(()) => Poll::Pending,
            Err(end) => {
                self.say(&end);
                let _ = self.send(cx);
                Poll::Ready(end)
            }
        }
    }

    fn work(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Result<(), End> {
        self.bare.resets.begin_turn();
        let began = Instant::now();
        let mut now = began;
        let cut = loop {
            self.blocked = false;
            let mut moved = self.follow(cx, scratch, &mut now)?;
            if self.talk(cx) {
                moved = true;
                now = Instant::now();
            }
            self.splice.pump();
            if self.serve_lanes(cx) {
                moved = true;
                now = Instant::now();
            }
            self.count_resets()?;
            if self.splice.out.len() - self.sent >= limits::OUTBOX_BYTES {
                moved |= self.send(cx)?.is_ready();
            }
            let full = now - began > limits::EXCHANGE_TURN || self.bare.resets.fill_the_turn();
            if moved && !full {
                continue;
            }
            // A connection that always has something to do has its times, too.
            match self.clock.due(cx, self.splice.oldest()) {
                Due::Nothing => {
                    if moved {
                        cx.waker().wake_by_ref();
                    }
                    break moved;
                }
                Due::Gathered => self.splice.pass_gathered(),
                Due::Ping => self.splice.ping(),
                Due::End => return Err(End::Silent),
            }
        };
        if cut && self.may_wait(began, now) {
            return Ok(());
        }
        let sent = self.send(cx)?.is_ready();
        let waits = self.splice.hot_bytes() > 0;
        if self.clock.is_left(cx, waits, self.splice.hot_gone()) {
            return Err(End::Silent);
        }
        if sent && (self.blocked || self.splice.waits_for_room()) {
            cx.waker().wake_by_ref();
        }
        self.is_over(cx, sent)
    }

    /// Whether what this turn has said may leave with what the next one says.
    fn may_wait(&mut self, began: Instant, now: Instant) -> bool {
        let bytes = self.splice.out.len() - self.sent;
        if bytes == 0 || bytes >= limits::OUTBOX_BYTES {
            return false;
        }
        now - *self.waits_since.get_or_insert(began) < limits::FRONT_LINGER
    }

    /// Whether all has been said.
    fn is_over(&mut self, cx: &mut Context<'_>, sent: bool) -> Result<(), End> {
        let hyper_is_over = self.inner.as_ref().map(Inner::is_over);
        if self.client_has_gone && hyper_is_over.unwrap_or(true) {
            return Err(End::Over);
        }
        // Lanes end by themselves when the process drains. Whatever else ended hyper ends them too.
        let lanes_go_on = self.splice.is_draining() && self.splice.lanes() > 0;
        let all_has_left = sent && !self.splice.is_holding() && !lanes_go_on;
        if hyper_is_over == Some(true) && all_has_left {
            return match Pin::new(&mut self.bare.stream).poll_shutdown(cx) {
                Poll::Pending => Ok(()),
                Poll::Ready(_) => Err(End::Over),
            };
        }
        Ok(())
    }

    /// Reads what the client has said, and answers what can be answered at once. Returns whether there was anything.
    fn follow(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        now: &mut Instant,
    ) -> Result<bool, End> {
        self.blocked |= !self.may_read();
        if self.client_has_gone || self.blocked {
            return Ok(false);
        }
        let before = self.rest.len();
        scratch.input[..before].copy_from_slice(&self.rest);
        let mut filled = before;
        if !self.unread {
            match self.read(cx, &mut scratch.input[before..])? {
                None => return Ok(false),
                Some(0) => {
                    self.client_has_gone = true;
                    self.splice.drop_lanes();
                    if let Some(inner) = &mut self.inner {
                        inner.close();
                    }
                    return Ok(true);
                }
                Some(bytes) => filled += bytes,
            }
            *now = Instant::now();
            self.clock.heard(*now);
        }
        let used = self.answer_all(scratch, filled, now)?;
        self.rest.clear();
        self.rest.extend_from_slice(&scratch.input[used..filled]);
        if self.rest.is_empty() {
            self.rest.shrink_to(0);
        }
        Ok(true)
    }

    /// Whether there is room for what follows from reading.
    fn may_read(&self) -> bool {
        let hyper_is_full = self.inner.as_ref().is_some_and(Inner::is_full);
        self.splice.out.len() - self.sent < OWED_BYTES && !hyper_is_full
    }

    fn read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Result<Option<usize>, End> {
        let mut buffer = ReadBuf::new(room);
        match Pin::new(&mut self.bare.stream).poll_read(cx, &mut buffer) {
            Poll::Pending => Ok(None),
            Poll::Ready(Ok(())) => Ok(Some(buffer.filled().len())),
            Poll::Ready(Err(error)) => Err(End::Io(error)),
        }
    }

    /// Follows the first `filled` bytes until they end, or the turn is over. Returns how many were used.
    fn answer_all(
        &mut self,
        scratch: &mut Scratch,
        filled: usize,
        now: &mut Instant,
    ) -> Result<usize, End> {
        let (began, mut at) = (*now, 0);
        let mut newest = None;
        let core = Arc::clone(&self.below.core);
        self.unread = false;
        loop {
            let bytes = &scratch.input[at..filled];
            let (used, event) = self.splice.client(bytes).map_err(End::Rule)?;
            at += used;
            let call = match event {
                None if !self.splice.is_unread() => return Ok(at),
                None => {
                    *now = Instant::now();
                    if self.splice.waits_for_hyper() || self.turn_is_over(began, *now) {
                        self.unread = true;
                        return Ok(at);
                    }
                    continue;
                }
                Some(Event::Call(call)) => call,
                Some(Event::Lane(opening)) => {
                    self.open_lane(opening);
                    continue;
                }
            };
            let newest = newest.get_or_insert_with(|| core.view.newest());
            *now = self.answer(newest, call, began, *now, &mut scratch.reply);
            // Replies for which the socket has room need not be held.
            let is_full = self.splice.out.len() - self.sent >= limits::OUTBOX_BYTES;
            if is_full || self.turn_is_over(began, *now) {
                self.unread = true;
                return Ok(at);
            }
        }
    }

    fn turn_is_over(&mut self, began: Instant, now: Instant) -> bool {
        let resets = self.splice.take_resets();
        self.bare.resets.count(resets);
        now - began > limits::EXCHANGE_TURN || self.bare.resets.fill_the_turn()
    }

    fn open_lane(&mut self, opening: Opening) {
        match self.below.exchange.as_ref().and_then(Exchange::open) {
            Some(lane) => self.splice.open_lane(opening, lane),
            None => self.splice.pass_lane(opening),
        }
    }

    /// Lets each lane say its next message, as long as there is room. Returns whether any did.
    fn serve_lanes(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        for _ in 0..self.splice.lanes() {
            if self.splice.out.len() - self.sent >= limits::OUTBOX_BYTES {
                self.blocked = true;
                break;
            }
            moved |= self.splice.serve_lane(cx);
        }
        moved
    }

    fn answer(
        &mut self,
        newest: &Resolved<M>,
        call: Call<'_>,
        arrived: Instant,
        began: Instant,
        reply: &mut Vec<u8>,
    ) -> Instant {
        let fields = &call.fields;
        let wants = if fields.sum.asked {
            Wants::read(&positions(&fields.block, fields.sum.timeout))
        } else {
            Wants {
                asked: false,
                bounds: Ok(Bounds::default()),
                timeout: fields.sum.timeout,
            }
        };
        let brief = Brief {
            method: call.method,
            wants: &wants,
            arrived,
            message: &call.body,
            unread: self.splice.hot_bytes(),
        };
        reply.clear();
        reply.shrink_to(limits::OUTBOX_BYTES);
        let traceparent = || traceparent(&fields.block);
        let core = &self.below.core;
        let (once, now) = core.at_once(newest, &brief, began, reply, traceparent);
        match once {
            Once::Reply(position, share) => {
                let keep = |bytes| core.keep(share, bytes);
                self.splice.reply(call, position, reply, keep);
            }
            Once::Status(fields) => self.splice.status(call, &fields),
            Once::Later => self.splice.pass(call),
        }
        now
    }

    /// Hands on what is for hyper, and what hyper has said. Returns whether there was anything.
    fn talk(&mut self, cx: &Context<'_>) -> bool {
        self.give(cx);
        let Some(inner) = &mut self.inner else {
            return false;
        };
        let mut moved = inner.go_on(cx);
        if self.splice.out.len() - self.sent < limits::OUTBOX_BYTES {
            moved |= inner.said(|bytes| self.splice.hyper(bytes));
        } else {
            self.blocked = true;
        }
        self.give(cx);
        moved
    }

    fn give(&mut self, cx: &Context<'_>) {
        if self.splice.to_hyper.is_empty() {
            return;
        }
        if let Some(begin) = self.begin.take() {
            let mut inner = begin();
            inner.give(&mut self.splice.greeting);
            inner.go_on(cx);
            self.inner = Some(inner);
        }
        if let Some(inner) = &mut self.inner {
            inner.give(&mut self.splice.to_hyper);
        }
    }

    fn count_resets(&mut self) -> Result<(), End> {
        let resets = self.splice.take_resets();
        self.bare.resets.count(resets);
        self.bare
            .resets
            .flood()
            .map_or(Ok(()), |most| Err(End::Flood(most)))
    }

    /// Sends what there is for the client.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, End> {
        let out = &mut self.splice.out;
        while self.sent < out.len() {
            match Pin::new(&mut self.bare.stream).poll_write(cx, &out[self.sent..]) {
                Poll::Pending if self.clock.is_stalled(cx) => return Err(End::Silent),
                Poll::Pending => {
                    // What has left need not be kept until the rest has.
                    out.drain(..std::mem::take(&mut self.sent));
                    return Ok(Poll::Pending);
                }
                Poll::Ready(Ok(0)) => return Err(End::Io(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(bytes)) => self.sent += bytes,
                Poll::Ready(Err(error)) => return Err(End::Io(error)),
            }
            self.clock.sent();
        }
        self.sent = 0;
        self.waits_since = None;
        out.clear();
        Ok(Poll::Ready(()))
    }

    /// The last words.
    fn say(&mut self, end: &End) {
        match end {
            End::Rule(Broken { code, .. }) => self.splice.go_away(*code, ""),
            End::Flood(_) => self
                .splice
                .go_away(Code::EnhanceYourCalm, "too_many_resets"),
            End::Over | End::Io(_) | End::Silent => {}
        }
    }
}

impl<M: Model> Serves for Lane<M> {
    fn go_on(&mut self, inbound: &mut Inbound, cx: &mut Context<'_>) -> Poll<Said> {
        self.poll(inbound, cx)
    }

    fn message(&mut self) -> &mut Vec<u8> {
        Lane::message(self)
    }
}

/// What a call says about positions and time, as [`Wants::read`] wants it.
#[cold]
fn positions(block: &[u8], timeout: Option<std::time::Duration>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields_in(block) {
        let wanted =
            name.starts_with(b"x-hotpath-") || name == b"grpc-timeout" && timeout.is_some();
        let name = HeaderName::from_lowercase(name).ok().filter(|_| wanted);
        if let (Some(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

fn traceparent(block: &[u8]) -> &str {
    let mut fields = fields_in(block);
    let found = fields.find(|(name, _)| *name == b"traceparent");
    found
        .and_then(|(_, value)| std::str::from_utf8(value).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
