//! The bodies of requests that the peer's flow control does not let out at once.

use super::{
    frame::{flag, kind, put_header},
    message::{PREFIX_BYTES, prefix},
};

/// A body of which a part still has to be sent.
#[derive(Debug)]
pub(crate) struct Unsent {
    pub(crate) stream: u32,
    pub(crate) window: i64,
    body: Vec<u8>,
    sent: usize,
}

impl Unsent {
    pub(crate) fn new(stream: u32, window: i64, message: &[u8]) -> Self {
        let mut body = Vec::with_capacity(PREFIX_BYTES + message.len());
        body.extend_from_slice(&prefix(u32::try_from(message.len()).unwrap_or(u32::MAX)));
        body.extend_from_slice(message);
        Self {
            stream,
            window,
            body,
            sent: 0,
        }
    }

    /// Appends what the windows of the connection and of the stream allow. Returns whether the whole body is out.
    pub(crate) fn send(&mut self, out: &mut Vec<u8>, window: &mut i64, max_frame: usize) -> bool {
        loop {
            let rest = self.body.get(self.sent..).unwrap_or_default();
            let allowed = usize::try_from(self.window.min(*window)).unwrap_or(0);
            let length = rest.len().min(allowed).min(max_frame);
            if length == 0 {
                return rest.is_empty();
            }
            let flags = if length == rest.len() {
                flag::END_STREAM
            } else {
                0
            };
            put_header(out, length, kind::DATA, flags, self.stream);
            out.extend_from_slice(rest.get(..length).unwrap_or_default());
            self.sent += length;
            let length = i64::try_from(length).unwrap_or(0);
            self.window -= length;
            *window -= length;
        }
    }
}

/// Appends a whole body in one frame.
pub(crate) fn put_whole(out: &mut Vec<u8>, stream: u32, message: &[u8]) {
    let length = PREFIX_BYTES + message.len();
    put_header(out, length, kind::DATA, flag::END_STREAM, stream);
    out.extend_from_slice(&prefix(u32::try_from(message.len()).unwrap_or(u32::MAX)));
    out.extend_from_slice(message);
}
