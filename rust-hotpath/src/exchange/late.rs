//! Requests of a lane that could not be answered at once: each waits, or is answered, in a task of its own. All of
//! them end with their lane.

use super::{Shared, frame::RequestFrame};
use crate::{
    error::{Error, Kind},
    limits,
    model::Model,
    serve::{Answer, Asked, Bounds, Share, Turn},
};
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{
    sync::OwnedSemaphorePermit,
    task::{AbortHandle, Id, JoinError, JoinSet},
};

/// The late requests of one lane, by id.
pub(super) struct Late {
    tasks: JoinSet<Done>,
    ids: HashMap<u64, Entry, ahash::RandomState>,
}

struct Entry {
    method: usize,
    arrived: Instant,
    task: AbortHandle,
}

/// A request that outlives its message.
pub(super) struct Owned {
    id: u64,
    method: usize,
    bounds: Result<Bounds, String>,
    arrived: Instant,
    timeout: Duration,
    request: Box<[u8]>,
    _share: Share,
    _permit: OwnedSemaphorePermit,
}

/// Its end.
pub(super) struct Done {
    pub(super) id: u64,
    pub(super) method: usize,
    pub(super) arrived: Instant,
    pub(super) outcome: Result<Answer, Error>,
    pub(super) reply: Vec<u8>,
    /// Of the reply's bytes, and the request with its place.
    _held: Option<(Share, Owned)>,
}

impl Late {
    pub(super) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            ids: HashMap::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        !self.ids.is_empty() && self.ids.contains_key(&id)
    }

    /// Answers it later.
    pub(super) fn push<M: Model>(&mut self, shared: &Arc<Shared<M>>, owned: Owned, heavy: bool) {
        let (id, method, arrived) = (owned.id, owned.method, owned.arrived);
        let task = self.tasks.spawn(answer(Arc::clone(shared), owned, heavy));
        let entry = Entry {
            method,
            arrived,
            task,
        };
        self.ids.insert(id, entry);
    }

    /// Gives it up. Its method and when it came, if it was here.
    pub(super) fn cancel(&mut self, id: u64) -> Option<(usize, Instant)> {
        let entry = self.ids.remove(&id)?;
        entry.task.abort();
        Some((entry.method, entry.arrived))
    }

    /// The next one that has ended; pending also if there are none.
    pub(super) fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<Done> {
        loop {
            match self.tasks.poll_join_next_with_id(cx) {
                Poll::Pending | Poll::Ready(None) => return Poll::Pending,
                Poll::Ready(Some(Ok((task, done)))) => {
                    // One that was cancelled may have ended all the same, and its id may be in use again.
                    if self.forget(done.id, task) {
                        return Poll::Ready(done);
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    if let Some(done) = self.failed(&error) {
                        return Poll::Ready(done);
                    }
                }
            }
        }
    }

    fn forget(&mut self, id: u64, task: Id) -> bool {
        let entry = self.ids.get(&id);
        let known = entry.is_some_and(|entry| entry.task.id() == task);
        if known {
            self.ids.remove(&id);
        }
        known
    }

    fn failed(&mut self, error: &JoinError) -> Option<Done> {
        let mut ids = self.ids.iter();
        let (id, _) = ids.find(|(_, entry)| entry.task.id() == error.id())?;
        let id = *id;
        let entry = self.ids.remove(&id)?;
        Some(Done::failed(id, entry.method, entry.arrived, error))
    }
}

impl Owned {
    pub(super) fn copy(
        frame: &RequestFrame<'_>,
        asked: &Asked<'_>,
        share: Share,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            id: frame.id,
            method: asked.method,
            bounds: asked.bounds.clone(),
            arrived: asked.arrived,
            timeout: frame.budget(),
            request: asked.request.into(),
            _share: share,
            _permit: permit,
        }
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            method: self.method,
            bounds: &self.bounds,
            arrived: self.arrived,
            timeout: Some(self.timeout),
            request: &self.request,
        }
    }
}

impl Done {
    fn new<M: Model>(shared: &Shared<M>, owned: Owned, turn: Turn, mut reply: Vec<u8>) -> Self {
        let mut outcome = turn.settled();
        let share = shared.core.hold(reply.capacity()).unwrap_or_else(|full| {
            outcome = Err(full);
            reply = Vec::new();
            Share::default()
        });
        Self {
            id: owned.id,
            method: owned.method,
            arrived: owned.arrived,
            outcome,
            reply,
            _held: Some((share, owned)),
        }
    }

    fn failed(id: u64, method: usize, arrived: Instant, error: &JoinError) -> Self {
        let text = format!("the request's task failed: {error}");
        Self {
            id,
            method,
            arrived,
            outcome: Err(Error::new(Kind::Panicked, text)),
            reply: Vec::new(),
            _held: None,
        }
    }
}

async fn answer<M: Model>(shared: Arc<Shared<M>>, owned: Owned, heavy: bool) -> Done {
    if heavy {
        return scan(shared, owned).await;
    }
    shared.counts.waited.fetch_add(1, Relaxed);
    let mut reply = Vec::new();
    let most = limits::EXCHANGE_INLINE_COST;
    match shared.core.wait(&owned.asked(), most, &mut reply).await {
        Turn::Heavy => scan(shared, owned).await,
        turn => Done::new(&shared, owned, turn, reply),
    }
}

async fn scan<M: Model>(shared: Arc<Shared<M>>, owned: Owned) -> Done {
    shared.counts.offloaded.fetch_add(1, Relaxed);
    let (id, method, arrived) = (owned.id, owned.method, owned.arrived);
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
        .unwrap_or_else(|error| Done::failed(id, method, arrived, &error))
}
