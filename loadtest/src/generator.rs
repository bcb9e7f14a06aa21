//! The open loop: one thread, one target, requests sent when they are due whether or not answers come.

use crate::{
    error::{Error, Kind, Result},
    measure::Observed,
    traffic::{Window, Workload},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

/// An address that speaks gRPC: `host:port` (loopback or not) or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(std::net::SocketAddr),
    /// A Unix socket.
    Unix(std::path::PathBuf),
}

/// Where a target's requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// Everything, unless `hot` is set.
    pub front: Address,
    /// Reads of methods that are `hot`; writes and the others go to `front`.
    pub hot: Option<Address>,
}

/// How requests get there.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Connections that carry reads, to each of the endpoints.
    pub connections: usize,
    /// Connections that are held open beside them (to `hot` if there is one) and answer pings only.
    pub idle_connections: usize,
    /// Reads in flight at once, over all connections.
    pub max_in_flight: usize,
    /// Given up after this long, counted from the planned send.
    pub timeout: Duration,
    /// Writes a second beside the reads.
    pub writes_per_second: f64,
    /// Bytes of replies that a window may keep; beyond it only their hashes.
    pub reply_budget_bytes: usize,
}

/// What a window is like while it runs; written by the generator a few times a second, read by the terminal.
#[derive(Debug, Default)]
pub struct Progress {
    /// Reads that were due so far.
    pub planned: AtomicU64,
    /// OK answers so far.
    pub ok: AtomicU64,
    /// Errors so far.
    pub errors: AtomicU64,
    /// In flight now.
    pub in_flight: AtomicU64,
    /// p99 from the planned send so far, µs.
    pub p99_us: AtomicU64,
    /// p99 of the lag so far, µs.
    pub lag_p99_us: AtomicU64,
}

/// Open connections to one target, and the loop over them.
#[derive(Debug)]
pub struct Generator {}

impl Generator {
    /// Opens all connections. Fails with [`Kind::Target`] if one can't be opened within five seconds.
    pub fn connect(
        _endpoints: &Endpoints,
        _workload: Arc<dyn Workload>,
        _options: Options,
    ) -> Result<Self> {
        Err(Error::new(Kind::Internal, "not there yet"))
    }

    /// Runs one window on the calling thread: until all that was due is answered or given up, and all writes that were
    /// due are done. `stop` ends it early ([`Observed::interrupted`]). `next_write` is the target's next `k` of
    /// [`Workload::write`], and is moved on.
    pub fn run(
        &mut self,
        _window: &Window,
        _next_write: &mut u64,
        _progress: &Progress,
        _stop: &AtomicBool,
    ) -> Result<Observed> {
        Err(Error::new(Kind::Internal, "not there yet"))
    }
}
