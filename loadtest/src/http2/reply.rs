//! A reply while it comes in.

use super::{
    hpack::decoder::{Field, Meaning},
    message::{MAX_KEPT_BYTES, Progress},
    status,
};

/// Where finished requests go.
pub(crate) trait Sink<T> {
    /// The request of that token has its answer.
    fn answered(&mut self, token: T, answer: &Answer<'_>);
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    /// The peer ended the stream in order.
    pub(crate) replied: bool,
    /// gRPC status.
    pub(crate) status: u32,
    /// `grpc-message`, still percent-encoded. This and what follows only if it was asked to be kept.
    pub(crate) status_message: &'a [u8],
    /// `x-hotpath-position`.
    pub(crate) position: Option<u64>,
    /// The message without its prefix.
    pub(crate) message: &'a [u8],
}

/// What is known of a reply so far.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// 0: none yet.
    http: u16,
    grpc: Option<u32>,
    body: Progress,
    kept: Option<Box<Kept>>,
}

/// What is kept of a reply if that was asked for.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    status_message: Vec<u8>,
    position: Option<u64>,
    message: Vec<u8>,
    too_large: bool,
}

impl Answer<'_> {
    /// An end without a reply.
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

    /// The stream has ended in order.
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

    /// Gives back what was kept, emptied, for another reply.
    pub(crate) fn recycle(&mut self) -> Option<Box<Kept>> {
        let mut kept = self.kept.take()?;
        kept.status_message.clear();
        kept.position = None;
        kept.message.clear();
        kept.too_large = false;
        Some(kept)
    }
}

/// The status of a reply that has none of gRPC's, as the specification maps it.
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

/// The status of a stream that the peer reset, as the specification maps it.
pub(crate) fn of_reset(error: u32) -> u32 {
    match error {
        7 => status::UNAVAILABLE,
        8 => status::CANCELLED,
        11 => status::RESOURCE_EXHAUSTED,
        12 => status::PERMISSION_DENIED,
        _ => status::INTERNAL,
    }
}
