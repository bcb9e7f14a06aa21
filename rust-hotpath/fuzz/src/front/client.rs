//! What a client hears.

use super::script::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, LAST_PING, PING, RST_STREAM, Script, State,
};
use crate::{
    lane::Said,
    stream::{End, told},
};
use bytes::Bytes;
use tonic::Code;

const HEAD: usize = 9;

#[derive(Default)]
pub(super) struct Client {
    unread: Vec<u8>,
    lanes: Vec<Lane>,
    /// Whether there was a GOAWAY.
    pub(super) is_told_to_leave: bool,
    /// Whether a stream was reset for another reason than that it is over.
    pub(super) is_blamed: bool,
    /// Whether the last PING was answered.
    has_pong: bool,
}

#[derive(Default)]
struct Lane {
    stream: u32,
    is_cancelled: bool,
    /// Whether it has its headers.
    begun: bool,
    body: Vec<u8>,
    /// The text of its grpc-status.
    status: Option<Vec<u8>>,
    is_reset: bool,
}

impl Client {
    pub(super) fn new(script: &Script) -> Self {
        let lanes = script.lanes.iter().map(|lane| Lane {
            stream: lane.stream,
            is_cancelled: lane.state == State::Cancelled,
            ..Lane::default()
        });
        Self {
            lanes: lanes.collect(),
            ..Self::default()
        }
    }

    /// Whether all that the client said was read, and each lane is over, as far as the client wants to know.
    pub(super) fn has_heard_all(&self) -> bool {
        let is_over = |lane: &Lane| lane.is_cancelled || lane.status.is_some() || lane.is_reset;
        self.is_told_to_leave || self.has_pong && self.lanes.iter().all(is_over)
    }

    pub(super) fn hear(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(&[a, b, c, kind, flags, s0, s1, s2, s3]) =
            self.unread[at..].first_chunk::<HEAD>()
        {
            let end = at + HEAD + u32::from_be_bytes([0, a, b, c]) as usize;
            if end > self.unread.len() {
                break;
            }
            let payload = self.unread[at + HEAD..end].to_vec();
            self.frame(kind, flags, u32::from_be_bytes([s0, s1, s2, s3]), &payload);
            at = end;
        }
        self.unread.drain(..at);
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.is_told_to_leave |= kind == GOAWAY;
        self.is_blamed |= kind == RST_STREAM && payload != [0; 4];
        self.has_pong |= kind == PING && payload == LAST_PING;
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.stream == stream) else {
            return;
        };
        match kind {
            DATA => {
                assert!(lane.begun && lane.status.is_none(), "DATA between headers");
                lane.body.extend_from_slice(payload);
            }
            HEADERS => {
                assert!(flags & END_HEADERS != 0 && lane.status.is_none());
                if flags & END_STREAM != 0 {
                    lane.status = Some(status(payload));
                }
                lane.begun = true;
            }
            RST_STREAM => lane.is_reset = true,
            _ => {}
        }
    }

    /// What each lane replied.
    pub(super) fn heard(self) -> impl Iterator<Item = Said> {
        self.lanes.into_iter().map(|lane| {
            let mut said = Said::new();
            let replies = told(&Bytes::from(lane.body));
            assert!(
                replies.end == End::Whole || lane.is_cancelled,
                "{:?}",
                replies.end
            );
            for message in replies.messages {
                said.add(message);
            }
            let status = lane.status.unwrap_or_default();
            said.code = Code::from_bytes(&status);
            said
        })
    }
}

/// The value of grpc-status. The front writes trailers as plain literals.
fn status(block: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"\x0bgrpc-status";
    let at = block.windows(NAME.len()).position(|part| part == NAME);
    let value = at.and_then(|at| block.get(at + NAME.len()..));
    let value = value.and_then(|value| value.get(1..1 + usize::from(*value.first()?)));
    value.unwrap_or_default().to_vec()
}
