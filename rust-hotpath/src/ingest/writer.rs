//! The single writer. Only here are the rules of the sequence of positions checked.

use super::{Batch, Command, Config, Counts, Goal, Start, chores::Chores};
use crate::{
    error::{Error, Kind, panic_text},
    limits,
    model::Model,
    view::Publisher,
};
use sha2::{Digest as _, Sha256};
use std::{
    cmp::Ordering::{Equal, Greater, Less},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::{Duration, Instant},
};

pub(super) struct Writer<M: Model> {
    publisher: Publisher<M>,
    publish_interval: Duration,
    counts: Arc<Counts>,
    state: M::State,
    position: u64,
    goal: Goal,
    published: u64,
    last_published: Instant,
    /// The encoded events at `position` and at `published`.
    last_event: Vec<u8>,
    last_published_event: Vec<u8>,
    /// The events between the published version and `state`. Useless once an event was left out.
    pending: Vec<M::Event>,
    history_broken: bool,
    /// When the oldest event that is not published arrived.
    oldest_arrived: Option<Instant>,
    /// The feed that may write, and where to send its refusal. `None` once it was refused.
    open: Option<(u64, tokio::sync::mpsc::Sender<Error>)>,
    chores: Chores<M::State>,
}

impl<M: Model> Writer<M> {
    pub(super) fn new(config: &Config, counts: Arc<Counts>, publisher: Publisher<M>) -> Self {
        let newest = publisher.newest();
        Self {
            publish_interval: config.publish_interval,
            counts: Arc::clone(&counts),
            state: newest.state().clone(),
            position: newest.position(),
            goal: Goal::default(),
            published: newest.position(),
            last_published: Instant::now(),
            last_event: Vec::new(),
            last_published_event: Vec::new(),
            pending: Vec::new(),
            history_broken: false,
            oldest_arrived: None,
            open: None,
            chores: Chores::new(counts),
            publisher,
        }
    }

    pub(super) fn run(mut self, inbox: &Receiver<Command<M>>) {
        loop {
            let command = match inbox.try_recv() {
                Ok(command) => command,
                Err(TryRecvError::Disconnected) => return self.publish(),
                Err(TryRecvError::Empty) => match self.wait(inbox) {
                    Some(command) => command,
                    None => return self.publish(),
                },
            };
            self.obey(command);
            self.hand_over_chores();
            self.finish_chores();
        }
    }

    /// Waits for a command. Meanwhile it publishes, and frees what readers let go of.
    fn wait(&mut self, inbox: &Receiver<Command<M>>) -> Option<Command<M>> {
        loop {
            let pause = match self.unpublished_for() {
                Some(wait) if !wait.is_zero() => Some(wait),
                _ => {
                    self.publish();
                    self.publisher.collect(Instant::now())
                }
            };
            let busy = self
                .chores
                .are_under_way()
                .then_some(limits::CHORES_INTERVAL);
            let Some(pause) = pause.into_iter().chain(busy).min() else {
                return inbox.recv().ok();
            };
            match inbox.recv_timeout(pause) {
                Ok(command) => return Some(command),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.finish_chores(),
            }
        }
    }

    fn obey(&mut self, command: Command<M>) {
        match command {
            Command::Open {
                feed,
                refused,
                start,
            } => {
                self.publish();
                self.open = Some((feed, refused));
                let _ = start.send(self.start());
            }
            Command::Apply { feed, batch, .. } => {
                if !matches!(&self.open, Some((open, _)) if *open == feed) {
                    return;
                }
                if let Err(error) = self.apply(batch) {
                    self.publish();
                    if let Some((_, refused)) = self.open.take() {
                        let _ = refused.try_send(error);
                    }
                }
            }
        }
    }

    fn hand_over_chores(&mut self) {
        let mut chores = Vec::new();
        self.tend(|state| chores = M::chores(state));
        for chore in chores {
            self.chores.take(chore);
        }
    }

    /// Finishes what is done. Readers see it at once, even if no event comes any more.
    fn finish_chores(&mut self) {
        let mut finished = false;
        while let Some(finish) = self.chores.done() {
            finished |= self.tend(|state| finish(state));
        }
        if finished {
            self.hand_over_chores();
            if self.position == self.published {
                self.publisher.refine(self.state.clone());
            }
        }
    }

    /// Changes the state without an event, unless that panics.
    fn tend(&mut self, change: impl FnOnce(&mut M::State)) -> bool {
        let mut state = self.state.clone();
        match catch_unwind(AssertUnwindSafe(|| change(&mut state))) {
            Ok(()) => self.state = state,
            Err(panic) => {
                tracing::error!("the model panicked: {}", panic_text(&*panic));
                return false;
            }
        }
        true
    }

    fn start(&self) -> Start {
        let event_sha256 = match self.position {
            0 => Vec::new(),
            _ => Sha256::digest(&self.last_event).to_vec(),
        };
        Start {
            position: self.position,
            event_sha256,
        }
    }

    fn apply(&mut self, batch: Batch<M>) -> Result<(), Error> {
        self.due(batch.first_position)?;
        self.goal = batch.goal;
        let events = batch.events.into_iter().zip(batch.encoded);
        for (index, (event, encoded)) in events.enumerate() {
            self.due(M::position(&event))?;
            self.apply_one(&event)?;
            self.position += 1;
            self.last_event = encoded;
            self.remember(event);
            self.oldest_arrived.get_or_insert(batch.arrived);
            self.counts.events_applied.fetch_add(1, Relaxed);
            if index % limits::EVENTS_PER_CLOCK == 0
                && self.last_published.elapsed() >= self.interval()
            {
                self.publish();
            }
        }
        batch.fault.map_or(Ok(()), Err)
    }

    /// Checks the rule of the sequence: every position comes once, in order, without gaps.
    fn due(&self, claimed: u64) -> Result<(), Error> {
        let due = self.position + 1;
        let (kind, what) = match claimed.cmp(&due) {
            Equal => return Ok(()),
            Greater => (Kind::FeedGap, "a position was skipped"),
            Less => (Kind::FeedRepeat, "a position came again or out of order"),
        };
        Err(Error::new(
            kind,
            format!("{what}: {due} is due, {claimed} came"),
        ))
    }

    fn apply_one(&mut self, event: &M::Event) -> Result<(), Error> {
        let position = M::position(event);
        let state = &mut self.state;
        match catch_unwind(AssertUnwindSafe(|| M::apply(state, event))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(rule)) => Err(Error::new(
                Kind::FeedBadEvent,
                format!("position {position}: {rule}"),
            )),
            Err(panic) => {
                // The state may be half changed: go back to what readers see.
                let newest = self.publisher.newest();
                self.state = newest.state().clone();
                self.position = newest.position();
                self.last_event.clone_from(&self.last_published_event);
                self.forget_pending();
                let text = format!(
                    "position {position}: the model panicked: {}",
                    panic_text(&*panic)
                );
                Err(Error::new(Kind::Panicked, text))
            }
        }
    }

    /// Keeps an applied event for the history, unless it would be useless: nobody can ask for positions this early, or
    /// the head is so far away that they will no longer be retained once it is reached.
    fn remember(&mut self, event: M::Event) {
        let until_head = self.goal.head.saturating_sub(self.published);
        self.history_broken |=
            self.published < self.goal.unread_before || !self.publisher.can_retain(until_head);
        if !self.history_broken {
            self.pending.push(event);
        }
    }

    fn forget_pending(&mut self) {
        self.pending.clear();
        self.history_broken = false;
        self.oldest_arrived = None;
    }

    /// Whether the writer should publish rarely. Far behind, each version would be outdated at once, and yet it costs
    /// copies of what changes after it.
    fn catching_up(&self) -> bool {
        let ahead = self.goal.head.saturating_sub(self.position);
        self.position < self.goal.unread_before || ahead > limits::FAR_BEHIND_EVENTS
    }

    fn interval(&self) -> Duration {
        if self.catching_up() {
            self.publish_interval.max(limits::CATCH_UP_INTERVAL)
        } else {
            self.publish_interval
        }
    }

    /// How long an idle writer should still wait before it publishes. `None` if everything is published.
    fn unpublished_for(&self) -> Option<Duration> {
        (self.position > self.published).then(|| match self.catching_up() {
            true => self
                .interval()
                .saturating_sub(self.last_published.elapsed()),
            false => Duration::ZERO,
        })
    }

    fn publish(&mut self) {
        if self.position == self.published {
            return;
        }
        let (now, state) = (Instant::now(), self.state.clone());
        // Nobody waits for what is published before requests are answered.
        let awaited = self.published >= self.goal.unread_before;
        let arrived = self.oldest_arrived.filter(|_| awaited);
        if self.history_broken {
            self.publisher.restart(self.position, state, now);
        } else {
            let events = std::mem::take(&mut self.pending);
            self.publisher.publish(self.position, state, events, now);
        }
        if let Some(arrived) = arrived {
            self.counts.publications.count(arrived.elapsed());
        }
        self.forget_pending();
        self.published = self.position;
        self.last_published_event.clone_from(&self.last_event);
        self.last_published = now;
    }
}
