//! Judges whether the data may be served and whether it is fresh. Health and `/readyz` report this verdict. Hot methods
//! are refused until the head that the first feed named is published.

use crate::{
    limits,
    settings::{Group, Setting, Settings},
};
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// When a feed counts as lost.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long the feed may be silent.
    pub stale_after: Duration,
}

/// What is known about the feed.
#[derive(Debug)]
pub struct Readiness {
    config: Config,
    /// The head that the first feed named; `u64::MAX` before that. Hot methods answer from this position on.
    first_head: AtomicU64,
    known_head: AtomicU64,
    feed: Mutex<Feed>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Feed {
    connected: bool,
    heard: Option<Instant>,
    /// The head that the latest feed named. An outage is over once this position is published.
    target: u64,
    /// The model panicked, and no feed has opened since.
    broken: bool,
    draining: bool,
    serving: bool,
}

/// The verdict at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What health reports.
    pub serving: bool,
    /// The reason, for people.
    pub reason: String,
    /// After what time silence alone would change the verdict.
    pub look_again: Option<Duration>,
}

impl Config {
    /// What can be set.
    pub const SETTINGS: Group = Group {
        title: "Health",
        settings: &[Setting::new(
            "stale-after-ms",
            "MS",
            "5000",
            "Silence of the feed after which health says NOT_SERVING (reads still answer)",
        )
        .within(&limits::STALE_AFTER_MS)],
    };

    /// Reads the settings.
    pub fn resolve(settings: &mut Settings) -> Self {
        Self {
            stale_after: Duration::from_millis(settings.number("stale-after-ms")),
        }
    }
}

impl Readiness {
    /// The state before the first feed.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            first_head: AtomicU64::new(u64::MAX),
            known_head: AtomicU64::new(0),
            feed: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// Whether hot methods answer at this published position. Once it is true, it stays true.
    #[must_use]
    pub fn answers_at(&self, position: u64) -> bool {
        position >= self.answers_from()
    }

    /// The position from which on hot methods answer. `u64::MAX` before the first feed.
    #[must_use]
    pub fn answers_from(&self) -> u64 {
        self.first_head.load(Relaxed)
    }

    /// The last durable position that a feed has named.
    #[must_use]
    pub fn known_head(&self) -> u64 {
        self.known_head.load(Relaxed)
    }

    /// Whether a feed is open.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.feed().connected
    }

    /// Signals that [`Self::judge`] may give another verdict now.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Records that a feed opened and named its head.
    pub fn opened(&self, head: u64) {
        let unset = u64::MAX;
        let _ = self
            .first_head
            .compare_exchange(unset, head, Relaxed, Relaxed);
        self.head(head);
        self.change(|feed| {
            feed.connected = true;
            feed.heard = Some(Instant::now());
            feed.target = head;
            feed.broken = false;
        });
    }

    /// Records that the feed said something. While health is good, this sends no signal: the verdict is looked at again
    /// anyway when silence would matter.
    pub fn heard(&self) {
        let serving = {
            let mut feed = self.feed();
            feed.heard = Some(Instant::now());
            feed.serving
        };
        if !serving {
            self.changed.send_replace(());
        }
    }

    /// Records that the ledger reaches this position.
    pub fn head(&self, position: u64) {
        self.known_head.fetch_max(position, Relaxed);
    }

    /// Records that the feed ended; `broken` if that was because the model panicked.
    pub fn closed(&self, broken: bool) {
        self.change(|feed| {
            feed.connected = false;
            feed.broken |= broken;
        });
    }

    /// Records that the process is about to end.
    pub fn drain(&self) {
        self.change(|feed| feed.draining = true);
    }

    /// Gives the verdict. Serving starts once the head of a live feed is published. It ends with silence, but not with
    /// mere lag: each answer names its position, so the caller can judge the lag.
    pub fn judge(&self, position: u64, now: Instant) -> Verdict {
        let mut feed = self.feed();
        let silent = feed.heard.map(|heard| now.saturating_duration_since(heard));
        let stale_after = self.config.stale_after;
        let alive = silent.is_some_and(|silent| silent < stale_after);
        let caught_up = feed.connected && self.answers_at(position) && position >= feed.target;
        let reason = match silent {
            _ if feed.draining => "draining".to_owned(),
            _ if feed.broken => {
                "the model panicked while applying an event; see the log".to_owned()
            }
            None => "waiting for the first feed".to_owned(),
            Some(silent) if !alive => {
                format!("nothing heard from the feed for {} ms", silent.as_millis())
            }
            Some(_) if feed.serving || caught_up => "serving".to_owned(),
            Some(_) => format!("catching up: at {position} of {}", feed.target),
        };
        feed.serving = reason == "serving";
        Verdict {
            serving: feed.serving,
            reason,
            look_again: silent.filter(|_| alive).map(|silent| stale_after - silent),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Feed)) {
        change(&mut self.feed());
        self.changed.send_replace(());
    }

    fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Duration = Duration::from_secs(5);

    fn readiness() -> Readiness {
        Readiness::new(Config { stale_after: STALE })
    }

    #[test]
    fn serves_from_the_head_that_the_first_feed_named() {
        let readiness = readiness();
        assert!(!readiness.judge(0, Instant::now()).serving);
        readiness.opened(10);
        assert!(!readiness.answers_at(9));
        assert_eq!(
            readiness.judge(9, Instant::now()).reason,
            "catching up: at 9 of 10"
        );
        assert!(readiness.answers_at(10) && readiness.judge(10, Instant::now()).serving);
    }

    #[test]
    fn an_empty_ledger_is_ready_at_once() {
        let readiness = readiness();
        assert!(!readiness.answers_at(0));
        readiness.opened(0);
        assert!(readiness.answers_at(0) && readiness.judge(0, Instant::now()).serving);
    }

    #[test]
    fn a_short_break_changes_nothing_a_long_one_does_until_caught_up() {
        let readiness = readiness();
        readiness.opened(1);
        assert!(readiness.judge(1, Instant::now()).serving);
        readiness.closed(false);
        let now = Instant::now();
        assert!(readiness.judge(1, now).serving);
        assert!(!readiness.judge(1, now + STALE).serving);
        assert!(
            !readiness.judge(1, now).serving,
            "a lost feed must open again"
        );
        assert!(readiness.answers_at(1), "reads go on");
        readiness.opened(5);
        assert!(!readiness.judge(4, Instant::now()).serving);
        assert!(readiness.judge(5, Instant::now()).serving);
    }

    #[test]
    fn a_silent_feed_that_speaks_again_is_noticed() {
        let readiness = readiness();
        readiness.opened(0);
        assert!(readiness.judge(0, Instant::now()).serving);
        assert!(!readiness.judge(0, Instant::now() + STALE).serving);
        let mut changes = readiness.changes();
        readiness.heard();
        assert!(changes.has_changed().expect("alive"));
        changes.mark_unchanged();
        assert!(readiness.judge(0, Instant::now()).serving);
        readiness.heard();
        assert!(
            !changes.has_changed().expect("alive"),
            "no signal per message while all is well"
        );
    }

    #[test]
    fn a_broken_model_and_draining_end_serving_at_once() {
        let readiness = readiness();
        readiness.opened(0);
        assert!(readiness.judge(0, Instant::now()).serving);
        readiness.closed(true);
        assert!(!readiness.judge(0, Instant::now()).serving);
        readiness.opened(0);
        assert!(readiness.judge(0, Instant::now()).serving);
        readiness.drain();
        assert_eq!(readiness.judge(0, Instant::now()).reason, "draining");
    }
}
