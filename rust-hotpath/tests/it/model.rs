//! The counters, with moods: what a real model must never do, on request.

use crate::counter::{self, Counter, proto::Added};
use hotpath::model::{Model, Refusal};
use std::{
    collections::HashSet,
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

/// Names of held counters that may be read. Each test has its own, because they share this.
static RELEASED: (Mutex<Option<HashSet<String>>>, Condvar) = (Mutex::new(None), Condvar::new());

/// Lets all reads of `name` go on.
pub fn release(name: &str) {
    let mut released = RELEASED.0.lock().unwrap();
    released.get_or_insert_default().insert(name.to_owned());
    RELEASED.1.notify_all();
}

fn hold(name: &str) {
    let held = |released: &mut Option<HashSet<String>>| {
        !released.as_ref().is_some_and(|names| names.contains(name))
    };
    let released = RELEASED.0.lock().unwrap();
    let waited = RELEASED
        .1
        .wait_timeout_while(released, crate::harness::SOON, held);
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
