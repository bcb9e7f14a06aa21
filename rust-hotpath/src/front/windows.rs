//! The client's windows, and what waits for them. Hot replies, lanes and hyper's DATA spend one window of the connection;
//! each hot reply and each lane has a window of its own besides. Hyper keeps to the windows of its streams itself.
//!
//! ```text
//!  hot replies ──────┬── fits ──────────────────> out, up to 64 KiB, then the socket
//!  messages of lanes ┤                             ^
//!  hyper's DATA ─────┴── does not ──> held ── pump ┘   when a window opens, or out has room again
//! ```
//!
//! What is held waits in three queues. One piece of each ready stream leaves in turn. What belongs behind a stream's DATA waits
//! with it.
//!
//! ```text
//!  a reply ──> fresh ── its headers leave ──> ready ── a piece leaves ──> ready, or gone
//!  others ──────────────────────────────────────^ │
//!                  its window, or all, are opened │ its own window is closed
//!                                               │ v
//!                                             parked
//! ```

use super::{
    frame::{self, Broken, Code, MOST, PAYLOAD, flag, kind},
    queues::Queues,
    reply::Headers,
};
use crate::limits::OUTBOX_BYTES;

/// Replies whose headers have not left.
const FRESH: usize = 0;
/// Streams that only need the connection's window, and room.
const READY: usize = 1;
/// Streams whose own windows are closed.
const PARKED: usize = 2;
/// What a held reply takes besides its bytes.
const HELD_BYTES: usize = 256;

/// The windows of one client. `K` is what a held reply keeps until it has left: its places.
#[derive(Debug)]
pub(super) struct Windows<K> {
    /// What the connection may still send.
    connection: u32,
    /// The window of a new stream.
    initial: u32,
    /// By how much the window of each lane's stream differs from `initial`.
    lanes: Vec<(u32, i64)>,
    held: Queues<Held<K>, 3>,
    /// Bytes of the hot replies among them.
    hot_bytes: usize,
    /// How many bytes of such replies have left so far.
    hot_gone: u64,
    /// Streams of hyper's among them.
    hypers: usize,
    /// Whether a window has opened since `pump`, or `out` was full then.
    stirred: bool,
    /// Whether the windows of all streams have opened since.
    all_opened: bool,
    /// Held bytes of hyper's that have left, or were dropped.
    returned: usize,
}

/// A stream whose DATA waits.
#[derive(Debug)]
struct Held<K> {
    body: Vec<u8>,
    /// How many bytes of the body have left.
    gone: usize,
    rest: Behind,
    _kept: Option<K>,
}

/// What belongs to a held stream besides its DATA.
#[derive(Debug)]
enum Behind {
    /// Of a hot reply: the position in its headers, if they have not left, and what its window was opened by.
    Reply {
        headers: Option<Option<u64>>,
        opened: u32,
    },
    /// Of hyper's stream: whether its last DATA ends it, and its trailers.
    Hyper {
        ends: bool,
        trailers: Option<Vec<u8>>,
    },
    /// Nothing: a lane says no more until its message has left.
    Lane,
}

/// A hot reply.
pub(super) struct Reply {
    pub(super) stream: u32,
    /// By how much the client opened the stream's window before the reply.
    pub(super) opened: u32,
    pub(super) position: Option<u64>,
}

impl<K> Windows<K> {
    /// As HTTP/2 begins.
    pub(super) fn new() -> Self {
        Self {
            connection: 65_535,
            initial: 65_535,
            lanes: Vec::new(),
            held: Queues::new(),
            hot_bytes: 0,
            hot_gone: 0,
            hypers: 0,
            stirred: false,
            all_opened: false,
            returned: 0,
        }
    }

    /// How many streams wait.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// What the hot replies take that wait.
    pub(super) fn hot_bytes(&self) -> usize {
        self.hot_bytes
    }

    /// The client changes the windows of all streams, also of those that are open.
    pub(super) fn set_initial(&mut self, bytes: u32) -> Result<(), Broken> {
        self.initial = bytes;
        (self.stirred, self.all_opened) = (true, true);
        let too_large = |lane: &(u32, i64)| i64::from(bytes) + lane.1 > i64::from(MOST);
        if self.lanes.iter().any(too_large) {
            let rule = "a window of a stream that is too large";
            return Err(Broken::new(Code::FlowControl, rule));
        }
        Ok(())
    }

    pub(super) fn initial(&self) -> u32 {
        self.initial
    }

    /// The client opens the connection's window.
    pub(super) fn open(&mut self, bytes: u32) -> Result<(), Broken> {
        let opened = self.connection.checked_add(bytes);
        let opened = opened.filter(|opened| *opened <= MOST);
        let rule = "a window of the connection that is too large";
        self.connection = opened.ok_or(Broken::new(Code::FlowControl, rule))?;
        self.stirred = true;
        Ok(())
    }

    /// The client opens the window of a held reply, or of a lane. None if there is no such stream, false if the window is too
    /// large now.
    pub(super) fn open_stream(&mut self, stream: u32, bytes: u32) -> Option<bool> {
        let initial = self.initial;
        let window = if let Some(lane) = self.lane(stream) {
            *lane += i64::from(bytes);
            i64::from(initial) + *lane
        } else {
            let held = self.held.get_mut(stream)?;
            let Behind::Reply { opened, .. } = &mut held.rest else {
                return None;
            };
            *opened = opened.saturating_add(bytes);
            room(initial, *opened, held.gone)
        };
        if self.held.is_in(PARKED, stream) {
            self.held.move_to(READY, stream);
        }
        self.stirred = true;
        Some(window <= i64::from(MOST))
    }

    /// Drops what is held of a stream.
    pub(super) fn drop_stream(&mut self, stream: u32) {
        if let Some(held) = self.take(stream)
            && matches!(held.rest, Behind::Hyper { .. })
        {
            self.returned += held.body.len() - held.gone;
        }
    }

    fn hold(&mut self, queue: usize, stream: u32, held: Held<K>) {
        match &held.rest {
            Behind::Reply { .. } => self.hot_bytes += held.body.len() + HELD_BYTES,
            Behind::Hyper { .. } => self.hypers += 1,
            Behind::Lane => {}
        }
        self.stirred = true;
        self.held.push(queue, stream, held);
    }

    fn take(&mut self, stream: u32) -> Option<Held<K>> {
        let held = self.held.remove(stream)?;
        match &held.rest {
            Behind::Reply { .. } => self.hot_bytes -= held.body.len() + HELD_BYTES,
            Behind::Hyper { .. } => self.hypers -= 1,
            Behind::Lane => {}
        }
        Some(held)
    }

    /// Sends a hot reply: now if it fits, else it is held with what `keep` gives for so many bytes. `message` is taken then.
    pub(super) fn reply(
        &mut self,
        out: &mut Vec<u8>,
        headers: &mut Headers,
        reply: &Reply,
        message: &mut Vec<u8>,
        keep: impl FnOnce(usize) -> K,
    ) {
        let most = self
            .connection
            .min(self.initial.saturating_add(reply.opened));
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let waits = self.stirred && !self.held.is_empty();
        if length <= most && message.len() <= PAYLOAD && out.len() < OUTBOX_BYTES && !waits {
            headers.reply(out, reply.stream, reply.position);
            frame::whole(out, kind::DATA, 0, reply.stream, message);
            headers.trailers(out, reply.stream);
            self.connection -= length;
            return;
        }
        let body = if message.capacity() > 2 * message.len() {
            message.clone()
        } else {
            std::mem::take(message)
        };
        let kept = keep(body.len() + HELD_BYTES);
        let held = Held {
            body,
            gone: 0,
            rest: Behind::Reply {
                headers: Some(reply.position),
                opened: reply.opened,
            },
            _kept: Some(kept),
        };
        self.hold(FRESH, reply.stream, held);
    }

    /// Sends DATA of hyper's, or holds it.
    pub(super) fn data(&mut self, out: &mut Vec<u8>, stream: u32, data: &[u8], ends: bool) {
        if let Some(held) = self.held.get_mut(stream) {
            if let Behind::Hyper { ends: last, .. } = &mut held.rest {
                *last = ends;
                if held.gone > held.body.len() / 2 {
                    held.body.drain(..std::mem::take(&mut held.gone));
                }
                held.body.extend_from_slice(data);
            }
            return;
        }
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let waits = self.stirred && !self.held.is_empty();
        if data.is_empty() || length <= self.connection && !waits {
            frame::whole(out, kind::DATA, u8::from(ends), stream, data);
            self.connection -= length;
            self.returned += data.len();
            return;
        }
        let held = Held {
            body: data.to_vec(),
            gone: 0,
            rest: Behind::Hyper {
                ends,
                trailers: None,
            },
            _kept: None,
        };
        self.hold(READY, stream, held);
    }

    /// A lane begins on this stream.
    pub(super) fn begin_lane(&mut self, stream: u32) {
        self.lanes.push((stream, 0));
    }

    /// The lane on this stream is over. What is held of it is dropped.
    pub(super) fn end_lane(&mut self, stream: u32) {
        self.lanes.retain(|lane| lane.0 != stream);
        self.drop_stream(stream);
    }

    /// Whether anything of this stream is held.
    pub(super) fn holds(&self, stream: u32) -> bool {
        self.held.contains(stream)
    }

    /// Sends a message of a lane of which nothing is held, as far as the windows allow, and empties `message`. The rest is
    /// held.
    pub(super) fn message(&mut self, out: &mut Vec<u8>, stream: u32, message: &mut Vec<u8>) {
        let waits = self.stirred && !self.held.is_empty();
        let mut gone = 0;
        while gone < message.len() && !waits {
            let most = PAYLOAD
                .min(message.len() - gone)
                .min(self.room_of_lane(stream));
            if most == 0 {
                break;
            }
            frame::whole(out, kind::DATA, 0, stream, &message[gone..gone + most]);
            self.spend_of_lane(stream, most);
            gone += most;
        }
        if gone == message.len() {
            message.clear();
            message.shrink_to(2 * OUTBOX_BYTES);
            return;
        }
        let held = Held {
            body: std::mem::take(message),
            gone,
            rest: Behind::Lane,
            _kept: None,
        };
        self.hold(READY, stream, held);
    }

    fn lane(&mut self, stream: u32) -> Option<&mut i64> {
        let mut lanes = self.lanes.iter_mut();
        lanes.find_map(|(lane, window)| (*lane == stream).then_some(window))
    }

    /// What a lane may send now.
    fn room_of_lane(&self, stream: u32) -> usize {
        let lane = self.lanes.iter().find(|lane| lane.0 == stream);
        let window = i64::from(self.initial) + lane.map_or(0, |lane| lane.1);
        let window = window.min(i64::from(self.connection));
        usize::try_from(window).unwrap_or(0)
    }

    /// Takes so many bytes from the windows. They are there.
    fn spend_of_lane(&mut self, stream: u32, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(self.connection);
        self.connection -= bytes;
        if let Some(window) = self.lane(stream) {
            *window -= i64::from(bytes);
        }
    }

    /// Keeps the headers that follow a stream's DATA, if that is held. Else returns false.
    pub(super) fn behind(&mut self, stream: u32, block: &[u8]) -> bool {
        let held = self.held.get_mut(stream);
        if let Some(Behind::Hyper { trailers, .. }) = held.map(|held| &mut held.rest) {
            *trailers = Some(block.to_vec());
            return true;
        }
        false
    }

    /// How many bytes of hot replies that were held have left so far.
    pub(super) fn hot_gone(&self) -> u64 {
        self.hot_gone
    }

    /// Whether `pump` has stopped because `out` was full.
    pub(super) fn waits_for_room(&self) -> bool {
        self.stirred && !self.held.is_empty()
    }

    /// Whether anything of hyper's is held.
    pub(super) fn holds_hypers(&self) -> bool {
        self.hypers > 0
    }

    /// How many bytes of hyper's have left since the last call.
    pub(super) fn take_returned(&mut self) -> usize {
        std::mem::take(&mut self.returned)
    }

    /// How many bytes of hyper's have left since, without taking them.
    pub(super) fn returned(&self) -> usize {
        self.returned
    }

    /// Sends what the windows allow of what is held, until `out` is full.
    pub(super) fn pump(&mut self, out: &mut Vec<u8>, headers: &mut Headers) {
        if !self.stirred {
            return;
        }
        if std::mem::take(&mut self.all_opened) {
            while let Some(stream) = self.held.first(PARKED) {
                self.held.move_to(READY, stream);
            }
        }
        loop {
            let next = self.held.first(FRESH).or_else(|| {
                let ready = self.held.first(READY);
                ready.filter(|_| self.connection > 0)
            });
            let Some(stream) = next else { break };
            if out.len() >= OUTBOX_BYTES {
                return;
            }
            self.send(stream, out, headers);
        }
        self.stirred = false;
    }

    /// Sends the headers of a fresh reply, or one piece of a ready stream, and what is behind it after the last.
    fn send(&mut self, stream: u32, out: &mut Vec<u8>, headers: &mut Headers) {
        let of_lane = self.room_of_lane(stream);
        let Some(held) = self.held.get_mut(stream) else {
            return;
        };
        let left = held.body.len() - held.gone;
        let connection = usize::try_from(self.connection).unwrap_or(0);
        let mut most = left.min(PAYLOAD).min(connection);
        match &mut held.rest {
            Behind::Reply {
                headers: due,
                opened,
            } => {
                if let Some(position) = due.take() {
                    headers.reply(out, stream, position);
                    return self.held.move_to(READY, stream);
                }
                let room = room(self.initial, *opened, held.gone);
                most = most.min(usize::try_from(room).unwrap_or(0));
            }
            Behind::Lane => most = most.min(of_lane),
            Behind::Hyper { .. } => {}
        }
        if most == 0 && left > 0 {
            return self.held.move_to(PARKED, stream);
        }
        let last = most == left;
        let ends = last && matches!(held.rest, Behind::Hyper { ends: true, .. });
        let flags = u8::from(ends) * flag::END_STREAM;
        let piece = &held.body[held.gone..held.gone + most];
        frame::whole(out, kind::DATA, flags, stream, piece);
        held.gone += most;
        let spent = u32::try_from(most).unwrap_or(self.connection);
        match &held.rest {
            Behind::Lane => self.spend_of_lane(stream, most),
            Behind::Reply { .. } => {
                self.connection -= spent;
                self.hot_gone += u64::from(spent);
            }
            Behind::Hyper { .. } => {
                self.connection -= spent;
                self.returned += most;
            }
        }
        if !last {
            return self.held.move_to(READY, stream);
        }
        match self.take(stream).map(|held| held.rest) {
            Some(Behind::Reply { .. }) => headers.trailers(out, stream),
            Some(Behind::Hyper {
                trailers: Some(block),
                ..
            }) => headers.pass(out, stream, true, &block),
            _ => {}
        }
    }
}

#[cfg(test)]
impl<K> Windows<K> {
    /// How long the buffer of the first stream is that is ready.
    pub(super) fn held_capacity(&mut self) -> usize {
        let first = self.held.first(READY);
        let held = first.and_then(|first| self.held.get_mut(first));
        held.map_or(0, |held| held.body.capacity())
    }
}

/// What a stream may still send: less than nothing if the client made the windows of all streams smaller.
fn room(initial: u32, opened: u32, gone: usize) -> i64 {
    let gone = i64::try_from(gone).unwrap_or(i64::MAX);
    i64::from(initial) + i64::from(opened) - gone
}
