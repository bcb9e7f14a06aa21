//! Threads for expensive answers. There are as many places as cores, so that cheap requests still get their share of the
//! cores:
//!
//! ```text
//!  in_time ──> run: waits for a place ──> a thread of its own ──> the answer
//!     │ the turn would come when nobody waits any longer
//!     └──> refused at once (OVERLOADED), so that whoever asks can turn to somebody else
//! ```

use crate::{
    error::{Error, Kind},
    histogram::{Durations, Histogram},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::JoinError};

/// The places and their queue.
pub(super) struct Heavy {
    places: Arc<Semaphore>,
    cores: usize,
    queued: AtomicUsize,
    /// How long requests waited for a place.
    waited: Histogram,
    /// How long an answer took of late: an average that moves by an eighth.
    took_us: AtomicU64,
    shed: AtomicU64,
}

/// Counts one waiting request until it is dropped.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Heavy {
    pub(super) fn new(cores: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(cores)),
            cores,
            queued: AtomicUsize::new(0),
            waited: Histogram::default(),
            took_us: AtomicU64::new(0),
            shed: AtomicU64::new(0),
        }
    }

    /// How many requests wait for a place.
    pub(super) fn queued(&self) -> usize {
        self.queued.load(Relaxed)
    }

    /// How long requests waited for a place.
    pub(super) fn waited(&self) -> Durations {
        self.waited.read()
    }

    /// Requests refused because their turn would have come too late.
    pub(super) fn shed(&self) -> u64 {
        self.shed.load(Relaxed)
    }

    /// Runs `long` on a thread of its own, as soon as there is a place.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        long: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let (queued, began) = (Queued::new(&self.queued), Instant::now());
        // The semaphore is never closed. If it were, one place too many would be the lesser evil.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        drop(queued);
        self.waited.count(began.elapsed());
        let (outcome, took) = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let outcome = long();
            drop(place);
            (outcome, began.elapsed())
        })
        .await?;
        self.learn(took);
        Ok(outcome)
    }

    /// Threads that finish at once may lose a step of the average, which does not matter.
    fn learn(&self, took: Duration) {
        let (before, took) = (self.took_us.load(Relaxed), micros(took));
        self.took_us.store(before - before / 8 + took / 8, Relaxed);
    }

    /// Refuses a request whose turn would come too late. What waits ahead of it is taken to be as expensive as others were
    /// of late.
    pub(super) fn in_time(&self, left: Option<Duration>) -> Result<(), Error> {
        let Some(left) = left else { return Ok(()) };
        let ahead = self.queued();
        if self.places.available_permits() > 0 || self.wait_of(ahead) <= left {
            return Ok(());
        }
        self.shed.fetch_add(1, Relaxed);
        let text = format!("{ahead} expensive requests wait already: ask somebody else");
        Err(Error::new(Kind::Overloaded, text))
    }

    /// How long a request with so many ahead of it waits, beside those that run.
    fn wait_of(&self, ahead: usize) -> Duration {
        let rounds = u64::try_from(ahead / self.cores + 1).unwrap_or(u64::MAX);
        Duration::from_micros(self.took_us.load(Relaxed).saturating_mul(rounds))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn what_would_come_too_late_is_refused_at_once() {
        let (heavy, second) = (Heavy::new(2), Duration::from_secs(1));
        heavy.took_us.store(micros(second), Relaxed);
        assert!(
            heavy.in_time(Some(Duration::ZERO)).is_ok(),
            "a place is free"
        );
        let _busy = heavy.places.try_acquire_many(2).expect("places");
        assert!(heavy.in_time(None).is_ok(), "there is no deadline");
        assert!(heavy.in_time(Some(second)).is_ok());
        let refused = heavy.in_time(second.checked_sub(Duration::from_micros(1)));
        assert_eq!(refused.expect_err("too late").kind(), Kind::Overloaded);
        // Each core works off its share of those that wait.
        heavy.queued.store(6, Relaxed);
        assert!(heavy.in_time(Some(4 * second)).is_ok());
        assert!(heavy.in_time(Some(3 * second)).is_err());
        assert_eq!(heavy.shed(), 2);
    }

    #[tokio::test]
    async fn the_time_that_answers_take_is_known() {
        let heavy = Heavy::new(1);
        for _ in 0..100 {
            let slept = heavy.run(|| thread::sleep(Duration::from_millis(2))).await;
            slept.expect("no panic");
        }
        let took = heavy.took_us.load(Relaxed);
        assert!(took >= 1_900, "{took} µs");
        assert_eq!((heavy.waited().count(), heavy.queued()), (100, 0));
    }
}
