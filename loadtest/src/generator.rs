//! The load generator of one target. It runs on one thread, and sends requests when they are due, whether or not
//! answers have come (an open loop).
//!
//! ```text
//!  Generator ── run() makes one Drive per window: the loop
//!     │
//!     ├ Links ──── one epoll set of all connections
//!     │   └ Link ─── reconnects ── Socket (bytes), http2::Connection (frames)
//!     ├ Groups ─── which connections a method uses, and the reads held back
//!     └ Answers
//!         ├ Tally ─── the accounts of all reads ── Upkeep: did the target keep up?
//!         └ Writes ── the write that is under way, and its retries
//! ```
//!
//! One pass of the loop gives up what is too old, sends the write and the reads that are due, writes all sockets, waits
//! (for the sockets or the next due time), and hands the answers that came to `Answers`.

mod address;
mod answers;
mod clock;
mod drive;
mod groups;
mod hash;
mod limits;
mod link;
mod links;
mod socket;
mod tally;
mod upkeep;
mod writes;

pub use address::Address;

use self::{
    answers::{Answers, Discard},
    clock::{Clock, ns},
    drive::{Drive, Limits},
    groups::Groups,
    links::Links,
    tally::Tally,
    upkeep::Upkeep,
    writes::{Plan, Writes},
};
use crate::{
    error::{Error, Kind, Result},
    http2::{hpack::encoder::Fields, status},
    measure::Observed,
    traffic::{Method, Spread, Window, Workload},
};
use std::{
    num::NonZeroU64,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// Longest path of a method. With it, the header block of a request fits into any peer's frames.
const MAX_PATH_BYTES: usize = 8 << 10;
const MAX_METHODS: usize = 1 << 16;
const MAX_CONNECTIONS: usize = 10_000;
const MAX_IDLE_CONNECTIONS: usize = 1_000_000;
const MAX_WRITES_AT_ONCE: usize = 64;
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
/// Margin for delays of a busy machine: an answer is prompt if it takes at most twice as long as the quickest, plus
/// this.
const PROMPT_NS: u64 = 5_000_000;

/// The addresses of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// The address for everything, unless `hot` is set.
    pub front: Address,
    /// The address for reads of `hot` methods. Writes and other reads go to `front`.
    pub hot: Option<Address>,
}

/// How requests are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Connections that carry reads, to each of the endpoints: 1 to 10,000.
    pub connections: usize,
    /// Connections that are held open beside them and only answer pings: up to a million. They go to `hot` if there is
    /// one.
    pub idle_connections: usize,
    /// The most reads in flight at once, over all connections.
    pub max_in_flight: usize,
    /// A read is given up after this long, counted from the planned send; up to an hour.
    pub timeout: Duration,
    /// Writes a second beside the reads, at any rate of theirs.
    pub writes_per_second: f64,
    /// Further writes for each read that is planned: 0 to 1.
    pub writes_per_read: f64,
    /// The most writes under way at once. With more than one, targets may book them in different orders.
    pub writes_at_once: usize,
    /// The bytes of replies that a window may keep. Of further replies it keeps only hashes.
    pub reply_budget_bytes: usize,
}

/// The state of a running window. The generator writes it a few times a second, and the terminal reads it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Reads that were due so far.
    pub planned: AtomicU64,
    /// OK answers so far.
    pub ok: AtomicU64,
    /// Errors so far.
    pub errors: AtomicU64,
    /// Reads in flight now.
    pub in_flight: AtomicU64,
    /// p99 from the planned send so far, µs.
    pub p99_us: AtomicU64,
    /// p99 of the lag so far, µs.
    pub lag_p99_us: AtomicU64,
}

/// The open connections to one target, and the loop that uses them.
pub struct Generator {
    workload: Arc<dyn Workload>,
    options: Options,
    clock: Clock,
    links: Links,
    groups: Groups,
    /// By method: nanoseconds of the quickest answer so far.
    quickest: Vec<Option<u64>>,
    write_fields: Fields,
    /// The connection of the writes, if there are any.
    write_link: usize,
    writes: bool,
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (f.debug_struct("Generator"))
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Settings that differ between a window, catching up and draining.
struct Settings {
    writes_per_second: f64,
    max_in_flight: usize,
    timeout: Duration,
}

impl Options {
    fn check(&self, methods: &[Method]) -> Result<()> {
        let rules = [
            (
                (1..=MAX_CONNECTIONS).contains(&self.connections),
                "connections must be 1 to 10000",
            ),
            (
                self.idle_connections <= MAX_IDLE_CONNECTIONS,
                "idle_connections must be at most 1000000",
            ),
            (self.max_in_flight > 0, "max_in_flight must be at least 1"),
            (
                !self.timeout.is_zero() && self.timeout <= MAX_TIMEOUT,
                "timeout must be above 0 and at most an hour",
            ),
            (
                self.writes_per_second.is_finite() && self.writes_per_second >= 0.0,
                "writes_per_second must be 0 or more",
            ),
            (
                (0.0..=1.0).contains(&self.writes_per_read),
                "writes_per_read must be 0 to 1",
            ),
            (
                (1..=MAX_WRITES_AT_ONCE).contains(&self.writes_at_once),
                "writes_at_once must be 1 to 64",
            ),
            (
                methods.len() <= MAX_METHODS,
                "there are more than 65536 methods",
            ),
            (
                (methods.iter()).all(|method| method.path.len() <= MAX_PATH_BYTES),
                "the path of a method has more than 8192 bytes",
            ),
        ];
        let broken: Vec<_> = rules.iter().filter(|(holds, _)| !holds).collect();
        if broken.is_empty() {
            return Ok(());
        }
        let broken: Vec<_> = broken.iter().map(|(_, rule)| *rule).collect();
        Err(Error::new(Kind::Usage, broken.join("; ")))
    }
}

impl Generator {
    /// Opens all connections.
    ///
    /// # Errors
    /// [`Kind::Target`] if a connection can't be opened within five seconds, [`Kind::Usage`] if the options are wrong.
    pub fn connect(
        endpoints: &Endpoints,
        workload: Arc<dyn Workload>,
        options: Options,
    ) -> Result<Self> {
        options.check(workload.methods())?;
        let wanted = options.writes_per_second > 0.0 || options.writes_per_read > 0.0;
        let writes = wanted && workload.write(0).is_some();
        let addresses = [Some(&endpoints.front), endpoints.hot.as_ref()];
        let addresses: Vec<_> = addresses
            .into_iter()
            .flatten()
            .cloned()
            .map(Arc::new)
            .collect();
        limits::allow_files(
            addresses.len() * options.connections + options.idle_connections + usize::from(writes),
        )?;
        let clock = Clock::new();
        let mut links = Links::new(clock)?;
        let fields = |address: &Address| fields(address, workload.methods(), options.timeout);
        let groups: Vec<(Range<usize>, Fields)> = (addresses.iter())
            .map(|address| (links.add(address, options.connections), fields(address)))
            .collect();
        let groups = Groups::new(groups, workload.methods());
        let front = Arc::new(endpoints.front.clone());
        let write_link = links.add(&front, usize::from(writes)).start;
        links.add(addresses.last().unwrap_or(&front), options.idle_connections);
        links.open_all(&mut Discard, &AtomicBool::new(false))?;
        Ok(Self {
            quickest: vec![None; workload.methods().len()],
            write_fields: fields(&front),
            write_link,
            writes,
            workload,
            options,
            clock,
            links,
            groups,
        })
    }

    /// Runs one window on the calling thread. It returns once the window is over, all reads that were due have been
    /// answered or given up, and all writes that were due are done. `stop` ends it early ([`Observed::interrupted`]).
    /// `next_write` is the `k` of the target's next [`Workload::write`]; the window advances it.
    pub fn run(
        &mut self,
        window: &Window,
        next_write: &mut u64,
        progress: &Progress,
        stop: &AtomicBool,
    ) -> Result<Observed> {
        let options = &self.options;
        let reads_per_second = (window.from_qps + window.to_qps) / 2.0;
        let writes = options.writes_per_second + options.writes_per_read * reads_per_second;
        let settings = Settings {
            writes_per_second: if self.writes { writes } else { 0.0 },
            max_in_flight: window.in_flight.unwrap_or(options.max_in_flight),
            timeout: options.timeout,
        };
        self.run_with(window, &settings, next_write, progress, stop)
    }

    /// Waits until the target is done with reads that were given up: until a read that is sent alone is answered about
    /// as quickly as the quickest ever. Returns whether this happened within `limit`; `true` also if `stop` was set.
    ///
    /// A target may go on working on reads that were given up, and the next window's reads would queue behind them.
    pub fn drain(&mut self, seed: u64, limit: Duration, stop: &AtomicBool) -> Result<bool> {
        let give_up_at = self.clock.now().saturating_add(ns(limit));
        let method = self.workload.read(seed, 0).method;
        let window = Window {
            from_qps: 0.0,
            to_qps: 0.0,
            duration: Duration::ZERO,
            spread: Spread::Closed,
            in_flight: None,
            seed,
            keep_replies: false,
        };
        while !stop.load(Ordering::Relaxed) {
            let left = Duration::from_nanos(give_up_at.saturating_sub(self.clock.now()));
            if left.is_zero() {
                return Ok(false);
            }
            let settings = Settings {
                writes_per_second: 0.0,
                max_in_flight: 1,
                timeout: self.options.timeout.min(left),
            };
            let progress = Progress::default();
            let observed = self.run_with(&window, &settings, &mut 0, &progress, stop)?;
            let known = self.quickest.get(usize::from(method)).copied().flatten();
            // A method that always fails has no quickest answer. Then any answer in time will do.
            let prompt = known.map_or(u64::MAX, |quickest| quickest * 2 + PROMPT_NS);
            let answered = !observed.statuses.contains_key(&status::DEADLINE_EXCEEDED);
            if answered && observed.sent > 0 && observed.from_sent.max() <= prompt {
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// Sends the writes before `first`, one right after the other. A target that sat out windows thereby gets into the
    /// state of those that did not, before it is compared with them. Does nothing if there are no writes.
    pub fn catch_up(&mut self, next_write: &mut u64, first: u64, stop: &AtomicBool) -> Result<()> {
        let missing = first.saturating_sub(*next_write);
        if missing == 0 || !self.writes {
            return Ok(());
        }
        // All writes are due within so many microseconds, so each is due before the previous one is done.
        let window = Window {
            from_qps: 0.0,
            to_qps: 0.0,
            duration: Duration::from_micros(missing),
            spread: Spread::Constant,
            in_flight: None,
            seed: 0,
            keep_replies: false,
        };
        let settings = Settings {
            writes_per_second: 1e6,
            max_in_flight: self.options.max_in_flight,
            timeout: self.options.timeout,
        };
        self.run_with(&window, &settings, next_write, &Progress::default(), stop)?;
        Ok(())
    }

    fn run_with(
        &mut self,
        window: &Window,
        settings: &Settings,
        next_write: &mut u64,
        progress: &Progress,
        stop: &AtomicBool,
    ) -> Result<Observed> {
        // By default the kernel may wake a thread 50 us late. No kernel is known to refuse this call; if one did, the
        // lag would show it.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        self.links.settle(&mut Discard, stop)?;
        let timeout = ns(settings.timeout);
        let begin = self.clock.now();
        let end = begin.saturating_add(ns(window.duration));
        let writes = Plan {
            link: self.write_link,
            timeout,
            begin,
            end,
            per_second: settings.writes_per_second,
            at_once: self.options.writes_at_once,
        };
        let budget = window
            .keep_replies
            .then_some(self.options.reply_budget_bytes);
        let upkeep = match window.spread {
            Spread::Closed => Upkeep::closed(settings.max_in_flight),
            Spread::Poisson | Spread::Constant => Upkeep::open(begin, end),
        };
        let quickest = std::mem::take(&mut self.quickest);
        let mut drive = Drive {
            links: &mut self.links,
            groups: &mut self.groups,
            write_fields: &self.write_fields,
            workload: &*self.workload,
            clock: self.clock,
            answers: Answers {
                now: begin,
                tally: Tally::new((begin, end), timeout, upkeep, quickest, budget),
                writes: Writes::new(writes, *next_write),
            },
            limits: Limits {
                begin,
                end,
                timeout,
                max_in_flight: settings.max_in_flight,
                keep: window.keep_replies,
            },
        };
        let interrupted_at = drive.run(window, progress, stop);
        let (writes, next) = drive.answers.writes.finish();
        *next_write = next;
        let at = interrupted_at.as_ref().copied().unwrap_or_default();
        let (observed, quickest) = drive.answers.tally.finish(writes, at);
        self.quickest = quickest;
        interrupted_at.map(|_| observed)
    }
}

fn fields(address: &Address, methods: &[Method], timeout: Duration) -> Fields {
    let paths = methods
        .iter()
        .map(|method| method.path.clone().into_bytes());
    Fields::new(
        &address.authority(),
        &grpc_timeout(timeout),
        paths.collect(),
    )
}

/// The timeout in the form of the `grpc-timeout` header: up to eight digits and a unit.
fn grpc_timeout(timeout: Duration) -> String {
    match timeout.as_micros() {
        us @ ..100_000_000 => format!("{}u", us.max(1)),
        us => format!("{}m", us / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_said_in_eight_digits_at_most() {
        for (timeout, said) in [
            (Duration::from_millis(1500), "1500000u"),
            (Duration::from_secs(100), "100000m"),
            (MAX_TIMEOUT, "3600000m"),
            (Duration::from_nanos(1), "1u"),
        ] {
            assert_eq!(grpc_timeout(timeout), said);
        }
    }
}
