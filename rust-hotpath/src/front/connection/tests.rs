use super::*;
use crate::{
    counter::Counter,
    front::{
        frame::{self, PREFACE, kind},
        inner::{Conversation, Pipe},
        table::append_literal,
    },
    readiness::{self, Readiness},
    serve::{self, Serve},
    view,
};
use std::{
    future::poll_fn,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite};

/// A client that says something, and then asks again and again whether the server lives.
struct Restless {
    says: Vec<u8>,
    pings: usize,
    /// How many bytes it was sent.
    heard: Arc<AtomicUsize>,
}

impl Restless {
    fn new(says: Vec<u8>, pings: usize) -> Self {
        let heard = Arc::default();
        Self { says, pings, heard }
    }
}

impl AsyncRead for Restless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = std::mem::take(&mut self.says);
        if bytes.is_empty() {
            if self.pings == 0 {
                return Poll::Pending;
            }
            self.pings -= 1;
            frame::whole(&mut bytes, kind::PING, 0, 0, b"12345678");
        }
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Restless {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.heard.fetch_add(bytes.len(), SeqCst);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A hyper that says nothing.
struct Mute(Pipe);

impl Future for Mute {
    type Output = hyper::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut bytes = [0; 1_024];
        let mut buffer = ReadBuf::new(&mut bytes);
        while Pin::new(&mut self.0).poll_read(cx, &mut buffer).is_ready() {
            buffer.clear();
        }
        Poll::Pending
    }
}

impl Conversation for Mute {
    fn drain(self: Pin<&mut Self>) {}
}

fn below() -> Below<Counter> {
    let (mut publisher, view) = view::new::<Counter>(view::Config {
        retain_versions: 1,
        retain: Duration::ZERO,
        retain_events: 1,
    });
    publisher.restart(1, Default::default(), Instant::now());
    let stale_after = Duration::from_secs(5);
    let readiness = Arc::new(Readiness::new(readiness::Config { stale_after }));
    readiness.opened(1);
    let config = serve::Config {
        max_message_bytes: 1 << 20,
        max_wait: Duration::ZERO,
        max_in_flight: 4_096,
        max_buffered_bytes: 1 << 20,
    };
    Below {
        core: Arc::clone(Serve::new(config, view, readiness).core()),
        exchange: None,
    }
}

/// A call whose message does not come.
fn begun() -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    frame::settings(&mut bytes, &[]);
    let mut block = vec![0x83, 0x86];
    let fields = [
        (":path", "/counter.v1.CounterService/Get"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
    ];
    for (name, value) in fields {
        append_literal(&mut block, name.as_bytes(), value.as_bytes());
    }
    frame::headers(&mut bytes, 1, false, &block);
    bytes
}

#[tokio::test]
async fn a_late_message_is_hypers_although_the_client_never_pauses() {
    let is_hypers = Arc::new(AtomicBool::new(false));
    let begun_too = Arc::clone(&is_hypers);
    let begin = move || {
        begun_too.store(true, SeqCst);
        Inner::new(|pipe| Box::pin(Mute(pipe)))
    };
    let rules = Rules::new::<Counter>(65_536, false);
    let client = Restless::new(begun(), usize::MAX);
    let mut session = Session::new(Bare::over(client).expect("a place"), below(), rules, begin);
    let began = Instant::now();
    poll_fn(|cx| {
        assert!(session.turn(cx).is_pending());
        if is_hypers.load(SeqCst) {
            return Poll::Ready(());
        }
        assert!(began.elapsed() < Duration::from_secs(10), "it never is");
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What is said in a turn that is cut may leave with what the next ones say; all of it leaves when there is no more to do.
#[tokio::test]
async fn replies_of_a_turn_that_is_cut_may_leave_with_the_next_ones() {
    const PINGS: usize = 100_000;
    const ANSWER_BYTES: usize = 9 + 8;
    let mut greeting = PREFACE.to_vec();
    frame::settings(&mut greeting, &[]);
    let client = Restless::new(greeting, PINGS);
    let heard = Arc::clone(&client.heard);
    let rules = Rules::new::<Counter>(65_536, false);
    let begin = || Inner::new(|pipe| Box::pin(Mute(pipe)));
    let mut session = Session::new(Bare::over(client).expect("a place"), below(), rules, begin);
    let (mut turns, mut writes, mut left) = (0, 0, 0);
    poll_fn(|cx| {
        assert!(session.turn(cx).is_pending());
        let now = heard.load(SeqCst);
        writes += usize::from(now > left);
        turns += 1;
        left = now;
        if session.splice.out.is_empty() && left > PINGS * ANSWER_BYTES {
            return Poll::Ready(());
        }
        assert!(turns < PINGS, "only {left} bytes left");
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    assert!(writes < turns, "{writes} writes in {turns} turns");
}
