//! What hyper says.

use super::{
    super::frame::{self, HEAD, Head, MOST, flag, kind},
    Splice,
};

impl<K, L> Splice<K, L> {
    /// Follows what hyper says, up to the last whole frame. Returns how many bytes that are.
    pub(in crate::front) fn hyper(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(head) = Head::parse(&bytes[at..]) {
            let end = at + HEAD + head.length;
            let Some(frame) = bytes.get(at..end) else {
                break;
            };
            self.said(head, frame);
            at = end;
        }
        at
    }

    fn said(&mut self, head: Head, frame: &[u8]) {
        let (stream, payload) = (head.stream, &frame[HEAD..]);
        match head.kind {
            kind::DATA => {
                // Hyper does not pad.
                let ends = head.has(flag::END_STREAM);
                self.windows.data(&mut self.out, stream, payload, ends);
                self.end_passed(stream, false, ends);
            }
            kind::HEADERS | kind::CONTINUATION => self.said_headers(head, payload),
            kind::RST_STREAM => {
                self.resets += 1;
                self.windows.drop_stream(stream);
                if self.passed.get(&stream).is_some_and(|ended| !ended.client) {
                    self.unheard.add(stream);
                }
                self.end_passed(stream, true, true);
                self.out.extend_from_slice(frame);
            }
            kind::SETTINGS => self.said_settings(head),
            kind::WINDOW_UPDATE if stream == 0 => self.said_window(payload),
            kind::GOAWAY => self.said_go_away(payload),
            // What the client asked, the front has answered.
            kind::PING if head.has(flag::ACK) => {}
            _ => self.out.extend_from_slice(frame),
        }
    }

    /// Headers are passed on once they are whole: no frame may come between.
    fn said_headers(&mut self, head: Head, payload: &[u8]) {
        let Some(inner) = &mut self.inner else { return };
        let partial = inner.partial.take();
        let begun = partial.is_some();
        let (stream, ends, mut block) =
            partial.unwrap_or_else(|| (head.stream, head.has(flag::END_STREAM), Vec::new()));
        if !head.has(flag::END_HEADERS) {
            block.extend_from_slice(payload);
            inner.partial = Some((stream, ends, block));
            return;
        }
        let block = if begun {
            block.extend_from_slice(payload);
            &block[..]
        } else {
            payload
        };
        if !self.windows.behind(stream, block) {
            self.headers.pass(&mut self.out, stream, ends, block);
        }
        self.end_passed(stream, false, ends);
    }

    fn said_settings(&mut self, head: Head) {
        if !head.has(flag::ACK) {
            // The client has been told the same by the front, which has acknowledged them.
            return;
        }
        if let Some(inner) = &mut self.inner {
            // The first is for the front.
            inner.acks += u32::from(std::mem::replace(&mut inner.settled, true));
        }
    }

    fn said_window(&mut self, payload: &[u8]) {
        let bytes = payload
            .first_chunk()
            .map_or(0, |bytes| u32::from_be_bytes(*bytes))
            & MOST;
        let Some(inner) = &mut self.inner else { return };
        let raised = bytes.min(inner.raise);
        inner.raise -= raised;
        if bytes > raised {
            frame::window_update(&mut self.out, 0, bytes - raised);
        }
    }

    /// Hyper does not know of the streams that the front answered.
    fn said_go_away(&mut self, payload: &[u8]) {
        let Some((last, rest)) = payload.split_first_chunk() else {
            return;
        };
        let last = (u32::from_be_bytes(*last) & MOST).max(self.last_hot);
        frame::head(&mut self.out, payload.len(), kind::GOAWAY, 0, 0);
        self.out.extend_from_slice(&last.to_be_bytes());
        self.out.extend_from_slice(rest);
    }
}
