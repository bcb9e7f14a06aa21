//! Hyper behind the front: its connection over a pipe in memory. Both are parts of one task, so the pipe wakes nobody: who
//! has moved bytes polls hyper next.

use hyper::{
    body::{Body, Incoming},
    http::{Request, Response},
    server::conn::http2,
    service::Service,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    error::Error,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, Release},
        },
    },
    task::{Context, Poll, Wake, Waker},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of hyper's that may wait for the front, and bytes for hyper from which on the front reads no more.
const WAITING_BYTES: usize = 64 << 10;

/// A connection of hyper's, whatever it serves.
pub(super) trait Conversation: Future<Output = hyper::Result<()>> + Send {
    /// Accepts no more calls, and ends with the last.
    fn drain(self: Pin<&mut Self>);
}

/// Hyper, as the front sees it.
pub(super) struct Inner {
    conversation: Pin<Box<dyn Conversation>>,
    pipe: Pipe,
    alarm: Arc<Alarm>,
    waker: Waker,
    is_over: bool,
}

/// Tells whether hyper wants to be polled, and wakes the connection's task if it does.
struct Alarm {
    rung: AtomicBool,
    task: Mutex<Waker>,
}

/// Hyper's end of the pipe.
#[derive(Clone, Default)]
pub(super) struct Pipe(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    to_hyper: Vec<u8>,
    /// How many of these bytes hyper has read.
    read: usize,
    from_hyper: Vec<u8>,
    is_closed: bool,
}

impl<S, B> Conversation for http2::Connection<TokioIo<Pipe>, S, TokioExecutor>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Send,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>, Data: Send> + Send + 'static,
{
    fn drain(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl Inner {
    pub(super) fn new(begin: impl FnOnce(Pipe) -> Pin<Box<dyn Conversation>>) -> Self {
        let pipe = Pipe::default();
        let alarm = Arc::new(Alarm {
            rung: AtomicBool::new(true),
            task: Mutex::new(Waker::noop().clone()),
        });
        Self {
            conversation: begin(pipe.clone()),
            pipe,
            waker: Waker::from(Arc::clone(&alarm)),
            alarm,
            is_over: false,
        }
    }

    /// Hands `bytes` to hyper, and takes them.
    pub(super) fn give(&mut self, bytes: &mut Vec<u8>) {
        if self.is_over {
            bytes.clear();
        }
        if bytes.is_empty() {
            return;
        }
        let mut waiting = self.pipe.waiting();
        if waiting.read == waiting.to_hyper.len() {
            waiting.read = 0;
            waiting.to_hyper.clear();
            std::mem::swap(&mut waiting.to_hyper, bytes);
        } else {
            waiting.to_hyper.append(bytes);
        }
        drop(waiting);
        self.alarm.rung.store(true, Release);
    }

    /// Whether hyper has so much to read that it must get no more.
    pub(super) fn is_full(&self) -> bool {
        if self.is_over {
            return false;
        }
        let waiting = self.pipe.waiting();
        waiting.to_hyper.len() - waiting.read >= WAITING_BYTES
    }

    /// The client says no more.
    pub(super) fn close(&mut self) {
        self.pipe.waiting().is_closed = true;
        self.alarm.rung.store(true, Release);
    }

    /// Accepts no more calls, and ends with the last.
    pub(super) fn drain(&mut self) {
        self.conversation.as_mut().drain();
        self.alarm.rung.store(true, Release);
    }

    /// Lets hyper go on if it wants to. Returns whether it did.
    pub(super) fn go_on(&mut self, cx: &Context<'_>) -> bool {
        self.alarm.follow(cx.waker());
        if self.is_over || !self.alarm.rung.swap(false, AcqRel) {
            return false;
        }
        let mut cx = Context::from_waker(&self.waker);
        if let Poll::Ready(ended) = self.conversation.as_mut().poll(&mut cx) {
            self.is_over = true;
            if let Err(error) = ended {
                tracing::debug!("a connection ended: {error}");
            }
        }
        true
    }

    /// Lets `follow` read what hyper has said; it returns how many bytes it used. Returns whether it used any.
    pub(super) fn said(&mut self, follow: impl FnOnce(&[u8]) -> usize) -> bool {
        let mut waiting = self.pipe.waiting();
        let was_full = waiting.from_hyper.len() >= WAITING_BYTES;
        let used = follow(&waiting.from_hyper);
        waiting.from_hyper.drain(..used);
        if waiting.from_hyper.is_empty() {
            waiting.from_hyper.shrink_to(16 << 10);
        }
        if was_full && waiting.from_hyper.len() < WAITING_BYTES {
            self.alarm.rung.store(true, Release);
        }
        used > 0
    }

    /// Whether the conversation is over.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}

impl Alarm {
    /// Wakes this task from now on.
    fn follow(&self, task: &Waker) {
        let mut known = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone_from(task);
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, AcqRel) {
            let task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
            task.wake_by_ref();
        }
    }
}

impl Pipe {
    /// This lock is never contended, because both ends are parts of one task.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut waiting = self.waiting();
        let unread = &waiting.to_hyper[waiting.read..];
        if unread.is_empty() && !waiting.is_closed {
            return Poll::Pending;
        }
        let taken = unread.len().min(buffer.remaining());
        buffer.put_slice(&unread[..taken]);
        waiting.read += taken;
        if waiting.read == waiting.to_hyper.len() {
            waiting.read = 0;
            waiting.to_hyper.clear();
            waiting.to_hyper.shrink_to(4 << 10);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut waiting = self.waiting();
        if waiting.from_hyper.len() >= WAITING_BYTES {
            return Poll::Pending;
        }
        let before = waiting.from_hyper.len();
        for slice in slices {
            waiting.from_hyper.extend_from_slice(slice);
        }
        Poll::Ready(Ok(waiting.from_hyper.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
