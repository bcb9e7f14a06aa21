//! Requests whose message has not arrived yet. There may be as many as requests in flight. When there are more, the one that
//! has waited longest gives way: nearly every message comes with its headers, so that it is most likely of a client that
//! never sends one. If the newest were refused instead, such clients could shut all others out.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::sync::Notify;

#[derive(Debug)]
pub(super) struct Arrivals {
    most: usize,
    waiting: Mutex<Waiting>,
    /// How many have given way.
    gave_way: AtomicU64,
}

/// By their order of arrival.
#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    all: BTreeMap<u64, Arc<Notify>>,
}

/// One such request, until it is dropped.
#[derive(Debug)]
pub(super) struct Arriving {
    arrivals: Arc<Arrivals>,
    number: u64,
    crowded: Arc<Notify>,
}

impl Arrivals {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            waiting: Mutex::default(),
            gave_way: AtomicU64::new(0),
        }
    }

    pub(super) fn enter(self: &Arc<Self>) -> Arriving {
        let crowded = Arc::new(Notify::new());
        let mut waiting = self.waiting();
        if waiting.all.len() >= self.most
            && let Some((_, oldest)) = waiting.all.pop_first()
        {
            self.gave_way.fetch_add(1, Relaxed);
            oldest.notify_one();
        }
        let number = waiting.next;
        waiting.next += 1;
        waiting.all.insert(number, Arc::clone(&crowded));
        Arriving {
            arrivals: Arc::clone(self),
            number,
            crowded,
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.waiting().all.len()
    }

    pub(super) fn gave_way(&self) -> u64 {
        self.gave_way.load(Relaxed)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arriving {
    /// Returns when it has to give way.
    pub(super) async fn crowded_out(&self) {
        self.crowded.notified().await;
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.arrivals.waiting().all.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::Future as _, pin::pin, task::Context, task::Waker};

    #[test]
    fn the_oldest_gives_way() {
        let arrivals = Arc::new(Arrivals::new(2));
        let gone = arrivals.enter();
        let [first, second] = [(); 2].map(|()| {
            let entered = arrivals.enter();
            assert!(arrivals.count() <= 2);
            entered
        });
        let crowded = |one: &Arriving| {
            let mut cx = Context::from_waker(Waker::noop());
            pin!(one.crowded_out()).poll(&mut cx).is_ready()
        };
        assert!(crowded(&gone) && !crowded(&first) && !crowded(&second));
        drop(gone);
        assert_eq!((arrivals.count(), arrivals.gave_way()), (2, 1));
        drop(first);
        let third = arrivals.enter();
        assert!(!crowded(&second) && !crowded(&third));
        assert_eq!((arrivals.count(), arrivals.gave_way()), (2, 1));
        drop((second, third));
        assert_eq!(arrivals.count(), 0);
    }
}
