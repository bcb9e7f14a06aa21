//! What a window of load was like, from the generator's side. Times are microseconds unless their name says otherwise.

use hdrhistogram::Histogram;
use std::{collections::BTreeMap, time::Duration};

/// Longest time that is told apart: an hour, in nanoseconds.
pub const LONGEST_NS: u64 = 3_600_000_000_000;

/// A histogram of nanoseconds with three significant digits.
pub type Latencies = Histogram<u64>;

/// An empty histogram of nanoseconds up to [`LONGEST_NS`] (longer ones count as that).
#[must_use]
pub fn latencies() -> Latencies {
    // The bounds are constants that the crate accepts; a histogram that grows by itself accepts any value as well.
    Histogram::new_with_bounds(1, LONGEST_NS, 3).unwrap_or_else(|_| unreachable!("constant bounds"))
}

/// What the generator saw in one window against one target.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Reads that were due.
    pub planned: u64,
    /// Reads that were sent.
    pub sent: u64,
    /// Reads that were not: their time was up, or nearly, before the target took them. Of the others `planned - sent` were
    /// due when the window was interrupted.
    pub expired: u64,
    /// Reads answered with OK, whenever that was. Those of `statuses` and all that were not sent are errors.
    pub ok: u64,
    /// Answers by gRPC status code; one that this side gave up on counts as 4, a lost connection as 14.
    pub statuses: BTreeMap<u32, u64>,
    /// The window's duration, or up to when it was interrupted.
    pub elapsed: Duration,
    /// The rate of OK answers to the window's own reads, whenever they came: `ok` over the window's duration, or over
    /// the time that the target took for them if it fell behind.
    pub achieved_qps: f64,
    /// From the window's begin until the last of its reads had ended.
    pub until_drained: Duration,
    /// From the planned send to the answer, of every read that was due: what a caller would have waited. Those that got
    /// no answer are in it with the time until they were given up.
    pub from_planned: Latencies,
    /// From the actual send to the answer. Smaller where requests had to queue: never quote it as a latency.
    pub from_sent: Latencies,
    /// Per method of the workload, in its order.
    pub methods: Vec<MethodObserved>,
    /// How well the generator did its own work.
    pub generator: GeneratorObserved,
    /// Writes beside the reads.
    pub writes: WritesObserved,
    /// If [`crate::traffic::Window::keep_replies`].
    pub replies: Option<Replies>,
    /// Stopped early, by the caller's wish: not a window to conclude from.
    pub interrupted: bool,
}

/// One method's share of a window.
#[derive(Debug, Clone)]
pub struct MethodObserved {
    /// Reads that were due.
    pub planned: u64,
    /// All that were not answered with OK.
    pub errors: u64,
    /// As [`Observed::from_planned`].
    pub from_planned: Latencies,
}

/// The generator's own account of a window.
#[derive(Debug, Clone)]
pub struct GeneratorObserved {
    /// CPU time of its thread, as a share of the wall time in which reads were due: 1.0 is a whole core. Waiting for the last
    /// answers is not in it.
    pub cpu_fraction: f64,
    /// How late its loop came to each planned send, whether or not the target could take it then. The generator's fault,
    /// never the target's.
    pub lag: Latencies,
    /// Reads that were due when the in-flight limit or the target's flow control did not let them out: the target's fault.
    pub held_back: u64,
    /// Most reads in flight at once.
    pub in_flight_max: u64,
}

/// Writes of a window, sent one after the other.
#[derive(Debug, Clone)]
pub struct WritesObserved {
    /// Done in this window.
    pub done: u64,
    /// Attempts that failed and were repeated.
    pub failed: u64,
    /// The last status that was no success, with its message.
    pub last_failure: Option<(u32, String)>,
    /// From the planned send to success.
    pub from_planned: Latencies,
}

/// Replies of a window, by the number of the read.
#[derive(Debug, Clone, Default)]
pub struct Replies {
    /// `replies[n]` is the answer to `Workload::read(seed, n)`; `None` if there was none.
    pub replies: Vec<Option<Reply>>,
    /// Bytes of all that were kept, which `Reply::message` points into.
    pub bytes: Vec<u8>,
}

/// One kept reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// gRPC status.
    pub status: u32,
    /// `grpc-message`, decoded; empty if there was none, cut if it is longer than 256 bytes.
    pub status_message: String,
    /// `x-hotpath-position`, if the target said one.
    pub position: Option<u64>,
    /// A 64-bit hash of the message bytes, and of a status message that was cut.
    pub hash: u64,
    /// Where the message is in [`Replies::bytes`]; `None` once the budget for keeping them was used up.
    pub message: Option<std::ops::Range<usize>>,
}

/// What one process of a target used during a window.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessUsage {
    /// `walletd`, `hotpathd`, or as the command line called it.
    pub name: String,
    /// User and system time.
    pub cpu: Duration,
    /// Highest resident memory seen.
    pub rss_peak_bytes: u64,
    /// Voluntary and involuntary, all threads.
    pub context_switches: u64,
    /// Go's collector, if the process tells.
    pub gc: Option<GcUsage>,
    /// Hot requests that Go answered in its sidecar's place, if it has one and tells.
    pub fallbacks: Option<u64>,
}

/// What Go's garbage collector used during a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GcUsage {
    /// CPU.
    pub cpu: Duration,
    /// Stop-the-world pauses.
    pub pause: Duration,
    /// Cycles.
    pub cycles: u64,
}
