//! The part of HTTP/2 that a gRPC client needs, without a task or an allocation per request.
//!
//! Nothing in here does input or output. The caller passes the bytes that came to [`connection::Connection::receive`],
//! and writes what is in `unsent`. Tests can therefore feed it anything.

pub(crate) mod connection;
pub(crate) mod frame;
pub(crate) mod hpack;
pub(crate) mod message;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod settings;

/// What the peer did that HTTP/2 forbids. The connection can't go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Violation(pub(crate) &'static str);

/// gRPC status codes that this client sets itself.
pub(crate) mod status {
    pub(crate) const OK: u32 = 0;
    pub(crate) const CANCELLED: u32 = 1;
    pub(crate) const UNKNOWN: u32 = 2;
    pub(crate) const DEADLINE_EXCEEDED: u32 = 4;
    pub(crate) const PERMISSION_DENIED: u32 = 7;
    pub(crate) const RESOURCE_EXHAUSTED: u32 = 8;
    pub(crate) const UNIMPLEMENTED: u32 = 12;
    pub(crate) const INTERNAL: u32 = 13;
    pub(crate) const UNAVAILABLE: u32 = 14;
    pub(crate) const UNAUTHENTICATED: u32 = 16;
}

#[cfg(test)]
mod tests;
