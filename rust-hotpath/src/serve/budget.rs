//! Bounds the memory that long requests and replies take together.

use crate::{
    error::{Error, Kind},
    limits,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Counts the bytes of long messages held at once. Short messages do not count, because the number of requests in
/// flight bounds them.
pub(super) struct Budget {
    held: AtomicUsize,
    most: usize,
}

/// The bytes that one message takes of the budget, given back on drop. A short message takes none.
#[derive(Default)]
pub(crate) struct Share(Option<(Arc<Budget>, usize)>);

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        Self {
            held: AtomicUsize::new(0),
            most,
        }
    }

    pub(super) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Counts so many bytes in all for the message that owns `share`, whether there is room or not, and also if it is short.
    /// Returns how many bytes are held now.
    pub(super) fn count(self: &Arc<Self>, share: &mut Share, bytes: usize) -> usize {
        let (_, counted) = share.0.get_or_insert_with(|| (Arc::clone(self), 0));
        let more = bytes.saturating_sub(*counted);
        *counted += more;
        self.held.fetch_add(more, Relaxed) + more
    }

    /// Lets the message that owns `share` grow to `bytes`.
    pub(super) fn grow(self: &Arc<Self>, share: &mut Share, bytes: usize) -> Result<(), Error> {
        if bytes <= limits::SHORT_MESSAGE_BYTES {
            return Ok(());
        }
        if self.count(share, bytes) > self.most {
            let text = format!("more than {} bytes of messages are held", self.most);
            return Err(Error::new(Kind::Overloaded, text));
        }
        Ok(())
    }
}

impl Share {
    /// Whether the message is short.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some((budget, counted)) = &self.0 {
            budget.held.fetch_sub(*counted, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_share_what_there_is_and_give_it_back() {
        const LONG: usize = limits::SHORT_MESSAGE_BYTES + 1;
        let budget = Arc::new(Budget::new(2 * LONG));
        let [mut first, mut second, mut third] = [(); 3].map(|()| Share::default());
        let full = |share: &mut Share, bytes| {
            budget.grow(share, bytes).expect_err("full").kind() == Kind::Overloaded
        };
        budget.grow(&mut first, LONG - 1).expect("short");
        assert_eq!(budget.held(), 0);
        budget.grow(&mut first, LONG).expect("room");
        budget.grow(&mut second, LONG).expect("room");
        assert!(full(&mut third, LONG));
        drop(third);
        assert!(full(&mut second, LONG + 1));
        drop((first, second));
        assert_eq!(budget.held(), 0);
    }
}
