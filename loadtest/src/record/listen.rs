//! Sockets to callers and to the target: TCP or Unix.

use crate::generator::Address;
use std::{
    fs, io,
    net::TcpListener,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::Path,
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection of either kind.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// The socket that callers connect to. The file of a Unix socket is removed with it.
#[derive(Debug)]
pub(super) struct Listener {
    address: Address,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A listener that is registered with a runtime.
pub(super) struct Accepting {
    kind: AcceptingKind,
    _until_dropped: Option<SocketFile>,
}

enum AcceptingKind {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

struct SocketFile(std::path::PathBuf);

impl Listener {
    pub(super) fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(_) | Address::Named { .. } => {
                // If the name has several addresses, this takes the first that works.
                let listener = TcpListener::bind(address.tcp())?;
                listener.set_nonblocking(true)?;
                Ok(Self {
                    address: Address::Tcp(listener.local_addr()?),
                    kind: Kind::Tcp(listener),
                })
            }
            Address::Unix(path) => {
                remove_stale(path)?;
                let listener = UnixListener::bind(path)?;
                fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
                listener.set_nonblocking(true)?;
                Ok(Self {
                    address: address.clone(),
                    kind: Kind::Unix(listener),
                })
            }
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Registers the listener. Must be called inside a runtime.
    pub(super) fn accepting(self) -> io::Result<Accepting> {
        let kind = match self.kind {
            Kind::Tcp(listener) => AcceptingKind::Tcp(tokio::net::TcpListener::from_std(listener)?),
            Kind::Unix(listener) => {
                AcceptingKind::Unix(tokio::net::UnixListener::from_std(listener)?)
            }
        };
        let file = match self.address {
            Address::Tcp(_) | Address::Named { .. } => None,
            Address::Unix(path) => Some(SocketFile(path)),
        };
        Ok(Accepting {
            kind,
            _until_dropped: file,
        })
    }
}

impl Accepting {
    pub(super) async fn accept(&self) -> io::Result<Box<dyn Socket>> {
        match &self.kind {
            AcceptingKind::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            AcceptingKind::Unix(listener) => Ok(Box::new(listener.accept().await?.0)),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // If it fails, the file is gone already or there is no way to report it.
        let _ = fs::remove_file(&self.0);
    }
}

/// Connects to the target.
pub(super) async fn connect(address: &Address) -> io::Result<Box<dyn Socket>> {
    if let Address::Unix(path) = address {
        let connecting = tokio::net::UnixStream::connect(path);
        return Ok(Box::new(
            tokio::time::timeout(CONNECT_TIMEOUT, connecting).await??,
        ));
    }
    let mut failures = Vec::new();
    for address in address.tcp() {
        let connecting = tokio::net::TcpStream::connect(address);
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        match connected.map_err(io::Error::from).flatten() {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(Box::new(stream));
            }
            Err(error) => failures.push((address, error)),
        }
    }
    let kind = failures
        .last()
        .map_or(io::ErrorKind::AddrNotAvailable, |(_, error)| error.kind());
    let each = failures
        .iter()
        .map(|(address, error)| format!("{address}: {error}"));
    Err(io::Error::new(kind, each.collect::<Vec<_>>().join("; ")))
}

/// Removes the file of a Unix socket that no process serves, and nothing else.
fn remove_stale(path: &Path) -> io::Result<()> {
    let taken = |what: &str| Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => taken("something else has this name"),
        Ok(_) if UnixStream::connect(path).is_ok() => taken("another process serves it"),
        Ok(_) => fs::remove_file(path),
    }
}
