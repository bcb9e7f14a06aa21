//! What is sent, and when: the types that the generator, the scenarios and the captures share.

pub use crate::arrivals::{Spread, Window};

use crate::arrivals::Arrivals;
use std::time::Duration;

/// A method that requests are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// `/package.Service/Method`.
    pub path: String,
    /// Whether requests go to the target's address for hot methods, if it has one ([`crate::generator::Endpoints`]).
    pub hot: bool,
}

/// One request: a method and an encoded message (without gRPC's five-byte prefix).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Index into [`Workload::methods`].
    pub method: u16,
    /// The protobuf message.
    pub message: &'a [u8],
}

/// A source of requests. Everything is a pure function of its arguments, so that two targets can be sent the same.
pub trait Workload: Send + Sync {
    /// All methods, those of writes included.
    fn methods(&self) -> &[Method];

    /// The `n`-th read of a window. Windows with the same seed have the same reads.
    fn read(&self, seed: u64, n: u64) -> Request<'_>;

    /// The `k`-th write that a target is sent: its method and message. The generator sends writes in order, each after
    /// the previous one has succeeded, so that every target goes through the same states. `None`: there are no (more)
    /// writes.
    fn write(&self, k: u64) -> Option<(u16, Vec<u8>)>;

    /// When the reads of a window are due, in ascending order. The default is [`Arrivals`]; a capture has times of its
    /// own.
    fn schedule(&self, window: &Window) -> Box<dyn Iterator<Item = Duration> + Send> {
        Box::new(Arrivals::new(window))
    }
}
