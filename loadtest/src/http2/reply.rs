//! A reply while it arrives.

use super::{
    hpack::decoder::{Field, Meaning},
    message::{MAX_KEPT_BYTES, Progress},
    status,
};

/// Receives the answers of requests.
pub(crate) trait Sink<T> {
    /// Called when the request with this token has ended.
    fn answered(&mut self, token: T, answer: &Answer<'_>);
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    /// Whether the peer ended the stream in the regular way.
    pub(crate) replied: bool,
    /// gRPC status.
    pub(crate) status: u32,
    /// `grpc-message`, still percent-encoded; without a reply, the reason. If the request did not ask to keep its
    /// reply, a reply leaves this field and those below empty.
    pub(crate) status_message: &'a [u8],
    /// `x-hotpath-position`.
    pub(crate) position: Option<u64>,
    /// The message without its prefix.
    pub(crate) message: &'a [u8],
}

/// What is known about a reply so far.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// HTTP status; 0 means that none has come.
    http: u16,
    grpc: Option<u32>,
    body: Progress,
    kept: Option<Box<Kept>>,
}

/// What is kept of a reply if the request asked for it.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    status_message: Vec<u8>,
    position: Option<u64>,
    message: Vec<u8>,
    too_large: bool,
}

impl Answer<'_> {
    /// The answer of a request that got no reply.
    pub(crate) fn failed(status: u32, why: &'static str) -> Answer<'static> {
        Answer {
            replied: false,
            status,
            status_message: why.as_bytes(),
            position: None,
            message: &[],
        }
    }
}

impl Reply {
    pub(crate) fn keeping(kept: Option<Box<Kept>>) -> Self {
        Self {
            kept,
            ..Self::default()
        }
    }

    /// A field of the headers or the trailers.
    pub(crate) fn field(&mut self, field: &Field<'_>) {
        match (field.meaning, &mut self.kept) {
            (Meaning::Http(code), _) => self.http = code,
            (Meaning::Grpc(code), _) => self.grpc = Some(code.unwrap_or(status::UNKNOWN)),
            (Meaning::Message, Some(kept)) => {
                kept.status_message.clear();
                kept.status_message.extend_from_slice(field.value);
            }
            (Meaning::Position(position), Some(kept)) => kept.position = position,
            _ => {}
        }
    }

    /// A piece of the body.
    pub(crate) fn data(&mut self, piece: &[u8]) {
        let piece = self.body.take(piece);
        if let Some(kept) = &mut self.kept {
            if kept.message.len() + piece.len() > MAX_KEPT_BYTES {
                kept.too_large = true;
            } else {
                kept.message.extend_from_slice(piece);
            }
        }
    }

    /// Returns the answer, once the stream has ended in the regular way.
    pub(crate) fn answer(&self) -> Answer<'_> {
        let kept = self.kept.as_deref();
        let status = match self.grpc {
            Some(status::OK) if !self.body.whole() => status::INTERNAL,
            Some(status::OK) if kept.is_some_and(|kept| kept.too_large) => {
                status::RESOURCE_EXHAUSTED
            }
            Some(status) => status,
            None => of_http(self.http),
        };
        Answer {
            replied: true,
            status,
            status_message: kept.map_or(&[], |kept| &kept.status_message),
            position: kept.and_then(|kept| kept.position),
            message: kept.map_or(&[], |kept| &kept.message),
        }
    }

    /// Returns the emptied buffers for use by another reply.
    pub(crate) fn recycle(&mut self) -> Option<Box<Kept>> {
        let mut kept = self.kept.take()?;
        kept.status_message.clear();
        kept.position = None;
        kept.message.clear();
        kept.too_large = false;
        Some(kept)
    }
}

/// The gRPC status of a reply that has only an HTTP status, by gRPC's specification.
fn of_http(code: u16) -> u32 {
    match code {
        400 => status::INTERNAL,
        401 => status::UNAUTHENTICATED,
        403 => status::PERMISSION_DENIED,
        404 => status::UNIMPLEMENTED,
        429 | 502 | 503 | 504 => status::UNAVAILABLE,
        _ => status::UNKNOWN,
    }
}

/// The gRPC status of a stream that the peer reset, by gRPC's specification.
pub(crate) fn of_reset(error: u32) -> u32 {
    match error {
        7 => status::UNAVAILABLE,
        8 => status::CANCELLED,
        11 => status::RESOURCE_EXHAUSTED,
        12 => status::PERMISSION_DENIED,
        _ => status::INTERNAL,
    }
}
