//! The others: a client, a lane and a hyper that keep to the rules, and see to it that the splice does.

use super::super::{Call, Event, Rules, Serves, Splice};
use crate::{
    exchange::{Came, Said, Source as _},
    front::{
        frame::{self, HEAD, Head, PREFACE, flag, kind, setting},
        hpack::{Decoder, fields_in},
        inbound::Inbound,
        table::append_literal,
    },
};
use hyper::http::{HeaderMap, HeaderValue};
use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll},
};

pub(super) const HOT: &str = "/s.S/Get";
pub(super) const LANE: &str = "/x.X/Exchange";
pub(super) const COLD: &str = "/other.S/Watch";

/// A splice whose lanes nobody serves.
pub(super) fn splice() -> Splice<()> {
    splice_of()
}

pub(super) fn splice_of<L>() -> Splice<(), L> {
    Splice::new(Rules {
        paths: Arc::new([HOT.to_owned(), LANE.to_owned()]),
        lane: Some(1),
        header_bytes: 65_536,
    })
}

/// The hot call that this has to be.
pub(super) fn hot(event: Option<Event<'_>>) -> Call<'_> {
    match event {
        Some(Event::Call(call)) => call,
        Some(Event::Lane(_)) => panic!("a lane instead of a hot call"),
        None => panic!("no hot call"),
    }
}

/// A header block of a call, in plain literals.
pub(super) fn block(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    let fields = [
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    for (name, value) in fields.iter().chain(more) {
        append_literal(&mut block, name.as_bytes(), value.as_bytes());
    }
    block
}

/// A message of so many bytes, with its prefix.
pub(super) fn message(stream: u32, bytes: usize) -> Vec<u8> {
    let mut message = vec![0];
    message.extend((bytes as u32).to_be_bytes());
    message.extend((0..bytes).map(|at| (at as u32 * 7 + stream) as u8));
    message
}

/// One end of a connection, which counts what it is sent.
pub(super) struct Client {
    decoder: Decoder,
    unread: Vec<u8>,
    /// What may still be sent to it: on the connection, and on each stream.
    pub(super) window: i64,
    initial: i64,
    pub(super) streams: BTreeMap<u32, Stream>,
    pub(super) acks: usize,
    /// By how much each of its windows was opened.
    pub(super) credited: BTreeMap<u32, usize>,
    pub(super) others: Vec<(Head, Vec<u8>)>,
}

#[derive(Default)]
pub(super) struct Stream {
    opened: i64,
    pub(super) body: Vec<u8>,
    /// The fields of each block.
    pub(super) blocks: Vec<String>,
    pub(super) ended: bool,
    /// Its own reset, or one that it was sent.
    pub(super) reset: bool,
}

impl Client {
    pub(super) fn new() -> Self {
        Self {
            decoder: Decoder::new(Arc::new([]), usize::MAX),
            unread: Vec::new(),
            window: 65_535,
            initial: 65_535,
            streams: BTreeMap::new(),
            acks: 0,
            credited: BTreeMap::new(),
            others: Vec::new(),
        }
    }

    pub(super) fn greeting(&self) -> Vec<u8> {
        let mut bytes = PREFACE.to_vec();
        frame::settings(&mut bytes, &[]);
        bytes
    }

    /// A call without its message.
    pub(super) fn call(&mut self, stream: u32, path: &str) -> Vec<u8> {
        self.streams.insert(stream, Stream::default());
        let mut bytes = Vec::new();
        frame::headers(&mut bytes, stream, false, &block(path, &[]));
        bytes
    }

    pub(super) fn open(&mut self, stream: u32, by: u32) -> Vec<u8> {
        match self.streams.get_mut(&stream) {
            None => self.window += i64::from(by),
            Some(stream) => stream.opened += i64::from(by),
        }
        let mut bytes = Vec::new();
        frame::window_update(&mut bytes, stream, by);
        bytes
    }

    /// The window of each stream from now on; it may be smaller only once that is acknowledged.
    pub(super) fn set_initial(&mut self, bytes: u32) -> Vec<u8> {
        self.initial = self.initial.max(i64::from(bytes));
        let mut out = Vec::new();
        frame::settings(&mut out, &[(setting::INITIAL_WINDOW_SIZE, bytes)]);
        out
    }

    pub(super) fn reset(&mut self, stream: u32) -> Vec<u8> {
        self.streams.get_mut(&stream).unwrap().reset = true;
        let mut bytes = Vec::new();
        frame::reset(&mut bytes, stream, frame::Code::RefusedStream);
        bytes
    }

    /// Reads so many bytes of what the splice says.
    pub(super) fn read(&mut self, out: &mut Vec<u8>, most: usize) {
        let most = most.min(out.len());
        self.unread.extend(out.drain(..most));
        while let Some(head) = Head::parse(&self.unread) {
            if self.unread.len() < HEAD + head.length {
                return;
            }
            let frame: Vec<u8> = self.unread.drain(..HEAD + head.length).collect();
            self.frame(head, &frame[HEAD..]);
        }
    }

    fn frame(&mut self, head: Head, payload: &[u8]) {
        match head.kind {
            kind::DATA => {
                let bytes = head.length as i64;
                self.window -= bytes;
                assert!(self.window >= 0, "the connection's window is overdrawn");
                let initial = self.initial;
                let stream = self.streams.get_mut(&head.stream).unwrap();
                assert!(!stream.ended, "DATA after the end");
                assert!(
                    !stream.blocks.is_empty() || stream.reset,
                    "DATA before the headers"
                );
                stream.body.extend_from_slice(payload);
                let window = initial + stream.opened - stream.body.len() as i64;
                assert!(window >= 0 || bytes == 0, "a stream's window is overdrawn");
                stream.ended = head.has(flag::END_STREAM);
            }
            kind::HEADERS => {
                assert!(head.has(flag::END_HEADERS));
                let fields = self.decoder.decode(payload).unwrap();
                let texts = fields_in(&fields.block)
                    .map(|(name, value)| String::from_utf8([name, b"=", value].concat()).unwrap());
                let stream = self.streams.get_mut(&head.stream).unwrap();
                assert!(!stream.ended, "headers after the end");
                stream.blocks.push(texts.collect::<Vec<_>>().join(" "));
                stream.ended = head.has(flag::END_STREAM);
            }
            kind::RST_STREAM => {
                let closed = frame::Code::StreamClosed as u32;
                assert_ne!(payload, closed.to_be_bytes(), "it keeps to the rules");
                self.streams.get_mut(&head.stream).unwrap().reset = true;
            }
            kind::SETTINGS if head.has(flag::ACK) => self.acks += 1,
            kind::WINDOW_UPDATE => {
                let by = u32::from_be_bytes(payload.try_into().unwrap());
                *self.credited.entry(head.stream).or_default() += by as usize;
            }
            _ => self.others.push((head, payload.to_vec())),
        }
    }
}

/// A lane that says what it hears, in messages of at most so many bytes.
#[derive(Default)]
pub(super) struct EchoLane {
    most: usize,
    heard: Vec<u8>,
    says: Vec<u8>,
    /// Whether it ends now.
    pub(super) ends: bool,
}

impl Serves for EchoLane {
    /// As a lane does, it takes no more than it has replied to.
    fn go_on(&mut self, inbound: &mut Inbound, cx: &mut Context<'_>) -> Poll<Said> {
        if self.heard.is_empty() {
            match inbound.poll_next(cx) {
                Poll::Ready(Came::Bytes(bytes)) => self.heard.extend(bytes),
                Poll::Ready(Came::End) => self.ends = true,
                Poll::Ready(Came::Lost(error)) => panic!("{error}"),
                Poll::Pending if !self.ends => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        if self.heard.is_empty() {
            let mut fields = HeaderMap::new();
            fields.insert("grpc-status", HeaderValue::from_static("0"));
            return Poll::Ready(Said::End(fields));
        }
        assert!(self.says.is_empty(), "its last message has been sent");
        let most = self.heard.len().min(self.most);
        self.says.extend(self.heard.drain(..most));
        Poll::Ready(Said::Message)
    }

    fn message(&mut self) -> &mut Vec<u8> {
        &mut self.says
    }
}

impl EchoLane {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// Where its messages are written.
    pub(super) fn message_place(&self) -> (*const u8, usize) {
        (self.says.as_ptr(), self.says.capacity())
    }
}

/// A hyper that echoes: each message comes back.
pub(super) struct Hyper {
    decoder: Decoder,
    greeted: bool,
    unread: Vec<u8>,
    pub(super) window: i64,
    initial: i64,
    last: u32,
    pub(super) streams: BTreeMap<u32, Echo>,
    pub(super) says: Vec<u8>,
}

#[derive(Default)]
pub(super) struct Echo {
    opened: i64,
    pub(super) body: Vec<u8>,
    pub(super) complete: bool,
    sent: usize,
    begun: bool,
    over: bool,
}

impl Hyper {
    pub(super) fn new() -> Self {
        Self {
            decoder: Decoder::new(Arc::new([]), usize::MAX),
            greeted: false,
            unread: Vec::new(),
            window: 65_535,
            initial: 65_535,
            last: 0,
            streams: BTreeMap::new(),
            says: Vec::new(),
        }
    }

    pub(super) fn read(&mut self, bytes: &mut Vec<u8>) {
        self.unread.append(bytes);
        if !self.greeted && self.unread.len() >= PREFACE.len() {
            let preface: Vec<u8> = self.unread.drain(..PREFACE.len()).collect();
            assert_eq!(preface, PREFACE);
            self.greeted = true;
            frame::settings(&mut self.says, &[]);
            frame::window_update(&mut self.says, 0, (4 << 20) - 65_535);
        }
        while let Some(head) = Head::parse(&self.unread).filter(|_| self.greeted) {
            if self.unread.len() < HEAD + head.length {
                return;
            }
            let frame: Vec<u8> = self.unread.drain(..HEAD + head.length).collect();
            self.frame(head, &frame[HEAD..]);
        }
    }

    /// How long the list of headers in these frames is.
    pub(super) fn list_of(&mut self, frames: &[u8]) -> usize {
        let (mut rest, mut block) = (frames, Vec::new());
        while let Some(head) = Head::parse(rest) {
            let (frame, more) = rest.split_at(HEAD + head.length);
            if matches!(head.kind, kind::HEADERS | kind::CONTINUATION) {
                block.extend_from_slice(&frame[HEAD..]);
            }
            rest = more;
        }
        self.decoder.decode(&block).unwrap().sum.bytes
    }

    fn frame(&mut self, head: Head, payload: &[u8]) {
        match head.kind {
            kind::HEADERS => {
                let fields = self.decoder.decode(payload).unwrap();
                assert!(fields_in(&fields.block).any(|(name, _)| name == b":path"));
                assert!(head.stream > self.last, "streams ascend");
                self.last = head.stream;
                self.streams.insert(head.stream, Echo::default());
            }
            kind::DATA => {
                let echo = self.streams.get_mut(&head.stream).expect("a known stream");
                assert!(!echo.complete);
                echo.body.extend_from_slice(payload);
                echo.complete = head.has(flag::END_STREAM);
            }
            kind::RST_STREAM => {
                self.streams
                    .get_mut(&head.stream)
                    .expect("a known stream")
                    .over = true
            }
            kind::WINDOW_UPDATE => {
                let by = i64::from(u32::from_be_bytes(payload.try_into().unwrap()));
                match head.stream {
                    0 => self.window += by,
                    stream => {
                        self.streams
                            .get_mut(&stream)
                            .expect("a known stream")
                            .opened += by
                    }
                }
                assert!(self.window <= 65_535, "more than was held came back");
            }
            kind::SETTINGS if !head.has(flag::ACK) => {
                for entry in payload.chunks(6) {
                    if entry[1] == setting::INITIAL_WINDOW_SIZE as u8 {
                        self.initial =
                            i64::from(u32::from_be_bytes(entry[2..].try_into().unwrap()));
                    }
                }
                frame::whole(&mut self.says, kind::SETTINGS, flag::ACK, 0, &[]);
            }
            _ => {}
        }
    }

    /// Resets one of the streams that the client has not ended, if there is one.
    pub(super) fn give_up(&mut self, one: usize) {
        let mut open: Vec<_> = self.streams.iter_mut().collect();
        open.retain(|(_, echo)| !echo.complete && !echo.over);
        if let Some(at) = one.checked_rem(open.len()) {
            let (stream, echo) = &mut open[at];
            frame::reset(&mut self.says, **stream, frame::Code::None);
            echo.over = true;
        }
    }

    /// Says what it may of its echoes, at most `most` bytes of each.
    pub(super) fn speak(&mut self, most: usize) {
        for (stream, echo) in &mut self.streams {
            if !echo.complete || echo.over {
                continue;
            }
            if !echo.begun {
                let mut block = vec![0x20, 0x88];
                append_literal(&mut block, b"content-type", b"application/grpc");
                frame::headers(&mut self.says, *stream, false, &block);
                echo.begun = true;
            }
            let left = echo.body.len() - echo.sent;
            let room = (self.initial + echo.opened - echo.sent as i64)
                .min(self.window)
                .max(0);
            let piece = left.min(most).min(room as usize).min(16_384);
            if piece > 0 {
                let data = &echo.body[echo.sent..echo.sent + piece];
                frame::whole(&mut self.says, kind::DATA, 0, *stream, data);
                echo.sent += piece;
                self.window -= piece as i64;
            }
            if echo.sent == echo.body.len() {
                let mut block = Vec::new();
                append_literal(&mut block, b"grpc-status", b"0");
                frame::headers(&mut self.says, *stream, true, &block);
                echo.over = true;
            }
        }
    }
}

/// Answers a hot call by its own message, so many times.
pub(super) fn answer<L>(splice: &mut Splice<(), L>, call: Call<'_>, times: usize) {
    let mut reply = call.body.repeat(times);
    splice.reply(call, None, &mut reply, |_| ());
}
