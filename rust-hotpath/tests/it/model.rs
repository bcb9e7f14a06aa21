//! The counters, with moods: what a real model must never do, on request.

use crate::counter::{self, Counter, proto::Added};
use hotpath::model::{Model, Refusal};
use std::{
    collections::HashMap,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

/// Applying to the counter `panic` panics; so does reading it. Reading `slow` takes [`SLOW`]. Reading one whose name
/// begins with `held` is said to cost much, and takes until [`release`].
pub(crate) enum Moody {}

pub const SLOW: Duration = Duration::from_millis(700);

/// Slow reads that have begun, over all tests.
pub static SLOW_READS: AtomicUsize = AtomicUsize::new(0);

/// A held counter. Each test has names of its own, because they share these.
#[derive(Default)]
struct Held {
    begun: bool,
    released: bool,
}

static HELD: (Mutex<Option<HashMap<String, Held>>>, Condvar) = (Mutex::new(None), Condvar::new());

fn change(name: &str, change: impl FnOnce(&mut Held)) {
    let mut held = HELD.0.lock().unwrap();
    change(
        held.get_or_insert_default()
            .entry(name.to_owned())
            .or_default(),
    );
    HELD.1.notify_all();
}

fn is(held: Option<&HashMap<String, Held>>, name: &str, so: impl Fn(&Held) -> bool) -> bool {
    held.and_then(|held| held.get(name)).is_some_and(so)
}

/// Lets all reads of `name` go on.
pub fn release(name: &str) {
    change(name, |held| held.released = true);
}

/// Whether a read of `name` is on its thread: before that it ends at once if it is given up.
pub fn has_begun(name: &str) -> bool {
    is(HELD.0.lock().unwrap().as_ref(), name, |held| held.begun)
}

fn hold(name: &str) {
    change(name, |held| held.begun = true);
    let waited = HELD
        .1
        .wait_timeout_while(HELD.0.lock().unwrap(), crate::harness::SOON, |all| {
            !is(all.as_ref(), name, |held| held.released)
        });
    assert!(!waited.unwrap().1.timed_out(), "never released: {name}");
}

impl Model for Moody {
    const SERVICE: &'static str = Counter::SERVICE;
    const METHODS: &'static [&'static str] = Counter::METHODS;
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
        Counter::parse(method, request)
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
