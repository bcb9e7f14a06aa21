//! Gathers what a connection writes until the end of its turn.

use super::{
    Writer,
    resets::{Frames, Resets},
};
use crate::limits;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::AsyncWrite,
    time::{Sleep, sleep},
};

/// The writing end of a connection. HTTP/2 flushes each reply of 256 bytes or more on its own. The outbox ignores
/// flushes: everything that one turn of the connection writes leaves in one system call at the end of the turn. Clones
/// share one buffer.
#[derive(Clone)]
pub(super) struct Outbox(Arc<Mutex<Gathered>>);

struct Gathered {
    stream: Writer,
    /// Follows the frames in what was gathered.
    frames: Frames,
    resets: Arc<Resets>,
    bytes: Vec<u8>,
    /// How many of these bytes have left.
    sent: usize,
    /// A timer that runs while nothing leaves.
    stall: Option<Pin<Box<Sleep>>>,
    most_unread: Duration,
}

impl Outbox {
    pub(super) fn new(stream: Writer, resets: Arc<Resets>) -> Self {
        Self(Arc::new(Mutex::new(Gathered {
            stream,
            frames: Frames::after(0),
            resets,
            bytes: Vec::new(),
            sent: 0,
            stall: None,
            most_unread: limits::UNREAD,
        })))
    }

    /// Sends what was gathered. If it cannot send everything, it wakes the task when it can go on.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.gathered().poll_send(cx)
    }

    /// Adds a GOAWAY frame to what was gathered, unless that ends within another frame.
    pub(super) fn say_go_away(&self) {
        const FRAME: &[u8] = b"\0\0\x17\x07\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\x0btoo_many_resets";
        let mut gathered = self.gathered();
        if gathered.frames.at_boundary() {
            gathered.bytes.extend_from_slice(FRAME);
        }
    }

    /// This lock is never contended, because both holders are parts of one task.
    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_gather(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut gathered = self.gathered();
        if gathered.bytes.len() >= limits::OUTBOX_BYTES {
            ready!(gathered.poll_send(cx))?;
        }
        let before = gathered.bytes.len();
        for slice in slices {
            let room = limits::OUTBOX_BYTES.saturating_sub(gathered.bytes.len());
            let taken = &slice[..slice.len().min(room)];
            gathered.bytes.extend_from_slice(taken);
            let resets = gathered.frames.resets(taken);
            gathered.resets.count(resets);
        }
        Poll::Ready(Ok(gathered.bytes.len() - before))
    }
}

impl Gathered {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.bytes.len() {
            let unsent = &self.bytes[self.sent..];
            let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, unsent) else {
                return self.poll_stall(cx).map(Err);
            };
            match written? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
            self.stall = None;
        }
        self.sent = 0;
        self.bytes.clear();
        self.bytes.shrink_to(limits::OUTBOX_KEPT_BYTES);
        Poll::Ready(Ok(()))
    }
}

impl Gathered {
    /// Ends a connection whose peer reads nothing. HTTP/2's keepalive cannot do that, because its last frame would have
    /// to leave first.
    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let most = self.most_unread;
        let begin = || Box::pin(sleep(most));
        let stall = self.stall.get_or_insert_with(begin);
        ready!(stall.as_mut().poll(cx));
        let text = format!("the peer read nothing for {most:?}");
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, text))
    }
}

impl AsyncWrite for Outbox {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_gather(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_gather(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.gathered();
        ready!(gathered.poll_send(cx))?;
        Pin::new(&mut gathered.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::{future::poll_fn, io::Read as _};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn outbox_over(stream: impl AsyncWrite + Send + Unpin + 'static) -> Outbox {
        Outbox::new(Box::new(stream), Arc::new(Resets::new(None)))
    }

    #[tokio::test]
    async fn a_turn_leaves_at_its_end_and_in_one_piece() {
        let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_nonblocking(true).unwrap();
        let mut outbox = outbox_over(tokio::net::UnixStream::from_std(near).unwrap());
        outbox.write_all(b"one ").await.unwrap();
        outbox.flush().await.unwrap();
        let slices = [IoSlice::new(b"two "), IoSlice::new(b"three")];
        assert_eq!(outbox.write_vectored(&slices).await.unwrap(), 9);
        let mut seen = [0; 64];
        let early = far.read(&mut seen).map_err(|error| error.kind());
        assert_eq!(early, Err(io::ErrorKind::WouldBlock));
        poll_fn(|cx| outbox.poll_send(cx)).await.unwrap();
        assert_eq!(far.read(&mut seen).unwrap(), 13);
        assert_eq!(&seen[..13], b"one two three");
    }

    #[tokio::test]
    async fn more_than_fits_waits_for_the_reader_and_all_of_it_arrives() {
        let (near, mut far) = tokio::net::UnixStream::pair().unwrap();
        let mut outbox = outbox_over(near);
        let sent: Vec<u8> = (0..4_u32 << 20).map(|n| (n % 251) as u8).collect();
        let all = sent.clone();
        let writer = tokio::spawn(async move {
            outbox.write_all(&all).await.unwrap();
            let held = outbox.gathered().bytes.len();
            outbox.shutdown().await.unwrap();
            held
        });
        let mut seen = Vec::new();
        far.read_to_end(&mut seen).await.unwrap();
        assert!(seen == sent);
        assert!(writer.await.unwrap() <= limits::OUTBOX_BYTES);
    }

    #[tokio::test]
    async fn a_reader_that_has_gone_is_an_error_of_the_turn() {
        let (near, far) = tokio::net::UnixStream::pair().unwrap();
        let mut outbox = outbox_over(near);
        drop(far);
        outbox.write_all(b"anyone?").await.unwrap();
        assert!(poll_fn(|cx| outbox.poll_send(cx)).await.is_err());
    }

    #[tokio::test]
    async fn room_for_much_is_given_back() {
        let (near, mut far) = tokio::net::UnixStream::pair().unwrap();
        let mut outbox = outbox_over(near);
        outbox.write_all(&[7; limits::OUTBOX_BYTES]).await.unwrap();
        let reader = tokio::spawn(async move {
            let mut seen = vec![0; limits::OUTBOX_BYTES];
            far.read_exact(&mut seen).await.unwrap();
        });
        poll_fn(|cx| outbox.poll_send(cx)).await.unwrap();
        reader.await.unwrap();
        assert!(outbox.gathered().bytes.capacity() <= limits::OUTBOX_KEPT_BYTES);
    }

    #[tokio::test]
    async fn a_reader_that_never_reads_is_given_up() {
        let (near, _far) = tokio::net::UnixStream::pair().unwrap();
        let mut outbox = outbox_over(near);
        outbox.gathered().most_unread = Duration::from_millis(20);
        let given_up = outbox.write_all(&vec![7; 16 << 20]).await.unwrap_err();
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_reader_that_reads_a_little_has_all_the_time_again() {
        let (near, mut far) = tokio::net::UnixStream::pair().unwrap();
        let outbox = outbox_over(near);
        let stuck = poll_fn(|cx| {
            while outbox
                .poll_gather(cx, &[IoSlice::new(&[7; 4_096])])
                .is_ready()
            {}
            Poll::Ready(outbox.gathered().stall.is_some())
        });
        assert!(stuck.await);
        let reader = tokio::spawn(async move { far.read_to_end(&mut Vec::new()).await });
        poll_fn(|cx| outbox.poll_send(cx)).await.unwrap();
        assert!(outbox.gathered().stall.is_none());
        drop(outbox);
        reader.await.unwrap().unwrap();
    }
}
