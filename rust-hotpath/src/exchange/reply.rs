//! Writes replies of the exchange into one buffer that leaves as one gRPC message.
//!
//! A reply's position is known before its body is written, its length only afterwards. So the writer leaves one byte
//! for each length, and moves a reply to make more room only if it is longer than a hundred bytes or so.

use crate::{error::Error, limits, serve::PREFIX};
use bytes::Bytes;
use prost::encoding::{encode_varint, encoded_len_varint};
use tonic::Code;

const REPLIES: u8 = 1 << 3 | 2;
const ID: u8 = 1 << 3 | 1;
const POSITION: u8 = 2 << 3;
const STATUS: u8 = 3 << 3;
const STATUS_MESSAGE: u8 = 4 << 3 | 2;
const STATUS_DETAILS: u8 = 5 << 3 | 2;
const BODY: u8 = 6 << 3 | 2;
const TOO_LONG: u8 = 7 << 3;
const MORE: u8 = 8 << 3;

/// An `ExchangeResponse` under construction, after gRPC's prefix.
#[derive(Debug, Default)]
pub struct Replies {
    buffer: Vec<u8>,
    /// Length of the previous message; the next one is likely to be as long.
    last_bytes: usize,
}

/// A reply whose body is being appended.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    frame_at: usize,
    body_at: usize,
}

impl Replies {
    /// Begins the reply to `id` at `position`. The caller then appends the body to [`Self::buffer`].
    pub fn open(&mut self, id: u64, position: u64) -> Open {
        self.start();
        let out = &mut self.buffer;
        out.extend_from_slice(&[REPLIES, 0, ID]);
        let frame_at = out.len() - 1;
        out.extend_from_slice(&id.to_le_bytes());
        out.push(POSITION);
        encode_varint(position, out);
        out.extend_from_slice(&[BODY, 0]);
        let body_at = out.len();
        Open { frame_at, body_at }
    }

    /// The buffer to which the body is appended, and which has the message once that is finished.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Ends the reply, whose body is what was appended. If the body is too long, takes the reply back and returns the
    /// body.
    pub fn close(&mut self, open: Open) -> Option<Vec<u8>> {
        let out = &mut self.buffer;
        let body_bytes = out.len() - open.body_at;
        if body_bytes > limits::EXCHANGE_BODY_BYTES {
            let body = out.split_off(open.body_at);
            self.take_back(open);
            return Some(body);
        }
        if body_bytes == 0 {
            out.truncate(open.body_at - 2);
            let frame_bytes = out.len() - open.frame_at;
            put_varint(&mut out[open.frame_at - 1..], frame_bytes);
            return None;
        }
        let body_more = varint_bytes(body_bytes) - 1;
        let frame_bytes = out.len() - open.frame_at + body_more;
        let frame_more = varint_bytes(frame_bytes) - 1;
        let more = body_more + frame_more;
        if more > 0 {
            out.resize(out.len() + more, 0);
            let body_end = open.body_at + body_bytes;
            out.copy_within(open.body_at..body_end, open.body_at + more);
            let head = open.frame_at..open.body_at - 1;
            out.copy_within(head, open.frame_at + frame_more);
        }
        put_varint(&mut out[open.frame_at - 1..], frame_bytes);
        put_varint(&mut out[open.body_at - 1 + frame_more..], body_bytes);
        None
    }

    /// Removes a reply that was begun.
    pub fn take_back(&mut self, open: Open) {
        self.buffer.truncate(open.frame_at - 2);
    }

    /// Writes a reply with this body. Returns false if the body is too long.
    pub fn body(&mut self, id: u64, position: u64, body: &[u8]) -> bool {
        let open = self.open(id, position);
        self.buffer.extend_from_slice(body);
        self.close(open).is_none()
    }

    /// Writes a piece of a long body, of which more follows. A piece has at least one byte and at most a body's limit.
    pub fn piece(&mut self, id: u64, piece: &[u8]) {
        self.start();
        let out = &mut self.buffer;
        out.push(REPLIES);
        push_length(9 + delimited_bytes(piece) + 2, out);
        out.push(ID);
        out.extend_from_slice(&id.to_le_bytes());
        push_delimited(BODY, piece, out);
        out.extend_from_slice(&[MORE, 1]);
    }

    /// Writes a reply without a body. A message that is too long is cut off; details that are too long are left out.
    pub fn status(
        &mut self,
        id: u64,
        position: Option<u64>,
        code: Code,
        message: &str,
        details: &[u8],
    ) {
        self.start();
        let end = message.floor_char_boundary(limits::STATUS_BYTES);
        let message = &message[..end];
        let details = Some(details).filter(|details| details.len() <= limits::STATUS_BYTES);
        let details = details.unwrap_or_default();
        let code = u64::from(i32::from(code).unsigned_abs());
        let frame_bytes = 9
            + position.map_or(0, |position| 1 + encoded_len_varint(position))
            + usize::from(code != 0) * 2
            + delimited_bytes(message.as_bytes())
            + delimited_bytes(details);
        let out = &mut self.buffer;
        out.push(REPLIES);
        push_length(frame_bytes, out);
        out.push(ID);
        out.extend_from_slice(&id.to_le_bytes());
        if let Some(position) = position {
            out.push(POSITION);
            encode_varint(position, out);
        }
        if code != 0 {
            out.push(STATUS);
            encode_varint(code, out);
        }
        push_delimited(STATUS_MESSAGE, message.as_bytes(), out);
        push_delimited(STATUS_DETAILS, details, out);
    }

    /// Writes a refusal: a status without a position, which is no answer.
    pub fn refusal(&mut self, id: u64, error: &Error) {
        let status = error.status();
        self.status(id, None, status.code(), status.message(), status.details());
    }

    /// Tells the shim to ask for the answer by unary call.
    pub fn too_long(&mut self, id: u64) {
        self.start();
        let out = &mut self.buffer;
        out.extend_from_slice(&[REPLIES, 11, ID]);
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&[TOO_LONG, 1]);
    }

    /// Whether no reply was written since the last message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.len() <= PREFIX
    }

    /// Whether the message should leave before more is added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= limits::EXCHANGE_REPLY_TARGET_BYTES
    }

    /// Ends the message, which is then in [`Self::buffer`] with its prefix. Whoever sends it empties the buffer. Returns
    /// false if the message would be empty.
    pub fn finish(&mut self) -> bool {
        if self.is_empty() {
            return false;
        }
        self.last_bytes = self.buffer.len();
        // It ends soon after `is_full`, far below 4 GiB.
        let length = u32::try_from(self.buffer.len() - PREFIX).unwrap_or(u32::MAX);
        self.buffer[1..PREFIX].copy_from_slice(&length.to_be_bytes());
        true
    }

    /// Takes the framed message, or `None` if it would be empty.
    pub fn take(&mut self) -> Option<Bytes> {
        self.finish()
            .then(|| Bytes::from(std::mem::take(&mut self.buffer)))
    }

    fn start(&mut self) {
        if self.buffer.is_empty() {
            let likely = self.last_bytes.next_power_of_two();
            let most = 2 * limits::EXCHANGE_REPLY_TARGET_BYTES;
            self.buffer.reserve(likely.clamp(512, most));
            self.buffer.resize(PREFIX, 0);
        }
    }
}

fn varint_bytes(length: usize) -> usize {
    encoded_len_varint(length as u64)
}

fn push_length(length: usize, out: &mut Vec<u8>) {
    encode_varint(length as u64, out);
}

fn delimited_bytes(value: &[u8]) -> usize {
    match value.len() {
        0 => 0,
        length => 1 + varint_bytes(length) + length,
    }
}

fn push_delimited(tag: u8, value: &[u8], out: &mut Vec<u8>) {
    if !value.is_empty() {
        out.push(tag);
        push_length(value.len(), out);
        out.extend_from_slice(value);
    }
}

/// Writes a varint over bytes that are already there.
fn put_varint(mut at: &mut [u8], length: usize) {
    encode_varint(length as u64, &mut at);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::Kind,
        proto::hotpath::{ExchangeResponse, ReplyFrame},
    };
    use proptest::prelude::*;
    use prost::Message as _;

    fn position() -> impl Strategy<Value = u64> {
        prop_oneof![0..300_u64, any::<u64>()]
    }

    fn reply() -> impl Strategy<Value = ReplyFrame> {
        let body = (any::<u64>(), position(), 0..400_usize, any::<u8>()).prop_map(
            |(id, position, length, byte)| ReplyFrame {
                id,
                position: Some(position),
                body: vec![byte; length],
                ..ReplyFrame::default()
            },
        );
        let long = (any::<u64>(), 16_300..16_500_usize).prop_map(|(id, length)| ReplyFrame {
            id,
            position: Some(1),
            body: vec![7; length],
            ..ReplyFrame::default()
        });
        let details = proptest::collection::vec(any::<u8>(), 0..200);
        let status = (
            any::<u64>(),
            proptest::option::of(position()),
            0..17_u32,
            ".{0,200}",
            details,
        )
            .prop_map(|(id, position, status, status_message, status_details)| {
                ReplyFrame {
                    id,
                    position,
                    status,
                    status_message,
                    status_details,
                    ..ReplyFrame::default()
                }
            });
        let too_long = any::<u64>().prop_map(|id| ReplyFrame {
            id,
            too_long: true,
            ..ReplyFrame::default()
        });
        let piece = (any::<u64>(), 1..400_usize).prop_map(|(id, length)| ReplyFrame {
            id,
            body: vec![5; length],
            more: true,
            ..ReplyFrame::default()
        });
        prop_oneof![4 => body, 1 => long, 2 => status, 1 => too_long, 1 => piece]
    }

    fn write(replies: &mut Replies, reply: &ReplyFrame) {
        if reply.too_long {
            replies.too_long(reply.id);
        } else if reply.more {
            replies.piece(reply.id, &reply.body);
        } else if !reply.body.is_empty() {
            let position = reply.position.expect("a position");
            assert!(replies.body(reply.id, position, &reply.body));
        } else {
            let code = Code::from_i32(reply.status.cast_signed());
            let (text, details) = (&reply.status_message, &reply.status_details);
            replies.status(reply.id, reply.position, code, text, details);
        }
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_the_generated_type(
            expected in proptest::collection::vec(reply(), 1..20)
        ) {
            let mut replies = Replies::default();
            for reply in &expected {
                write(&mut replies, reply);
            }
            let message = replies.take().expect("a message");
            let response = ExchangeResponse { replies: expected };
            prop_assert_eq!(&message[PREFIX..], &response.encode_to_vec()[..]);
            let length = u32::from_be_bytes([message[1], message[2], message[3], message[4]]);
            prop_assert_eq!((message[0], length as usize), (0, message.len() - PREFIX));
        }
    }

    fn decoded(replies: &mut Replies) -> Vec<ReplyFrame> {
        let message = replies.take().expect("a message").slice(PREFIX..);
        ExchangeResponse::decode(message)
            .expect("a response")
            .replies
    }

    #[test]
    fn an_empty_body_is_an_answer_too() {
        let mut replies = Replies::default();
        assert!(replies.body(3, 0, b""));
        let expected = ReplyFrame {
            id: 3,
            position: Some(0),
            ..ReplyFrame::default()
        };
        assert_eq!(decoded(&mut replies), [expected]);
    }

    #[test]
    fn what_is_too_long_leaves_no_trace() {
        let mut replies = Replies::default();
        assert!(replies.body(1, 1, &[1; limits::EXCHANGE_BODY_BYTES]));
        let open = replies.open(2, 1);
        let long = [2; limits::EXCHANGE_BODY_BYTES + 1];
        replies.buffer().extend_from_slice(&long);
        assert_eq!(replies.close(open).as_deref(), Some(&long[..]));
        let open = replies.open(3, u64::MAX);
        replies.buffer().push(9);
        replies.take_back(open);
        let ids: Vec<_> = decoded(&mut replies).iter().map(|reply| reply.id).collect();
        assert_eq!(ids, [1]);
        assert!(replies.take().is_none());
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_details_survive() {
        let mut replies = Replies::default();
        let text = "é".repeat(limits::STATUS_BYTES);
        replies.status(1, None, Code::Internal, &format!("x{text}"), &[0; 5_000]);
        replies.refusal(2, &Error::new(Kind::NotRetained, "gone"));
        let [long, gone] = &decoded(&mut replies)[..] else {
            panic!("two replies")
        };
        assert_eq!(long.status_message.len(), limits::STATUS_BYTES - 1);
        assert!(long.status_details.is_empty());
        assert_eq!((gone.position, gone.status), (None, 9));
        let unary = Error::new(Kind::NotRetained, "gone").status();
        assert_eq!(gone.status_details, unary.details());
        assert!(!gone.status_details.is_empty());
    }

    #[test]
    fn a_message_is_full_long_before_its_limit() {
        let mut replies = Replies::default();
        let mut id = 0;
        while !replies.is_full() {
            id += 1;
            assert!(replies.body(id, 1, &[1; limits::EXCHANGE_BODY_BYTES]));
        }
        assert!(replies.take().expect("a message").len() < 1 << 20);
    }
}
