//! The accounts of a window. Every read that was due is recorded exactly once.

use super::{Progress, clock::thread_cpu, hash::hash, upkeep::Upkeep};
use crate::{
    http2::{message::percent_decode, reply::Answer, status},
    measure::{
        GeneratorObserved, Latencies, MethodObserved, Observed, Replies, Reply, WritesObserved,
        latencies,
    },
};
use std::{
    collections::BTreeMap,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

/// The length that a status message is cut to: every read may fail with a long one.
const KEPT_TEXT_BYTES: usize = 256;

/// Identifies a request in flight. Times are nanoseconds on the generator's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) purpose: Purpose,
    pub(super) planned: u64,
    pub(super) sent: u64,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The `n`-th read of the window, of that method.
    Read { n: u64, method: u16 },
    /// The `k`-th write.
    Write { k: u64 },
}

/// Why a read that was sent is no longer waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GivenUp {
    Late,
    Interrupted,
}

#[derive(Debug)]
pub(super) struct Tally {
    begin: u64,
    end: u64,
    timeout: u64,
    started: Instant,
    cpu: Duration,
    /// CPU and wall time until the last read was due.
    loaded: Option<(Duration, Duration)>,
    upkeep: Upkeep,
    /// By method: the quickest answer in all windows so far.
    quickest: Vec<Option<u64>>,
    planned: u64,
    sent: u64,
    expired: u64,
    ok: u64,
    statuses: BTreeMap<u32, u64>,
    from_planned: Latencies,
    from_sent: Latencies,
    methods: Vec<MethodObserved>,
    lag: Latencies,
    held_back: u64,
    in_flight: usize,
    in_flight_max: usize,
    replies: Option<Replies>,
    reply_budget: usize,
}

impl Tally {
    /// Opens the accounts of a window from `begin` to `end`, whose callers give up after `timeout`. They keep replies if
    /// there is a budget for them.
    /// `quickest` is the quickest known answer of each method. For a method that never answered in time it is how long
    /// the generator waited.
    pub(super) fn new(
        (begin, end): (u64, u64),
        timeout: u64,
        upkeep: Upkeep,
        quickest: Vec<Option<u64>>,
        reply_budget: Option<usize>,
    ) -> Self {
        let method = MethodObserved {
            planned: 0,
            errors: 0,
            from_planned: latencies(),
        };
        Self {
            begin,
            end,
            timeout,
            started: Instant::now(),
            cpu: thread_cpu(),
            loaded: None,
            upkeep,
            planned: 0,
            sent: 0,
            expired: 0,
            ok: 0,
            statuses: BTreeMap::new(),
            from_planned: latencies(),
            from_sent: latencies(),
            methods: vec![method; quickest.len()],
            quickest,
            lag: latencies(),
            held_back: 0,
            in_flight: 0,
            in_flight_max: 0,
            replies: reply_budget.map(|_| Replies::default()),
            reply_budget: reply_budget.unwrap_or(0),
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Records that a read is due, whether or not it can be sent.
    pub(super) fn due(&mut self, method: u16, lag: u64) {
        self.planned += 1;
        self.lag.saturating_record(lag);
        if let Some(method) = self.methods.get_mut(usize::from(method)) {
            method.planned += 1;
        }
        if let Some(replies) = &mut self.replies {
            replies.replies.push(None);
        }
    }

    pub(super) fn held_back(&mut self) {
        self.held_back += 1;
    }

    pub(super) fn sent(&mut self) {
        self.sent += 1;
        self.in_flight += 1;
        self.in_flight_max = self.in_flight_max.max(self.in_flight);
    }

    /// Records that no more reads are due: from now on the generator only waits.
    pub(super) fn loaded(&mut self) {
        let (cpu, started) = (self.cpu, self.started);
        self.loaded
            .get_or_insert_with(|| (thread_cpu().saturating_sub(cpu), started.elapsed()));
    }

    /// The quickest answer of a method so far, if one is known.
    pub(super) fn quickest(&self, method: u16) -> Option<u64> {
        self.quickest.get(usize::from(method)).copied().flatten()
    }

    /// Records a read that was due and was never sent. `ended` is when its caller would have given up.
    pub(super) fn expired(&mut self, method: u16, planned: u64, ended: u64) {
        self.expired += 1;
        self.waited(method, planned, ended, false);
    }

    /// Records a read that was due and was never sent because the window was interrupted.
    pub(super) fn left_out(&mut self, method: u16, planned: u64, now: u64) {
        self.waited(method, planned, now, false);
    }

    /// Records that a read was sent and its reply is no longer waited for.
    pub(super) fn given_up(&mut self, token: Token, why: GivenUp, now: u64) {
        let status = match why {
            GivenUp::Late => status::DEADLINE_EXCEEDED,
            GivenUp::Interrupted => status::CANCELLED,
        };
        if let Purpose::Read { method, .. } = token.purpose {
            self.ended(token, method, status, now);
            let quickest = self.quickest.get_mut(usize::from(method));
            if let (GivenUp::Late, Some(quickest)) = (why, quickest) {
                quickest.get_or_insert(now.saturating_sub(token.sent));
            }
        }
    }

    /// Records that a read got its answer or lost its connection. Without success a caller whose time is up has given up,
    /// whatever a server says that saw the same deadline pass: tonic, for one, says CANCELLED.
    pub(super) fn answered(
        &mut self,
        token: Token,
        (n, method): (u64, u16),
        answer: &Answer<'_>,
        now: u64,
    ) {
        let deadline = token.planned.saturating_add(self.timeout);
        if answer.status != status::OK && now >= deadline {
            self.given_up(token, GivenUp::Late, now);
            return;
        }
        self.ended(token, method, answer.status, now);
        if self.replies.is_some() && answer.replied {
            self.keep(n, answer);
        }
    }

    fn ended(&mut self, token: Token, method: u16, status: u32, now: u64) {
        self.in_flight -= 1;
        let waited = now.saturating_sub(token.sent);
        if status == status::OK {
            self.ok += 1;
            self.upkeep
                .answered(token.planned, now.saturating_sub(token.planned));
            if let Some(quickest) = self.quickest.get_mut(usize::from(method)) {
                *quickest = Some(quickest.map_or(waited, |before| before.min(waited)));
            }
        } else {
            *self.statuses.entry(status).or_default() += 1;
        }
        self.upkeep.occupied(waited);
        self.from_sent.saturating_record(waited);
        self.waited(method, token.planned, now, status == status::OK);
    }

    fn waited(&mut self, method: u16, planned: u64, now: u64, ok: bool) {
        let waited = now.saturating_sub(planned);
        self.from_planned.saturating_record(waited);
        if let Some(method) = self.methods.get_mut(usize::from(method)) {
            method.from_planned.saturating_record(waited);
            method.errors += u64::from(!ok);
        }
    }

    fn keep(&mut self, n: u64, answer: &Answer<'_>) {
        let Some(Replies { replies, bytes }) = &mut self.replies else {
            return;
        };
        let begin = bytes.len();
        let fits = begin + answer.message.len() <= self.reply_budget;
        if fits {
            bytes.extend_from_slice(answer.message);
        }
        let place = usize::try_from(n).ok().and_then(|n| replies.get_mut(n));
        if let Some(place) = place {
            let (status_message, text_hash) = kept_text(answer.status_message);
            *place = Some(Reply {
                status: answer.status,
                status_message,
                position: answer.position,
                hash: hash(answer.message) ^ text_hash,
                message: fits.then_some(begin..bytes.len()),
            });
        }
    }

    pub(super) fn show(&self, progress: &Progress) {
        let us = |latencies: &Latencies| latencies.value_at_quantile(0.99) / 1000;
        let in_flight = self.in_flight as u64;
        progress.planned.store(self.planned, Relaxed);
        progress.ok.store(self.ok, Relaxed);
        let ended = self.from_planned.len();
        progress
            .errors
            .store(ended.saturating_sub(self.ok), Relaxed);
        progress.in_flight.store(in_flight, Relaxed);
        progress.p99_us.store(us(&self.from_planned), Relaxed);
        progress.lag_p99_us.store(us(&self.lag), Relaxed);
    }

    /// Closes the accounts. `interrupted_at` is when the caller stopped the window, if it did. Also returns the
    /// quickest answers that are known now.
    pub(super) fn finish(
        mut self,
        writes: WritesObserved,
        interrupted_at: Option<u64>,
    ) -> (Observed, Vec<Option<u64>>) {
        let end = interrupted_at.unwrap_or(self.end).min(self.end);
        let elapsed = Duration::from_nanos(end.saturating_sub(self.begin).max(1));
        let taken = self.upkeep.taken(elapsed);
        self.loaded();
        let (cpu, wall) = self.loaded.unwrap_or_default();
        let wall = wall.max(Duration::from_nanos(1));
        let observed = Observed {
            planned: self.planned,
            sent: self.sent,
            expired: self.expired,
            ok: self.ok,
            statuses: self.statuses,
            elapsed,
            achieved_qps: self.ok as f64 / taken.as_secs_f64(),
            until_drained: self.started.elapsed(),
            from_planned: self.from_planned,
            from_sent: self.from_sent,
            methods: self.methods,
            generator: GeneratorObserved {
                cpu_fraction: cpu.as_secs_f64() / wall.as_secs_f64(),
                lag: self.lag,
                held_back: self.held_back,
                in_flight_max: self.in_flight_max as u64,
            },
            writes,
            replies: self.replies,
            interrupted: interrupted_at.is_some(),
        };
        (observed, self.quickest)
    }
}

/// Returns a status message as it is kept. If it had to be cut, also returns the hash of the whole, otherwise 0.
fn kept_text(status_message: &[u8]) -> (String, u64) {
    let mut text = percent_decode(status_message);
    if text.len() <= KEPT_TEXT_BYTES {
        return (text, 0);
    }
    let whole = hash(text.as_bytes());
    text.truncate(text.floor_char_boundary(KEPT_TEXT_BYTES));
    text.shrink_to_fit();
    (text, whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_status_messages_are_cut_and_still_told_apart() {
        assert_eq!(kept_text(b"50%25"), ("50%".to_owned(), 0));
        let long = "é".repeat(5000);
        let (text, whole) = kept_text(long.as_bytes());
        assert!(text.capacity() <= KEPT_TEXT_BYTES && long.starts_with(&text));
        let (same, other) = kept_text(format!("{long}!").as_bytes());
        assert_eq!(same, text);
        assert_ne!(other, whole);
    }

    #[test]
    fn what_a_server_says_after_the_deadline_is_no_longer_heard() {
        for (code, now, told) in [
            (status::CANCELLED, 1_099, status::CANCELLED),
            (status::CANCELLED, 1_100, status::DEADLINE_EXCEEDED),
            (status::UNAVAILABLE, 5_000, status::DEADLINE_EXCEEDED),
        ] {
            let mut tally = Tally::new(
                (0, 10_000),
                100,
                Upkeep::closed(1),
                vec![None],
                Some(1 << 20),
            );
            tally.due(0, 0);
            tally.sent();
            let token = Token {
                purpose: Purpose::Read { n: 0, method: 0 },
                planned: 1_000,
                sent: 1_000,
            };
            let answer = Answer {
                replied: true,
                ..Answer::failed(code, "said by the server")
            };
            tally.answered(token, (0, 0), &answer, now);
            assert_eq!(
                tally.statuses,
                BTreeMap::from([(told, 1)]),
                "{code} at {now}"
            );
            let kept = &tally.replies.as_ref().expect("a budget").replies;
            assert_eq!(
                kept[0].is_some(),
                told == code,
                "a caller that left hears nothing"
            );
            assert_eq!(tally.in_flight(), 0);
        }
    }
}
