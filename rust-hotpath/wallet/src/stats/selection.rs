//! The posted entries of a log inside a window. Those that are indexed are found; the rest is scanned.

use super::Window;
use crate::history::Slices;
use crate::ledger::{Log, Logged};

/// The posted entries of a log inside a window.
pub struct Selection<'a> {
    pub(super) log: &'a Log,
    pub(super) window: Window,
    /// The entries inside, if some of the log's are indexed. They include those of the tail.
    pub(super) slices: Option<Slices<'a>>,
}

impl<'a> Selection<'a> {
    /// Finds them.
    #[must_use]
    pub fn of(log: &'a Log, window: Window) -> Self {
        let Window { from_us, to_us } = window;
        let history = log.history();
        Self {
            log,
            window,
            slices: history.map(|history| history.slices(log.tail(), from_us, to_us)),
        }
    }

    /// The entries that are not indexed, in booking order.
    pub(super) fn scanned(&self) -> impl Iterator<Item = &'a Logged> {
        let (log, window) = (self.log, self.window);
        let entries = log.scanned().flatten();
        entries.filter(move |entry| window.takes(entry))
    }
}
