//! Tests calls that the sidecar has to refuse because it drains, on connections that it still has.

use crate::{
    admin::fetch_text,
    counter::proto::GetRequest,
    exchange::metric,
    harness::{Engine, SOON, added, batch},
};
use prost::Message as _;
use std::time::Instant;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A client that speaks HTTP/2 by hand. It sees the GOAWAY and still calls, like a client whose call has crossed the
/// GOAWAY. It answers no ping, so the server goes on accepting streams.
struct Wire(UnixStream);

impl Wire {
    async fn open(engine: &Engine) -> Self {
        let mut wire = Self(UnixStream::connect(engine.socket()).await.unwrap());
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        wire.0.write_all(preface).await.unwrap();
        wire.send(SETTINGS, 0, 0, &[]).await;
        wire
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.0.write_all(&frame).await.unwrap();
    }

    /// Reads `a` at `min_position` or later.
    async fn get(&mut self, stream: u32, min_position: &str) {
        let text = |out: &mut Vec<u8>, text: &str| {
            out.push(u8::try_from(text.len()).unwrap());
            out.extend_from_slice(text.as_bytes());
        };
        // The fields are :method POST and :scheme http, then literals: :path, :authority, and two with names of their
        // own.
        let mut head = vec![0x83, 0x86, 0x04];
        text(&mut head, "/counter.v1.CounterService/Get");
        head.push(0x01);
        text(&mut head, "localhost");
        for (name, value) in [
            ("content-type", "application/grpc"),
            ("x-hotpath-min-position", min_position),
        ] {
            head.push(0x00);
            text(&mut head, name);
            text(&mut head, value);
        }
        self.send(HEADERS, END_HEADERS, stream, &head).await;
        let name = "a".to_owned();
        let message = GetRequest { name }.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let body = [&[0][..], &length, &message].concat();
        self.send(DATA, END_STREAM, stream, &body).await;
    }

    /// Skips everything up to a frame of this kind.
    async fn until(&mut self, kind: u8) {
        loop {
            let mut head = [0; 9];
            let read = tokio::time::timeout(SOON, self.0.read_exact(&mut head)).await;
            read.expect("a frame in time").unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.0.read_exact(&mut payload).await.unwrap();
            if head[3] == kind {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_call_that_crosses_the_goaway_is_unavailable_and_counts_are_true() {
    let (engine, mut feed) = Engine::fed(&["--drain-ms", "600000"], 1).await;
    let mut wire = Wire::open(&engine).await;
    wire.get(1, "2").await;
    metric(&engine, "hotpathd_in_flight 1").await;
    engine.running.stop();
    wire.until(GOAWAY).await;
    let admin = engine.running.addresses.admin;
    // The first of these calls may still be answered.
    let (began, mut streams) = (Instant::now(), (3..).step_by(2));
    let page = loop {
        wire.get(streams.next().unwrap(), "1").await;
        let (_, page) = fetch_text(admin, "/metrics").await;
        if page.contains("{method=\"Get\",code=\"UNAVAILABLE\"}") {
            break page;
        }
        assert!(began.elapsed() < SOON, "{page}");
    };
    assert!(!page.contains("RESOURCE_EXHAUSTED"), "{page}");
    metric(&engine, "hotpathd_in_flight 1").await;
    feed.send(batch(2, [added(2, "a", 1)])).await;
    metric(&engine, "hotpathd_in_flight 0").await;
}
