//! The counters, with moods: what a real model must never do, on request. For the engine's unit tests too.

use crate::counter::{self, Counter, proto::Added};
use hotpath::model::{Model, Refusal, VerdictCode};
use std::{
    collections::HashMap,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

/// Applying to the counter `panic` panics halfway; so does reading it. Reading `slow` takes [`SLOW`]. Reading one whose
/// name begins with `held` is said to cost much, and takes until [`release`]. `status-N` is answered by code N with details,
/// `long-N` with long ones, and `refused-N` before the counters are looked at; `stray` is declined for a reason that has no name.
pub(crate) enum Moody {}

const SLOW: Duration = Duration::from_millis(700);

/// Slow reads that have begun, over all tests.
pub(crate) static SLOW_READS: AtomicUsize = AtomicUsize::new(0);

/// No test holds a read for as long unless it is broken.
const RELEASED_WITHIN: Duration = Duration::from_secs(60);

/// A held counter. Each test has names of its own, because they share these.
#[derive(Default)]
struct Held {
    begun: usize,
    released: bool,
}

static HELD: (Mutex<Option<HashMap<String, Held>>>, Condvar) = (Mutex::new(None), Condvar::new());

fn all_held() -> MutexGuard<'static, Option<HashMap<String, Held>>> {
    // A test that failed has failed alone.
    HELD.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn change(name: &str, change: impl FnOnce(&mut Held)) {
    let mut all = all_held();
    change(
        all.get_or_insert_default()
            .entry(name.to_owned())
            .or_default(),
    );
    HELD.1.notify_all();
}

/// Lets all reads of `name` go on.
pub(crate) fn release(name: &str) {
    change(name, |held| held.released = true);
}

/// How many reads of `name` have begun on their thread: before that they end at once if they are given up.
pub(crate) fn begun(name: &str) -> usize {
    let all = all_held();
    let held = all.as_ref().and_then(|all| all.get(name));
    held.map_or(0, |held| held.begun)
}

fn hold(name: &str) {
    change(name, |held| held.begun += 1);
    let waited = HELD
        .1
        .wait_timeout_while(all_held(), RELEASED_WITHIN, |all| {
            let held = all.as_ref().and_then(|all| all.get(name));
            held.is_some_and(|held| !held.released)
        });
    let (all, waited) = waited.unwrap_or_else(PoisonError::into_inner);
    drop(all);
    assert!(!waited.timed_out(), "never released: {name}");
}

/// The code in the name of a counter.
fn numbered(query: &counter::Query, prefix: &str) -> Option<VerdictCode> {
    let counter::Query::Get(name) = query else {
        return None;
    };
    VerdictCode::from_number(name.strip_prefix(prefix)?.parse().ok()?)
}

impl Model for Moody {
    const SERVICE: &'static str = Counter::SERVICE;
    const METHODS: &'static [&'static str] = Counter::METHODS;
    const DECLINES: &'static [&'static str] = Counter::DECLINES;
    const DESCRIPTORS: &'static [u8] = Counter::DESCRIPTORS;
    type State = counter::Counters;
    type Event = Added;
    type Query<'a> = counter::Query;

    fn decode_event(bytes: &[u8]) -> Result<Added, String> {
        Counter::decode_event(bytes)
    }

    fn position(event: &Added) -> u64 {
        event.position
    }

    fn apply(state: &mut Self::State, event: &Added) -> Result<(), String> {
        Counter::apply(state, event)?;
        assert!(event.name != "panic", "bad mood");
        Ok(())
    }

    fn parse(method: usize, request: &[u8]) -> Result<counter::Query, Refusal> {
        let query = Counter::parse(method, request)?;
        match numbered(&query, "refused-") {
            Some(code) => Err(Refusal::verdict(code, "name: is refused")),
            None => Ok(query),
        }
    }

    fn answer(
        state: &Self::State,
        query: &counter::Query,
        reply: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        if let counter::Query::Get(name) = query {
            assert!(name != "panic", "bad mood");
            if name == "slow" {
                SLOW_READS.fetch_add(1, SeqCst);
                std::thread::sleep(SLOW);
            }
            if name.starts_with("held") {
                hold(name);
            }
            if name == "stray" {
                return Err(Refusal::Decline("never named"));
            }
        }
        for (prefix, bytes) in [("status-", 1), ("long-", 5_000)] {
            if let Some(code) = numbered(query, prefix) {
                // What is thrown away.
                reply.extend_from_slice(b"half a reply");
                // The field `reason` of an ErrorInfo.
                let reason = "R".repeat(bytes).into_bytes();
                let mut info = vec![0x0a];
                prost::encoding::encode_varint(bytes as u64, &mut info);
                info.extend(reason);
                let verdict = Refusal::verdict(code, format!("name: is {code:?} ☺\n"));
                let verdict = verdict.with_detail("google.rpc.ErrorInfo", info);
                return Err(verdict.with_detail("google.protobuf.Empty", Vec::new()));
            }
        }
        Counter::answer(state, query, reply)
    }

    fn cost(_: &Self::State, query: &counter::Query) -> usize {
        match query {
            counter::Query::Get(name) if name.starts_with("held") => usize::MAX,
            _ => 0,
        }
    }

    fn gauges(state: &Self::State) -> Vec<(&'static str, &'static str, u64)> {
        Counter::gauges(state)
    }
}
