//! Non-blocking stream sockets.

use super::address::Address;
use rustix::{
    event::epoll::{self, EventData, EventFlags},
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::{self, Errno},
    net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt},
};

/// A socket in an epoll set.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    key: u64,
    /// Whether epoll also reports when there is room to write.
    writing: bool,
}

/// The outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// The number of bytes written, maybe 0.
    Bytes(usize),
    /// The connection is gone.
    Lost(Errno),
}

impl Socket {
    /// Begins to connect. Once the socket is writable, [`Self::connected`] tells the outcome. `turn` selects the
    /// address of a name that has several.
    pub(super) fn connect(
        address: &Address,
        turn: usize,
        epoll: &OwnedFd,
        key: u64,
    ) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (fd, begun) = match address {
            Address::Tcp(_) | Address::Named { .. } => {
                let address = address.tcp().get(turn).ok_or(Errno::ADDRNOTAVAIL)?;
                let family = if address.is_ipv4() {
                    AddressFamily::INET
                } else {
                    AddressFamily::INET6
                };
                let fd = net::socket_with(family, SocketType::STREAM, flags, None)?;
                sockopt::set_tcp_nodelay(&fd, true)?;
                let begun = net::connect(&fd, address);
                (fd, begun)
            }
            Address::Unix(path) => {
                let fd = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
                let begun = net::connect(&fd, &SocketAddrUnix::new(path)?);
                (fd, begun)
            }
        };
        match begun {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let events = EventFlags::IN | EventFlags::OUT;
        epoll::add(epoll, &fd, EventData::new_u64(key), events)?;
        Ok(Self {
            fd,
            key,
            writing: true,
        })
    }

    /// The outcome of connecting, once the socket is writable.
    pub(super) fn connected(&self) -> io::Result<()> {
        sockopt::socket_error(&self.fd)?
    }

    /// Reads into `buffer`. 0 means that the peer closed the connection.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        io::read(&self.fd, buffer)
    }

    /// Writes what the socket has room for. If some bytes are left, epoll will report when there is room.
    pub(super) fn write(&mut self, bytes: &[u8], epoll: &OwnedFd) -> Written {
        let mut written = 0;
        let blocked = loop {
            let rest = bytes.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break false;
            }
            match io::write(&self.fd, rest) {
                Ok(more) => written += more,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break true,
                Err(error) => return Written::Lost(error),
            }
        };
        match self.listen_for_room(blocked, epoll) {
            Ok(()) => Written::Bytes(written),
            Err(error) => Written::Lost(error),
        }
    }

    fn listen_for_room(&mut self, writing: bool, epoll: &OwnedFd) -> io::Result<()> {
        if self.writing == writing {
            return Ok(());
        }
        self.writing = writing;
        let mut events = EventFlags::IN;
        events.set(EventFlags::OUT, writing);
        epoll::modify(epoll, &self.fd, EventData::new_u64(self.key), events)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
