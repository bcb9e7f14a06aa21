//! Counters that are read only once the test lets them be, and a lane over them whose thread is the test's.

use super::{Pipe, replies, *};
use crate::{
    counter::{self, Counter},
    exchange::Exchange,
    model::Refusal,
    serve,
};
use std::{
    collections::HashMap,
    rc::Rc,
    sync::{Condvar, MutexGuard, PoisonError, atomic::AtomicBool},
    task::Wake,
};
use tokio::runtime::{Builder, Runtime};

/// Nothing waits this long unless it is broken.
const SOON: Duration = Duration::from_secs(60);

/// Reading a counter whose name begins with `held` is said to cost much, and takes until [`Gate::open`].
pub(super) enum Gated {}

/// Of one such name. Each test has its own names.
#[derive(Clone, Copy, Default)]
struct State {
    open: bool,
    begun: usize,
}

static GATES: (Mutex<Option<HashMap<String, State>>>, Condvar) = (Mutex::new(None), Condvar::new());

fn gates() -> MutexGuard<'static, Option<HashMap<String, State>>> {
    // One that failed has failed alone.
    GATES.0.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn open(name: &str) {
    let mut gates = gates();
    let gate = gates.get_or_insert_default().entry(name.to_owned());
    gate.or_default().open = true;
    GATES.1.notify_all();
}

/// How many reads of `name` have begun.
pub(super) fn begun(name: &str) -> usize {
    let gates = gates();
    let gate = gates.as_ref().and_then(|gates| gates.get(name));
    gate.map_or(0, |gate| gate.begun)
}

fn pass(name: &str) {
    let mut gates = gates();
    let gate = gates.get_or_insert_default().entry(name.to_owned());
    gate.or_default().begun += 1;
    let is_shut = |gates: &mut Option<HashMap<String, State>>| {
        let gate = gates.as_ref().and_then(|gates| gates.get(name));
        gate.is_some_and(|gate| !gate.open)
    };
    let waited = GATES.1.wait_timeout_while(gates, SOON, is_shut);
    assert!(
        !waited.expect("alive").1.timed_out(),
        "never opened: {name}"
    );
}

impl Model for Gated {
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
        Counter::apply(state, event)
    }

    fn parse(method: usize, request: &[u8]) -> Result<counter::Query, Refusal> {
        Counter::parse(method, request)
    }

    fn answer(
        state: &Self::State,
        query: &counter::Query,
        reply: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        if let counter::Query::Get(name) = query
            && name.starts_with("held")
        {
            pass(name);
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

/// Whether the lane asked to be polled again.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// A lane at position 1, polled when the test says so.
pub(super) struct Rig {
    pub(super) runtime: Rc<Runtime>,
    pub(super) exchange: Exchange<Gated>,
    pub(super) shutdown: Shutdown,
    pub(super) pipe: Pipe,
    pub(super) lane: Option<Lane<Gated>>,
    serve: Serve<Gated>,
    woken: Arc<Woken>,
}

/// What one poll brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Polled {
    /// Ids and status codes.
    pub(super) replies: Vec<(u64, u32)>,
    /// The status at the end.
    pub(super) end: Option<String>,
}

impl Rig {
    pub(super) fn new() -> Self {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(1)
            .build();
        Self::on(&Rc::new(runtime.expect("a runtime")))
    }

    /// A rig of its own on a runtime that others have used: starting one takes longer than most tests on it.
    pub(super) fn on(runtime: &Rc<Runtime>) -> Self {
        let (mut publisher, view) = view::new::<Gated>(view::Config {
            retain_versions: 1,
            retain: Duration::ZERO,
            retain_events: 1,
        });
        publisher.restart(1, counter::Counters::default(), Instant::now());
        let stale_after = Duration::from_secs(5);
        let readiness = Arc::new(Readiness::new(readiness::Config { stale_after }));
        readiness.opened(1);
        let config = serve::Config {
            max_message_bytes: 1 << 20,
            max_wait: SOON,
            max_in_flight: 4_096,
            max_buffered_bytes: 1 << 20,
        };
        let serve = Serve::new(config, view, readiness);
        let shutdown = Shutdown::default();
        let exchange = Exchange::new(&serve, shutdown.clone());
        let pipe = Pipe::default();
        let place = exchange.admit().expect("a place");
        Self {
            lane: Some(Lane::new(place, Body::new(pipe.clone()))),
            runtime: Rc::clone(runtime),
            exchange,
            shutdown,
            pipe,
            serve,
            woken: Arc::default(),
        }
    }

    /// Sends one message.
    pub(super) fn send(&self, requests: Vec<generated::RequestFrame>, cancelled: Vec<u64>) {
        self.pipe.push(framed_with(requests, cancelled));
    }

    /// Polls the lane until it has nothing more to say.
    pub(super) fn poll(&mut self) -> Polled {
        let mut polled = Polled::default();
        let Some(lane) = &mut self.lane else {
            return polled;
        };
        let waker = Waker::from(Arc::clone(&self.woken));
        self.woken.0.store(false, Relaxed);
        self.runtime.block_on(async {
            let mut cx = Context::from_waker(&waker);
            while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut *lane).poll_frame(&mut cx) {
                if frame.is_data() {
                    let all = replies(frame).into_iter();
                    polled
                        .replies
                        .extend(all.map(|reply| (reply.id, reply.status)));
                } else {
                    let trailers = frame.into_trailers().expect("trailers");
                    let code = trailers["grpc-status"].to_str().expect("digits");
                    polled.end = Some(code.to_owned());
                }
            }
        });
        polled
    }

    /// Lets the runtime's tasks go on until `reached`.
    pub(super) fn until(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        loop {
            self.runtime.block_on(tokio::task::yield_now());
            if reached(self) {
                return;
            }
            assert!(began.elapsed() < SOON, "never: {what}");
            std::thread::yield_now();
        }
    }

    /// Forgets that the lane was woken.
    pub(super) fn sleep(&self) {
        self.woken.0.store(false, Relaxed);
    }

    pub(super) fn is_woken(&self) -> bool {
        self.woken.0.load(Relaxed)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.serve.in_flight()
    }
}
