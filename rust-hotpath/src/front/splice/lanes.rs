//! Lanes: streams that the exchange serves without hyper.
//!
//! ```text
//!            a place                              its client has ended it, or reset it, or broken a rule
//!  Opening ───────────> Open ── DATA both ways ─────────────────────────────────────────────────────────> gone
//!     │ no place          ^ says a message only when its last one has left
//!     └──> passed to hyper, which refuses it
//! ```

use super::{
    super::{
        frame::{self, Broken, Code, Head},
        hpack::Fields,
        inbound::Inbound,
    },
    Ended, Splice, broken,
};
use crate::exchange::Said;
use ::hyper::http::HeaderMap;
use std::task::{Context, Poll};

/// Who serves a lane.
pub(in crate::front) trait Serves {
    /// What the lane says next.
    fn go_on(&mut self, inbound: &mut Inbound, cx: &mut Context<'_>) -> Poll<Said>;

    /// The message that it says. Whoever sends it empties the buffer.
    fn message(&mut self) -> &mut Vec<u8>;
}

/// A call that opens a lane.
pub(in crate::front) struct Opening {
    stream: u32,
    fields: Fields,
}

/// An open lane.
pub(super) struct Open<L> {
    stream: u32,
    inbound: Inbound,
    lane: L,
}

impl Opening {
    pub(super) fn new(stream: u32, fields: Fields) -> Self {
        Self { stream, fields }
    }
}

impl<K, L> Splice<K, L> {
    /// Opens a lane.
    pub(in crate::front) fn open_lane(&mut self, opening: Opening, lane: L) {
        let Opening { stream, fields } = opening;
        self.last_hot = self.last_hot.max(stream);
        self.decoder.recycle(fields.block);
        self.headers.reply(&mut self.out, stream, None);
        self.windows.begin_lane(stream);
        self.lanes.push(Open {
            stream,
            inbound: Inbound::default(),
            lane,
        });
    }

    /// Leaves a lane to hyper.
    pub(in crate::front) fn pass_lane(&mut self, opening: Opening) {
        let Opening { stream, fields } = opening;
        self.pass_below(stream);
        self.pass_headers(stream, false, &fields.block);
        self.passed.insert(stream, Ended::default());
        self.decoder.recycle(fields.block);
    }

    /// How many lanes are open.
    pub(in crate::front) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// The client has gone, and with it its lanes.
    pub(in crate::front) fn drop_lanes(&mut self) {
        while let Some(open) = self.lanes.pop() {
            self.windows.end_lane(open.stream);
        }
    }

    pub(super) fn lane_on(&self, stream: u32) -> Option<usize> {
        self.lanes.iter().position(|open| open.stream == stream)
    }

    /// DATA of the client on the lane at this index.
    pub(super) fn lane_data(
        &mut self,
        at: usize,
        payload: &[u8],
        head: Head,
        ends: bool,
    ) -> Result<(), Broken> {
        let payload = head.strip(payload)?;
        let open = &mut self.lanes[at];
        if open.inbound.is_ended() {
            return broken("DATA behind the end of a stream");
        }
        if !open.inbound.push(payload, head.length) {
            self.reset(head.stream, Code::FlowControl, ends);
        } else if ends {
            open.inbound.end();
        }
        // Its stream's window bounds what waits here. The connection's is for all streams.
        self.credit(head.length);
        Ok(())
    }

    /// Trailers of the client on the lane at this index. Their fields have no meaning.
    pub(super) fn lane_trailers(&mut self, at: usize, ends: bool) -> Result<(), Broken> {
        let open = &mut self.lanes[at];
        if open.inbound.is_ended() {
            return broken("headers behind the end of a stream");
        }
        if ends {
            open.inbound.end();
        } else {
            let stream = open.stream;
            self.reset(stream, Code::Protocol, false);
        }
        Ok(())
    }

    /// Drops the lane on this stream, if there is one. Returns whether its client had yet to end its side.
    pub(super) fn drop_lane(&mut self, stream: u32) -> bool {
        let Some(at) = self.lane_on(stream) else {
            return false;
        };
        let open = self.lanes.remove(at);
        self.windows.end_lane(stream);
        !open.inbound.is_ended()
    }

    fn end_lane(&mut self, fields: &HeaderMap) {
        let open = self.lanes.remove(0);
        self.windows.end_lane(open.stream);
        self.headers.end(&mut self.out, open.stream, fields);
        if !open.inbound.is_ended() {
            // As hyper does: the client need not say the rest.
            self.say_reset(open.stream, Code::None, true);
        }
    }
}

impl<K, L: Serves> Splice<K, L> {
    /// Lets the lane whose turn it is say a message or its end, unless its last message has yet to leave. Returns whether it
    /// did.
    pub(in crate::front) fn serve_lane(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(open) = self.lanes.first_mut() else {
            return false;
        };
        let stream = open.stream;
        if self.windows.holds(stream) {
            self.lanes.rotate_left(1);
            return false;
        }
        let said = open.lane.go_on(&mut open.inbound, cx);
        if let Some(bytes) = open.inbound.take_credit() {
            frame::window_update(&mut self.out, stream, bytes);
        }
        let spoke = said.is_ready();
        match said {
            Poll::Ready(Said::End(fields)) => {
                self.end_lane(&fields);
                return true;
            }
            Poll::Ready(Said::Message) => {
                let message = open.lane.message();
                self.windows.message(&mut self.out, stream, message);
            }
            Poll::Pending => {}
        }
        self.lanes.rotate_left(1);
        spoke
    }
}

#[cfg(test)]
impl<L> Open<L> {
    pub(super) fn lane(&mut self) -> &mut L {
        &mut self.lane
    }
}
