//! The accounts of a window: every read that was due is recorded exactly once.

use super::{Progress, clock::thread_cpu, hash::hash};
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

/// What a request in flight is known by. Times are nanoseconds on the generator's clock.
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
    /// The write that is being done.
    Write,
}

/// How a read ended that was sent and got no reply in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GivenUp {
    Late,
    Interrupted,
}

#[derive(Debug)]
pub(super) struct Tally {
    begin: u64,
    end: u64,
    started: Instant,
    cpu: Duration,
    planned: u64,
    sent: u64,
    ok: u64,
    ok_in_time: u64,
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
    /// The accounts of a window from `begin` to `end` of `methods` methods; keeps replies if there is a budget for them.
    pub(super) fn new(
        (begin, end): (u64, u64),
        methods: usize,
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
            started: Instant::now(),
            cpu: thread_cpu(),
            planned: 0,
            sent: 0,
            ok: 0,
            ok_in_time: 0,
            statuses: BTreeMap::new(),
            from_planned: latencies(),
            from_sent: latencies(),
            methods: vec![method; methods],
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

    /// The loop has come to the next read.
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

    /// A read that was due was never sent.
    pub(super) fn dropped(&mut self, method: u16, planned: u64, now: u64) {
        self.waited(method, planned, now, false);
    }

    /// A read was sent, and its reply is no longer waited for.
    pub(super) fn given_up(&mut self, token: Token, why: GivenUp, now: u64) {
        let status = match why {
            GivenUp::Late => status::DEADLINE_EXCEEDED,
            GivenUp::Interrupted => status::CANCELLED,
        };
        if let Purpose::Read { method, .. } = token.purpose {
            self.ended(token, method, status, now);
        }
    }

    /// A read has its answer, or its connection was lost.
    pub(super) fn answered(
        &mut self,
        token: Token,
        (n, method): (u64, u16),
        answer: &Answer<'_>,
        now: u64,
    ) {
        self.ended(token, method, answer.status, now);
        if self.replies.is_some() && answer.replied {
            self.keep(n, answer);
        }
    }

    fn ended(&mut self, token: Token, method: u16, status: u32, now: u64) {
        self.in_flight -= 1;
        if status == status::OK {
            self.ok += 1;
            self.ok_in_time += u64::from(now <= self.end);
        } else {
            *self.statuses.entry(status).or_default() += 1;
        }
        let waited = now.saturating_sub(token.sent);
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
            *place = Some(Reply {
                status: answer.status,
                status_message: percent_decode(answer.status_message),
                position: answer.position,
                hash: hash(answer.message),
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

    /// Closes the accounts; `interrupted_at` is when the caller stopped the window, if so.
    pub(super) fn finish(self, writes: WritesObserved, interrupted_at: Option<u64>) -> Observed {
        let end = interrupted_at.unwrap_or(self.end).min(self.end);
        let elapsed = Duration::from_nanos(end.saturating_sub(self.begin).max(1));
        let cpu = thread_cpu().saturating_sub(self.cpu);
        let wall = self.started.elapsed().max(Duration::from_nanos(1));
        Observed {
            planned: self.planned,
            sent: self.sent,
            ok: self.ok,
            statuses: self.statuses,
            elapsed,
            achieved_qps: self.ok_in_time as f64 / elapsed.as_secs_f64(),
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
        }
    }
}
