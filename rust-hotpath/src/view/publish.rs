//! The writer's side of the view.

use super::{Config, Resolved, Shared, Snapshot, Version, View};
use crate::model::Model;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Publishes versions, and frees those that nobody can reach any more. Each view has one publisher.
pub struct Publisher<M: Model> {
    config: Config,
    shared: Arc<Shared<M>>,
    retained: im::Vector<Arc<Version<M>>>,
    retained_events: usize,
    /// Replaced snapshots, kept so that the last reference is dropped here and not by a reader.
    retired: Vec<Arc<Snapshot<M>>>,
}

impl<M: Model> Publisher<M> {
    pub(super) fn new(config: Config, shared: Arc<Shared<M>>) -> Self {
        let retained = shared.current.load().retained.clone();
        Self {
            config,
            shared,
            retained,
            retained_events: 0,
            retired: Vec::new(),
        }
    }

    /// Returns a reader of what is published here.
    #[must_use]
    pub fn view(&self) -> View<M> {
        View {
            shared: Arc::clone(&self.shared),
        }
    }

    /// The newest published version.
    #[must_use]
    pub fn newest(&self) -> Resolved<M> {
        self.view().newest()
    }

    /// Makes `state` the newest version. `events` led to it from the version before.
    pub fn publish(&mut self, position: u64, state: M::State, events: Vec<M::Event>, now: Instant) {
        self.retained_events += events.len();
        let version = Version::new(position, state, events, now);
        self.retained.push_back(Arc::new(version));
        self.trim(now);
        self.swap();
        self.shared.publications.fetch_add(1, Relaxed);
        // Only after the swap, so that a reader who waited for this position finds it.
        self.shared.position.send_replace(position);
        self.free();
    }

    /// Makes `state` the newest version and the only one. No history before it is kept.
    pub fn restart(&mut self, position: u64, state: M::State, now: Instant) {
        self.retained.clear();
        self.retained_events = 0;
        self.publish(position, state, Vec::new(), now);
    }

    /// Replaces the state of the newest version by one that gives the same answers.
    pub fn refine(&mut self, state: M::State) {
        let Some(newest) = self.retained.pop_back() else {
            return;
        };
        self.retained.push_back(Arc::new(Version {
            position: newest.position,
            state,
            events: Arc::clone(&newest.events),
            published: newest.published,
        }));
        self.swap();
        self.free();
    }

    /// Whether this number of events can be retained at all.
    #[must_use]
    pub fn can_retain(&self, events: u64) -> bool {
        events <= u64::try_from(self.config.retain_events).unwrap_or(u64::MAX)
    }

    /// Drops versions that are too old, and frees what nobody uses. Returns after what time to call it again, or `None`
    /// if that is not needed.
    pub fn collect(&mut self, now: Instant) -> Option<Duration> {
        let before = self.retained.len();
        self.trim(now);
        if self.retained.len() < before {
            self.swap();
        }
        self.free();
        self.next_collection(now)
    }

    fn next_collection(&self, now: Instant) -> Option<Duration> {
        const SOON: Duration = Duration::from_millis(10);
        if !self.retired.is_empty() {
            return Some(SOON);
        }
        let replaced = self.retained.get(1)?.published;
        Some(SOON.max((replaced + self.config.retain).saturating_duration_since(now)))
    }

    fn trim(&mut self, now: Instant) {
        while self.retained.len() > 1 && self.oldest_is_due(now) {
            if let Some(version) = self.retained.pop_front() {
                self.retained_events -= version.events.len();
            }
        }
    }

    fn oldest_is_due(&self, now: Instant) -> bool {
        self.retained.len() > self.config.retain_versions
            || self.retained_events > self.config.retain_events
            || self.retained[1].published + self.config.retain <= now
    }

    fn swap(&mut self) {
        let Some(newest) = self.retained.last() else {
            return;
        };
        let snapshot = Snapshot {
            newest: Arc::clone(newest),
            retained: self.retained.clone(),
        };
        let replaced = self.shared.current.swap(Arc::new(snapshot));
        self.retired.push(replaced);
    }

    /// Frees the snapshots that no reader holds. `swap` has turned every reader's claim on a replaced snapshot into a
    /// reference count, and no new claim can arise. So a count of one stays one.
    fn free(&mut self) {
        self.retired
            .retain(|snapshot| Arc::strong_count(snapshot) > 1);
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        self.shared
            .retained_versions
            .store(count(self.retained.len()), Relaxed);
        self.shared
            .retained_events
            .store(count(self.retained_events), Relaxed);
        self.shared
            .retired_waiting
            .store(count(self.retired.len()), Relaxed);
    }
}
