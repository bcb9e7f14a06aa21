//! Listeners: the Unix socket for the shim, TCP for direct callers, and the limit on connections that both share.

use crate::{
    error::{Error, Kind},
    limits,
    settings::{Group, Setting, Settings},
    socket::Socket,
};
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
    time::{Sleep, sleep},
};
use tokio_stream::Stream;
use tonic::transport::server::{Connected, TcpIncoming};

/// Where to listen.
#[derive(Clone, Debug)]
pub struct Config {
    /// The Unix socket.
    pub socket: PathBuf,
    /// TCP for direct callers.
    pub listen: Option<SocketAddr>,
    /// Connections at once, on both together.
    pub max_connections: usize,
}

/// Accepts connections of one listener.
pub struct Incoming {
    listener: Listener,
    room: Arc<Semaphore>,
    /// After a failed accept.
    pause: Option<Pin<Box<Sleep>>>,
}

/// A connection and its place under the limit.
pub struct Connection {
    stream: Box<dyn Duplex>,
    _room: OwnedSemaphorePermit,
}

enum Listener {
    Unix(UnixListener, u32),
    Tcp(Box<TcpIncoming>),
}

/// What both kinds of stream can do.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl Duplex for UnixStream {}
impl Duplex for TcpStream {}

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
            ),
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
            let rule = format!("must be at most {} bytes", limits::SOCKET_PATH_BYTES);
            settings.mistake("socket", rule);
        }
        Self {
            socket: socket.into(),
            listen: settings.address("listen", false),
            max_connections: settings.size("max-connections", limits::CONNECTIONS),
        }
    }
}

impl Incoming {
    /// Listens on the Unix socket; only this user and root may connect.
    ///
    /// # Errors
    /// As [`Socket::bind`].
    pub fn unix(config: &Config, room: &Arc<Semaphore>) -> Result<(Self, Socket), Error> {
        let (socket, listener) = Socket::bind(&config.socket)?;
        let listener = listener
            .set_nonblocking(true)
            .and_then(|()| UnixListener::from_std(listener));
        let listener = listener
            .map_err(|error| Error::new(Kind::Io, "the socket cannot be polled").because(error))?;
        let us = rustix::process::geteuid().as_raw();
        Ok((Self::new(Listener::Unix(listener, us), room), socket))
    }

    /// Listens on TCP.
    ///
    /// # Errors
    /// If the port is taken or not ours to take.
    pub fn tcp(address: SocketAddr, room: &Arc<Semaphore>) -> Result<(Self, SocketAddr), Error> {
        let failed = |error| {
            Error::new(Kind::CannotCreate, format!("cannot listen on {address}")).because(error)
        };
        let incoming = TcpIncoming::bind(address).map_err(failed)?;
        let incoming = incoming
            .with_nodelay(Some(true))
            .with_keepalive(Some(limits::KEEPALIVE));
        let bound = incoming.local_addr().map_err(failed)?;
        Ok((Self::new(Listener::Tcp(Box::new(incoming)), room), bound))
    }

    fn new(listener: Listener, room: &Arc<Semaphore>) -> Self {
        Self {
            listener,
            room: Arc::clone(room),
            pause: None,
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn Duplex>>> {
        match &mut self.listener {
            Listener::Unix(listener, us) => {
                let (stream, _) = ready!(listener.poll_accept(cx))?;
                let peer = stream.peer_cred()?.uid();
                if peer != *us && peer != 0 {
                    let text = format!("user {peer} may not connect");
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::PermissionDenied, text)));
                }
                Poll::Ready(Ok(Box::new(stream)))
            }
            Listener::Tcp(incoming) => match ready!(Pin::new(incoming.as_mut()).poll_next(cx)) {
                Some(stream) => Poll::Ready(Ok(Box::new(stream?))),
                None => Poll::Pending,
            },
        }
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.poll_accept(cx)) {
                Err(error) => {
                    tracing::warn!("a connection was not accepted: {error}");
                    if error.kind() != io::ErrorKind::PermissionDenied {
                        self.pause = Some(Box::pin(sleep(limits::ACCEPT_PAUSE)));
                    }
                }
                Ok(stream) => match Arc::clone(&self.room).try_acquire_owned() {
                    Ok(room) => {
                        let connection = Connection {
                            stream,
                            _room: room,
                        };
                        return Poll::Ready(Some(Ok(connection)));
                    }
                    Err(_) => {
                        tracing::warn!("a connection was closed: --max-connections is reached")
                    }
                },
            }
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
