//! The protocol state of one connection, without its socket.

use super::{
    Violation,
    frame::{Frame, flag, kind, number, put_header, put_number},
    hpack::{
        decoder::Decoder,
        encoder::{Encoder, Fields},
    },
    message::PREFIX_BYTES,
    reply::{Answer, Kept, Reply, Sink, of_reset},
    request::{Unsent, put_whole},
    settings::{MAX_WINDOW, Settings, put_greeting},
    status,
};
use std::collections::VecDeque;

/// The largest header block that is accepted.
const MAX_BLOCK_BYTES: usize = 64 << 10;
/// No further request is accepted while this much waits for the socket.
const MAX_UNSENT_BYTES: usize = 64 << 10;
/// The written part of the buffer is cut off once it is this long.
const MAX_WRITTEN_BYTES: usize = 1 << 20;
/// After so many received bytes the peer's window is filled up again. The window is thousands of times as large.
const REPLENISH_BYTES: u32 = 1 << 20;
/// A connection accepts no more requests shortly before stream ids end at 2^31.
const LAST_ID: u32 = MAX_WINDOW - 1000;
const CANCEL: u32 = 8;
/// The most acknowledgements of PINGs and SETTINGS that may wait to be written. More are a flood, which would fill the
/// memory.
const MAX_ACKS: u32 = 10_000;

/// A client's connection. The answer of a request comes with the token `T` that the request was sent with.
#[derive(Debug)]
pub(crate) struct Connection<T> {
    out: Vec<u8>,
    written: usize,
    peer: Settings,
    encoder: Encoder,
    decoder: Decoder,
    /// By stream id: a client's ids are odd and ascending. The first entry is always unfinished.
    streams: VecDeque<Stream<T>>,
    first_id: u32,
    next_id: u32,
    in_flight: usize,
    window: i64,
    received: u32,
    unsent: Vec<Unsent>,
    /// Acknowledgements since the buffer was last empty.
    acks: u32,
    /// A header block that continues in the next frame.
    block: Option<Block>,
    /// Whether the peer's SETTINGS have come.
    ready: bool,
    /// Whether no more requests are accepted, because the peer said so or ids run out.
    closing: bool,
    /// Allocations for kept replies, which are reused.
    #[allow(clippy::vec_box, reason = "the boxes are what is used again")]
    spare: Vec<Box<Kept>>,
}

#[derive(Debug)]
struct Stream<T> {
    token: T,
    finished: bool,
    reply: Reply,
}

#[derive(Debug)]
struct Block {
    stream: u32,
    ends_stream: bool,
    bytes: Vec<u8>,
}

impl<T: Copy> Connection<T> {
    /// Makes a connection whose greeting is still to be sent.
    pub(crate) fn new() -> Self {
        let mut out = Vec::new();
        put_greeting(&mut out);
        let peer = Settings::default();
        Self {
            out,
            written: 0,
            window: peer.initial_window,
            peer,
            encoder: Encoder::default(),
            decoder: Decoder::default(),
            streams: VecDeque::new(),
            first_id: 1,
            next_id: 1,
            in_flight: 0,
            received: 0,
            unsent: Vec::new(),
            acks: 0,
            block: None,
            ready: false,
            closing: false,
            spare: Vec::new(),
        }
    }

    /// Whether the peer has sent its greeting.
    pub(crate) fn ready(&self) -> bool {
        self.ready
    }

    /// Whether the connection is of no more use: it accepts no requests, and none is in flight.
    pub(crate) fn finished(&self) -> bool {
        self.closing && self.in_flight == 0
    }

    /// Whether a request could be sent at once.
    pub(crate) fn accepts(&self) -> bool {
        self.ready
            && !self.closing
            && self.window > 0
            && self.in_flight < self.peer.max_streams
            && self.out.len() - self.written < MAX_UNSENT_BYTES
    }

    /// Returns the bytes that are to be written to the socket.
    pub(crate) fn unsent(&self) -> &[u8] {
        self.out.get(self.written..).unwrap_or_default()
    }

    /// Records that this many of those bytes were written.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written >= self.out.len() {
            self.acks = 0;
        }
        // A peer that never takes all bytes must not make the buffer grow without end.
        if self.written >= self.out.len() || self.written >= MAX_WRITTEN_BYTES {
            self.out.drain(..self.written.min(self.out.len()));
            self.written = 0;
        }
    }

    /// Appends a request. The caller has checked that the connection [accepts](Self::accepts) one.
    pub(crate) fn request(
        &mut self,
        (fields, method): (&Fields, u16),
        message: &[u8],
        token: T,
        (position, keep): (bool, bool),
    ) {
        let id = self.next_id;
        self.next_id += 2;
        self.closing |= self.next_id > LAST_ID;
        let block = self.encoder.block(fields, method, position);
        put_header(
            &mut self.out,
            block.len(),
            kind::HEADERS,
            flag::END_HEADERS,
            id,
        );
        self.out.extend_from_slice(block);
        let length = PREFIX_BYTES + message.len();
        let window = self.window.min(self.peer.initial_window);
        if length <= self.peer.max_frame_bytes && i64::try_from(length).is_ok_and(|l| l <= window) {
            put_whole(&mut self.out, id, message);
            self.window -= i64::try_from(length).unwrap_or(0);
        } else {
            let unsent = Unsent::new(id, self.peer.initial_window, message);
            self.unsent.push(unsent);
            self.send_bodies();
        }
        let kept = keep.then(|| self.spare.pop().unwrap_or_default());
        self.streams.push_back(Stream {
            token,
            finished: false,
            reply: Reply::keeping(kept),
        });
        self.in_flight += 1;
    }

    /// Returns the token of the oldest request in flight.
    pub(crate) fn oldest(&self) -> Option<&T> {
        self.streams.front().map(|stream| &stream.token)
    }

    /// Gives up the oldest request, and tells the peer so.
    pub(crate) fn cancel_oldest(&mut self) -> Option<T> {
        let token = *self.oldest()?;
        let id = self.first_id;
        put_number(&mut self.out, kind::RST_STREAM, id, CANCEL);
        self.finish(id, |_, _| {});
        Some(token)
    }

    /// Fails all requests in flight, because the connection is lost.
    pub(crate) fn fail_all(&mut self, sink: &mut impl Sink<T>, why: &'static str) {
        self.fail_after(0, sink, why);
        self.closing = true;
    }

    /// Takes all complete frames of `bytes`, and returns the rest.
    pub(crate) fn receive<'a>(
        &mut self,
        mut bytes: &'a [u8],
        sink: &mut impl Sink<T>,
    ) -> Result<&'a [u8], Violation> {
        while let Some((frame, rest)) = Frame::split(bytes)? {
            self.frame(&frame, sink)?;
            bytes = rest;
        }
        Ok(bytes)
    }

    fn frame(&mut self, frame: &Frame<'_>, sink: &mut impl Sink<T>) -> Result<(), Violation> {
        if !self.ready && frame.kind != kind::SETTINGS {
            return Err(Violation("it doesn't begin with SETTINGS, as HTTP/2 does"));
        }
        if self.block.is_some() && frame.kind != kind::CONTINUATION {
            return Err(Violation("a header block that doesn't go on"));
        }
        match frame.kind {
            kind::DATA => self.data(frame, sink),
            kind::HEADERS => self.headers(frame, sink),
            kind::CONTINUATION => self.continuation(frame, sink),
            kind::RST_STREAM => self.reset(frame, sink),
            kind::SETTINGS => self.settings(frame),
            kind::PUSH_PROMISE => Err(Violation("a push, which was forbidden")),
            kind::PING => self.ping(frame),
            kind::GOAWAY => self.go_away(frame, sink),
            kind::WINDOW_UPDATE => self.window_update(frame),
            _ => Ok(()),
        }
    }

    fn data(&mut self, frame: &Frame<'_>, sink: &mut impl Sink<T>) -> Result<(), Violation> {
        let piece = frame.content()?;
        self.received += u32::try_from(frame.payload.len()).unwrap_or(0);
        if self.received >= REPLENISH_BYTES {
            let received = std::mem::take(&mut self.received);
            put_number(&mut self.out, kind::WINDOW_UPDATE, 0, received);
        }
        if let Some(stream) = self.stream(frame.stream)? {
            stream.reply.data(piece);
            if frame.has(flag::END_STREAM) {
                self.answer(frame.stream, sink);
            }
        }
        Ok(())
    }

    fn headers(&mut self, frame: &Frame<'_>, sink: &mut impl Sink<T>) -> Result<(), Violation> {
        let block = frame.content()?;
        let ends_stream = frame.has(flag::END_STREAM);
        if frame.has(flag::END_HEADERS) {
            return self.fields(frame.stream, block, ends_stream, sink);
        }
        self.block = Some(Block {
            stream: frame.stream,
            ends_stream,
            bytes: block.to_vec(),
        });
        Ok(())
    }

    fn continuation(
        &mut self,
        frame: &Frame<'_>,
        sink: &mut impl Sink<T>,
    ) -> Result<(), Violation> {
        let mut block = (self.block.take())
            .filter(|block| block.stream == frame.stream)
            .ok_or(Violation("a CONTINUATION of nothing"))?;
        block.bytes.extend_from_slice(frame.payload);
        if block.bytes.len() > MAX_BLOCK_BYTES {
            return Err(Violation("a header block above 64 KiB"));
        }
        if frame.has(flag::END_HEADERS) {
            return self.fields(block.stream, &block.bytes, block.ends_stream, sink);
        }
        self.block = Some(block);
        Ok(())
    }

    fn fields(
        &mut self,
        id: u32,
        block: &[u8],
        ends_stream: bool,
        sink: &mut impl Sink<T>,
    ) -> Result<(), Violation> {
        let at = self.position(id)?;
        // A block of a stream that is over is decoded too, because the header tables of both sides must stay equal.
        let mut stream = at.and_then(|at| self.streams.get_mut(at));
        self.decoder.decode(block, |field| {
            if let Some(stream) = &mut stream {
                stream.reply.field(&field);
            }
        })?;
        if ends_stream && stream.is_some() {
            self.answer(id, sink);
        }
        Ok(())
    }

    fn reset(&mut self, frame: &Frame<'_>, sink: &mut impl Sink<T>) -> Result<(), Violation> {
        let error = number(frame.payload).ok_or(Violation("RST_STREAM of another length"))?;
        if self.stream(frame.stream)?.is_some() {
            let answer = Answer::failed(of_reset(error), "the peer reset the stream");
            self.finish(frame.stream, |token, _| sink.answered(token, &answer));
        }
        Ok(())
    }

    fn settings(&mut self, frame: &Frame<'_>) -> Result<(), Violation> {
        if frame.stream != 0 {
            return Err(Violation("SETTINGS of a stream"));
        }
        if frame.has(flag::ACK) {
            return Ok(());
        }
        let before = self.peer.initial_window;
        self.peer.apply(frame.payload)?;
        self.encoder.resize(self.peer.header_table_bytes);
        for unsent in &mut self.unsent {
            unsent.window += self.peer.initial_window - before;
        }
        self.count_ack()?;
        put_header(&mut self.out, 0, kind::SETTINGS, flag::ACK, 0);
        self.ready = true;
        self.send_bodies();
        Ok(())
    }

    fn ping(&mut self, frame: &Frame<'_>) -> Result<(), Violation> {
        if frame.payload.len() != 8 || frame.stream != 0 {
            return Err(Violation("a PING of another length, or of a stream"));
        }
        if !frame.has(flag::ACK) {
            self.count_ack()?;
            put_header(&mut self.out, 8, kind::PING, flag::ACK, 0);
            self.out.extend_from_slice(frame.payload);
        }
        Ok(())
    }

    fn count_ack(&mut self) -> Result<(), Violation> {
        self.acks += 1;
        if self.acks > MAX_ACKS {
            return Err(Violation("PINGs or SETTINGS without reading the answers"));
        }
        Ok(())
    }

    fn go_away(&mut self, frame: &Frame<'_>, sink: &mut impl Sink<T>) -> Result<(), Violation> {
        let last = (frame.payload.get(..4).and_then(number))
            .filter(|_| frame.payload.len() >= 8)
            .ok_or(Violation("GOAWAY of less than 8 bytes"))?;
        self.closing = true;
        self.fail_after(last & MAX_WINDOW, sink, "the peer goes away");
        Ok(())
    }

    fn window_update(&mut self, frame: &Frame<'_>) -> Result<(), Violation> {
        let increment = (number(frame.payload).map(|n| n & MAX_WINDOW))
            .filter(|&increment| increment > 0)
            .ok_or(Violation("WINDOW_UPDATE without an increment"))?;
        let unsent = &mut self.unsent;
        let window = match frame.stream {
            0 => Some(&mut self.window),
            id => (unsent.iter_mut().find(|unsent| unsent.stream == id)).map(|u| &mut u.window),
        };
        if let Some(window) = window {
            *window += i64::from(increment);
            if *window > i64::from(MAX_WINDOW) {
                return Err(Violation("a window above 2^31-1"));
            }
            self.send_bodies();
        }
        Ok(())
    }

    fn send_bodies(&mut self) {
        let (out, window) = (&mut self.out, &mut self.window);
        let max_frame = self.peer.max_frame_bytes;
        (self.unsent).retain_mut(|unsent| !unsent.send(out, window, max_frame));
    }

    /// Returns the index of a stream in `streams`, or `None` if it is no longer there.
    fn position(&self, id: u32) -> Result<Option<usize>, Violation> {
        if id.is_multiple_of(2) || id >= self.next_id {
            return Err(Violation("a frame of a stream that was never opened"));
        }
        Ok(id.checked_sub(self.first_id).map(|ids| ids as usize / 2))
    }

    fn stream(&mut self, id: u32) -> Result<Option<&mut Stream<T>>, Violation> {
        let at = self.position(id)?;
        let stream = at.and_then(|at| self.streams.get_mut(at));
        Ok(stream.filter(|stream| !stream.finished))
    }

    /// Hands over a reply that is complete.
    fn answer(&mut self, id: u32, sink: &mut impl Sink<T>) {
        if self.unsent.iter().any(|unsent| unsent.stream == id) {
            put_number(&mut self.out, kind::RST_STREAM, id, CANCEL);
        }
        self.finish(id, |token, reply| sink.answered(token, &reply.answer()));
    }

    fn finish(&mut self, id: u32, end: impl FnOnce(T, &Reply)) {
        let at = self.position(id).ok().flatten();
        let Some(stream) = at.and_then(|at| self.streams.get_mut(at)) else {
            return;
        };
        if std::mem::replace(&mut stream.finished, true) {
            return;
        }
        self.in_flight -= 1;
        end(stream.token, &stream.reply);
        self.spare.extend(stream.reply.recycle());
        if !self.unsent.is_empty() {
            self.unsent.retain(|unsent| unsent.stream != id);
        }
        while self
            .streams
            .pop_front_if(|stream| stream.finished)
            .is_some()
        {
            self.first_id += 2;
        }
    }

    /// Fails all requests whose stream comes after `last`.
    fn fail_after(&mut self, last: u32, sink: &mut impl Sink<T>, why: &'static str) {
        let answer = Answer::failed(status::UNAVAILABLE, why);
        for id in (self.first_id..self.next_id)
            .step_by(2)
            .filter(|&id| id > last)
        {
            self.finish(id, |token, _| sink.answered(token, &answer));
        }
    }
}
