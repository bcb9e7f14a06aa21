//! Late requests: those of a lane that could not be answered at once. Each waits or is answered in a task of its own.
//! All tasks end with their lane.

use super::{Shared, frame::RequestFrame, long::Long};
use crate::{
    error::{Error, Kind},
    limits,
    model::Model,
    serve::{Answer, Asked, Bounds, GiveUp, Permit, Share, Turn},
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

/// The late requests of one lane, by id.
pub(super) struct Late {
    tasks: JoinSet<Done>,
    ids: HashMap<u64, Entry, ahash::RandomState>,
}

/// What the lane remembers of a late request.
pub(super) struct Entry {
    pub(super) method: usize,
    pub(super) arrived: Instant,
    pub(super) traceparent: Box<str>,
    task: AbortHandle,
}

/// A copy of a request that outlives its message.
pub(super) struct Owned {
    id: u64,
    method: usize,
    bounds: Result<Bounds, String>,
    arrived: Instant,
    timeout: Duration,
    request: Box<[u8]>,
    given_up: Arc<AtomicBool>,
    _share: Share,
    permit: Permit,
}

/// The outcome of a late request.
pub(super) struct Done {
    pub(super) id: u64,
    pub(super) outcome: Result<Answer, Error>,
    pub(super) reply: Vec<u8>,
    /// The share of the reply's bytes, and the request with its place.
    held: Option<(Share, Owned)>,
}

impl Late {
    pub(super) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            ids: HashMap::default(),
        }
    }

    /// How many requests still need a reply.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        !self.ids.is_empty() && self.ids.contains_key(&id)
    }

    /// Begins to answer a request in a task.
    pub(super) fn push<M: Model>(
        &mut self,
        shared: &Arc<Shared<M>>,
        owned: Owned,
        traceparent: &str,
        heavy: bool,
    ) {
        let (id, method, arrived) = (owned.id, owned.method, owned.arrived);
        let task = self.tasks.spawn(answer(Arc::clone(shared), owned, heavy));
        let entry = Entry {
            method,
            arrived,
            traceparent: traceparent.into(),
            task,
        };
        self.ids.insert(id, entry);
    }

    /// Gives up a request, if it is here.
    pub(super) fn cancel(&mut self, id: u64) -> Option<Entry> {
        let entry = self.ids.remove(&id)?;
        entry.task.abort();
        Some(entry)
    }

    /// The next request that has ended. Also pending if there are none. Call it even when no request needs a reply,
    /// because only this call lets go of requests that were given up.
    pub(super) fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<(Entry, Done)> {
        while !self.tasks.is_empty() {
            let ended = match ready!(self.tasks.poll_join_next_with_id(cx)) {
                None => break,
                Some(Ok((task, done))) => self.forget(task, done),
                // It was given up, and `cancel` forgot it then.
                Some(Err(error)) if error.is_cancelled() => None,
                Some(Err(error)) => self.failed(&error),
            };
            if let Some(ended) = ended {
                return Poll::Ready(ended);
            }
        }
        Poll::Pending
    }

    /// Whether every task has ended.
    #[cfg(test)]
    pub(super) fn is_ready(&self) -> bool {
        self.ids.values().all(|entry| entry.task.is_finished())
    }

    /// How many tasks are still held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.tasks.len()
    }

    /// Removes the entry of an ended task. A request that was given up may have ended all the same, and its id may be
    /// in use again.
    fn forget(&mut self, task: Id, done: Done) -> Option<(Entry, Done)> {
        let entry = self.ids.get(&done.id)?;
        if entry.task.id() != task {
            return None;
        }
        Some((self.ids.remove(&done.id)?, done))
    }

    fn failed(&mut self, error: &JoinError) -> Option<(Entry, Done)> {
        let mut ids = self.ids.iter();
        let (id, _) = ids.find(|(_, entry)| entry.task.id() == error.id())?;
        let id = *id;
        Some((self.ids.remove(&id)?, Done::failed(id, error)))
    }
}

impl Owned {
    pub(super) fn copy(
        frame: &RequestFrame<'_>,
        asked: &Asked<'_>,
        share: Share,
        permit: Permit,
    ) -> Self {
        Self {
            id: frame.id,
            method: asked.method,
            bounds: asked.bounds.clone(),
            arrived: asked.arrived,
            timeout: frame.budget(),
            request: asked.request.into(),
            given_up: Arc::default(),
            _share: share,
            permit,
        }
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            method: self.method,
            bounds: &self.bounds,
            arrived: self.arrived,
            timeout: Some(self.timeout),
            given_up: &self.given_up,
            request: &self.request,
        }
    }
}

impl Done {
    fn new<M: Model>(shared: &Shared<M>, owned: Owned, turn: Turn, mut reply: Vec<u8>) -> Self {
        let mut outcome = turn.settled();
        let held = shared.core.fits(reply.len());
        let held = held.and_then(|()| shared.core.hold(reply.capacity()));
        let share = held.unwrap_or_else(|full| {
            outcome = Err(full);
            reply = Vec::new();
            Share::default()
        });
        Self {
            id: owned.id,
            outcome,
            reply,
            held: Some((share, owned)),
        }
    }

    /// The reply, if it is so long that it leaves in pieces.
    pub(super) fn take_long(&mut self) -> Option<Long> {
        let Ok(Answer {
            position,
            verdict: None,
        }) = self.outcome
        else {
            return None;
        };
        if self.reply.len() <= limits::EXCHANGE_BODY_BYTES {
            return None;
        }
        let (share, owned) = self.held.take()?;
        Some(Long {
            id: self.id,
            position,
            body: std::mem::take(&mut self.reply),
            gone: 0,
            _held: (share, owned.permit),
        })
    }

    fn failed(id: u64, error: &JoinError) -> Self {
        let text = format!("the request's task failed: {error}");
        Self {
            id,
            outcome: Err(Error::new(Kind::Panicked, text)),
            reply: Vec::new(),
            held: None,
        }
    }
}

async fn answer<M: Model>(shared: Arc<Shared<M>>, owned: Owned, heavy: bool) -> Done {
    if heavy {
        return scan(shared, owned).await;
    }
    shared.counts.waited.fetch_add(1, Relaxed);
    let mut reply = Vec::new();
    let most = limits::INLINE_COST;
    match shared.core.wait(&owned.asked(), most, &mut reply).await {
        Turn::Heavy => scan(shared, owned).await,
        turn => Done::new(&shared, owned, turn, reply),
    }
}

async fn scan<M: Model>(shared: Arc<Shared<M>>, owned: Owned) -> Done {
    if let Err(full) = shared.core.in_time(owned.asked().left()) {
        return Done::new(&shared, owned, Turn::Done(Err(full)), Vec::new());
    }
    shared.counts.offloaded.fetch_add(1, Relaxed);
    let id = owned.id;
    // This is dropped with the task, whether its lane or its caller has left.
    let _give_up = GiveUp(Arc::clone(&owned.given_up));
    let core = Arc::clone(&shared.core);
    let scanned = core.apart(move || {
        let mut reply = Vec::new();
        let newest = shared.core.view.newest();
        let (asked, now) = (owned.asked(), Instant::now());
        let turn = shared
            .core
            .turn(&newest, &asked, now, usize::MAX, &mut reply);
        drop(newest);
        Done::new(&shared, owned, turn, reply)
    });
    scanned
        .await
        .unwrap_or_else(|error| Done::failed(id, &error))
}
