//! What the generator and the processes report about a window of load. Histograms hold nanoseconds.

use hdrhistogram::Histogram;
use std::{collections::BTreeMap, time::Duration};

/// The longest time that a histogram tells apart: an hour, in nanoseconds.
pub const LONGEST_NS: u64 = 3_600_000_000_000;

/// A histogram of nanoseconds with three significant digits.
pub type Latencies = Histogram<u64>;

/// Makes an empty histogram of nanoseconds up to [`LONGEST_NS`]; longer times count as that.
#[must_use]
pub fn latencies() -> Latencies {
    // The crate accepts these constant bounds.
    Histogram::new_with_bounds(1, LONGEST_NS, 3).unwrap_or_else(|_| unreachable!("constant bounds"))
}

/// What the generator saw in one window against one target.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Reads that were due.
    pub planned: u64,
    /// Reads that were sent.
    pub sent: u64,
    /// Reads that were never sent, because their time was up, or nearly, before the target took them. The rest of
    /// `planned - sent` were due when the window was interrupted.
    pub expired: u64,
    /// Reads answered with OK, however late. All others are errors: those in `statuses` and those that were never sent.
    pub ok: u64,
    /// Answers other than OK, by gRPC status code. A read that the generator gave up counts as 4, one whose connection
    /// was lost as 14.
    pub statuses: BTreeMap<u32, u64>,
    /// The window's duration, or the time until it was interrupted.
    pub elapsed: Duration,
    /// OK answers to the window's own reads, however late, a second: `ok` over the window's duration, or over the time
    /// that the target took for these reads if it fell behind.
    pub achieved_qps: f64,
    /// Time from the window's beginning until the last of its reads had ended.
    pub until_drained: Duration,
    /// Time from the planned send to the answer, for every read that was due: what a caller would have waited. A read
    /// without an answer counts with the time until it was given up.
    pub from_planned: Latencies,
    /// Time from the actual send to the answer. It leaves out the time that requests had to queue, so never quote it as
    /// a latency.
    pub from_sent: Latencies,
    /// The same per method, in the workload's order.
    pub methods: Vec<MethodObserved>,
    /// How well the generator did its own work.
    pub generator: GeneratorObserved,
    /// Writes beside the reads.
    pub writes: WritesObserved,
    /// The replies, if [`crate::traffic::Window::keep_replies`] is set.
    pub replies: Option<Replies>,
    /// True if the caller stopped the window early; no conclusions are drawn from it.
    pub interrupted: bool,
}

/// One method's share of a window.
#[derive(Debug, Clone)]
pub struct MethodObserved {
    /// Reads that were due.
    pub planned: u64,
    /// Reads that were not answered with OK.
    pub errors: u64,
    /// See [`Observed::from_planned`].
    pub from_planned: Latencies,
}

/// How well the generator did its work in a window.
#[derive(Debug, Clone)]
pub struct GeneratorObserved {
    /// CPU time of the generator's thread as a share of the wall time in which reads were due; 1.0 is a whole core. The
    /// wait for the last answers is left out.
    pub cpu_fraction: f64,
    /// How late the loop came to each planned send, whether or not the target could take the read then. Lag is the
    /// generator's fault, never the target's.
    pub lag: Latencies,
    /// Reads that could not be sent when they were due, because of `max_in_flight` or the target's flow control.
    pub held_back: u64,
    /// The most reads in flight at once.
    pub in_flight_max: u64,
}

/// Writes of a window, sent one after the other.
#[derive(Debug, Clone)]
pub struct WritesObserved {
    /// Writes that succeeded in this window.
    pub done: u64,
    /// Attempts that failed and were repeated.
    pub failed: u64,
    /// The last status other than OK, with its message.
    pub last_failure: Option<(u32, String)>,
    /// Time from the planned send to success.
    pub from_planned: Latencies,
}

/// Replies of a window, by the number of their read.
#[derive(Debug, Clone, Default)]
pub struct Replies {
    /// `replies[n]` is the answer to `Workload::read(seed, n)`; `None` if there was none.
    pub replies: Vec<Option<Reply>>,
    /// The bytes of all kept messages; [`Reply::message`] is a range of them.
    pub bytes: Vec<u8>,
}

/// One kept reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// gRPC status code.
    pub status: u32,
    /// `grpc-message`, decoded: empty if there was none, cut after 256 bytes.
    pub status_message: String,
    /// `x-hotpath-position`, if the target sent it.
    pub position: Option<u64>,
    /// A 64-bit hash of the message bytes and, if the status message was cut, of the whole status message.
    pub hash: u64,
    /// The message's place in [`Replies::bytes`]; `None` once the budget for kept messages was used up.
    pub message: Option<std::ops::Range<usize>>,
}

/// What one process of a target used during a window.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessUsage {
    /// `walletd`, `hotpathd`, or the name that the command line gives.
    pub name: String,
    /// User and system CPU time.
    pub cpu: Duration,
    /// The highest resident memory seen.
    pub rss_peak_bytes: u64,
    /// Voluntary and involuntary context switches of all threads.
    pub context_switches: u64,
    /// Go's collector; `None` if the process does not report it.
    pub gc: Option<GcUsage>,
    /// Hot requests that Go answered in place of its sidecar; `None` if it has no sidecar or does not report them.
    pub fallbacks: Option<u64>,
    /// Hot requests that its spliced front door left to grpc-go; `None` if it has no shim or does not report them.
    pub handed_over: Option<u64>,
}

/// What Go's garbage collector used during a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GcUsage {
    /// CPU time.
    pub cpu: Duration,
    /// Stop-the-world pauses.
    pub pause: Duration,
    /// Cycles.
    pub cycles: u64,
}
