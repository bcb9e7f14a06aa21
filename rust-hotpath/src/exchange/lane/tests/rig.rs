//! A lane over counters whose reads the test controls, polled on the test's own thread.

use super::{Pipe, replies, *};
use crate::{counter, exchange::Exchange, moody::Moody, serve};
use std::{rc::Rc, sync::atomic::AtomicBool, task::Wake};
use tokio::runtime::{Builder, Runtime};

/// Only something broken waits this long.
const SOON: Duration = Duration::from_secs(60);

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
    pub(super) exchange: Exchange<Moody>,
    pub(super) shutdown: Shutdown,
    pub(super) pipe: Pipe,
    pub(super) lane: Option<Stream<Moody>>,
    serve: Serve<Moody>,
    woken: Arc<Woken>,
}

/// The result of one poll.
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

    /// A new rig on a runtime that other rigs have used, because starting a runtime takes longer than most tests on it.
    pub(super) fn on(runtime: &Rc<Runtime>) -> Self {
        let (mut publisher, view) = view::new::<Moody>(view::Config {
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
            lane: Some(Stream::new(place, Body::new(pipe.clone()))),
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

    /// Polls the lane until it has no more replies.
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

    /// Runs the runtime's tasks until `reached`.
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
