//! Header blocks towards the client. The front alone adds to the client's table, two fields: hyper is told that the table
//! has no room. From the second reply on, headers are two bytes and trailers one.

use super::{
    frame::{self, flag, kind},
    table::{TABLE_BYTES, append_literal, append_number},
};
use crate::serve::{GRPC, POSITION};
use hyper::http::{HeaderMap, header::CONTENT_TYPE};

/// Indices in the table of fields that everybody knows.
const STATUS_200: u8 = 0x80 | 8;
const CONTENT_TYPE_NAME: u8 = 0x40 | 31;
/// The index of the newest field that the front added.
const NEWEST: u8 = 0x80 | 62;
/// The change of a table's size to nothing.
const NO_TABLE: u8 = 0x20;

/// What the client's table has of ours.
#[derive(Debug, Default)]
pub(super) struct Headers {
    content_type: bool,
    /// Only ever added after the content type.
    grpc_status: bool,
    /// Whether the client allows too little for us to use its table at all.
    without_table: bool,
    /// Whether the next block must tell the client so.
    tell: bool,
}

impl Headers {
    /// The client changed how large its table may be. It may have forgotten what was in it, unless it stays as it is.
    pub(super) fn resize(&mut self, bytes: u32) {
        let enough = usize::try_from(bytes).is_ok_and(|bytes| bytes >= TABLE_BYTES);
        if !enough && !self.without_table {
            (self.without_table, self.tell) = (true, true);
        }
    }

    /// Appends the headers of a reply.
    pub(super) fn reply(&mut self, out: &mut Vec<u8>, stream: u32, position: Option<u64>) {
        let at = out.len();
        frame::head(out, 0, kind::HEADERS, flag::END_HEADERS, stream);
        self.begin(out);
        out.push(STATUS_200);
        self.content_type(out);
        if let Some(position) = position {
            append_literal(out, POSITION.as_bytes(), position.to_string().as_bytes());
        }
        set_length(out, at);
    }

    /// Appends the trailers of a reply.
    pub(super) fn trailers(&mut self, out: &mut Vec<u8>, stream: u32) {
        const FLAGS: u8 = flag::END_HEADERS | flag::END_STREAM;
        let at = out.len();
        frame::head(out, 0, kind::HEADERS, FLAGS, stream);
        self.begin(out);
        if self.grpc_status {
            out.push(NEWEST);
        } else if self.without_table || !self.content_type {
            append_literal(out, b"grpc-status", b"0");
        } else {
            out.extend_from_slice(b"\x40\x0bgrpc-status\x010");
            self.grpc_status = true;
        }
        set_length(out, at);
    }

    /// Appends a status without a reply, whose fields are these besides the HTTP status, which is 200.
    pub(super) fn status(&mut self, out: &mut Vec<u8>, stream: u32, fields: &HeaderMap) {
        let mut block = Vec::with_capacity(128);
        self.begin(&mut block);
        block.push(STATUS_200);
        for (name, value) in fields {
            if name == CONTENT_TYPE && value.as_bytes() == GRPC.as_bytes() {
                self.content_type(&mut block);
            } else {
                append_literal(&mut block, name.as_str().as_bytes(), value.as_bytes());
            }
        }
        frame::headers(out, stream, true, &block);
    }

    /// Appends the trailers of a stream, whose fields are these.
    pub(super) fn end(&mut self, out: &mut Vec<u8>, stream: u32, fields: &HeaderMap) {
        let mut block = Vec::with_capacity(128);
        self.begin(&mut block);
        for (name, value) in fields {
            append_literal(&mut block, name.as_str().as_bytes(), value.as_bytes());
        }
        frame::headers(out, stream, true, &block);
    }

    /// Appends a block of hyper's, in as many frames as it takes.
    pub(super) fn pass(&mut self, out: &mut Vec<u8>, stream: u32, ends: bool, block: &[u8]) {
        // Hyper tells that its table has no room. That is between it and us.
        let block = block.strip_prefix(&[NO_TABLE]).unwrap_or(block);
        if self.tell {
            let mut told = Vec::with_capacity(block.len() + 1);
            self.begin(&mut told);
            told.extend_from_slice(block);
            return frame::headers(out, stream, ends, &told);
        }
        frame::headers(out, stream, ends, block);
    }

    fn begin(&mut self, block: &mut Vec<u8>) {
        if std::mem::take(&mut self.tell) {
            append_number(block, 5, NO_TABLE, 0);
            (self.content_type, self.grpc_status) = (false, false);
        }
    }

    fn content_type(&mut self, block: &mut Vec<u8>) {
        if self.content_type {
            block.push(NEWEST + u8::from(self.grpc_status));
        } else if self.without_table {
            append_literal(block, b"content-type", GRPC.as_bytes());
        } else {
            block.push(CONTENT_TYPE_NAME);
            append_number(block, 7, 0, GRPC.len());
            block.extend_from_slice(GRPC.as_bytes());
            self.content_type = true;
        }
    }
}

/// Sets the length of the frame that begins at `at`. Its block is far shorter than a frame may be.
fn set_length(out: &mut [u8], at: usize) {
    let length = u16::try_from(out.len() - at - frame::HEAD).unwrap_or(u16::MAX);
    out[at + 1..at + 3].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::front::{
        frame::{HEAD, Head},
        hpack::{Decoder, fields_in},
    };
    use hyper::http::HeaderValue;
    use std::sync::Arc;

    /// A client that reads what was appended, and forgets it.
    struct Client(Decoder);

    impl Client {
        fn new() -> Self {
            Self(Decoder::new(Arc::new([]), usize::MAX))
        }

        /// The bytes of each block, and its fields as text.
        fn read(&mut self, out: &mut Vec<u8>) -> Vec<(usize, String)> {
            let bytes = std::mem::take(out);
            let (mut rest, mut read) = (&bytes[..], Vec::new());
            while let Some(head) = Head::parse(rest) {
                let block = &rest[HEAD..HEAD + head.length];
                let fields = self.0.decode(block).unwrap();
                let texts = fields_in(&fields.block).map(|(name, value)| {
                    let text = [name, b"=", value].concat();
                    String::from_utf8(text).unwrap()
                });
                read.push((head.length, texts.collect::<Vec<_>>().join(" ")));
                rest = &rest[HEAD + head.length..];
            }
            assert!(rest.is_empty());
            read
        }
    }

    const REPLY: &str = ":status=200 content-type=application/grpc";

    #[test]
    fn replies_are_short_from_the_second_on() {
        let (mut headers, mut client, mut out) = (Headers::default(), Client::new(), Vec::new());
        let whole = |headers: &mut Headers, out: &mut Vec<u8>| {
            headers.reply(out, 1, None);
            headers.trailers(out, 1);
        };
        whole(&mut headers, &mut out);
        whole(&mut headers, &mut out);
        let read = client.read(&mut out);
        let texts: Vec<_> = read.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, [REPLY, "grpc-status=0", REPLY, "grpc-status=0"]);
        assert_eq!((read[2].0, read[3].0), (2, 1));
        headers.reply(&mut out, 1, Some(u64::MAX));
        let text = &client.read(&mut out)[0].1;
        assert_eq!(*text, format!("{REPLY} x-hotpath-position={}", u64::MAX));
    }

    #[test]
    fn whatever_comes_first_all_is_understood() {
        let mut fields = HeaderMap::new();
        fields.insert("content-type", HeaderValue::from_static(GRPC));
        fields.insert("grpc-status", HeaderValue::from_static("5"));
        let mut last = HeaderMap::new();
        last.insert("grpc-status", HeaderValue::from_static("14"));
        let refused = format!("{REPLY} grpc-status=5");
        for first in 0..5 {
            let (mut headers, mut client, mut out) =
                (Headers::default(), Client::new(), Vec::new());
            let mut wanted = Vec::new();
            for way in [first, 0, 1, 2, 3, 4, 1, 0, 2, 1] {
                match way {
                    0 => headers.reply(&mut out, 1, None),
                    1 => headers.trailers(&mut out, 1),
                    2 => headers.status(&mut out, 1, &fields),
                    3 => headers.pass(&mut out, 1, true, &[0x20, 0x88]),
                    _ => headers.end(&mut out, 1, &last),
                }
                let all = [
                    REPLY,
                    "grpc-status=0",
                    &refused,
                    ":status=200",
                    "grpc-status=14",
                ];
                wanted.push(all[way].to_owned());
            }
            let read = client.read(&mut out);
            let texts: Vec<_> = read.into_iter().map(|(_, text)| text).collect();
            assert_eq!(texts, wanted);
        }
    }

    #[test]
    fn a_client_without_a_table_is_told_once() {
        for warm in [false, true] {
            let (mut headers, mut client, mut out) =
                (Headers::default(), Client::new(), Vec::new());
            if warm {
                headers.reply(&mut out, 1, None);
                headers.trailers(&mut out, 1);
                client.read(&mut out);
            }
            headers.resize(8_192);
            headers.resize(100);
            headers.resize(0);
            headers.pass(&mut out, 1, true, &[0x20, 0x88]);
            assert_eq!(out[HEAD..], [0x20, 0x88]);
            for _ in 0..2 {
                headers.reply(&mut out, 1, None);
                headers.trailers(&mut out, 1);
            }
            assert!(
                out[HEAD + 2..]
                    .iter()
                    .all(|byte| *byte != 0x40 && *byte != CONTENT_TYPE_NAME)
            );
            let texts: Vec<_> = client
                .read(&mut out)
                .into_iter()
                .map(|(_, text)| text)
                .collect();
            assert_eq!(
                texts,
                [
                    ":status=200",
                    REPLY,
                    "grpc-status=0",
                    REPLY,
                    "grpc-status=0"
                ]
            );
        }
    }
}
