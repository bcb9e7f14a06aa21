//! Where readers and the writer meet: an immutable snapshot, which the writer replaces atomically. It holds the newest
//! version of the ledger and the versions before it that are still retained.
//!
//! Readers take no lock and free nothing. The writer keeps each snapshot that it replaced, and frees it once no reader
//! holds it any more.

mod publish;

pub use publish::Publisher;

use crate::{
    error::{Error, Kind},
    limits,
    model::Model,
    settings::{Group, Setting, Settings},
};
use arc_swap::{ArcSwap, Guard};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How many versions are kept and for how long.
#[derive(Clone, Debug)]
pub struct Config {
    /// Most versions kept, the newest included.
    pub retain_versions: usize,
    /// How long a version is kept after a newer one replaced it.
    pub retain: Duration,
    /// Most events kept to replay between versions.
    pub retain_events: usize,
}

/// The ledger at one position.
pub struct Version<M: Model> {
    position: u64,
    state: M::State,
    /// The events that led here from the version before. With them any position between the two can be rebuilt.
    events: Arc<[M::Event]>,
    published: Instant,
}

/// What readers see at one moment: the newest version, and all that are still retained (oldest first; the newest is the
/// last).
pub struct Snapshot<M: Model> {
    newest: Arc<Version<M>>,
    retained: im::Vector<Arc<Version<M>>>,
}

/// The readers' side. Cloning is cheap.
pub struct View<M: Model> {
    shared: Arc<Shared<M>>,
}

/// The state at the position that a request asked for.
pub enum Resolved<M: Model> {
    /// The newest version.
    Newest(Guard<Arc<Snapshot<M>>>),
    /// A retained version, by its index in the snapshot.
    Retained(Arc<Snapshot<M>>, usize),
    /// A rebuilt state. The snapshot is dropped after the state, so that the writer and not the reader frees what the
    /// two share.
    Replayed(u64, M::State, Arc<Snapshot<M>>),
}

/// Sizes for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Versions that can still be asked for.
    pub retained_versions: u64,
    /// Events that these versions hold.
    pub retained_events: u64,
    /// Snapshots that were replaced, but that a reader still uses.
    pub retired_waiting: u64,
    /// Snapshots published since the start.
    pub publications: u64,
}

pub(crate) struct Shared<M: Model> {
    current: ArcSwap<Snapshot<M>>,
    position: watch::Sender<u64>,
    retained_versions: AtomicU64,
    retained_events: AtomicU64,
    retired_waiting: AtomicU64,
    publications: AtomicU64,
}

/// Makes an empty ledger, and returns its writer and its readers.
#[must_use]
pub fn new<M: Model>(config: Config) -> (Publisher<M>, View<M>) {
    begin(config, M::State::default())
}

/// Returns the writer and the readers of this empty ledger.
#[must_use]
pub fn begin<M: Model>(config: Config, empty: M::State) -> (Publisher<M>, View<M>) {
    let first = Arc::new(Version::new(0, empty, Vec::new(), Instant::now()));
    let shared = Arc::new(Shared {
        current: ArcSwap::from_pointee(Snapshot {
            retained: im::Vector::unit(Arc::clone(&first)),
            newest: first,
        }),
        position: watch::Sender::new(0),
        retained_versions: AtomicU64::new(1),
        retained_events: AtomicU64::new(0),
        retired_waiting: AtomicU64::new(0),
        publications: AtomicU64::new(0),
    });
    let view = View {
        shared: Arc::clone(&shared),
    };
    (Publisher::new(config, shared), view)
}

impl Config {
    /// The settings of the history.
    pub const SETTINGS: Group = Group {
        title: "History (a version is dropped as soon as one of the three is exceeded; a load leaves none, whatever\n\
                is set here: positions can be asked for from the one on that was the head at the first answer)",
        settings: &[
            Setting::new(
                "retain-versions",
                "N",
                "2048",
                "Versions kept for x-hotpath-at-position, the newest included",
            )
            .within(&limits::RETAIN_VERSIONS),
            Setting::new(
                "retain-ms",
                "MS",
                "30000",
                "How long a version is kept after a newer one replaced it",
            )
            .within(&limits::RETAIN_MS),
            Setting::new(
                "retain-events",
                "N",
                "20000",
                "Events kept with them, to rebuild positions between versions; each takes memory",
            )
            .within(&limits::RETAIN_EVENTS),
        ],
    };

    /// Reads the settings.
    pub fn resolve(settings: &mut Settings) -> Self {
        Self {
            retain_versions: settings.size("retain-versions"),
            retain: Duration::from_millis(settings.number("retain-ms")),
            retain_events: settings.size("retain-events"),
        }
    }
}

impl<M: Model> Version<M> {
    fn new(position: u64, state: M::State, events: Vec<M::Event>, published: Instant) -> Self {
        Self {
            position,
            state,
            events: events.into(),
            published,
        }
    }
}

impl<M: Model> Clone for View<M> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M: Model> View<M> {
    /// The newest published position.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.shared.current.load().newest.position
    }

    /// Follows the newest published position. Positions published between two looks are skipped.
    #[must_use]
    pub fn positions(&self) -> watch::Receiver<u64> {
        self.shared.position.subscribe()
    }

    /// How long ago the newest version was published.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        let newest = &self.shared.current.load().newest;
        now.saturating_duration_since(newest.published)
    }

    /// The newest version.
    #[must_use]
    pub fn newest(&self) -> Resolved<M> {
        Resolved::Newest(self.shared.current.load())
    }

    /// Waits until `position` is published, at most for `budget`.
    ///
    /// # Errors
    /// [`Kind::NotReached`].
    pub async fn reached(&self, position: u64, budget: Duration) -> Result<(), Error> {
        if self.position() >= position {
            return Ok(());
        }
        let mut positions = self.positions();
        let reached = positions.wait_for(|published| *published >= position);
        match tokio::time::timeout(budget, reached).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(self.not_reached(position)),
        }
    }

    /// Returns the ledger exactly as of `position`. If that is no retained version, the state is rebuilt: the events
    /// after the newest retained version before `position` are applied to a clone of that version.
    ///
    /// # Errors
    /// [`Kind::NotReached`] or [`Kind::NotRetained`].
    pub fn at(&self, position: u64) -> Result<Resolved<M>, Error> {
        self.at_while(position, || Ok(()))
    }

    /// Like [`Self::at`], but asks `go_on` now and then whether the answer is still wanted.
    ///
    /// # Errors
    /// The same, and those of `go_on`.
    pub fn at_while(
        &self,
        position: u64,
        go_on: impl FnMut() -> Result<(), Error>,
    ) -> Result<Resolved<M>, Error> {
        let current = self.shared.current.load();
        if position == current.newest.position {
            return Ok(Resolved::Newest(current));
        }
        if position > current.newest.position {
            return Err(self.not_reached(position));
        }
        let snapshot = Guard::into_inner(current);
        if position == 0 {
            return Ok(Resolved::Replayed(0, M::State::default(), snapshot));
        }
        let Some(index) = snapshot.index_at(position) else {
            let text = format!("position {position} is no longer retained");
            return Err(Error::new(Kind::NotRetained, text));
        };
        if snapshot.retained[index].position == position {
            return Ok(Resolved::Retained(snapshot, index));
        }
        let state = snapshot.replay(index, position, go_on)?;
        Ok(Resolved::Replayed(position, state, snapshot))
    }

    /// Sizes for metrics.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes {
            retained_versions: self.shared.retained_versions.load(Relaxed),
            retained_events: self.shared.retained_events.load(Relaxed),
            retired_waiting: self.shared.retired_waiting.load(Relaxed),
            publications: self.shared.publications.load(Relaxed),
        }
    }

    /// The model's own sizes.
    #[must_use]
    pub fn gauges(&self) -> Vec<(&'static str, &'static str, u64)> {
        M::gauges(self.newest().state())
    }

    fn not_reached(&self, asked: u64) -> Error {
        let head = self.position();
        let text = format!("position {asked} is not reached: the ledger is at {head}");
        Error::new(Kind::NotReached, text)
    }
}

impl<M: Model> Snapshot<M> {
    /// The newest retained version at or before `position`.
    fn index_at(&self, position: u64) -> Option<usize> {
        match self
            .retained
            .binary_search_by(|version| version.position.cmp(&position))
        {
            Ok(index) => Some(index),
            Err(after) => after.checked_sub(1),
        }
    }

    fn replay(
        &self,
        base: usize,
        position: u64,
        mut go_on: impl FnMut() -> Result<(), Error>,
    ) -> Result<M::State, Error> {
        let mut state = self.retained[base].state.clone();
        let events = self.retained[base + 1].events.iter();
        let led_there = events.take_while(|event| M::position(event) <= position);
        for (index, event) in led_there.enumerate() {
            if index % limits::EVENTS_PER_CLOCK == 0 {
                go_on()?;
            }
            M::apply(&mut state, event).map_err(|rule| {
                let text = format!(
                    "position {} applied once, but not again: {rule}",
                    M::position(event)
                );
                Error::new(Kind::Panicked, text)
            })?;
        }
        Ok(state)
    }
}

impl<M: Model> Resolved<M> {
    /// The position of the state.
    #[must_use]
    pub fn position(&self) -> u64 {
        match self {
            Self::Newest(snapshot) => snapshot.newest.position,
            Self::Retained(snapshot, index) => snapshot.retained[*index].position,
            Self::Replayed(position, ..) => *position,
        }
    }

    /// The state itself.
    #[must_use]
    pub fn state(&self) -> &M::State {
        match self {
            Self::Newest(snapshot) => &snapshot.newest.state,
            Self::Retained(snapshot, index) => &snapshot.retained[*index].state,
            Self::Replayed(_, state, _) => state,
        }
    }
}

#[cfg(test)]
mod tests;
