//! Writes and reads HTTP/2 as bytes, for what no client library sends.

use crate::harness::SOON;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The client's end of a connection.
pub struct Wire<S>(S);

/// A frame from the server.
#[derive(Debug)]
pub struct Said {
    pub kind: u8,
    pub ended: bool,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub async fn open(stream: S) -> Self {
        let mut wire = Self(stream);
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        wire.send(&frame(SETTINGS, 0, 0, &[])).await;
        wire
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        let sent = tokio::time::timeout(SOON, self.0.write_all(bytes)).await;
        sent.expect("sent in time").expect("sent");
    }

    /// The next frame, or `None` if the connection has ended.
    pub async fn said(&mut self) -> Option<Said> {
        tokio::time::timeout(SOON, self.read())
            .await
            .expect("a word in time")
    }

    /// The next frame of one of these kinds.
    pub async fn said_of(&mut self, kinds: &[u8]) -> Option<Said> {
        loop {
            let said = self.said().await?;
            if kinds.contains(&said.kind) {
                return Some(said);
            }
        }
    }

    async fn read(&mut self) -> Option<Said> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [high, middle, low, kind, flags, stream @ ..] = head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut payload).await.ok()?;
        let ended = flags & END_STREAM != 0;
        let stream = u32::from_be_bytes(stream);
        Some(Said {
            kind,
            ended,
            stream,
            payload,
        })
    }
}

pub fn ping() -> Vec<u8> {
    frame(PING, 0, 0, &[7; 8])
}

pub const GET: &str = "/counter.v1.CounterService/Get";

/// The headers of a call of the counters' `Get`.
pub fn head(stream: u32, authority: &str, more: &[(&str, &str)]) -> Vec<u8> {
    head_of(GET, stream, authority, more)
}

pub fn head_of(path: &str, stream: u32, authority: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let all = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ];
    let fields = all.iter().chain(more).flat_map(|(name, value)| {
        // The field is a literal that is not indexed, with a new name.
        [&[0][..], &string(name), &string(value)].concat()
    });
    let fields: Vec<u8> = fields.collect();
    frame(HEADERS, END_HEADERS, stream, &fields)
}

/// The message of such a call.
pub fn message(stream: u32, name: &str) -> Vec<u8> {
    let request = [&[0x0a][..], &string(name)].concat();
    let length = u32::try_from(request.len()).unwrap().to_be_bytes();
    frame(
        DATA,
        END_STREAM,
        stream,
        &[&[0][..], &length, &request].concat(),
    )
}

pub fn data(stream: u32, payload: &[u8], ends: bool) -> Vec<u8> {
    frame(DATA, u8::from(ends) * END_STREAM, stream, payload)
}

pub fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// Changes the window of every stream.
pub fn initial_window(bytes: u32) -> Vec<u8> {
    frame(
        SETTINGS,
        0,
        0,
        &[&[0, 4][..], &bytes.to_be_bytes()].concat(),
    )
}

/// The headers of a call with a field of 4,000 bytes, which the client's table has from the first on, this often.
pub fn bomb(stream: u32, first: bool, times: usize) -> Vec<u8> {
    let plain = head(stream, "localhost", &[("host", "localhost")]);
    let mut block = plain[9..].to_vec();
    if first {
        block.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
        block.extend([b'y'; 4_000]);
    }
    block.resize(block.len() + times, 0xbe);
    frame(HEADERS, END_HEADERS, stream, &block)
}

pub fn call(stream: u32) -> Vec<u8> {
    [head(stream, "localhost", &[]), message(stream, "a")].concat()
}

pub fn cancel(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

fn string(text: &str) -> Vec<u8> {
    assert!(text.len() < 127, "one byte tells the length");
    let length = u8::try_from(text.len()).unwrap();
    [&[length], text.as_bytes()].concat()
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}
