//! The loop of one window.

use super::{
    Progress,
    answers::Answers,
    clock::{Clock, ns, sleep},
    groups::{Groups, Waiting},
    links::Links,
    tally::{GivenUp, Purpose, Token},
};
use crate::{
    error::{Error, Kind, Result},
    http2::hpack::encoder::Fields,
    traffic::{Request, Spread, Window, Workload},
};
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

/// The largest request that is sent.
const MAX_REQUEST_BYTES: usize = 64 << 20;
/// The most reads that are sent before the loop looks at the clock and the sockets again.
const BATCH: usize = 64;
/// The longest rest between two passes of the loop while more reads are about to be due. What falls into one pass
/// shares its system calls, and times are exact to this much.
const LONGEST_ROUND_NS: u64 = 50_000;
/// The length of a pass times the mean gap between reads, in ns^2: passes of 45 us at 150,000 reads a second, of 15 us
/// at 50,000. Below about 30,000 reads a second that is shorter than the work of a pass, so the loop never rests and
/// sees every reply at once.
const ROUND_TIMES_GAP: u64 = 300_000_000;
/// A shorter rest is not worth a system call.
const SHORTEST_REST_NS: u64 = 4_000;
/// The loop wakes up at least this often, to look at `stop`.
const TICK_NS: u64 = 50_000_000;
const SHOW_NS: u64 = 200_000_000;

/// The parts that the loop works with.
pub(super) struct Drive<'a> {
    pub(super) links: &'a mut Links,
    pub(super) groups: &'a mut Groups,
    pub(super) write_fields: &'a Fields,
    pub(super) workload: &'a dyn Workload,
    pub(super) clock: Clock,
    pub(super) answers: Answers,
    pub(super) limits: Limits,
}

/// The limits and times of a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) timeout: u64,
    pub(super) max_in_flight: usize,
    pub(super) keep: bool,
}

/// The reads that are still to come.
struct Reads {
    schedule: Box<dyn Iterator<Item = Duration> + Send>,
    seed: u64,
    /// The number of the next read, and when it is due.
    n: u64,
    next: Option<u64>,
    /// The recent mean gap between reads.
    mean_gap: u64,
    /// Whether this is a closed loop: there is no schedule, and a read is due whenever there is room.
    closed: bool,
}

impl Reads {
    fn new(workload: &dyn Workload, window: &Window, limits: &Limits) -> Self {
        let mut reads = Self {
            schedule: workload.schedule(window),
            seed: window.seed,
            n: 0,
            next: None,
            mean_gap: LONGEST_ROUND_NS,
            closed: window.spread == Spread::Closed,
        };
        if reads.closed {
            reads.next = Some(limits.begin);
        }
        reads.plan(limits);
        reads
    }

    fn plan(&mut self, limits: &Limits) {
        if self.closed {
            return;
        }
        let offset = self.schedule.next().map(ns);
        let planned = offset.map(|offset| limits.begin.saturating_add(offset));
        let before = self.next;
        self.next = planned.filter(|&planned| planned < limits.end);
        if let (Some(before), Some(next)) = (before, self.next) {
            let gap = next.saturating_sub(before);
            // A moving average. However long a pause is, it counts as at most 16 of the longest passes.
            self.mean_gap = (self.mean_gap * 15 + gap.min(LONGEST_ROUND_NS * 16)) / 16;
        }
    }

    /// How long a pass that begins now should take at this rate.
    fn round_ns(&self) -> u64 {
        (ROUND_TIMES_GAP / self.mean_gap.max(1)).min(LONGEST_ROUND_NS)
    }

    fn due(&self, now: u64) -> Option<u64> {
        let planned = self.next.filter(|&planned| planned <= now)?;
        Some(if self.closed { now } else { planned })
    }

    /// Ends a closed loop once the window is over, but not before it has sent one read.
    fn end(&mut self, now: u64, limits: &Limits) {
        let goes_on = !self.closed || now < limits.end || self.n == 0;
        self.next = self.next.filter(|_| goes_on);
    }
}

impl Drive<'_> {
    /// Runs the window. Returns the time of the interruption if `stop` was set. Nothing is in flight afterwards.
    pub(super) fn run(
        &mut self,
        window: &Window,
        progress: &Progress,
        stop: &AtomicBool,
    ) -> Result<Option<u64>> {
        let end = self.go_round(window, progress, stop);
        if !matches!(end, Ok(None)) {
            self.interrupt(self.clock.now());
        }
        self.answers.tally.show(progress);
        end
    }

    fn go_round(
        &mut self,
        window: &Window,
        progress: &Progress,
        stop: &AtomicBool,
    ) -> Result<Option<u64>> {
        let mut reads = Reads::new(self.workload, window, &self.limits);
        let mut show_at = 0;
        loop {
            let now = self.clock.now();
            if stop.load(Relaxed) {
                return Ok(Some(now));
            }
            self.give_up(now);
            reads.end(now, &self.limits);
            if now >= self.limits.end {
                self.answers.tally.loaded();
            }
            (self.answers.writes).step(now, self.links, self.write_fields, self.workload)?;
            self.send_waiting(now);
            self.send_due(&mut reads, now)?;
            self.links.flush(&mut self.answers);
            if reads.next.is_none() && now >= self.limits.end && self.idle() {
                return Ok(None);
            }
            if now >= show_at {
                show_at = now + SHOW_NS;
                self.answers.tally.show(progress);
            }
            self.wait(&reads, now);
            self.links.maintain(self.clock.now(), &mut self.answers);
        }
    }

    /// Whether a closed loop may send another read.
    fn has_room(&self) -> bool {
        self.answers.tally.in_flight() < self.limits.max_in_flight && self.groups.nothing_waits()
    }

    fn idle(&self) -> bool {
        self.answers.tally.in_flight() == 0
            && self.groups.nothing_waits()
            && self.answers.writes.finished()
    }

    /// The end of the window if that is still to come; otherwise never.
    fn end_after(&self, now: u64) -> u64 {
        if self.limits.end > now {
            self.limits.end
        } else {
            u64::MAX
        }
    }

    /// Sleeps until something is due or a socket is ready, and takes what the sockets have.
    fn wait(&mut self, reads: &Reads, pass_began: u64) {
        let now = self.clock.now();
        let round_ends = pass_began + reads.round_ns();
        let next = reads.next.filter(|_| !reads.closed || self.has_room());
        let timeout = match next {
            Some(planned) if planned < round_ends => {
                let rest = round_ends.saturating_sub(now);
                if rest >= SHORTEST_REST_NS {
                    sleep(rest);
                }
                0
            }
            planned => (planned.unwrap_or(self.end_after(now)))
                .min(self.groups.expire_at())
                .min(self.answers.writes.next_at())
                .min(self.links.maintain_at())
                .saturating_sub(now)
                .min(TICK_NS),
        };
        self.links.poll(timeout, &mut self.answers);
    }

    fn send_due(&mut self, reads: &mut Reads, now: u64) -> Result<()> {
        for _ in 0..BATCH {
            let Some(planned) = reads.due(now) else {
                break;
            };
            if reads.closed && !self.has_room() {
                break;
            }
            let n = reads.n;
            let request = self.workload.read(reads.seed, n);
            check(&request, n)?;
            reads.n += 1;
            reads.plan(&self.limits);
            self.answers.tally.due(request.method, now - planned);
            let read = Waiting {
                n,
                seed: reads.seed,
                method: request.method,
                planned,
            };
            let deadline = planned.saturating_add(self.limits.timeout);
            if deadline <= now {
                self.answers.tally.expired(read.method, planned, now);
                continue;
            }
            if self.groups.any_waits(request.method) || !self.send(&read, request.message, now) {
                self.answers.tally.held_back();
                self.groups.wait(read);
            }
            self.groups.expire_by(deadline);
        }
        Ok(())
    }

    /// Sends a read if `max_in_flight` and a connection allow it; returns whether it was sent.
    fn send(&mut self, read: &Waiting, message: &[u8], now: u64) -> bool {
        if self.answers.tally.in_flight() >= self.limits.max_in_flight {
            return false;
        }
        let Some((http, fields)) = self.groups.free(read.method, self.links) else {
            return false;
        };
        let token = Token {
            purpose: Purpose::Read {
                n: read.n,
                method: read.method,
            },
            planned: read.planned,
            sent: now,
        };
        let keep = self.limits.keep;
        http.request((fields, read.method), message, token, (keep, keep));
        self.answers.tally.sent();
        true
    }

    /// Sends the reads that were held back, in the order planned.
    fn send_waiting(&mut self, now: u64) {
        if self.groups.nothing_waits() {
            return;
        }
        let mut blocked = [false; 2];
        while let Some((group, read)) = self.groups.longest_waiting(blocked) {
            let deadline = read.planned.saturating_add(self.limits.timeout);
            if deadline.saturating_sub(now) < self.least_time(read.method) {
                self.groups.done_waiting(group);
                (self.answers.tally).expired(read.method, read.planned, deadline);
                continue;
            }
            let message = self.workload.read(read.seed, read.n).message;
            if self.send(&read, message, now) {
                self.groups.done_waiting(group);
            } else if let Some(blocked) = blocked.get_mut(group) {
                *blocked = true;
            }
        }
    }

    /// The least time that an answer needs. A read with less time left would only be begun by the target to be given
    /// up, instead of one that can still be answered. At most half of the timeout, so that every read may be held back
    /// that long.
    fn least_time(&self, method: u16) -> u64 {
        let quickest = self.answers.tally.quickest(method).unwrap_or(0);
        (quickest * 2).min(self.limits.timeout / 2)
    }

    /// Gives up the reads that were planned too long ago.
    fn give_up(&mut self, now: u64) {
        if now < self.groups.expire_at() {
            return;
        }
        let planned_by = now.saturating_sub(self.limits.timeout);
        self.give_up_planned_by(planned_by, GivenUp::Late, now);
        self.groups.update_expiry(self.links, self.limits.timeout);
    }

    fn give_up_planned_by(&mut self, planned_by: u64, why: GivenUp, now: u64) {
        for at in self.groups.links() {
            while let Some(token) = self.links.cancel(at, planned_by) {
                self.answers.tally.given_up(token, why, now);
            }
        }
        while let Some(read) = self.groups.drop_waiting(planned_by) {
            match why {
                GivenUp::Late => (self.answers.tally).expired(read.method, read.planned, now),
                GivenUp::Interrupted => {
                    (self.answers.tally).left_out(read.method, read.planned, now);
                }
            }
        }
    }

    fn interrupt(&mut self, now: u64) {
        self.give_up_planned_by(u64::MAX, GivenUp::Interrupted, now);
        self.answers.writes.interrupt(self.links);
        self.links.flush(&mut self.answers);
    }
}

fn check(request: &Request<'_>, n: u64) -> Result<()> {
    let bytes = request.message.len();
    if bytes <= MAX_REQUEST_BYTES {
        return Ok(());
    }
    let rule = format!("read {n} has {bytes} bytes, requests have at most {MAX_REQUEST_BYTES}");
    Err(Error::new(Kind::Input, rule))
}
