//! One lane of the exchange.
//!
//! Whoever carries the lane polls it for the next message of replies (`poll`), and that call does all the work. A
//! request takes one of these ways:
//!
//! ```text
//!  Source
//!    │ bytes
//!    v      messages
//!  Pieces ──> Batch ── answered at once ────────────────────────> Replies ──> Said::Message
//!            frames ├ the reply is long ───> Longs: pieces ───────>│
//!                   ├ expensive ───────────> Late: on a thread ───>│
//!                   └ position not reached > Late: in a task ─────>│
//! ```
//!
//! `Late` passes its long replies on to `Longs`. If the caller of a request in `Late` or `Longs` leaves, the lane
//! replies with `CANCELLED`. The lane itself goes through these states:
//!
//! ```text
//!            the peer ends its side,            Batch, Late and Longs            no replies
//!            or the process drains              are empty                        are left
//!  reading ───────────────────────────> closed ───────────────────────> ended ──────────────> Said::End
//!     │                                   │                              ^
//!     └───────────────────────────────────┴──────────────────────────────┘
//!          the peer breaks a rule, or the stream breaks off; Late and Longs are dropped
//! ```
//!
//! * reading: `closed` is `None`.
//! * closed: `closed` says why. The lane reads nothing more, and still answers what is in flight.
//! * ended: `end` holds the status of the lane, which leaves as trailers after the last replies.
//! * after `Said::End` nobody polls the lane.

use super::{
    Place, draining,
    frame::{Cursor, Item, RequestFrame},
    inbox::{Pieces, Source},
    late::{Done, Entry, Late, Owned},
    long::{Long, Longs},
    reply::Replies,
};
use crate::{
    error::{Error, Kind},
    limits,
    model::Model,
    serve::{Answer, Asked, Bounds, Permit, Turn, Verdict, WANTED, ended},
    view::Resolved,
};
use bytes::Bytes;
use hyper::http::{HeaderMap, HeaderValue};
use std::{
    collections::HashSet,
    pin::Pin,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll},
    time::Instant,
};
use tonic::{Code, Status};

/// A lane; see the states above.
pub(crate) struct Lane<M: Model> {
    place: Place<M>,
    pieces: Pieces,
    batch: Option<Batch>,
    /// Ids of the batch: all requests of a message count as in flight at once.
    ids: HashSet<u64, ahash::RandomState>,
    late: Late,
    longs: Longs,
    replies: Replies,
    drain: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Set once the lane reads nothing more, with the reason.
    closed: Option<Closed>,
    end: Option<Result<(), Error>>,
}

/// What a lane says next.
pub(crate) enum Said {
    /// A message of replies, which is in [`Lane::message`].
    Message,
    /// The trailers, after which it says nothing more.
    End(HeaderMap),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    ByPeer,
    ByDrain,
}

/// A message whose requests are being answered.
struct Batch {
    message: Bytes,
    cursor: Cursor,
    arrived: Instant,
    /// How many requests were in flight when the message arrived.
    late_before: usize,
    /// Place of the current request among those in flight; the next request inherits it.
    permit: Option<Permit>,
}

impl<M: Model> Lane<M> {
    pub(super) fn new(place: Place<M>) -> Self {
        let shutdown = place.0.shutdown.clone();
        Self {
            place,
            pieces: Pieces::default(),
            batch: None,
            ids: HashSet::default(),
            late: Late::new(),
            longs: Longs::default(),
            replies: Replies::default(),
            drain: Box::pin(async move { shutdown.draining().await }),
            closed: None,
            end: None,
        }
    }

    /// What the lane says next. Also pending if all that has come is late.
    pub(crate) fn poll(&mut self, source: &mut impl Source, cx: &mut Context<'_>) -> Poll<Said> {
        if self.end.is_none() {
            let worked = self.work(source, cx);
            self.finish(worked);
        }
        if self.replies.finish() {
            return Poll::Ready(Said::Message);
        }
        let Some(end) = self.end.take() else {
            return Poll::Pending;
        };
        // Nobody can use what is still late.
        (self.late, self.longs) = (Late::new(), Longs::default());
        Poll::Ready(Said::End(trailers(end)))
    }

    /// The message that [`Self::poll`] has told of, with its prefix. Whoever sends it empties this buffer, or takes it.
    pub(crate) fn message(&mut self) -> &mut Vec<u8> {
        self.replies.buffer()
    }

    /// Replies to everything that can be answered now, up to one message of replies.
    fn work(&mut self, source: &mut impl Source, cx: &mut Context<'_>) -> Result<(), Error> {
        self.collect(cx);
        if self.closed.is_none() && self.drain.as_mut().poll(cx).is_ready() {
            self.closed = Some(Closed::ByDrain);
        }
        let began = Instant::now();
        while !self.replies.is_full() {
            if self.batch.is_none() && self.poll_batch(source, cx)?.is_pending() {
                break;
            }
            let now = self.answer_batch()?;
            if now - began > limits::EXCHANGE_TURN && !self.replies.is_empty() {
                break;
            }
        }
        // Again, for requests that became late in this call.
        self.collect(cx);
        self.longs.append(&mut self.replies);
        Ok(())
    }

    fn collect(&mut self, cx: &mut Context<'_>) {
        while !self.replies.is_full() {
            let Poll::Ready((entry, done)) = self.late.poll_done(cx) else {
                return;
            };
            self.settle(&entry, done);
        }
    }

    /// Makes the next message the batch. Also pending if no message will come any more.
    fn poll_batch(
        &mut self,
        source: &mut impl Source,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Error> {
        if self.closed.is_some() {
            return Ok(Poll::Pending);
        }
        // A peer that never pauses must leave the thread to others now and then.
        let Poll::Ready(coop) = tokio::task::coop::poll_proceed(cx) else {
            return Ok(Poll::Pending);
        };
        let Poll::Ready(message) = self.pieces.poll_message(source, cx)? else {
            return Ok(Poll::Pending);
        };
        coop.made_progress();
        let Some(message) = message else {
            self.closed = Some(Closed::ByPeer);
            return Ok(Poll::Pending);
        };
        self.place.0.counts.batches.fetch_add(1, Relaxed);
        self.ids.clear();
        self.batch = Some(Batch {
            message,
            cursor: Cursor::default(),
            arrived: Instant::now(),
            late_before: self.late.len() + self.longs.len(),
            permit: None,
        });
        Ok(Poll::Ready(()))
    }

    /// Answers until the batch ends or the replies are full. Returns the time at which it stopped.
    fn answer_batch(&mut self) -> Result<Instant, Error> {
        let mut now = Instant::now();
        let Some(mut batch) = self.batch.take() else {
            return Ok(now);
        };
        let newest = self.place.0.core.view.newest();
        let (began, mut requests) = (now, 0);
        // This clone shares the bytes; without it items would borrow the batch.
        let message = batch.message.clone();
        while !self.replies.is_full() {
            match batch.cursor.next(&message)? {
                None => {
                    self.place.0.counts.requests.fetch_add(requests, Relaxed);
                    return Ok(now);
                }
                Some(Item::Cancelled(id)) => self.cancel(id),
                Some(Item::Request(frame)) => {
                    self.admit(&frame, &batch)?;
                    now = self.answer(&frame, &mut batch, &newest, now);
                    requests += 1;
                }
            }
            if now - began > limits::EXCHANGE_TURN && !self.replies.is_empty() {
                break;
            }
        }
        self.place.0.counts.requests.fetch_add(requests, Relaxed);
        self.batch = Some(batch);
        Ok(now)
    }

    /// Checks that the peer keeps to the rules.
    fn admit(&mut self, frame: &RequestFrame<'_>, batch: &Batch) -> Result<(), Error> {
        frame.check(M::METHODS.len())?;
        let is_late = || self.late.contains(frame.id) || self.longs.contains(frame.id);
        if !self.ids.insert(frame.id) || is_late() {
            let text = "requests.id: must not be in flight on this lane";
            return Err(Error::new(Kind::Argument, text));
        }
        if self.ids.len() + batch.late_before > limits::EXCHANGE_IN_FLIGHT {
            let most = limits::EXCHANGE_IN_FLIGHT;
            let text = format!("requests: must be at most {most} in flight");
            return Err(Error::new(Kind::Overloaded, text));
        }
        Ok(())
    }

    /// Replies to the request now, or keeps it for later. Returns the time at which that was done.
    fn answer(
        &mut self,
        frame: &RequestFrame<'_>,
        batch: &mut Batch,
        newest: &Resolved<M>,
        began: Instant,
    ) -> Instant {
        let shared = &self.place.0;
        let bounds = Bounds::new(frame.min_position, frame.at_position);
        let asked = Asked {
            // `admit` checked that this is an index.
            method: frame.method as usize,
            bounds: &bounds,
            arrived: batch.arrived,
            timeout: Some(frame.budget()),
            given_up: &WANTED,
            request: frame.body,
        };
        if batch.permit.is_none() {
            match shared.core.admit() {
                Ok(permit) => batch.permit = Some(permit),
                Err(full) => return self.refuse(frame, began, &full),
            }
        }
        let open = self.replies.open(frame.id, newest.position());
        let most = limits::INLINE_COST;
        let core = &shared.core;
        let turn = core.turn(newest, &asked, began, most, self.replies.buffer());
        let code = match turn {
            Turn::Done(Ok(Answer { verdict: None, .. })) => {
                self.close(frame.id, open, batch, newest)
            }
            Turn::Done(outcome) => {
                self.replies.take_back(open);
                self.reply(frame.id, &outcome, &[])
            }
            later @ (Turn::Early(_) | Turn::Heavy) => {
                self.replies.take_back(open);
                self.postpone(frame, &asked, batch, matches!(later, Turn::Heavy));
                return Instant::now();
            }
        };
        self.count(asked.method, code, began, frame.traceparent)
    }
}

impl<M: Model> Lane<M> {
    fn close(
        &mut self,
        id: u64,
        open: super::Open,
        batch: &mut Batch,
        newest: &Resolved<M>,
    ) -> Code {
        match self.replies.close(open) {
            None => Code::Ok,
            Some(body) => self.keep(id, body, batch, newest.position()),
        }
    }

    /// Keeps a long reply that was computed at once.
    #[cold]
    fn keep(&mut self, id: u64, body: Vec<u8>, batch: &mut Batch, position: u64) -> Code {
        let core = &self.place.0.core;
        let held = core.fits(body.len()).and_then(|()| core.hold(body.len()));
        let (share, permit) = match (held, batch.permit.take()) {
            (Ok(share), Some(permit)) => (share, permit),
            (held, permit) => {
                batch.permit = permit;
                let full = held.err();
                let full = full.unwrap_or_else(|| Error::new(Kind::Overloaded, "no place is left"));
                self.replies.refusal(id, &full);
                return full.code();
            }
        };
        self.push(Long {
            id,
            position,
            body,
            gone: 0,
            _held: (share, permit),
        })
    }

    fn push(&mut self, long: Long) -> Code {
        self.place.0.counts.long.fetch_add(1, Relaxed);
        self.longs.push(long);
        Code::Ok
    }

    fn too_long(&mut self, id: u64) -> Code {
        self.place.0.counts.too_long.fetch_add(1, Relaxed);
        self.replies.too_long(id);
        Code::ResourceExhausted
    }

    /// Writes the outcome of a request. Returns the code under which it is counted.
    fn reply(&mut self, id: u64, outcome: &Result<Answer, Error>, body: &[u8]) -> Code {
        match outcome {
            Err(error) => {
                self.replies.refusal(id, error);
                error.code()
            }
            Ok(answer) => match answer.verdict.as_deref() {
                // A shortened text would not be what the service says.
                Some(verdict) if !fits(verdict) => self.too_long(id),
                Some(Verdict {
                    code,
                    message,
                    details,
                }) => {
                    let position = Some(answer.position);
                    self.replies.status(id, position, *code, message, details);
                    *code
                }
                None if self.replies.body(id, answer.position, body) => Code::Ok,
                None => self.too_long(id),
            },
        }
    }

    fn settle(&mut self, entry: &Entry, mut done: Done) {
        let code = match done.take_long() {
            Some(long) => self.push(long),
            None => self.reply(done.id, &done.outcome, &done.reply),
        };
        self.count(entry.method, code, entry.arrived, &entry.traceparent);
    }

    fn refuse(&mut self, frame: &RequestFrame<'_>, began: Instant, error: &Error) -> Instant {
        self.replies.refusal(frame.id, error);
        let method = frame.method as usize;
        self.count(method, error.code(), began, frame.traceparent)
    }

    fn postpone(
        &mut self,
        frame: &RequestFrame<'_>,
        asked: &Asked<'_>,
        batch: &mut Batch,
        heavy: bool,
    ) {
        let shared = &self.place.0;
        match (shared.core.hold(frame.body.len()), batch.permit.take()) {
            (Ok(share), Some(permit)) => {
                let owned = Owned::copy(frame, asked, share, permit);
                self.late.push(shared, owned, frame.traceparent, heavy);
            }
            (held, permit) => {
                batch.permit = permit;
                let full = held.err();
                let full = full.unwrap_or_else(|| Error::new(Kind::Overloaded, "no place is left"));
                self.refuse(frame, asked.arrived, &full);
            }
        }
    }

    fn cancel(&mut self, id: u64) {
        let gone = Error::new(Kind::Cancelled, "the caller has gone");
        if self.longs.cancel(id) {
            // It is counted already, with the code of its answer.
            self.replies.refusal(id, &gone);
        } else if let Some(entry) = self.late.cancel(id) {
            self.replies.refusal(id, &gone);
            self.count(entry.method, gone.code(), entry.arrived, &entry.traceparent);
        }
    }

    fn count(&self, method: usize, code: Code, began: Instant, traceparent: &str) -> Instant {
        let now = Instant::now();
        self.place.0.core.meter.count(method, code, now - began);
        ended(M::METHODS[method], code, now - began, || traceparent);
        now
    }

    /// Whether no more replies can come.
    fn is_done(&self) -> bool {
        self.closed.is_some() && self.batch.is_none() && self.late.len() + self.longs.len() == 0
    }

    fn finish(&mut self, worked: Result<(), Error>) {
        match worked {
            Err(error) => {
                self.place.0.counts.ended(error.kind());
                match error.kind() {
                    Kind::LaneLost => tracing::debug!("{error}"),
                    _ => tracing::warn!("a lane is cut off: {error}"),
                }
                self.end = Some(Err(error));
            }
            Ok(()) if !self.is_done() => {}
            Ok(()) if self.closed == Some(Closed::ByPeer) => self.end = Some(Ok(())),
            Ok(()) => {
                self.place.0.counts.ended(Kind::Draining);
                self.end = Some(Err(draining()));
            }
        }
    }
}

fn fits(verdict: &Verdict) -> bool {
    let most = limits::STATUS_BYTES;
    verdict.message.len() <= most && verdict.details.len() <= most
}

fn trailers(end: Result<(), Error>) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    let status = end.map_or_else(|error| error.status(), |()| Status::new(Code::Ok, ""));
    if status.add_header(&mut trailers).is_err() {
        // This fails only for a text that no header can carry.
        trailers.insert("grpc-status", HeaderValue::from_static("13"));
    }
    trailers
}

#[cfg(test)]
mod tests;
