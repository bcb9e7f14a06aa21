//! A server that costs next to nothing, so that the generator is measured and not the server. It looks at the headers
//! of frames only, and answers every request with the same bytes.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::{AsFd as _, BorrowedFd},
};

use rustix::event::{PollFd, PollFlags, poll};

const PREFACE_BYTES: usize = 24;
const FRAME_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Half of the window that clients have at first.
const REFILL_BYTES: u32 = 32 << 10;
/// The size of a reply's message.
const MESSAGE_BYTES: u8 = 20;

struct Peer {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    greeted: bool,
    /// The bytes of DATA since the client's window was last filled up.
    received: u32,
    /// Whether the fields of a reply are in the client's table.
    indexed: bool,
}

/// Serves until standard input ends, which it does when the parent process is gone.
pub(crate) fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let mut out = io::stdout();
    writeln!(out, "{}", listener.local_addr()?)?;
    out.flush()?;
    let stdin = io::stdin();
    let mut peers: Vec<Peer> = Vec::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let ready = wait(stdin.as_fd(), &listener, &peers)?;
        if ready.first() == Some(&true) {
            return Ok(());
        }
        let mut at = 2;
        peers.retain_mut(|peer| {
            let ready = ready.get(at) == Some(&true);
            at += 1;
            !ready || peer.turn(&mut buffer).is_ok()
        });
        if ready.get(1) == Some(&true) {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            peers.push(Peer::new(stream));
        }
    }
}

fn wait(stdin: BorrowedFd<'_>, listener: &TcpListener, peers: &[Peer]) -> io::Result<Vec<bool>> {
    let streams = peers.iter().map(|peer| peer.stream.as_fd());
    let files = [stdin, listener.as_fd()].into_iter().chain(streams);
    let mut files: Vec<_> = files
        .map(|file| PollFd::from_borrowed_fd(file, PollFlags::IN))
        .collect();
    poll(&mut files, None)?;
    Ok(files
        .iter()
        .map(|file| !file.revents().is_empty())
        .collect())
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            greeted: false,
            received: 0,
            indexed: false,
        }
    }

    /// Reads once, answers all complete requests, and writes once.
    fn turn(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let length = self.stream.read(buffer)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let taken = self.take(&input);
        input.drain(..taken);
        self.input = input;
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    fn take(&mut self, input: &[u8]) -> usize {
        let mut at = 0;
        if !self.greeted {
            if input.len() < PREFACE_BYTES {
                return 0;
            }
            self.greeted = true;
            at = PREFACE_BYTES;
            self.frame(0, SETTINGS, 0, 0);
        }
        while let Some(&[a, b, c, kind, flags, s0, s1, s2, s3]) = input
            .get(at..)
            .and_then(|rest| rest.first_chunk::<FRAME_BYTES>())
        {
            let length = u32::from_be_bytes([0, a, b, c]);
            let end = at + FRAME_BYTES + length as usize;
            if end > input.len() {
                break;
            }
            at = end;
            if kind == DATA {
                self.refill(length);
            }
            match kind {
                SETTINGS if flags & ACK == 0 => self.frame(0, SETTINGS, ACK, 0),
                DATA | HEADERS if flags & END_STREAM != 0 => {
                    self.reply(u32::from_be_bytes([s0, s1, s2, s3]));
                }
                _ => {}
            }
        }
        at
    }

    fn refill(&mut self, length: u32) {
        self.received += length;
        if self.received >= REFILL_BYTES {
            self.frame(4, WINDOW_UPDATE, 0, 0);
            self.output.extend_from_slice(&self.received.to_be_bytes());
            self.received = 0;
        }
    }

    fn reply(&mut self, stream: u32) {
        let (headers, trailers): (&[u8], &[u8]) = if self.indexed {
            (&[0x88, 0xbf], &[0xbe])
        } else {
            self.indexed = true;
            (b"\x88\x5f\x10application/grpc", b"\x40\x0bgrpc-status\x010")
        };
        self.frame(headers.len(), HEADERS, END_HEADERS, stream);
        self.output.extend_from_slice(headers);
        self.frame(5 + usize::from(MESSAGE_BYTES), DATA, 0, stream);
        self.output.extend_from_slice(&[0, 0, 0, 0, MESSAGE_BYTES]);
        self.output.extend_from_slice(&[7; MESSAGE_BYTES as usize]);
        self.frame(trailers.len(), HEADERS, END_HEADERS | END_STREAM, stream);
        self.output.extend_from_slice(trailers);
    }

    fn frame(&mut self, length: usize, kind: u8, flags: u8, stream: u32) {
        let [.., a, b, c] = length.to_be_bytes();
        let [s0, s1, s2, s3] = stream.to_be_bytes();
        self.output
            .extend_from_slice(&[a, b, c, kind, flags, s0, s1, s2, s3]);
    }
}
