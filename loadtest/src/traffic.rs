//! What is sent, and when: the words that the generator, the scenarios and the captures share.

pub use crate::arrivals::{Spread, Window};

use crate::arrivals::Arrivals;
use std::time::Duration;

/// A method that requests are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// `/package.Service/Method`.
    pub path: String,
    /// A target with a second address for hot methods ([`crate::generator::Endpoints`]) is asked there.
    pub hot: bool,
}

/// One request: which of [`Workload::methods`], and its encoded message (without gRPC's five-byte prefix).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Index into [`Workload::methods`].
    pub method: u16,
    /// The protobuf message.
    pub message: &'a [u8],
}

/// Where requests come from. Everything is a pure function of its arguments, so that two targets can be sent the same.
pub trait Workload: Send + Sync {
    /// All methods, those of writes included.
    fn methods(&self) -> &[Method];

    /// The `n`-th read of a window. Two windows of the same seed read the same.
    fn read(&self, seed: u64, n: u64) -> Request<'_>;

    /// The `k`-th write that a target is ever sent: its method and message. Writes are sent in order, each once the one
    /// before has succeeded, so that every target goes through the same states. `None`: this workload has no writes.
    fn write(&self, k: u64) -> Option<(u16, Vec<u8>)>;

    /// When the reads of a window are due, ascending. The default is [`Arrivals`]; a capture has times of its own.
    fn schedule(&self, window: &Window) -> Box<dyn Iterator<Item = Duration> + Send> {
        Box::new(Arrivals::new(window))
    }
}
