//! One connection as a pure state machine: bytes of the client and of hyper in; hot calls, lanes, and bytes for both, out.
//!
//! A new call goes through these states. Hyper sees the streams that are passed to it under the client's own ids; those
//! ascend, because whatever is gathered under a lower id is passed before.
//!
//! ```text
//!             plain headers                its message is whole              a reply, or a status
//!  headers ───────────────────> gathered ──────────────────────> answered ─────────────────────────> held, or gone
//!     │                            │                                 │
//!     │ any others                 │ long, padded, trailers,         │ the core can't answer at once
//!     v                            v or late                         v
//!  passed to hyper <───────────────┴─────────────────────────────────┘
//! ```
//!
//! A call of the exchange's method becomes a lane, or is passed to hyper if there is no place for it.
//!
//! While hyper has much to read, no frame of the client's is taken: neither a lane's nor a hot call's, nor the PING behind it.
//! All of a connection wait for hyper then, as they wait for each other in TCP. Hyper never waits for the client's frames to
//! read on, only for room for what it says, so that ends.

mod client;
mod closed;
mod hyper;
mod lanes;

use super::{
    frame::{self, Broken, Code, MOST, PREFACE, kind, setting},
    hpack::{Decoder, Fields},
    meaning::Paths,
    queues::Queues,
    reply::Headers,
    windows::{Reply, Windows},
};
use crate::limits;
use ::hyper::http::HeaderMap;
use closed::Unheard;
use lanes::Open;
pub(super) use lanes::{Opening, Serves};
use std::{borrow::Cow, collections::HashMap, sync::Arc};

/// What the front says in its own pings, to tell their answers from those to hyper's.
const OUR_PING: [u8; 8] = *b"hotpathd";
/// Longest message that is answered below hyper, with its prefix. Longer ones count against the budget.
const SHORT: usize = limits::SHORT_MESSAGE_BYTES + 5;
/// Bytes for hyper from which on no more frames are taken of the client. One more call may come to a header list more: a few
/// bytes of the client's are as much as its table holds, and hyper has no such table.
const TO_HYPER_BYTES: usize = 64 << 10;
/// Bytes of headers, as HTTP/2 counts them, after which others may have their turn.
const DECODED_BYTES: usize = 64 << 10;
/// Bytes of calls whose messages are on their way. Beyond, the oldest are hyper's.
const GATHERED_BYTES: usize = 256 << 10;
/// Changes of windows whose acknowledgements may wait for what hyper has said before.
const ACKS: u32 = 1_024;
/// Hot bytes that are credited to the client together.
const CREDIT_BYTES: u32 = limits::CONNECTION_WINDOW_BYTES / 8;

/// Bounds of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) paths: Arc<Paths>,
    /// Which of the paths opens a lane, if one does.
    pub(crate) lane: Option<usize>,
    /// Longest headers of a call.
    pub(crate) header_bytes: u32,
}

/// One connection. `K` is what a reply keeps until it has left, `L` serves a lane.
pub(super) struct Splice<K, L = ()> {
    rules: Rules,
    /// How much of the client's preface has come.
    greeted: usize,
    /// Whether the client's first SETTINGS have come.
    settled: bool,
    /// No call is hot any more.
    draining: bool,
    decoder: Decoder,
    /// Headers that go on in the next frame.
    partial: Option<Partial>,
    /// The highest stream of the client.
    last: u32,
    /// The highest stream that the front has answered itself.
    last_hot: u32,
    /// By ascending streams.
    gathered: Queues<Gathered, 1>,
    gathered_bytes: usize,
    /// Bytes of headers that the last call of [`Self::client`] decoded.
    decoded: usize,
    /// Whether it has left frames that may be whole.
    unread: bool,
    /// The lanes that are open. The first is the next to speak.
    lanes: Vec<Open<L>>,
    /// Streams of hyper's that are open, and who has ended its side.
    passed: HashMap<u32, Ended, ahash::RandomState>,
    unheard: Unheard,
    windows: Windows<K>,
    headers: Headers,
    /// Hot bytes that the client has not been credited.
    uncredited: u32,
    /// Resets seen and sent since [`Self::take_resets`].
    resets: u32,
    /// What hyper has been told, if there is one.
    inner: Option<Inner>,
    /// The client's limit on the headers of a reply, for a hyper that begins later.
    list_bytes: Option<u32>,
    /// For the client.
    pub(super) out: Vec<u8>,
    /// For hyper.
    pub(super) to_hyper: Vec<u8>,
    /// What hyper must have read, and answered, before anything else: until its first SETTINGS are acknowledged and its
    /// first window has been raised, it allows less than the client was given.
    pub(super) greeting: Vec<u8>,
}

/// What the client's bytes have come to.
pub(super) enum Event<'a> {
    Call(Call<'a>),
    Lane(Opening),
}

/// A hot call whose message is whole.
pub(super) struct Call<'a> {
    pub(super) stream: u32,
    pub(super) method: usize,
    pub(super) fields: Fields,
    /// The message with its prefix.
    pub(super) body: Cow<'a, [u8]>,
    opened: u32,
}

/// A hot call whose message is on its way.
struct Gathered {
    method: usize,
    fields: Fields,
    body: Vec<u8>,
    /// By how much the client has opened the stream's window.
    opened: u32,
    /// How many DATA frames have come.
    frames: u32,
}

/// What headers say besides their block.
#[derive(Clone, Copy)]
struct Begun {
    stream: u32,
    ends: bool,
    on_itself: bool,
}

struct Partial {
    begun: Begun,
    block: Vec<u8>,
    frames: u32,
}

/// Who has ended its side of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Ended {
    client: bool,
    hyper: bool,
}

/// What is between the front and hyper.
#[derive(Debug)]
struct Inner {
    /// What hyper adds to its first window, which the client has been given by the front already.
    raise: u32,
    /// Whether it has acknowledged the front's own SETTINGS.
    settled: bool,
    /// Acknowledgements for the client, which wait until nothing of hyper's is held.
    acks: u32,
    /// Headers of a reply that go on in the next frame.
    partial: Option<(u32, bool, Vec<u8>)>,
}

impl Gathered {
    fn bytes(&self) -> usize {
        self.fields.block.len() + self.body.len()
    }
}

impl<K, L> Splice<K, L> {
    /// A new connection: the front speaks first, as hyper does.
    pub(super) fn new(rules: Rules) -> Self {
        let list = rules.header_bytes.saturating_mul(limits::HEADER_ROOM);
        let most = usize::try_from(list).unwrap_or(usize::MAX);
        let mut out = Vec::new();
        let settings = [
            (setting::MAX_CONCURRENT_STREAMS, limits::STREAMS),
            (setting::INITIAL_WINDOW_SIZE, limits::STREAM_WINDOW_BYTES),
            (setting::MAX_FRAME_SIZE, 16_384),
            (setting::MAX_HEADER_LIST_SIZE, list),
        ];
        frame::settings(&mut out, &settings);
        frame::window_update(&mut out, 0, limits::CONNECTION_WINDOW_BYTES - 65_535);
        Self {
            decoder: Decoder::new(Arc::clone(&rules.paths), most),
            rules,
            greeted: 0,
            settled: false,
            draining: false,
            partial: None,
            last: 0,
            last_hot: 0,
            gathered: Queues::new(),
            gathered_bytes: 0,
            decoded: 0,
            unread: false,
            lanes: Vec::new(),
            passed: HashMap::default(),
            unheard: Unheard::default(),
            windows: Windows::new(),
            headers: Headers::default(),
            uncredited: 0,
            resets: 0,
            inner: None,
            list_bytes: None,
            out,
            to_hyper: Vec::new(),
            greeting: Vec::new(),
        }
    }

    /// Sends a reply. `message` is a buffer with it; it is taken if the reply has to wait, and what `keep` gives for so many
    /// bytes is kept until it has left.
    pub(super) fn reply(
        &mut self,
        call: Call<'_>,
        position: Option<u64>,
        message: &mut Vec<u8>,
        keep: impl FnOnce(usize) -> K,
    ) {
        let reply = Reply {
            stream: call.stream,
            opened: call.opened,
            position,
        };
        let (out, headers) = (&mut self.out, &mut self.headers);
        self.windows.reply(out, headers, &reply, message, keep);
        self.end(call);
    }

    /// Sends a status without a reply.
    pub(super) fn status(&mut self, call: Call<'_>, fields: &HeaderMap) {
        self.headers.status(&mut self.out, call.stream, fields);
        self.end(call);
    }

    fn end(&mut self, call: Call<'_>) {
        self.last_hot = self.last_hot.max(call.stream);
        self.credit(call.body.len());
        self.decoder.recycle(call.fields.block);
    }

    /// Leaves a call to hyper.
    pub(super) fn pass(&mut self, call: Call<'_>) {
        self.pass_below(call.stream);
        self.pass_headers(call.stream, false, &call.fields.block);
        self.passed.entry(call.stream).or_default().client = true;
        if call.opened > 0 {
            frame::window_update(&mut self.to_hyper, call.stream, call.opened);
        }
        let end = frame::flag::END_STREAM;
        frame::whole(&mut self.to_hyper, kind::DATA, end, call.stream, &call.body);
        self.decoder.recycle(call.fields.block);
    }

    /// Leaves to hyper all calls whose messages have not come whole.
    pub(super) fn pass_gathered(&mut self) {
        self.pass_below(MOST);
    }

    /// The first stream whose message is on its way.
    pub(super) fn oldest(&self) -> Option<u32> {
        self.gathered.first(0)
    }

    /// From now on hyper gets every call.
    pub(super) fn drain(&mut self) {
        self.draining = true;
        self.pass_gathered();
        self.begin_hyper();
    }

    /// Whether hyper gets every call.
    pub(super) fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether the client has said who it is.
    pub(super) fn is_greeted(&self) -> bool {
        self.greeted == PREFACE.len()
    }

    /// Whether frames of the client's were left that may be whole: they are for the next call of [`Self::client`].
    pub(super) fn is_unread(&self) -> bool {
        self.unread
    }

    /// Whether hyper has to read before frames of the client's are taken.
    pub(super) fn waits_for_hyper(&self) -> bool {
        self.to_hyper.len() >= TO_HYPER_BYTES
    }

    /// What the hot replies take that wait for the client's windows.
    pub(super) fn hot_bytes(&self) -> usize {
        self.windows.hot_bytes()
    }

    /// How many bytes of hot replies that had to wait have left so far.
    pub(super) fn hot_gone(&self) -> u64 {
        self.windows.hot_gone()
    }

    /// Whether replies wait for the client's windows, or for room.
    pub(super) fn is_holding(&self) -> bool {
        self.windows.len() > 0
    }

    /// Whether replies wait for room.
    pub(super) fn waits_for_room(&self) -> bool {
        self.windows.waits_for_room()
    }

    /// Sends what the windows allow, and tells hyper what has left.
    pub(super) fn pump(&mut self) {
        self.windows.pump(&mut self.out, &mut self.headers);
        if let Some(inner) = &mut self.inner {
            if inner.acks > 0 && !self.windows.holds_hypers() {
                for _ in 0..std::mem::take(&mut inner.acks) {
                    frame::whole(&mut self.out, kind::SETTINGS, frame::flag::ACK, 0, &[]);
                }
            }
            // Half of a window: that hyper never waits for an update which waits for hyper.
            if self.windows.returned() >= 32_768 {
                let returned = u32::try_from(self.windows.take_returned()).unwrap_or(MOST);
                frame::window_update(&mut self.to_hyper, 0, returned);
            }
        }
    }

    /// Asks the client whether it lives.
    pub(super) fn ping(&mut self) {
        frame::whole(&mut self.out, kind::PING, 0, 0, &OUR_PING);
    }

    /// Says why the connection ends.
    pub(super) fn go_away(&mut self, code: Code, text: &str) {
        frame::go_away(&mut self.out, self.last, code, text);
    }

    /// Resets since the last call, in both directions.
    pub(super) fn take_resets(&mut self) -> u32 {
        std::mem::take(&mut self.resets)
    }

    /// Credits the client for hot bytes.
    fn credit(&mut self, bytes: usize) {
        self.uncredited += u32::try_from(bytes).unwrap_or(0);
        if self.uncredited >= CREDIT_BYTES {
            frame::window_update(&mut self.out, 0, self.uncredited);
            self.uncredited = 0;
        }
    }

    /// Leaves to hyper what is gathered under lower ids, or it would take those for used ones.
    fn pass_below(&mut self, stream: u32) {
        while let Some(first) = self.gathered.first(0).filter(|first| *first < stream) {
            let Some(call) = self.take_gathered(first) else {
                return;
            };
            self.pass_part(first, call);
        }
    }

    fn take_gathered(&mut self, stream: u32) -> Option<Gathered> {
        let call = self.gathered.remove(stream)?;
        self.gathered_bytes -= call.bytes();
        Some(call)
    }

    fn gather(&mut self, stream: u32, method: usize, fields: Fields) {
        let call = Gathered {
            method,
            fields,
            body: Vec::new(),
            opened: 0,
            frames: 0,
        };
        self.gathered_bytes += call.bytes();
        self.gathered.push(0, stream, call);
        self.bound_gathered();
    }

    /// Headers of a few bytes may be long once they are decoded, so their number bounds nothing.
    fn bound_gathered(&mut self) {
        while self.gathered_bytes > GATHERED_BYTES
            && let Some(oldest) = self.gathered.first(0)
        {
            self.pass_below(oldest + 1);
        }
    }

    fn pass_part(&mut self, stream: u32, call: Gathered) {
        self.pass_headers(stream, false, &call.fields.block);
        self.passed.insert(stream, Ended::default());
        if call.opened > 0 {
            frame::window_update(&mut self.to_hyper, stream, call.opened);
        }
        if !call.body.is_empty() {
            frame::whole(&mut self.to_hyper, kind::DATA, 0, stream, &call.body);
        }
        self.decoder.recycle(call.fields.block);
    }

    fn pass_headers(&mut self, stream: u32, ends: bool, block: &[u8]) {
        self.begin_hyper();
        frame::headers(&mut self.to_hyper, stream, ends, block);
    }

    /// Greets a hyper that is new, as the client would, but with a table of headers that has no room: the front adds to the
    /// client's table.
    fn begin_hyper(&mut self) {
        if self.inner.is_some() {
            return;
        }
        self.inner = Some(Inner {
            raise: limits::CONNECTION_WINDOW_BYTES - 65_535,
            settled: false,
            acks: 0,
            partial: None,
        });
        self.greeting.extend_from_slice(PREFACE);
        let mut settings = vec![
            (setting::HEADER_TABLE_SIZE, 0),
            (setting::ENABLE_PUSH, 0),
            (setting::INITIAL_WINDOW_SIZE, self.windows.initial()),
        ];
        settings.extend(
            self.list_bytes
                .map(|bytes| (setting::MAX_HEADER_LIST_SIZE, bytes)),
        );
        frame::settings(&mut self.greeting, &settings);
        // It is read before what follows.
        frame::whole(&mut self.to_hyper, kind::SETTINGS, frame::flag::ACK, 0, &[]);
    }

    /// One side has ended a stream of hyper's, or both.
    fn end_passed(&mut self, stream: u32, client: bool, hyper: bool) {
        if let Some(ended) = self.passed.get_mut(&stream) {
            ended.client |= client;
            ended.hyper |= hyper;
            if ended.client && ended.hyper {
                self.passed.remove(&stream);
            }
        }
    }
}

/// A rule that a client of HTTP/2 broke.
fn broken<T>(rule: &'static str) -> Result<T, Broken> {
    Err(Broken::protocol(rule))
}

#[cfg(test)]
mod tests;
