//! The counters with moods: on request they do what a real model must never do. The engine's unit tests use them too.

use crate::counter::{
    self, Counter,
    proto::{Added, GetResponse},
};
use hotpath::model::{Chore, Finish, Model, Refusal, VerdictCode};
use prost::Message as _;
use std::{
    collections::HashMap,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

/// Some names of counters are special:
///
/// * `panic`: reading it panics, and so does applying an event to it, halfway.
/// * `slow`: reading it takes [`SLOW`].
/// * `held…`: reading it is declared expensive, and takes until [`release`].
/// * `status-N`: the answer is a verdict of code N with details. `long-N`: the same with long details.
/// * `refused-N`: `parse` refuses it with code N.
/// * `chore`: each event of it leaves long work, which counts `done`. `bad chore`: the work panics.
/// * `stray`: it is declined for a reason that is not listed.
pub(crate) enum Moody {}

const SLOW: Duration = Duration::from_millis(700);

/// How many slow reads have begun, in all tests together.
pub(crate) static SLOW_READS: AtomicUsize = AtomicUsize::new(0);

/// Most time that a test holds a read, unless it is broken.
const RELEASED_WITHIN: Duration = Duration::from_secs(60);

/// A held counter. All tests share them, so each test has names of its own.
#[derive(Default)]
struct Held {
    begun: usize,
    released: bool,
}

static HELD: (Mutex<Option<HashMap<String, Held>>>, Condvar) = (Mutex::new(None), Condvar::new());

fn all_held() -> MutexGuard<'static, Option<HashMap<String, Held>>> {
    // A test that failed while it held the lock must not make others fail.
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

/// Lets all reads of `name` end.
pub(crate) fn release(name: &str) {
    change(name, |held| held.released = true);
}

/// How many reads of `name` have begun on their thread. A read that is given up before that ends at once.
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

fn value(state: &counter::Counters, name: &str) -> i64 {
    let mut reply = Vec::new();
    let query = counter::Query::Get(name.to_owned());
    let answered = Counter::answer(state, &query, &mut reply).is_ok();
    let reply = GetResponse::decode(&*reply).ok().filter(|_| answered);
    reply.map_or(0, |reply| reply.value)
}

fn count(state: &mut counter::Counters, name: &str) {
    let added = Added {
        name: name.to_owned(),
        delta: 1,
        ..Added::default()
    };
    Counter::apply(state, &added).expect("a legal event");
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

    fn chores(state: &mut Self::State) -> Vec<Chore<Self::State>> {
        let mut chores: Vec<Chore<Self::State>> = Vec::new();
        for name in ["chore", "bad chore"] {
            let (mark, bad) = (format!("{name} taken"), name == "bad chore");
            while value(state, &mark) < value(state, name) {
                count(state, &mark);
                chores.push(Box::new(move || -> Finish<Self::State> {
                    assert!(!bad, "bad mood");
                    Box::new(|state: &mut Self::State| count(state, "done"))
                }));
            }
        }
        chores
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
                // The engine must drop these bytes.
                reply.extend_from_slice(b"half a reply");
                // This is the field `reason` of an ErrorInfo.
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
