//! Compares the writer of replies with the generated type. What it wrote must be read as it was meant.

use hotpath::{
    exchange::Replies,
    limits,
    proto::hotpath::{ExchangeResponse, ReplyFrame},
};
use prost::Message as _;
use tonic::Code;

const PREFIX: usize = 5;

/// Bytes that say what to write. When they have run out, further bytes are 0.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// A number of any magnitude.
    fn number(&mut self) -> u64 {
        let bytes = self.byte() % 9;
        (0..bytes).fold(0, |all, _| all << 8 | u64::from(self.byte()))
    }

    /// A length around the limit, or a short one.
    fn length(&mut self, limit: usize) -> usize {
        match self.byte() {
            byte @ ..240 => usize::from(byte),
            byte => limit - 8 + usize::from(byte & 15),
        }
    }

    fn bytes(&mut self, limit: usize) -> Vec<u8> {
        vec![self.byte(); self.length(limit)]
    }

    fn text(&mut self, limit: usize) -> String {
        let unit = ["x", "é", "\0", "€", "🦀"][usize::from(self.byte() % 5)];
        unit.repeat(self.length(limit) / unit.len())
    }
}

/// Tests one input. Each byte asks for one more reply.
pub(crate) fn are_read(data: &[u8]) {
    let (mut script, mut replies, mut expected) = (Script(data), Replies::default(), Vec::new());
    while !script.0.is_empty() {
        expected.extend(write(&mut script, &mut replies));
        if replies.is_full() || script.byte() % 16 == 1 {
            check(&mut replies, std::mem::take(&mut expected));
        }
    }
    check(&mut replies, expected);
}

fn write(script: &mut Script<'_>, replies: &mut Replies) -> Option<ReplyFrame> {
    // No id is 0.
    let (kind, id) = (script.byte(), script.number().max(1));
    let frame = ReplyFrame {
        id,
        ..ReplyFrame::default()
    };
    match kind % 5 {
        0 => body(script, replies, frame),
        1 => Some(status(script, replies, frame)),
        4 => {
            let mut body = script.bytes(limits::EXCHANGE_PIECE_BYTES);
            body.push(0);
            replies.piece(id, &body);
            let more = true;
            Some(ReplyFrame {
                body,
                more,
                ..frame
            })
        }
        2 => {
            replies.too_long(id);
            let too_long = true;
            Some(ReplyFrame { too_long, ..frame })
        }
        _ => {
            let open = replies.open(id, script.number());
            let begun = script.bytes(limits::EXCHANGE_BODY_BYTES);
            replies.buffer().extend(begun);
            replies.take_back(open);
            None
        }
    }
}

fn body(script: &mut Script<'_>, replies: &mut Replies, frame: ReplyFrame) -> Option<ReplyFrame> {
    let position = script.number();
    let body = script.bytes(limits::EXCHANGE_BODY_BYTES);
    let fits = body.len() <= limits::EXCHANGE_BODY_BYTES;
    assert_eq!(replies.body(frame.id, position, &body), fits);
    let position = Some(position);
    fits.then_some(ReplyFrame {
        position,
        body,
        ..frame
    })
}

fn status(script: &mut Script<'_>, replies: &mut Replies, frame: ReplyFrame) -> ReplyFrame {
    let code = Code::from_i32(i32::from(script.byte() % 17));
    let position = (script.byte() % 2 == 1).then(|| script.number());
    let mut status_message = script.text(limits::STATUS_BYTES);
    let mut status_details = script.bytes(limits::STATUS_BYTES);
    replies.status(frame.id, position, code, &status_message, &status_details);
    status_message.truncate(status_message.floor_char_boundary(limits::STATUS_BYTES));
    if status_details.len() > limits::STATUS_BYTES {
        status_details.clear();
    }
    ReplyFrame {
        position,
        status: code as u32,
        status_message,
        status_details,
        ..frame
    }
}

/// Checks that the bytes are those that the generated type would write, and that the message keeps to its limit.
fn check(replies: &mut Replies, expected: Vec<ReplyFrame>) {
    let Some(message) = replies.take() else {
        assert!(expected.is_empty());
        return;
    };
    assert!(message.len() <= PREFIX + limits::EXCHANGE_MESSAGE_BYTES);
    let length = u32::from_be_bytes([message[1], message[2], message[3], message[4]]);
    assert_eq!((message[0], length as usize), (0, message.len() - PREFIX));
    let replies = expected;
    let expected = ExchangeResponse { replies }.encode_to_vec();
    assert!(
        message[PREFIX..] == expected[..],
        "{message:?}\n{expected:?}"
    );
}
