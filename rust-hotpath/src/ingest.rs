//! The single writer: applies batches on its own thread and publishes them. The rules of the sequence are here only.

use crate::{
    error::{Error, Kind, panic_text},
    limits,
    model::Model,
    settings::{Group, Setting, Settings},
    view::Publisher,
};
use std::{
    cmp::Ordering::{Equal, Greater, Less},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How often the writer publishes.
#[derive(Clone, Debug)]
pub struct Config {
    /// Longest time between publications under load; when idle it publishes at once.
    pub publish_interval: Duration,
}

/// Events in the order in which a feed sent them.
pub struct Batch<M: Model> {
    /// The position that the feed claims for the first event.
    pub first_position: u64,
    /// Decoded.
    pub events: Vec<M::Event>,
    /// What is wrong with the event after the last of `events`, if something is.
    pub fault: Option<Error>,
}

/// One feed's way to the writer.
pub struct Line<M: Model> {
    ingest: Ingest<M>,
    feed: u64,
    refusals: tokio::sync::mpsc::Receiver<Error>,
}

/// The way to the writer. Cloning is cheap; the writer ends when all clones are gone.
pub struct Ingest<M: Model> {
    commands: Sender<Command<M>>,
    /// `commands` itself is unbounded; a batch in it holds a permit, so that feeds wait without a thread.
    room: Arc<Semaphore>,
    counts: Arc<Counts>,
}

/// Counted since the start.
#[derive(Debug, Default)]
pub struct Counts {
    feeds: AtomicU64,
    events_applied: AtomicU64,
}

enum Command<M: Model> {
    Open {
        feed: u64,
        refused: tokio::sync::mpsc::Sender<Error>,
        position: oneshot::Sender<u64>,
    },
    Apply {
        feed: u64,
        batch: Batch<M>,
        _room: OwnedSemaphorePermit,
    },
}

struct Writer<M: Model> {
    publisher: Publisher<M>,
    publish_interval: Duration,
    counts: Arc<Counts>,
    state: M::State,
    position: u64,
    /// Applied but not yet published.
    pending: Vec<M::Event>,
    last_published: Instant,
    /// The feed that may write, until it is refused.
    open: Option<(u64, tokio::sync::mpsc::Sender<Error>)>,
}

/// Starts the writer's thread.
///
/// # Errors
/// If the system has no thread left.
pub fn spawn<M: Model>(
    config: &Config,
    publisher: Publisher<M>,
) -> io::Result<(Ingest<M>, thread::JoinHandle<()>)> {
    let (commands, inbox) = channel();
    let counts = Arc::new(Counts::default());
    let newest = publisher.newest();
    let writer = Writer {
        publish_interval: config.publish_interval,
        counts: Arc::clone(&counts),
        state: newest.state().clone(),
        position: newest.position(),
        pending: Vec::new(),
        last_published: Instant::now(),
        open: None,
        publisher,
    };
    let thread = thread::Builder::new().name("writer".to_owned());
    let thread = thread.spawn(move || writer.run(&inbox))?;
    let room = Arc::new(Semaphore::new(limits::BATCHES_QUEUED));
    Ok((
        Ingest {
            commands,
            room,
            counts,
        },
        thread,
    ))
}

impl Config {
    /// What can be set.
    pub const SETTINGS: Group = Group {
        title: "Writer",
        settings: &[Setting::new(
            "publish-interval-us",
            "US",
            "1000",
            "Longest time between two publications under load; when idle it is at once",
        )],
    };

    /// Reads the settings.
    pub fn resolve(settings: &mut Settings) -> Self {
        let interval = settings.number("publish-interval-us", limits::PUBLISH_INTERVAL_US);
        Self {
            publish_interval: Duration::from_micros(interval),
        }
    }
}

impl<M: Model> Clone for Ingest<M> {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands.clone(),
            room: Arc::clone(&self.room),
            counts: Arc::clone(&self.counts),
        }
    }
}

impl<M: Model> Ingest<M> {
    /// Opens the way for a new feed and closes it for the one before. Returns the position to go on from: all that
    /// earlier feeds sent is applied or refused by then.
    ///
    /// # Errors
    /// If the writer is gone.
    pub async fn open(&self) -> Result<(Line<M>, u64), Error> {
        let feed = self.counts.feeds.fetch_add(1, Relaxed);
        let (refused, refusals) = tokio::sync::mpsc::channel(1);
        let (position, opened) = oneshot::channel();
        let open = Command::Open {
            feed,
            refused,
            position,
        };
        self.commands.send(open).map_err(|_| gone())?;
        let position = opened.await.map_err(|_| gone())?;
        let ingest = self.clone();
        Ok((
            Line {
                ingest,
                feed,
                refusals,
            },
            position,
        ))
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }
}

impl Counts {
    /// Events applied, whether still held or not.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.events_applied.load(Relaxed)
    }
}

impl<M: Model> Line<M> {
    /// Hands a batch to the writer, once there is room.
    ///
    /// # Errors
    /// Why an earlier batch was refused.
    pub async fn send(&mut self, batch: Batch<M>) -> Result<(), Error> {
        let room = Arc::clone(&self.ingest.room).acquire_owned();
        let room = tokio::select! {
            biased;
            error = self.refusals.recv() => return Err(error.unwrap_or_else(gone)),
            room = room => room.map_err(|_| gone())?,
        };
        let feed = self.feed;
        let apply = Command::Apply {
            feed,
            batch,
            _room: room,
        };
        self.ingest.commands.send(apply).map_err(|_| gone())
    }

    /// Waits for a refusal.
    pub async fn refused(&mut self) -> Error {
        self.refusals.recv().await.unwrap_or_else(gone)
    }
}

impl<M: Model> Writer<M> {
    fn run(mut self, inbox: &Receiver<Command<M>>) {
        loop {
            let command = match inbox.try_recv() {
                Ok(command) => command,
                Err(TryRecvError::Disconnected) => return self.publish(),
                Err(TryRecvError::Empty) => {
                    self.publish();
                    match self.wait(inbox) {
                        Some(command) => command,
                        None => return,
                    }
                }
            };
            self.obey(command);
        }
    }

    /// Waits for work and meanwhile frees what readers let go of.
    fn wait(&mut self, inbox: &Receiver<Command<M>>) -> Option<Command<M>> {
        loop {
            let Some(pause) = self.publisher.collect(Instant::now()) else {
                return inbox.recv().ok();
            };
            match inbox.recv_timeout(pause) {
                Ok(command) => return Some(command),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn obey(&mut self, command: Command<M>) {
        match command {
            Command::Open {
                feed,
                refused,
                position,
            } => {
                self.publish();
                self.open = Some((feed, refused));
                let _ = position.send(self.position);
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

    fn apply(&mut self, batch: Batch<M>) -> Result<(), Error> {
        self.due(batch.first_position)?;
        for (index, event) in batch.events.into_iter().enumerate() {
            self.due(M::position(&event))?;
            self.apply_one(&event)?;
            self.position += 1;
            self.pending.push(event);
            self.counts.events_applied.fetch_add(1, Relaxed);
            if index % limits::EVENTS_PER_CLOCK == 0
                && self.last_published.elapsed() >= self.publish_interval
            {
                self.publish();
            }
        }
        batch.fault.map_or(Ok(()), Err)
    }

    /// The rule of the sequence: every position once, in order, without gaps.
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
                self.pending.clear();
                let text = format!(
                    "position {position}: the model panicked: {}",
                    panic_text(&*panic)
                );
                Err(Error::new(Kind::Panicked, text))
            }
        }
    }

    fn publish(&mut self) {
        if !self.pending.is_empty() {
            let events = std::mem::take(&mut self.pending);
            let now = Instant::now();
            self.publisher
                .publish(self.position, self.state.clone(), events, now);
            self.last_published = now;
        }
    }
}

fn gone() -> Error {
    Error::new(Kind::Panicked, "the writer is gone; see the log")
}

#[cfg(test)]
mod tests;
