//! Limits the number of requests in flight. Each holds a place.

use crate::error::{Error, Kind};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire},
};
use tokio::sync::Notify;

/// A bit above every number of requests. It is set once no more requests are admitted.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// Counts the places that are taken. This is no semaphore, because waiting until all places are free must not take
/// them.
#[derive(Debug)]
pub(crate) struct Places {
    /// The count, combined with [`CLOSED`].
    taken: AtomicUsize,
    most: usize,
    freed: Notify,
}

/// One place, given back on drop.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Places>);

impl Places {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            most,
            freed: Notify::new(),
        }
    }

    pub(crate) fn take(self: &Arc<Self>) -> Result<Permit, Error> {
        // Its drop gives the place back even if it is one too many.
        let permit = Permit(Arc::clone(self));
        let before = self.taken.fetch_add(1, AcqRel);
        if before < self.most {
            return Ok(permit);
        }
        Err(self.refusal(before))
    }

    pub(crate) fn taken(&self) -> usize {
        // Requests that are just being refused are not in flight.
        (self.taken.load(Acquire) & !CLOSED).min(self.most)
    }

    /// Admits no more requests, and waits until no place is taken.
    pub(crate) async fn close(&self) {
        self.taken.fetch_or(CLOSED, AcqRel);
        loop {
            let freed = self.freed.notified();
            if self.taken() == 0 {
                return;
            }
            freed.await;
        }
    }

    #[cold]
    fn refusal(&self, before: usize) -> Error {
        if before >= CLOSED {
            return Error::new(Kind::Draining, "the sidecar is draining");
        }
        let text = format!("more than {} requests in flight", self.most);
        Error::new(Kind::Overloaded, text)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.0.taken.fetch_sub(1, AcqRel) == CLOSED + 1 {
            self.0.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::Future as _, pin::pin, task::Context, task::Waker};

    #[test]
    fn closing_waits_for_what_is_in_flight_and_takes_no_place_itself() {
        let places = Arc::new(Places::new(2));
        let refused = || places.take().expect_err("refused").kind();
        let [first, second] = [(); 2].map(|()| places.take().expect("a place"));
        assert_eq!((refused(), places.taken()), (Kind::Overloaded, 2));
        drop(first);
        let mut closed = pin!(places.close());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(closed.as_mut().poll(&mut cx).is_pending());
        assert_eq!((refused(), places.taken()), (Kind::Draining, 1));
        drop(second);
        assert!(closed.as_mut().poll(&mut cx).is_ready());
        assert_eq!((refused(), places.taken()), (Kind::Draining, 0));
        assert!(pin!(places.close()).poll(&mut cx).is_ready());
    }
}
