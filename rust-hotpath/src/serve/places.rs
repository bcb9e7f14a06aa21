//! Limits the number of requests in flight. Each holds a place:
//!
//! ```text
//!  take ──> place ──rest──> at rest ──resume──> place ──> dropped
//! ```
//!
//! A request rests while it depends on its peer alone: its message has yet to arrive, or a long reply has yet to be taken. It
//! then takes no place from others, because else a few clients that neither send nor read could take all. What bounds those
//! at rest is in `arrivals` and `budget`. The end of the process waits for all.

use crate::error::{Error, Kind};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire},
};
use tokio::sync::Notify;

/// A bit above all counts. It is set once no more requests are admitted.
const CLOSED: u64 = 1 << 63;
/// The count of requests at rest is above that of places.
const RESTING: u64 = 1 << 32;

/// Counts the places that are taken. This is no semaphore, because waiting until all places are free must not take
/// them.
#[derive(Debug)]
pub(crate) struct Places {
    /// Both counts, combined with [`CLOSED`].
    counts: AtomicU64,
    most: u64,
    freed: Notify,
}

/// One place, given back on drop.
#[derive(Debug)]
pub(crate) struct Permit {
    places: Arc<Places>,
    rests: bool,
}

impl Places {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            counts: AtomicU64::new(0),
            most: u64::try_from(most).unwrap_or(u64::MAX),
            freed: Notify::new(),
        }
    }

    pub(crate) fn take(self: &Arc<Self>) -> Result<Permit, Error> {
        // Its drop gives the place back even if it is one too many.
        let permit = Permit {
            places: Arc::clone(self),
            rests: false,
        };
        let before = self.counts.fetch_add(1, AcqRel);
        if before < CLOSED && before % RESTING < self.most {
            return Ok(permit);
        }
        Err(self.refusal(before))
    }

    /// How many requests there are, those at rest included.
    pub(crate) fn taken(&self) -> usize {
        let counts = self.counts.load(Acquire) & !CLOSED;
        // Requests that are just being refused are not in flight.
        let all = (counts % RESTING).min(self.most) + counts / RESTING;
        usize::try_from(all).unwrap_or(usize::MAX)
    }

    /// Admits no more requests, and waits until there are none.
    pub(crate) async fn close(&self) {
        self.counts.fetch_or(CLOSED, AcqRel);
        loop {
            let freed = self.freed.notified();
            if self.taken() == 0 {
                return;
            }
            freed.await;
        }
    }

    #[cold]
    fn refusal(&self, before: u64) -> Error {
        if before >= CLOSED {
            return Error::new(Kind::Draining, "the sidecar is draining");
        }
        let text = format!("more than {} requests in flight", self.most);
        Error::new(Kind::Overloaded, text)
    }
}

impl Permit {
    /// Gives the place to others for now.
    pub(super) fn rest(&mut self) {
        if !self.rests {
            self.rests = true;
            self.places.counts.fetch_add(RESTING - 1, AcqRel);
        }
    }

    /// Takes a place again. That is not refused because the process is about to end: it waits for this request, too.
    pub(super) fn resume(&mut self) -> Result<(), Error> {
        if !self.rests {
            return Ok(());
        }
        let before = self.places.counts.fetch_sub(RESTING - 1, AcqRel);
        self.rests = false;
        if before % RESTING < self.places.most {
            return Ok(());
        }
        self.rest();
        Err(self.places.refusal(before & !CLOSED))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let one = if self.rests { RESTING } else { 1 };
        if self.places.counts.fetch_sub(one, AcqRel) == CLOSED + one {
            self.places.freed.notify_waiters();
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

    #[test]
    fn those_at_rest_take_no_place_and_yet_the_end_waits_for_them() {
        let places = Arc::new(Places::new(1));
        let mut first = places.take().expect("a place");
        first.rest();
        first.rest();
        let second = places.take().expect("the place of the first");
        assert_eq!(places.taken(), 2);
        let refused = first.resume().expect_err("the second has it");
        assert_eq!((refused.kind(), places.taken()), (Kind::Overloaded, 2));
        let mut closed = pin!(places.close());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(closed.as_mut().poll(&mut cx).is_pending());
        drop(second);
        first.resume().expect("it was admitted before");
        first.rest();
        assert!(closed.as_mut().poll(&mut cx).is_pending());
        assert_eq!(places.taken(), 1);
        drop(first);
        assert!(closed.as_mut().poll(&mut cx).is_ready());
    }
}
