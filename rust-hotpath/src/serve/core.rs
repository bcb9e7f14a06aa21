//! Answers one request against one version. Unary calls and the exchange share this code, so their answers cannot
//! differ.
//!
//! The contract fixes the order of checks: readiness, the model's arguments, position bounds, position, answer.

use super::{
    Config,
    arrivals::Arrivals,
    budget::{Budget, Share},
    heavy::Heavy,
    meter::{Meter, OTHER},
    places::{Permit, Places},
    wants::{Bounds, wait_budget},
};
use crate::{
    error::{Error, Kind, panic_text},
    model::{Detail, Model, Refusal, VerdictCode},
    readiness::Readiness,
    view::{Resolved, View},
};
use prost::Message as _;
use prost_types::Any;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Once,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::task::JoinError;
use tonic::Code;

/// State that all requests of a process share.
pub(crate) struct Core<M: Model> {
    pub(super) config: Config,
    pub(crate) view: View<M>,
    readiness: Arc<Readiness>,
    pub(super) in_flight: Arc<Places>,
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) budget: Arc<Budget>,
    pub(crate) meter: Meter,
    /// Where expensive answers are computed.
    pub(super) heavy: Heavy,
    /// Unary calls that moved there.
    pub(super) moved: AtomicU64,
    /// Whether the log has named a reason that the model did not list.
    stray_decline: Once,
}

/// A request as the caller sent it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: usize,
    /// The positions that may answer, or the rule that the caller's metadata breaks.
    pub(crate) bounds: &'a Result<Bounds, String>,
    pub(crate) arrived: Instant,
    /// Time after `arrived` until which the caller waits.
    pub(crate) timeout: Option<Duration>,
    /// Another thread sets this once nobody waits for the answer.
    pub(crate) given_up: &'a AtomicBool,
    pub(crate) request: &'a [u8],
}

/// The `given_up` of a request that is answered on the only thread that could give it up, so that it never turns true.
pub(crate) static WANTED: AtomicBool = AtomicBool::new(false);

/// Tells the reading thread, on drop, that nobody waits any longer.
pub(crate) struct GiveUp(pub(crate) Arc<AtomicBool>);

/// What the model decided at one position.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) position: u64,
    /// If this is `None`, the reply was appended.
    pub(crate) verdict: Option<Box<Verdict>>,
}

/// A status that is the answer. It is boxed because answers without one are moved around too.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// An encoded `google.rpc.Status`, or empty if the status has no details.
    pub(crate) details: Vec<u8>,
}

/// The result of one look at a version. Only an answer without a verdict appends anything to the reply.
pub(crate) enum Turn {
    Done(Result<Answer, Error>),
    /// The request needs this position, which is not published yet.
    Early(u64),
    /// The answer would cost more than the caller of `turn` allows.
    Heavy,
}

impl Asked<'_> {
    /// How long the caller still waits.
    pub(crate) fn left(&self) -> Option<Duration> {
        let elapsed = self.arrived.elapsed();
        self.timeout.map(|time| time.saturating_sub(elapsed))
    }

    fn is_wanted(&self, now: Instant) -> Result<(), Error> {
        if self.timeout.is_some_and(|most| now >= self.arrived + most) {
            return Err(Error::new(Kind::TooLate, "the caller's time is up"));
        }
        if self.given_up.load(Relaxed) {
            return Err(Error::new(Kind::Cancelled, "the caller has gone"));
        }
        Ok(())
    }
}

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Turn {
    /// The outcome of a request that has waited and that no cost limit stops.
    pub(crate) fn settled(self) -> Result<Answer, Error> {
        match self {
            Self::Done(outcome) => outcome,
            Self::Early(_) | Self::Heavy => {
                Err(Error::new(Kind::NotReached, "the position was taken back"))
            }
        }
    }
}

impl<M: Model> Core<M> {
    pub(super) fn new(config: Config, view: View<M>, readiness: Arc<Readiness>) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            heavy: Heavy::new(cores),
            moved: AtomicU64::new(0),
            stray_decline: Once::new(),
            in_flight: Arc::new(Places::new(config.max_in_flight)),
            arrivals: Arc::new(Arrivals::new(config.max_in_flight)),
            budget: Arc::new(Budget::new(config.max_buffered_bytes)),
            meter: Meter::new(M::METHODS.len(), M::DECLINES.len()),
            config,
            view,
            readiness,
        }
    }

    /// Takes a place among the requests in flight.
    pub(crate) fn admit(&self) -> Result<Permit, Error> {
        self.in_flight.take()
    }

    /// Takes room for a message of `bytes`, which is given back on drop.
    pub(crate) fn hold(&self, bytes: usize) -> Result<Share, Error> {
        let mut share = Share::default();
        self.budget.grow(&mut share, bytes)?;
        Ok(share)
    }

    /// Checks that a reply may have this length.
    pub(crate) fn fits(&self, bytes: usize) -> Result<(), Error> {
        let most = self.config.max_message_bytes;
        if bytes <= most {
            return Ok(());
        }
        let text = format!("the reply of {bytes} bytes is longer than {most}");
        Err(Error::new(Kind::TooLong, text))
    }

    /// Checks that the sidecar is ready to answer at this position.
    pub(super) fn ready_at(&self, position: u64) -> Result<(), Error> {
        if self.readiness.answers_at(position) {
            return Ok(());
        }
        let text = format!(
            "not ready: at position {position} of {}",
            self.readiness.known_head()
        );
        Err(Error::new(Kind::NotReady, text))
    }

    /// Answers from this version if it can, without waiting. It does not begin an answer that costs more than
    /// `most_cost`, in the units of [`Model::cost`].
    pub(crate) fn turn(
        &self,
        newest: &Resolved<M>,
        asked: &Asked<'_>,
        now: Instant,
        most_cost: usize,
        reply: &mut Vec<u8>,
    ) -> Turn {
        let before = reply.len();
        let turn = guarded(|| self.look(newest, asked, now, most_cost, reply))
            .unwrap_or_else(|panicked| Turn::Done(Err(panicked)));
        if !matches!(&turn, Turn::Done(Ok(Answer { verdict: None, .. }))) {
            reply.truncate(before);
        }
        turn
    }

    /// Like [`Self::turn`], but waits for the position if necessary, within the caller's time and `max_wait`.
    pub(crate) async fn wait(
        &self,
        asked: &Asked<'_>,
        most_cost: usize,
        reply: &mut Vec<u8>,
    ) -> Turn {
        let mut at_once = || {
            let newest = self.view.newest();
            self.turn(&newest, asked, Instant::now(), most_cost, reply)
        };
        let target = match at_once() {
            Turn::Early(target) => target,
            settled => return settled,
        };
        let budget = wait_budget(asked.timeout, self.config.max_wait, asked.arrived.elapsed());
        match self.view.reached(target, budget).await {
            Ok(()) => at_once(),
            Err(error) => Turn::Done(Err(error)),
        }
    }

    /// Runs `long` on a thread of its own, as soon as there is a place. The kernel then shares the cores between this
    /// thread and those that serve connections. On a serving thread, `long` would hold up all connections there.
    pub(crate) async fn apart<T: Send + 'static>(
        &self,
        long: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        self.heavy.run(long).await
    }

    /// Refuses an expensive request whose turn would come only when nobody waits any longer, so that whoever asks can
    /// turn to somebody else at once.
    pub(crate) fn in_time(&self, left: Option<Duration>) -> Result<(), Error> {
        self.heavy.in_time(left)
    }

    fn look(
        &self,
        newest: &Resolved<M>,
        asked: &Asked<'_>,
        now: Instant,
        most_cost: usize,
        reply: &mut Vec<u8>,
    ) -> Turn {
        let position = newest.position();
        if let Err(error) = self.ready_at(position) {
            return Turn::Done(Err(error));
        }
        let query = match M::parse(asked.method, asked.request) {
            Ok(query) => query,
            Err(refusal) => return self.refused(position, asked, refusal),
        };
        let bounds = match asked.bounds {
            Ok(bounds) => *bounds,
            Err(rule) => {
                let broken = Refusal::verdict(VerdictCode::InvalidArgument, rule.clone());
                return Turn::Done(self.decided(asked.method, position, Err(broken)));
            }
        };
        if let Err(error) = asked.is_wanted(now) {
            return Turn::Done(Err(error));
        }
        if bounds.target() > position {
            return Turn::Early(bounds.target());
        }
        let elsewhere = bounds.at.filter(|at| *at != position);
        // An older position may have to be rebuilt event by event.
        if most_cost < usize::MAX
            && (elsewhere.is_some() || M::cost(newest.state(), &query) > most_cost)
        {
            return Turn::Heavy;
        }
        Turn::Done(match elsewhere {
            None => {
                let outcome = M::answer(newest.state(), &query, reply);
                self.decided(asked.method, position, outcome)
            }
            Some(at) => self
                .view
                .at_while(at, || asked.is_wanted(Instant::now()))
                .and_then(|older| {
                    let outcome = M::answer(older.state(), &query, reply);
                    self.decided(asked.method, at, outcome)
                }),
        })
    }

    /// Answers what `parse` refused. The refusal is the same at every position, but a verdict must name a position that
    /// the request allows, or the shim would not believe it. Only for bad arguments does the shim believe any position.
    #[cold]
    fn refused(&self, newest: u64, asked: &Asked<'_>, refusal: Refusal) -> Turn {
        let bounds = match (&refusal, asked.bounds) {
            (Refusal::Verdict { code, .. }, Ok(bounds))
                if *code != VerdictCode::InvalidArgument =>
            {
                *bounds
            }
            _ => Bounds::default(),
        };
        if bounds.target() > newest {
            return Turn::Early(bounds.target());
        }
        let position = bounds.at.unwrap_or(newest);
        Turn::Done(self.decided(asked.method, position, Err(refusal)))
    }

    fn decided(
        &self,
        method: usize,
        position: u64,
        outcome: Result<(), Refusal>,
    ) -> Result<Answer, Error> {
        let verdict = match outcome {
            Ok(()) => None,
            Err(Refusal::Verdict {
                code,
                message,
                details,
            }) => Some(Box::new(Verdict::new(code, message, details))),
            Err(Refusal::Decline(reason)) => return Err(self.declined(method, reason)),
            Err(Refusal::Malformed(text)) => return Err(Error::new(Kind::Malformed, text)),
        };
        Ok(Answer { position, verdict })
    }

    #[cold]
    fn declined(&self, method: usize, reason: &'static str) -> Error {
        let index = M::DECLINES.iter().position(|known| *known == reason);
        if index.is_none() {
            self.stray_decline.call_once(|| {
                tracing::warn!(
                    "{} declines for {reason:?}, which is not in DECLINES: such reasons are counted as \"other\"",
                    M::SERVICE
                );
            });
        }
        self.meter.decline(method, index);
        Error::declined(index.map_or(OTHER, |index| M::DECLINES[index]))
    }
}

impl Verdict {
    fn new(code: VerdictCode, message: String, details: Vec<Detail>) -> Self {
        let details = match details.is_empty() {
            true => Vec::new(),
            false => encoded(code, &message, details),
        };
        Self {
            code: Code::from_i32(code.number()),
            message,
            details,
        }
    }
}

/// The status as grpc-go puts it into `grpc-status-details-bin`.
#[cold]
fn encoded(code: VerdictCode, message: &str, details: Vec<Detail>) -> Vec<u8> {
    let details = details.into_iter().map(|detail| Any {
        type_url: detail.type_url,
        value: detail.value,
    });
    let status = tonic_types::Status {
        code: code.number(),
        message: message.to_owned(),
        details: details.collect(),
    };
    status.encode_to_vec()
}

/// Catches a panic of the model, so that it ends only this request.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = format!("the model panicked: {}", panic_text(&*panic));
        Error::new(Kind::Panicked, text)
    })
}
