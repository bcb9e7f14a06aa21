//! What the client says.

use super::{
    super::frame::{self, Broken, Code, HEAD, Head, MOST, PAYLOAD, PREFACE, flag, kind, setting},
    ACKS, Begun, Call, DECODED_BYTES, Ended, Event, Gathered, OUR_PING, Opening, Partial, SHORT,
    Splice, broken,
};
use crate::limits;
use std::borrow::Cow;

/// Most DATA frames of one hot message.
const FRAMES: u32 = 64;

impl<K, L> Splice<K, L> {
    /// Follows what the client says until a hot call is whole or a lane is asked for, or `bytes` end within a frame, or there
    /// is enough to do with what was followed. Returns how many bytes it has used.
    ///
    /// # Errors
    /// The rule that the client broke.
    pub(in crate::front) fn client<'a>(
        &mut self,
        bytes: &'a [u8],
    ) -> Result<(usize, Option<Event<'a>>), Broken> {
        let mut at = self.greet(bytes)?;
        (self.decoded, self.unread) = (0, false);
        while let Some(head) = Head::parse(&bytes[at..]) {
            if head.length > PAYLOAD {
                let rule = "a frame that is longer than allowed";
                return Err(Broken::new(Code::FrameSize, rule));
            }
            let end = at + HEAD + head.length;
            let Some(frame) = bytes.get(at..end) else {
                break;
            };
            if self.waits_for_hyper() || self.decoded >= DECODED_BYTES {
                self.unread = true;
                break;
            }
            at = end;
            if let Some(event) = self.frame(head, frame)? {
                return Ok((at, Some(event)));
            }
        }
        Ok((at, None))
    }

    fn greet(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let due = &PREFACE[self.greeted..];
        let come = due.len().min(bytes.len());
        if bytes[..come] != due[..come] {
            return broken("no preface of HTTP/2");
        }
        self.greeted += come;
        Ok(come)
    }

    fn frame<'a>(&mut self, head: Head, frame: &'a [u8]) -> Result<Option<Event<'a>>, Broken> {
        let payload = &frame[HEAD..];
        if self.partial.is_some() && head.kind != kind::CONTINUATION {
            return broken("headers that are interrupted");
        }
        if !self.settled && head.kind != kind::SETTINGS {
            return broken("a frame before the first SETTINGS");
        }
        match head.kind {
            kind::DATA => return self.data(head, frame),
            kind::HEADERS => return self.headers_frame(head, payload),
            kind::CONTINUATION => return self.continuation(head, payload),
            kind::RST_STREAM => self.rst_stream(head, frame)?,
            kind::WINDOW_UPDATE => self.window_update(head, frame)?,
            kind::SETTINGS => self.settings(head, payload)?,
            kind::PING => self.pinged(head, frame)?,
            kind::PRIORITY => self.priority(head, payload)?,
            kind::PUSH_PROMISE => return broken("a push by a client"),
            kind::GOAWAY if head.stream != 0 => return broken("a GOAWAY on a stream"),
            // The client opens the streams, so it knows when it has left.
            _ => {}
        }
        Ok(None)
    }

    pub(super) fn of_length(&self, head: Head, length: usize) -> Result<(), Broken> {
        if head.length == length {
            return Ok(());
        }
        let rule = "a frame of a wrong length";
        Err(Broken::new(Code::FrameSize, rule))
    }

    fn data<'a>(&mut self, head: Head, frame: &'a [u8]) -> Result<Option<Event<'a>>, Broken> {
        let stream = head.stream;
        let ends = head.has(flag::END_STREAM);
        if let Some(call) = self.gathered.get_mut(stream) {
            let payload = &frame[HEAD..];
            call.frames += 1;
            let length = call.body.len() + payload.len();
            let odd = length > SHORT || head.has(flag::PADDED) || call.frames > FRAMES;
            // Hyper knows what to say to a length that is not true.
            let untrue = |told: usize| length > told || ends && length < told;
            if odd || call.fields.sum.length.is_some_and(untrue) {
                self.pass_below(stream + 1);
            } else if ends {
                let call = self.take_gathered(stream);
                return Ok(call.map(|call| Event::Call(call.whole(stream, payload))));
            } else {
                call.body.extend_from_slice(payload);
                self.gathered_bytes += payload.len();
                self.bound_gathered();
                return Ok(None);
            }
        }
        if let Some(at) = self.lane_on(stream) {
            self.lane_data(at, &frame[HEAD..], head, ends)?;
            return Ok(None);
        }
        if self.passed.contains_key(&stream) {
            self.to_hyper.extend_from_slice(frame);
            self.end_passed(stream, ends, false);
            return Ok(None);
        }
        self.late_data(head)?;
        Ok(None)
    }

    pub(super) fn is_known(&self, stream: u32) -> Result<(), Broken> {
        if stream == 0 || stream > self.last || stream.is_multiple_of(2) {
            return broken("a frame on a stream that was never opened");
        }
        Ok(())
    }

    fn headers_frame(
        &mut self,
        head: Head,
        payload: &[u8],
    ) -> Result<Option<Event<'static>>, Broken> {
        if head.stream.is_multiple_of(2) {
            return broken("headers on a stream that is no client's");
        }
        let block = head.strip(payload)?;
        let begun = Begun {
            stream: head.stream,
            ends: head.has(flag::END_STREAM),
            on_itself: head.depends_on_itself(payload),
        };
        if head.has(flag::END_HEADERS) {
            return self.call(begun, block);
        }
        self.partial = Some(Partial {
            begun,
            block: block.to_vec(),
            frames: 0,
        });
        Ok(None)
    }

    fn continuation(
        &mut self,
        head: Head,
        payload: &[u8],
    ) -> Result<Option<Event<'static>>, Broken> {
        let stream = self.partial.as_ref().map(|partial| partial.begun.stream);
        let Some(mut partial) = self.partial.take().filter(|_| stream == Some(head.stream)) else {
            return broken("headers that go on without a beginning");
        };
        partial.block.extend_from_slice(payload);
        partial.frames += 1;
        // As many frames as the longest headers take, and as h2 allows more.
        let list = self.rules.header_bytes.saturating_mul(limits::HEADER_ROOM);
        let least = (list / 16_384).max(4);
        if partial.frames > least + least / 4 {
            let rule = "headers in too many frames";
            return Err(Broken::new(Code::EnhanceYourCalm, rule));
        }
        if head.has(flag::END_HEADERS) {
            return self.call(partial.begun, &partial.block);
        }
        self.partial = Some(partial);
        Ok(None)
    }

    /// Headers, or trailers.
    fn call(&mut self, begun: Begun, block: &[u8]) -> Result<Option<Event<'static>>, Broken> {
        let Begun { stream, ends, .. } = begun;
        let fields = self.decoder.decode(block)?;
        self.decoded += fields.sum.bytes;
        let is_new = stream > self.last;
        self.last = self.last.max(stream);
        if is_new {
            let most = usize::try_from(limits::STREAMS).unwrap_or(usize::MAX);
            if begun.on_itself {
                self.say_reset(stream, Code::Protocol, !ends);
                return Ok(None);
            }
            if self.streams() >= most {
                self.say_reset(stream, Code::RefusedStream, !ends);
                return Ok(None);
            }
            let most = usize::try_from(self.rules.header_bytes).unwrap_or(usize::MAX);
            let method = fields.sum.hot(most).filter(|_| !ends && !self.draining);
            let is_lane = method.is_some() && method == self.rules.lane;
            if is_lane && fields.sum.length.is_none() {
                return Ok(Some(Event::Lane(Opening::new(stream, fields))));
            }
            if let Some(method) = method.filter(|_| !is_lane) {
                self.gather(stream, method, fields);
                return Ok(None);
            }
            self.pass_below(stream);
            self.passed.insert(stream, Ended::default());
        } else if begun.on_itself {
            self.depends_on_itself(stream, ends);
            return Ok(None);
        } else if let Some(at) = self.lane_on(stream) {
            self.decoder.recycle(fields.block);
            self.lane_trailers(at, ends)?;
            return Ok(None);
        } else if self.gathered.contains(stream) {
            self.pass_below(stream + 1);
        } else if !self.passed.contains_key(&stream) {
            self.late_headers(stream, ends)?;
            return Ok(None);
        }
        self.pass_headers(stream, ends, &fields.block);
        self.end_passed(stream, ends, false);
        self.decoder.recycle(fields.block);
        Ok(None)
    }

    /// How many streams are open.
    fn streams(&self) -> usize {
        self.gathered.len() + self.windows.len() + self.lanes.len() + self.passed.len()
    }

    fn rst_stream(&mut self, head: Head, frame: &[u8]) -> Result<(), Broken> {
        self.of_length(head, 4)?;
        self.is_known(head.stream)?;
        self.resets += 1;
        self.drop_stream(head.stream);
        self.unheard.end(head.stream);
        if self.passed.contains_key(&head.stream) {
            self.to_hyper.extend_from_slice(frame);
            self.end_passed(head.stream, true, true);
        }
        Ok(())
    }

    fn window_update(&mut self, head: Head, frame: &[u8]) -> Result<(), Broken> {
        self.of_length(head, 4)?;
        let bytes = number(&frame[HEAD..]) & MOST;
        if head.stream == 0 {
            if bytes == 0 {
                return broken("a window that is opened by nothing");
            }
            return self.windows.open(bytes);
        }
        self.is_known(head.stream)?;
        if let Some(call) = self.gathered.get_mut(head.stream) {
            let (opened, overflown) = call.opened.overflowing_add(bytes);
            call.opened = opened;
            let whole = u64::from(opened) + u64::from(self.windows.initial());
            if bytes == 0 || overflown || whole > u64::from(MOST) {
                // Hyper knows what to say to that.
                call.opened = 0;
                self.pass_below(head.stream + 1);
                self.to_hyper.extend_from_slice(frame);
            }
        } else if self.passed.contains_key(&head.stream) {
            self.to_hyper.extend_from_slice(frame);
        } else {
            let fits = self.windows.open_stream(head.stream, bytes);
            if bytes == 0 {
                self.reset(head.stream, Code::Protocol, false);
            } else if fits == Some(false) {
                self.reset(head.stream, Code::FlowControl, false);
            }
        }
        Ok(())
    }

    fn settings(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        if head.stream != 0 {
            return broken("SETTINGS on a stream");
        }
        if head.has(flag::ACK) {
            return self.of_length(head, 0);
        }
        if !head.length.is_multiple_of(6) {
            return self.of_length(head, 0);
        }
        self.settled = true;
        let mut passed = Vec::new();
        for entry in payload.chunks_exact(6) {
            let (id, value) = (
                u16::from_be_bytes([entry[0], entry[1]]),
                number(&entry[2..]),
            );
            match id {
                setting::HEADER_TABLE_SIZE => self.headers.resize(value),
                setting::ENABLE_PUSH if value > 1 => return broken("ENABLE_PUSH is 0 or 1"),
                setting::MAX_FRAME_SIZE if !(16_384..1 << 24).contains(&value) => {
                    return broken("a MAX_FRAME_SIZE that is none");
                }
                setting::INITIAL_WINDOW_SIZE => {
                    if value > MOST {
                        let rule = "an initial window that is too large";
                        return Err(Broken::new(Code::FlowControl, rule));
                    }
                    self.windows.set_initial(value)?;
                    passed.push((id, value));
                }
                setting::MAX_HEADER_LIST_SIZE => {
                    self.list_bytes = Some(value);
                    passed.push((id, value));
                }
                _ => {}
            }
        }
        if self.inner.as_ref().is_some_and(|inner| inner.acks > ACKS) {
            let rule = "windows that are changed all the time";
            return Err(Broken::new(Code::EnhanceYourCalm, rule));
        }
        if self.inner.is_some() && !passed.is_empty() {
            // Hyper acknowledges them, once it keeps to them.
            frame::settings(&mut self.to_hyper, &passed);
        } else {
            frame::whole(&mut self.out, kind::SETTINGS, flag::ACK, 0, &[]);
        }
        Ok(())
    }

    fn pinged(&mut self, head: Head, frame: &[u8]) -> Result<(), Broken> {
        if head.stream != 0 {
            return broken("a PING on a stream");
        }
        self.of_length(head, 8)?;
        if !head.has(flag::ACK) {
            frame::whole(&mut self.out, kind::PING, flag::ACK, 0, &frame[HEAD..]);
        } else if self.inner.is_some() && frame[HEAD..] != OUR_PING {
            self.to_hyper.extend_from_slice(frame);
        }
        Ok(())
    }
}

impl Gathered {
    /// The call, of whose message this is the last piece.
    fn whole(mut self, stream: u32, last: &[u8]) -> Call<'_> {
        let body = if self.body.is_empty() {
            Cow::Borrowed(last)
        } else {
            self.body.extend_from_slice(last);
            Cow::Owned(self.body)
        };
        Call {
            stream,
            method: self.method,
            fields: self.fields,
            body,
            opened: self.opened,
        }
    }
}

/// The number of 32 bits at the beginning of `bytes`, which are as many.
fn number(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}
