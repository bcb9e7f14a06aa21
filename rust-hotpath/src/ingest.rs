//! Carries events to the single writer, which applies batches on its own thread and publishes them.

mod chores;
mod writer;

use crate::{
    error::{Error, Kind},
    histogram::{Durations, Histogram},
    limits,
    model::Model,
    settings::{Group, Setting, Settings},
    view::Publisher,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed},
        },
        mpsc::{Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use writer::Writer;

/// How often the writer publishes.
#[derive(Clone, Debug)]
pub struct Config {
    /// Longest time between publications under load. When idle, the writer publishes at once.
    pub publish_interval: Duration,
}

/// Events in the order in which a feed sent them.
pub struct Batch<M: Model> {
    /// The position that the feed claims for the first event.
    pub first_position: u64,
    /// The decoded events.
    pub events: Vec<M::Event>,
    /// The encoded events. There may be more of them than of `events`.
    pub encoded: Vec<Vec<u8>>,
    /// What is wrong with the event after the last of `events`, if something is.
    pub fault: Option<Error>,
    /// How far the feed's ledger reaches.
    pub goal: Goal,
    /// When the batch arrived here.
    pub arrived: Instant,
}

/// What the writer should reach, as known when a batch was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Goal {
    /// The ledger's last durable position.
    pub head: u64,
    /// Hot methods answer only once this position is published, so nobody can ask for positions before it.
    pub unread_before: u64,
}

/// Where a feed continues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The newest published position.
    pub position: u64,
    /// SHA-256 of the encoded event at this position. Empty at position 0.
    pub event_sha256: Vec<u8>,
}

/// The connection of one feed to the writer.
pub struct Line<M: Model> {
    ingest: Ingest<M>,
    feed: u64,
    refusals: tokio::sync::mpsc::Receiver<Error>,
}

/// The connection to the writer. Cloning is cheap. The writer ends when all clones are gone.
pub struct Ingest<M: Model> {
    commands: Sender<Command<M>>,
    /// Bounds the batches in `commands`, which itself is unbounded: each batch holds a permit. Feeds can wait for a
    /// permit without blocking a thread.
    room: Arc<Semaphore>,
    counts: Arc<Counts>,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counts {
    feeds: AtomicU64,
    events_applied: AtomicU64,
    chores_taken: AtomicU64,
    chores_ended: AtomicU64,
    chores_failed: AtomicU64,
    chores_micros: AtomicU64,
    publications: Histogram,
}

enum Command<M: Model> {
    Open {
        feed: u64,
        refused: tokio::sync::mpsc::Sender<Error>,
        start: oneshot::Sender<Start>,
    },
    Apply {
        feed: u64,
        batch: Batch<M>,
        _room: OwnedSemaphorePermit,
    },
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
    let writer = Writer::new(config, Arc::clone(&counts), publisher);
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
        )
        .within(&limits::PUBLISH_INTERVAL_US)],
    };

    /// Reads the settings.
    pub fn resolve(settings: &mut Settings) -> Self {
        let interval = settings.number("publish-interval-us");
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
    /// Opens the connection of a new feed, and closes that of the feed before. Returns where to continue. By then
    /// everything that earlier feeds sent is applied or refused.
    ///
    /// # Errors
    /// If the writer is gone.
    pub async fn open(&self) -> Result<(Line<M>, Start), Error> {
        let feed = self.counts.feeds.fetch_add(1, Relaxed);
        let (refused, refusals) = tokio::sync::mpsc::channel(1);
        let (start, opened) = oneshot::channel();
        let open = Command::Open {
            feed,
            refused,
            start,
        };
        self.commands.send(open).map_err(|_| gone())?;
        let start = opened.await.map_err(|_| gone())?;
        let ingest = self.clone();
        Ok((
            Line {
                ingest,
                feed,
                refusals,
            },
            start,
        ))
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }
}

impl Counts {
    /// Events applied, whether or not they are still held.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.events_applied.load(Relaxed)
    }

    /// Pieces of the model's long work that were handed over to the thread for it.
    #[must_use]
    pub fn chores(&self) -> u64 {
        self.chores_taken.load(Relaxed)
    }

    /// Those of them that are not finished.
    #[must_use]
    pub fn chores_under_way(&self) -> u64 {
        // What ended was taken before. Read in this order, the difference is never negative.
        let ended = self.chores_ended.load(Acquire);
        self.chores().saturating_sub(ended)
    }

    /// Those that panicked, so that nothing came of them.
    #[must_use]
    pub fn chores_failed(&self) -> u64 {
        self.chores_failed.load(Relaxed)
    }

    /// Of each version that readers could see: how long it took from the arrival of its oldest event to its publication.
    #[must_use]
    pub fn publications(&self) -> Durations {
        self.publications.read()
    }

    /// How long their thread was at work.
    #[must_use]
    pub fn chores_took(&self) -> Duration {
        Duration::from_micros(self.chores_micros.load(Relaxed))
    }
}

impl<M: Model> Line<M> {
    /// Hands a batch to the writer as soon as there is room.
    ///
    /// # Errors
    /// The refusal of an earlier batch.
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

    /// Waits for the refusal of a batch.
    pub async fn refused(&mut self) -> Error {
        self.refusals.recv().await.unwrap_or_else(gone)
    }
}

fn gone() -> Error {
    Error::new(Kind::Panicked, "the writer is gone; see the log")
}

#[cfg(test)]
mod tests;
