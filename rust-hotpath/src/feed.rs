//! Feeds: checks who may feed, keeps what is known of the ledger, and carries events from a source to the writer.
//!
//! ```text
//!  Source ──> Session (one at a time) ── decoded batches ──> ingest::Line ──> the writer
//!                     └── head, signs of life ──> Readiness
//! ```

pub mod push;

use crate::{
    error::{Error, Kind, panic_text},
    ingest::{Batch, Counts, Goal, Ingest, Line, Start},
    limits,
    model::Model,
    readiness::Readiness,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{AcqRel, Relaxed, Release},
        },
    },
    time::Instant,
};

/// Version of the private protocol.
pub const PROTOCOL_VERSION: u32 = 3;

/// The only ledger that this process will ever hold. The first feed names it.
#[derive(Debug, Default)]
pub struct Ledger(OnceLock<String>);

/// Where events come from. Today they are pushed over the socket; another source might pull them from a log. A source
/// that keeps offsets takes them from `View::positions`.
pub trait Source: Send {
    /// What comes next. `None` at a regular end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Said>, Error>> + Send;
}

/// One message of a source.
#[derive(Debug)]
pub enum Said {
    /// Events as the model encodes them. The first is at `first_position`, and there are no gaps.
    Events {
        /// At least 1.
        first_position: u64,
        /// One element per event.
        events: Vec<Vec<u8>>,
    },
    /// The ledger's last durable position.
    Head(u64),
}

/// The first message of a feed.
#[derive(Clone, Debug)]
pub struct Opening {
    /// See [`PROTOCOL_VERSION`].
    pub protocol_version: u32,
    /// The identity that the ledger's store was created with.
    pub ledger_id: String,
    /// The last durable position.
    pub head: u64,
}

/// Lets in one feed at a time. Cloning is cheap.
pub struct Feeds<M: Model> {
    shared: Arc<Shared<M>>,
}

/// An open feed. Dropping it lets in the next one.
pub struct Session<M: Model> {
    line: Line<M>,
    claim: Claim<M>,
    /// The source must send the events after this position.
    pub start: Start,
}

/// The right to feed. Dropping it gives the right back.
struct Claim<M: Model> {
    feeds: Feeds<M>,
    opened: bool,
    broken: bool,
}

struct Shared<M: Model> {
    ingest: Ingest<M>,
    readiness: Arc<Readiness>,
    ledger: Arc<Ledger>,
    busy: AtomicBool,
    refusals: [AtomicU64; Kind::FEED.len()],
}

impl Ledger {
    /// The ledger's id. Empty before the first feed.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.get().map_or("", String::as_str)
    }

    /// Checks that `id`, which a peer names, is this ledger.
    ///
    /// # Errors
    /// [`Kind::LedgerMismatch`], or [`Kind::Argument`] if `id` is no ledger id.
    pub fn accepts(&self, id: &str) -> Result<(), Error> {
        let printable = id.bytes().all(|byte| byte.is_ascii_graphic());
        if id.is_empty() || id.len() > limits::LEDGER_ID_BYTES || !printable {
            let text = "ledger_id: must be 1-64 bytes of printable ASCII without spaces";
            return Err(Error::new(Kind::Argument, text));
        }
        let held = self.id();
        if held.is_empty() || held == id {
            return Ok(());
        }
        let text =
            format!("ledger {held} is held here, not {id}; restart the sidecar to change ledgers");
        Err(Error::new(Kind::LedgerMismatch, text))
    }
}

impl<M: Model> Clone for Feeds<M> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M: Model> Feeds<M> {
    /// Lets feeds in to `ingest`.
    #[must_use]
    pub fn new(ingest: Ingest<M>, readiness: Arc<Readiness>, ledger: Arc<Ledger>) -> Self {
        let shared = Arc::new(Shared {
            ingest,
            readiness,
            ledger,
            busy: AtomicBool::new(false),
            refusals: Default::default(),
        });
        Self { shared }
    }

    /// Lets a feed in.
    ///
    /// # Errors
    /// Why the feed may not come in, as listed in `feed.proto`.
    pub async fn open(&self, opening: &Opening) -> Result<Session<M>, Error> {
        let opened = self.try_open(opening).await;
        if let Err(error) = &opened {
            self.count(error);
        }
        opened
    }

    /// What the writer counted.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        self.shared.ingest.counts()
    }

    /// How many feeds were refused or ended, by reason.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let reasons = Kind::FEED.iter().map(|kind| kind.reason());
        reasons.zip(self.shared.refusals.iter().map(|count| count.load(Relaxed)))
    }

    async fn try_open(&self, opening: &Opening) -> Result<Session<M>, Error> {
        let shared = &self.shared;
        check_protocol(opening.protocol_version)?;
        shared
            .ledger
            .accepts(&opening.ledger_id)
            .map_err(|error| match error.kind() {
                Kind::Argument => Error::new(Kind::FeedBadMessage, error.to_string()),
                _ => error,
            })?;
        if shared.busy.swap(true, AcqRel) {
            return Err(Error::new(Kind::FeedBusy, "another feed is open"));
        }
        let mut claim = Claim {
            feeds: self.clone(),
            opened: false,
            broken: false,
        };
        let (line, start) = shared.ingest.open().await?;
        let position = start.position;
        if opening.head < position {
            let text = format!(
                "the ledger is at {}, behind this sidecar's {position}",
                opening.head
            );
            return Err(Error::new(Kind::FeedBehind, text));
        }
        // While this holds the claim, no other feed can set a ledger.
        let _ = shared.ledger.0.set(opening.ledger_id.clone());
        shared.readiness.opened(opening.head);
        claim.opened = true;
        let (ledger, head) = (&opening.ledger_id, opening.head);
        tracing::info!(
            "feed opened: ledger {ledger}, from {} to head {head}",
            position + 1
        );
        Ok(Session { line, claim, start })
    }

    fn count(&self, error: &Error) {
        let index = Kind::FEED.iter().position(|kind| *kind == error.kind());
        if let Some(index) = index {
            self.shared.refusals[index].fetch_add(1, Relaxed);
        }
        tracing::warn!("feed refused ({}): {error}", error.kind().reason());
    }
}

impl<M: Model> Session<M> {
    /// Carries the messages of `source` to the writer until either ends.
    ///
    /// # Errors
    /// Why the feed is over. `Ok` if the source simply ended.
    pub async fn run(mut self, source: &mut impl Source) -> Result<(), Error> {
        let ended = self.carry(source).await;
        match &ended {
            Ok(()) => tracing::info!("feed closed"),
            Err(error) => {
                self.claim.broken = error.kind() == Kind::Panicked;
                self.claim.feeds.count(error);
            }
        }
        ended
    }

    async fn carry(&mut self, source: &mut impl Source) -> Result<(), Error> {
        loop {
            let said = tokio::select! {
                biased;
                error = self.line.refused() => return Err(error),
                said = source.next() => said?,
            };
            let readiness = &self.claim.feeds.shared.readiness;
            let arrived = Instant::now();
            readiness.heard();
            match said {
                None => return Ok(()),
                Some(Said::Head(head)) => readiness.head(head),
                Some(Said::Events {
                    first_position,
                    events,
                }) => {
                    let goal = Goal {
                        head: readiness.known_head(),
                        unread_before: readiness.answers_from(),
                    };
                    let batch = decode::<M>(first_position, events, goal, arrived).await?;
                    self.line.send(batch).await?;
                }
            }
        }
    }
}

impl<M: Model> Drop for Claim<M> {
    fn drop(&mut self) {
        if self.opened {
            self.feeds.shared.readiness.closed(self.broken);
        }
        self.feeds.shared.busy.store(false, Release);
    }
}

/// Checks that a peer speaks this version of the private protocol.
pub(crate) fn check_protocol(version: u32) -> Result<(), Error> {
    if version == PROTOCOL_VERSION {
        return Ok(());
    }
    let text = format!("protocol version {version} is not spoken here, only {PROTOCOL_VERSION}");
    Err(Error::new(Kind::ProtocolMismatch, text))
}

/// Decodes up to the first bad event. The writer refuses that event in its turn, after all events before it.
async fn decode<M: Model>(
    first_position: u64,
    encoded: Vec<Vec<u8>>,
    goal: Goal,
    arrived: Instant,
) -> Result<Batch<M>, Error> {
    check_size(first_position, &encoded)?;
    let mut events = Vec::with_capacity(encoded.len());
    let mut fault = None;
    for (position, bytes) in (first_position..).zip(&encoded) {
        if events.len() % limits::EVENTS_PER_TURN == limits::EVENTS_PER_TURN - 1 {
            tokio::task::yield_now().await;
        }
        let (kind, text) = match catch_unwind(AssertUnwindSafe(|| M::decode_event(bytes))) {
            Ok(Ok(event)) => {
                events.push(event);
                continue;
            }
            Ok(Err(rule)) => (Kind::FeedBadEvent, rule),
            Err(panic) => (
                Kind::Panicked,
                format!("the model panicked: {}", panic_text(&*panic)),
            ),
        };
        fault = Some(Error::new(kind, format!("position {position}: {text}")));
        break;
    }
    Ok(Batch {
        first_position,
        events,
        encoded,
        fault,
        goal,
        arrived,
    })
}

fn check_size(first_position: u64, encoded: &[Vec<u8>]) -> Result<(), Error> {
    let bytes: usize = encoded.iter().map(Vec::len).sum();
    let rule = if first_position == 0 {
        "first_position: must be at least 1"
    } else if encoded.is_empty() || encoded.len() > limits::BATCH_EVENTS {
        "events: must be 1-10000"
    } else if encoded.len() > 1 && bytes > limits::BATCH_BYTES {
        "events: must be at most 4 MiB together"
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::FeedBadMessage, rule))
}
