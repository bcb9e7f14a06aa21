//! Writes beside the reads, at a constant rate. So many are under way at once as the plan says, and each is repeated until
//! it has succeeded. With one at once all targets book them in the same order.

use super::{
    links::Links,
    tally::{Purpose, Token},
};
use crate::{
    error::{Error, Kind, Result},
    http2::{hpack::encoder::Fields, message::percent_decode, reply::Answer, status},
    measure::{WritesObserved, latencies},
    traffic::Workload,
};

const MS: u64 = 1_000_000;
/// The pause between attempts. It doubles from the first value to the last.
const BACKOFF_NS: std::ops::RangeInclusive<u64> = 20 * MS..=250 * MS;
/// The run fails if a write has not succeeded after this long.
const GIVE_UP_NS: u64 = 10_000 * MS;
/// If the connection takes no write now, it is tried again after this long.
const LOOK_NS: u64 = MS;

/// The writes of one window.
#[derive(Debug)]
pub(super) struct Writes {
    plan: Plan,
    /// The `k` of the next write to begin.
    next: u64,
    /// Writes of this window that were begun.
    begun: u64,
    /// The writes that are under way, in ascending order of `k`.
    current: Vec<Current>,
    observed: WritesObserved,
}

/// When writes are due, and on which connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) link: usize,
    pub(super) timeout: u64,
    pub(super) begin: u64,
    pub(super) end: u64,
    /// The rate; 0 means no writes.
    pub(super) per_second: f64,
    /// How many may be under way.
    pub(super) at_once: usize,
}

#[derive(Debug)]
struct Current {
    k: u64,
    method: u16,
    message: Vec<u8>,
    planned: u64,
    first_tried: u64,
    attempt: Attempt,
    backoff: u64,
}

#[derive(Debug, Clone, Copy)]
enum Attempt {
    NotBefore(u64),
    SentAt(u64),
}

impl Plan {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "rates are checked to be positive, and a window's nanoseconds fit"
    )]
    fn at(&self, index: u64) -> Option<u64> {
        if self.per_second <= 0.0 {
            return None;
        }
        // A write is due in the middle of its share of the time, so that a window has as many writes as its rate says.
        let offset = (index as f64 + 0.5) / self.per_second * 1e9;
        Some(self.begin.saturating_add(offset as u64)).filter(|&at| at < self.end)
    }
}

impl Writes {
    pub(super) fn new(plan: Plan, next: u64) -> Self {
        let observed = WritesObserved {
            done: 0,
            failed: 0,
            last_failure: None,
            from_planned: latencies(),
        };
        Self {
            plan,
            next,
            begun: 0,
            current: Vec::new(),
            observed,
        }
    }

    /// Whether all writes that were due are done.
    pub(super) fn finished(&self) -> bool {
        self.current.is_empty() && self.plan.at(self.begun).is_none()
    }

    /// When [`Self::step`] has something to do, if no answer comes before.
    pub(super) fn next_at(&self) -> u64 {
        let attempts = self.current.iter().map(|current| match current.attempt {
            Attempt::NotBefore(at) => at,
            Attempt::SentAt(at) => at + self.plan.timeout.min(GIVE_UP_NS),
        });
        let room = self.current.len() < self.plan.at_once;
        let due = room.then(|| self.plan.at(self.begun)).flatten();
        attempts.chain(due).min().unwrap_or(u64::MAX)
    }

    /// Sends, repeats or gives up the writes that are due.
    ///
    /// # Errors
    /// [`Kind::Target`] if a write has not succeeded for ten seconds.
    pub(super) fn step(
        &mut self,
        now: u64,
        links: &mut Links,
        fields: &Fields,
        workload: &dyn Workload,
    ) -> Result<()> {
        if self.next_at() > now {
            return Ok(());
        }
        while self.current.len() < self.plan.at_once && self.begin(now, workload) {}
        self.give_up_attempts(now, links);
        for index in 0..self.current.len() {
            self.attempt(index, now, links, fields)?;
        }
        Ok(())
    }

    fn attempt(
        &mut self,
        index: usize,
        now: u64,
        links: &mut Links,
        fields: &Fields,
    ) -> Result<()> {
        let link = self.plan.link;
        let Some(current) = self.current.get_mut(index) else {
            return Ok(());
        };
        if now.saturating_sub(current.first_tried) >= GIVE_UP_NS {
            let k = current.k;
            return Err(self.never_succeeds(k, links));
        }
        if !matches!(current.attempt, Attempt::NotBefore(at) if at <= now) {
            return Ok(());
        }
        let Some(http) = Some(link)
            .filter(|&at| links.accepts(at))
            .and_then(|at| links.sending(at))
        else {
            current.attempt = Attempt::NotBefore(now + LOOK_NS);
            return Ok(());
        };
        let token = Token {
            purpose: Purpose::Write { k: current.k },
            planned: current.planned,
            sent: now,
        };
        http.request(
            (fields, current.method),
            &current.message,
            token,
            (false, true),
        );
        current.attempt = Attempt::SentAt(now);
        Ok(())
    }

    /// Begins the next write, if it is due.
    fn begin(&mut self, now: u64, workload: &dyn Workload) -> bool {
        let Some(planned) = self.plan.at(self.begun).filter(|&at| at <= now) else {
            return false;
        };
        let Some((method, message)) = workload.write(self.next) else {
            self.plan.per_second = 0.0;
            return false;
        };
        self.current.push(Current {
            k: self.next,
            method,
            message,
            planned,
            first_tried: now,
            attempt: Attempt::NotBefore(now),
            backoff: *BACKOFF_NS.start(),
        });
        self.begun += 1;
        self.next += 1;
        true
    }

    fn give_up_attempts(&mut self, now: u64, links: &mut Links) {
        let timeout = self.plan.timeout;
        let late = |current: &Current| matches!(current.attempt, Attempt::SentAt(at) if now >= at + timeout);
        while let Some(k) = self.current.iter().find(|at| late(at)).map(|at| at.k) {
            // The connection cancels the attempt that it has had for longest.
            let cancelled = links.cancel(self.plan.link, u64::MAX);
            let k = match cancelled.map(|token| token.purpose) {
                Some(Purpose::Write { k }) => k,
                _ => k,
            };
            let text = "no answer in time".to_owned();
            self.failed(k, status::DEADLINE_EXCEEDED, text, now);
        }
    }

    pub(super) fn answered(&mut self, k: u64, answer: &Answer<'_>, now: u64) {
        if answer.status != status::OK {
            let text = percent_decode(answer.status_message);
            self.failed(k, answer.status, text, now);
        } else if let Some(index) = self.current.iter().position(|current| current.k == k) {
            let current = self.current.remove(index);
            self.observed.done += 1;
            let waited = now.saturating_sub(current.planned);
            self.observed.from_planned.saturating_record(waited);
        }
    }

    fn failed(&mut self, k: u64, status: u32, message: String, now: u64) {
        self.observed.failed += 1;
        self.observed.last_failure = Some((status, message));
        if let Some(current) = self.current.iter_mut().find(|current| current.k == k) {
            current.attempt = Attempt::NotBefore(now + current.backoff);
            current.backoff = (current.backoff * 2).min(*BACKOFF_NS.end());
        }
    }

    fn never_succeeds(&self, k: u64, links: &Links) -> Error {
        let why = match &self.observed.last_failure {
            Some((status, message)) => format!("status {status} `{message}`"),
            None => match links.failure(self.plan.link) {
                Some(failure) => format!("status {} `{failure}`", status::UNAVAILABLE),
                None => format!("status {} `no answer`", status::DEADLINE_EXCEEDED),
            },
        };
        let message = format!("write {k} has not succeeded for 10 s, its last answer was {why}");
        Error::new(Kind::Target, message)
    }

    /// Abandons the writes that are under way. The next window begins with the first of them, and repeats what succeeded
    /// after it: a target books each only once.
    pub(super) fn interrupt(&mut self, links: &mut Links) {
        self.next = self.first_open();
        for _ in self.current.drain(..) {
            links.cancel(self.plan.link, u64::MAX);
        }
        self.plan.per_second = 0.0;
    }

    /// Returns the accounts, and the `k` of the first write that has not succeeded.
    pub(super) fn finish(self) -> (WritesObserved, u64) {
        let next = self.first_open();
        (self.observed, next)
    }

    fn first_open(&self) -> u64 {
        self.current.first().map_or(self.next, |current| current.k)
    }
}
