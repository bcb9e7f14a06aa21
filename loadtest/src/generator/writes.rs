//! Writes beside the reads, at a constant rate. They are sent one after the other, and each is repeated until it has
//! succeeded.

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
    /// Writes of this window that were begun.
    begun: u64,
    /// The `k` of the first write that has not succeeded yet.
    next: u64,
    current: Option<Current>,
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
}

#[derive(Debug)]
struct Current {
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
            begun: 0,
            next,
            current: None,
            observed,
        }
    }

    /// Whether all writes that were due are done.
    pub(super) fn finished(&self) -> bool {
        self.current.is_none() && self.plan.at(self.begun).is_none()
    }

    /// When [`Self::step`] has something to do, if no answer comes before.
    pub(super) fn next_at(&self) -> u64 {
        match self.current.as_ref().map(|current| current.attempt) {
            None => self.plan.at(self.begun).unwrap_or(u64::MAX),
            Some(Attempt::NotBefore(at)) => at,
            Some(Attempt::SentAt(at)) => at + self.plan.timeout.min(GIVE_UP_NS),
        }
    }

    /// Sends, repeats or gives up the write that is due.
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
        if self.current.is_none() && !self.begin(now, workload) {
            return Ok(());
        }
        self.give_up_attempt(now, links);
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        if now.saturating_sub(current.first_tried) >= GIVE_UP_NS {
            return Err(self.never_succeeds(links));
        }
        if !matches!(current.attempt, Attempt::NotBefore(at) if at <= now) {
            return Ok(());
        }
        let link = self.plan.link;
        let Some(http) = Some(link)
            .filter(|&at| links.accepts(at))
            .and_then(|at| links.sending(at))
        else {
            current.attempt = Attempt::NotBefore(now + LOOK_NS);
            return Ok(());
        };
        let token = Token {
            purpose: Purpose::Write,
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

    fn begin(&mut self, now: u64, workload: &dyn Workload) -> bool {
        let Some(planned) = self.plan.at(self.begun) else {
            return false;
        };
        let Some((method, message)) = workload.write(self.next) else {
            self.plan.per_second = 0.0;
            return false;
        };
        self.begun += 1;
        self.current = Some(Current {
            method,
            message,
            planned,
            first_tried: now,
            attempt: Attempt::NotBefore(now),
            backoff: *BACKOFF_NS.start(),
        });
        true
    }

    fn give_up_attempt(&mut self, now: u64, links: &mut Links) {
        let attempt = self.current.as_ref().map(|current| current.attempt);
        if let Some(Attempt::SentAt(at)) = attempt
            && now >= at + self.plan.timeout
        {
            links.cancel(self.plan.link, u64::MAX);
            self.failed(
                status::DEADLINE_EXCEEDED,
                "no answer in time".to_owned(),
                now,
            );
        }
    }

    pub(super) fn answered(&mut self, answer: &Answer<'_>, now: u64) {
        if answer.status != status::OK {
            self.failed(answer.status, percent_decode(answer.status_message), now);
        } else if let Some(current) = self.current.take() {
            self.next += 1;
            self.observed.done += 1;
            let waited = now.saturating_sub(current.planned);
            self.observed.from_planned.saturating_record(waited);
        }
    }

    fn failed(&mut self, status: u32, message: String, now: u64) {
        self.observed.failed += 1;
        self.observed.last_failure = Some((status, message));
        if let Some(current) = &mut self.current {
            current.attempt = Attempt::NotBefore(now + current.backoff);
            current.backoff = (current.backoff * 2).min(*BACKOFF_NS.end());
        }
    }

    fn never_succeeds(&self, links: &Links) -> Error {
        let why = match &self.observed.last_failure {
            Some((status, message)) => format!("status {status} `{message}`"),
            None => match links.failure(self.plan.link) {
                Some(failure) => format!("status {} `{failure}`", status::UNAVAILABLE),
                None => format!("status {} `no answer`", status::DEADLINE_EXCEEDED),
            },
        };
        let k = self.next;
        let message = format!("write {k} has not succeeded for 10 s, its last answer was {why}");
        Error::new(Kind::Target, message)
    }

    /// Abandons the write that is in flight, if any. It will be the first write of the next window.
    pub(super) fn interrupt(&mut self, links: &mut Links) {
        self.current = None;
        self.plan.per_second = 0.0;
        links.cancel(self.plan.link, u64::MAX);
    }

    /// Returns the accounts and the `k` of the next write.
    pub(super) fn finish(self) -> (WritesObserved, u64) {
        (self.observed, self.next)
    }
}
