//! Listens on the Unix socket for the shim and on TCP for direct callers. Both share one limit on connections.
//!
//! ```text
//!  Listener ── accepts, takes a place ──> Arrival ── to its core thread ──> Connection ── http2::serve
//! ```
//!
//! Peers of another user are refused here. `outbox` gathers writes and closes a peer that reads nothing, and `resets`
//! counts cancelled calls.

mod http2;
mod outbox;
mod resets;

pub use http2::serve;
pub(crate) use http2::settings_below;
pub(crate) use resets::Resets;

use crate::{
    error::{Error, Kind},
    limits,
    settings::{Group, Limit, Setting, Settings},
    socket::Socket,
};
use outbox::Outbox;
use resets::{Frames, PREFACE};
use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_stream::StreamExt as _;
use tonic::transport::server::TcpIncoming;

/// Where to listen.
#[derive(Clone, Debug)]
pub struct Config {
    /// The Unix socket.
    pub socket: PathBuf,
    /// The TCP address for direct callers.
    pub listen: Option<SocketAddr>,
    /// Most connections at once, on both listeners together.
    pub max_connections: usize,
    /// Bounds of each connection.
    pub bounds: Bounds,
    /// What serves connections.
    pub front: Front,
}

/// What serves connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// Hyper alone.
    Stock,
    /// Hot calls and lanes are served below hyper, which serves all else.
    Spliced,
}

/// Bounds of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Longest headers of a call, in bytes as HTTP/2 counts them.
    pub header_bytes: u32,
    /// Calls that one TCP connection may cancel within a second.
    pub resets_per_second: u32,
}

/// Accepts connections on one socket.
pub struct Listener {
    socket: Bound,
    room: Arc<Semaphore>,
}

/// A connection on its way from the thread that accepted it to the one that will serve it.
pub struct Arrival {
    stream: Stream,
    room: OwnedSemaphorePermit,
}

/// A connection and its place under the limit.
pub struct Connection {
    read: Reader,
    frames: Frames,
    write: Outbox,
    resets: Arc<Resets>,
    header_bytes: u32,
    _room: OwnedSemaphorePermit,
}

/// A connection as the front serves it, and its place under the limit.
pub(crate) struct Bare {
    pub(crate) stream: Box<dyn Duplex>,
    pub(crate) resets: Resets,
    _room: OwnedSemaphorePermit,
}

impl Bare {
    /// A connection over this stream, with a place of its own. Nobody accepted it.
    pub(crate) fn over(stream: impl Duplex + 'static) -> Option<Self> {
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned();
        Some(Self {
            stream: Box::new(stream),
            resets: Resets::new(None),
            _room: room.ok()?,
        })
    }
}

/// Both directions of a stream.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

enum Bound {
    Unix(UnixListener, u32),
    Tcp(Box<TcpIncoming>),
}

/// An accepted stream that no runtime polls yet.
enum Stream {
    Unix(std::os::unix::net::UnixStream),
    Tcp(std::net::TcpStream),
}

impl Config {
    /// What can be set.
    pub const SETTINGS: Group = Group {
        title: "Listeners",
        settings: &[
            Setting::new(
                "socket",
                "PATH",
                "",
                "Unix socket for the shim: hot methods, control, feed (required)",
            )
            .at_most_bytes(limits::SOCKET_PATH_BYTES),
            Setting::new(
                "listen",
                "IP:PORT",
                "",
                "TCP for direct callers: hot methods only; port 0 picks one",
            ),
            Setting::new(
                "max-connections",
                "N",
                "1024",
                "Connections at once; more are closed at once",
            )
            .within(&limits::CONNECTIONS),
            Setting::new(
                "max-header-bytes",
                "BYTES",
                "65536",
                "Longest headers of a call; longer are RESOURCE_EXHAUSTED",
            )
            .within(&limits::HEADER_BYTES),
            Setting::new(
                "max-resets-per-second",
                "N",
                "20000",
                "Calls cancelled within a second on one TCP connection; more end it",
            )
            .within(&limits::RESETS_PER_SECOND),
            Setting::new(
                "front",
                "KIND",
                "stock",
                "stock or spliced: whether hot calls and lanes are served below HTTP/2's library",
            ),
        ],
    };

    /// Reads the settings.
    pub fn resolve(settings: &mut Settings) -> Self {
        let socket = settings.text("socket").unwrap_or_default();
        if socket.is_empty() {
            settings.mistake(
                "socket",
                "--socket PATH is required (or HOTPATHD_SOCKET, or socket in the file)".to_owned(),
            );
        } else if socket.len() > limits::SOCKET_PATH_BYTES {
            let limit = Limit::Bytes(limits::SOCKET_PATH_BYTES);
            settings.mistake("socket", format!("must be {limit}"));
        }
        Self {
            socket: socket.into(),
            listen: settings.address("listen", false),
            max_connections: settings.size("max-connections"),
            front: settings
                .parsed("front", |text| match text {
                    "stock" => Ok(Front::Stock),
                    "spliced" => Ok(Front::Spliced),
                    _ => Err("must be stock or spliced".to_owned()),
                })
                .unwrap_or(Front::Stock),
            bounds: Bounds {
                header_bytes: settings.small("max-header-bytes"),
                resets_per_second: settings.small("max-resets-per-second"),
            },
        }
    }
}

impl Listener {
    /// Listens on the Unix socket; only this user and root may connect.
    ///
    /// # Errors
    /// The errors of [`Socket::bind`], or an error if the runtime cannot poll the socket.
    pub fn unix(config: &Config, room: &Arc<Semaphore>) -> Result<(Self, Socket), Error> {
        let (socket, listener) = Socket::bind(&config.socket)?;
        let listener = listener
            .set_nonblocking(true)
            .and_then(|()| UnixListener::from_std(listener));
        let listener = listener
            .map_err(|error| Error::new(Kind::Io, "the socket cannot be polled").because(error))?;
        let us = rustix::process::geteuid().as_raw();
        Ok((Self::new(Bound::Unix(listener, us), room), socket))
    }

    /// Listens on TCP.
    ///
    /// # Errors
    /// Fails if the port is taken, or if this process may not bind it.
    pub fn tcp(address: SocketAddr, room: &Arc<Semaphore>) -> Result<(Self, SocketAddr), Error> {
        let failed = |error| {
            Error::new(Kind::CannotCreate, format!("cannot listen on {address}")).because(error)
        };
        let incoming = TcpIncoming::bind(address).map_err(failed)?;
        let incoming = incoming
            .with_nodelay(Some(true))
            .with_keepalive(Some(limits::KEEPALIVE));
        let bound = incoming.local_addr().map_err(failed)?;
        Ok((Self::new(Bound::Tcp(Box::new(incoming)), room), bound))
    }

    fn new(socket: Bound, room: &Arc<Semaphore>) -> Self {
        let room = Arc::clone(room);
        Self { socket, room }
    }

    /// Returns the next connection for which there is room.
    pub async fn accept(&mut self) -> Arrival {
        loop {
            match self.socket.accept().await {
                Err(error) => {
                    tracing::warn!("a connection was not accepted: {error}");
                    if error.kind() != io::ErrorKind::PermissionDenied {
                        sleep(limits::ACCEPT_PAUSE).await;
                    }
                }
                Ok(stream) => match Arc::clone(&self.room).try_acquire_owned() {
                    Ok(room) => return Arrival { stream, room },
                    Err(_) => {
                        tracing::warn!("a connection was closed: --max-connections is reached");
                    }
                },
            }
        }
    }
}

impl Bound {
    async fn accept(&mut self) -> io::Result<Stream> {
        match self {
            Self::Unix(listener, us) => {
                let (stream, _) = listener.accept().await?;
                let peer = stream.peer_cred()?.uid();
                if peer != *us && peer != 0 {
                    let text = format!("user {peer} may not connect");
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
                }
                stream.into_std().map(Stream::Unix)
            }
            Self::Tcp(incoming) => {
                let stream = incoming.next().await;
                let ended = || io::Error::other("the listener has ended");
                stream.ok_or_else(ended)??.into_std().map(Stream::Tcp)
            }
        }
    }
}

impl Arrival {
    /// Makes a connection that the current runtime polls.
    ///
    /// # Errors
    /// Fails if the system cannot poll another connection.
    pub fn open(self, bounds: Bounds) -> io::Result<Connection> {
        let Bounds {
            header_bytes,
            resets_per_second,
        } = bounds;
        let (resets, read, write): (_, Reader, Writer) = match self.stream {
            Stream::Unix(stream) => {
                let (read, write) = UnixStream::from_std(stream)?.into_split();
                (None, Box::new(read), Box::new(write))
            }
            Stream::Tcp(stream) => {
                let (read, write) = TcpStream::from_std(stream)?.into_split();
                (Some(resets_per_second), Box::new(read), Box::new(write))
            }
        };
        let resets = Arc::new(Resets::new(resets));
        Ok(Connection {
            read,
            frames: Frames::after(PREFACE),
            write: Outbox::new(write, Arc::clone(&resets)),
            resets,
            header_bytes,
            _room: self.room,
        })
    }
}

impl Arrival {
    /// The same for the front.
    ///
    /// # Errors
    /// Fails if the system cannot poll another connection.
    pub(crate) fn bare(self, bounds: Bounds) -> io::Result<Bare> {
        let (resets, stream): (_, Box<dyn Duplex>) = match self.stream {
            Stream::Unix(stream) => (None, Box::new(UnixStream::from_std(stream)?)),
            Stream::Tcp(stream) => {
                let stream = Box::new(TcpStream::from_std(stream)?);
                (Some(bounds.resets_per_second), stream)
            }
        };
        Ok(Bare {
            stream,
            resets: Resets::new(resets),
            _room: self.room,
        })
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.resets.fill_the_turn() {
            // `http2::serve` begins the next turn.
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.read).poll_read(cx, buffer))?;
        let resets = self.frames.resets(&buffer.filled()[before..]);
        self.resets.count(resets);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.write.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(cx)
    }
}
