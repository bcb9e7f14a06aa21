//! Places among the requests in flight.

use crate::error::{Error, Kind};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire},
};
use tokio::sync::Notify;

/// Above every number of requests: set once nothing more is let in.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// How many there are. A count rather than a semaphore: whoever waits for all of them to be free must not take them.
#[derive(Debug)]
pub(crate) struct Places {
    /// With [`CLOSED`] in it.
    taken: AtomicUsize,
    most: usize,
    freed: Notify,
}

/// One of them, given back on drop.
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
        // Given back also if it is one too many.
        let permit = Permit(Arc::clone(self));
        let before = self.taken.fetch_add(1, AcqRel);
        if before < self.most {
            return Ok(permit);
        }
        Err(self.refusal(before))
    }

    pub(crate) fn taken(&self) -> usize {
        // Those that are being refused are not in flight.
        (self.taken.load(Acquire) & !CLOSED).min(self.most)
    }

    /// Lets nothing more in, and waits until none is taken.
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
