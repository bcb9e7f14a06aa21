//! Frames of HTTP/2: their heads, and the few that the front writes itself.

/// Bytes of a frame's head: length, type, flags and stream.
pub(super) const HEAD: usize = 9;
/// Longest payload: what the front and hyper allow, and what every peer must take.
pub(super) const PAYLOAD: usize = 16_384;
/// What a client sends before its first frame.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest window, and the largest stream id.
pub(super) const MOST: u32 = (1 << 31) - 1;

/// Types of frames.
pub(super) mod kind {
    pub(in crate::front) const DATA: u8 = 0;
    pub(in crate::front) const HEADERS: u8 = 1;
    pub(in crate::front) const PRIORITY: u8 = 2;
    pub(in crate::front) const RST_STREAM: u8 = 3;
    pub(in crate::front) const SETTINGS: u8 = 4;
    pub(in crate::front) const PUSH_PROMISE: u8 = 5;
    pub(in crate::front) const PING: u8 = 6;
    pub(in crate::front) const GOAWAY: u8 = 7;
    pub(in crate::front) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::front) const CONTINUATION: u8 = 9;
}

/// Flags of frames. `ACK` is for SETTINGS and PING.
pub(super) mod flag {
    pub(in crate::front) const END_STREAM: u8 = 1;
    pub(in crate::front) const ACK: u8 = 1;
    pub(in crate::front) const END_HEADERS: u8 = 4;
    pub(in crate::front) const PADDED: u8 = 8;
    pub(in crate::front) const PRIORITY: u8 = 0x20;
}

/// Settings that the front knows.
pub(super) mod setting {
    pub(in crate::front) const HEADER_TABLE_SIZE: u16 = 1;
    pub(in crate::front) const ENABLE_PUSH: u16 = 2;
    pub(in crate::front) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in crate::front) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in crate::front) const MAX_FRAME_SIZE: u16 = 5;
    pub(in crate::front) const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// Error codes of GOAWAY and RST_STREAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    None = 0,
    Protocol = 1,
    FlowControl = 3,
    StreamClosed = 5,
    FrameSize = 6,
    RefusedStream = 7,
    Compression = 9,
    EnhanceYourCalm = 11,
}

/// A rule of HTTP/2 that the peer broke, which ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) code: Code,
    pub(super) rule: &'static str,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Broken {
    pub(super) fn new(code: Code, rule: &'static str) -> Self {
        Self { code, rule }
    }

    pub(super) fn protocol(rule: &'static str) -> Self {
        Self::new(Code::Protocol, rule)
    }
}

impl Head {
    /// Reads a head; none if it has not come whole.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let [high, middle, low, kind, flags, s0, s1, s2, s3] = *bytes.first_chunk::<HEAD>()?;
        Some(Self {
            length: usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low),
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & MOST,
        })
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether a HEADERS or PRIORITY frame with this payload makes its stream depend on itself.
    pub(super) fn depends_on_itself(self, payload: &[u8]) -> bool {
        let at = match self.kind {
            kind::PRIORITY => 0,
            kind::HEADERS if self.has(flag::PRIORITY) => usize::from(self.has(flag::PADDED)),
            _ => return false,
        };
        let on = payload.get(at..).and_then(<[u8]>::first_chunk);
        on.is_some_and(|on| u32::from_be_bytes(*on) & MOST == self.stream)
    }

    /// The payload of a HEADERS or DATA frame without padding and priority.
    pub(super) fn strip(self, payload: &[u8]) -> Result<&[u8], Broken> {
        let mut rest = payload;
        let mut padding = 0;
        if self.has(flag::PADDED) {
            let (first, more) = rest.split_first().ok_or(TOO_SHORT)?;
            (padding, rest) = (usize::from(*first), more);
        }
        if self.kind == kind::HEADERS && self.has(flag::PRIORITY) {
            rest = rest.get(5..).ok_or(TOO_SHORT)?;
        }
        let length = rest.len().checked_sub(padding);
        let length = length.ok_or(Broken::protocol("padding that is longer than its frame"))?;
        Ok(&rest[..length])
    }
}

const TOO_SHORT: Broken = Broken {
    code: Code::FrameSize,
    rule: "a frame that is too short for its flags",
};

/// Appends the head of a frame. No payload here is longer than [`PAYLOAD`], or than what a peer sent in one frame.
pub(super) fn head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let [_, high, middle, low] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let [s0, s1, s2, s3] = stream.to_be_bytes();
    out.extend_from_slice(&[high, middle, low, kind, flags, s0, s1, s2, s3]);
}

/// Appends a whole frame.
pub(super) fn whole(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    head(out, payload.len(), kind, flags, stream);
    out.extend_from_slice(payload);
}

/// Appends a frame whose payload is one number of 32 bits.
pub(super) fn number(out: &mut Vec<u8>, kind: u8, stream: u32, number: u32) {
    whole(out, kind, 0, stream, &number.to_be_bytes());
}

pub(super) fn reset(out: &mut Vec<u8>, stream: u32, code: Code) {
    number(out, kind::RST_STREAM, stream, code as u32);
}

pub(super) fn window_update(out: &mut Vec<u8>, stream: u32, bytes: u32) {
    number(out, kind::WINDOW_UPDATE, stream, bytes);
}

pub(super) fn go_away(out: &mut Vec<u8>, last: u32, code: Code, text: &str) {
    head(out, 8 + text.len(), kind::GOAWAY, 0, 0);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&(code as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn settings(out: &mut Vec<u8>, values: &[(u16, u32)]) {
    head(out, values.len() * 6, kind::SETTINGS, 0, 0);
    for (id, value) in values {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends a header block as HEADERS and as many CONTINUATION frames as it takes.
pub(super) fn headers(out: &mut Vec<u8>, stream: u32, ends_stream: bool, block: &[u8]) {
    let (mut kind, mut flags) = (kind::HEADERS, u8::from(ends_stream) * flag::END_STREAM);
    let mut rest = block;
    while rest.len() > PAYLOAD {
        let (piece, more) = rest.split_at(PAYLOAD);
        whole(out, kind, flags, stream, piece);
        (kind, flags, rest) = (kind::CONTINUATION, 0, more);
    }
    whole(out, kind, flags | flag::END_HEADERS, stream, rest);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        head(&mut bytes, 0x01_02_03, kind::PING, flag::ACK, MOST);
        let read = Head::parse(&bytes).unwrap();
        let written = Head {
            length: 0x01_02_03,
            kind: kind::PING,
            flags: flag::ACK,
            stream: MOST,
        };
        assert_eq!(read, written);
        assert_eq!(Head::parse(&bytes[..8]), None);
        bytes[5] |= 0x80;
        assert_eq!(Head::parse(&bytes), Some(written), "the reserved bit");
    }

    #[test]
    fn padding_and_priority_are_stripped() {
        let strip = |flags, payload: &'static [u8]| {
            let head = Head {
                length: payload.len(),
                kind: kind::HEADERS,
                flags,
                stream: 1,
            };
            head.strip(payload).map_err(|broken| broken.code)
        };
        let both = flag::PADDED | flag::PRIORITY;
        assert_eq!(strip(0, b"abc"), Ok(&b"abc"[..]));
        assert_eq!(strip(flag::PADDED, b"\x02abc\0\0"), Ok(&b"abc"[..]));
        assert_eq!(strip(both, b"\x01\0\0\0\0\x10abc\0"), Ok(&b"abc"[..]));
        assert_eq!(strip(flag::PADDED, b"\x03\0\0\0"), Ok(&b""[..]));
        assert_eq!(strip(flag::PADDED, b"\x04\0\0\0"), Err(Code::Protocol));
        assert_eq!(strip(flag::PADDED, b""), Err(Code::FrameSize));
        assert_eq!(strip(flag::PRIORITY, b"\0\0\0\0"), Err(Code::FrameSize));
    }

    #[test]
    fn a_long_block_goes_on_in_more_frames() {
        for length in [0, 1, PAYLOAD, PAYLOAD + 1, 3 * PAYLOAD] {
            let mut out = Vec::new();
            headers(&mut out, 7, true, &vec![9; length]);
            let (mut rest, mut total, mut first) = (&out[..], 0, true);
            while let Some(head) = Head::parse(rest) {
                let last = rest.len() == HEAD + head.length;
                let kind = if first {
                    kind::HEADERS
                } else {
                    kind::CONTINUATION
                };
                assert_eq!((head.kind, head.stream), (kind, 7));
                assert_eq!(head.has(flag::END_STREAM), first);
                assert_eq!(head.has(flag::END_HEADERS), last);
                total += head.length;
                first = false;
                rest = &rest[HEAD + head.length..];
            }
            assert_eq!((total, rest.len()), (length, 0));
        }
    }
}
