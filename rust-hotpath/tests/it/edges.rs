//! Tests what peers may do to a connection and what they may not: cancelling, flooding, and naming a wrong authority.

use crate::{
    admin::fetch_text,
    harness::{Engine, get},
    moody,
    wire::{
        DATA, GOAWAY, HEADERS, PING, RST_STREAM, Wire, call, cancel, head, head_of, message, ping,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// A deadline that passes before any answer comes in these tests.
const HURRIED: [(&str, &str); 1] = [("grpc-timeout", "50m")];
const TCP: [&str; 2] = ["--listen", "127.0.0.1:0"];

async fn tcp(engine: &Engine) -> TcpStream {
    let address = engine.running.addresses.listen.unwrap();
    TcpStream::connect(address).await.unwrap()
}

async fn unix(engine: &Engine) -> UnixStream {
    UnixStream::connect(engine.socket()).await.unwrap()
}

/// Waits for the reply on `stream`, and checks that the connection does not end before.
async fn answered<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, stream: u32) {
    loop {
        let said = wire.said_of(&[DATA, GOAWAY]).await.expect("a connection");
        assert_eq!(said.kind, DATA, "{said:?}");
        if said.stream == stream {
            return;
        }
    }
}

/// Sends thousands of calls that are all cancelled before the server sees them, and between them calls that want an
/// answer.
async fn cancels_and_reads<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let mut wire = Wire::open(stream).await;
    let mut next = 1;
    for _ in 0..4 {
        let cancelled: Vec<u32> = (next..).step_by(2).take(1_000).collect();
        let read = next + 2_000;
        next = read + 2;
        let mut bytes: Vec<u8> = cancelled.iter().copied().flat_map(call).collect();
        bytes.extend(cancelled.iter().copied().flat_map(cancel));
        bytes.extend(call(read));
        wire.send(&bytes).await;
        answered(&mut wire, read).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_cancels_all_it_has_harms_none_beside_it() {
    let (engine, _feed) = Engine::fed(&TCP, 1).await;
    cancels_and_reads(tcp(&engine).await).await;
    cancels_and_reads(unix(&engine).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_resets_ends_its_connection_and_no_other() {
    let limit = ["--max-resets-per-second", "100"];
    let (engine, _feed) = Engine::fed(&[&TCP[..], &limit].concat(), 1).await;
    let mut other = Wire::open(tcp(&engine).await).await;
    let mut flood = Wire::open(tcp(&engine).await).await;
    let bursts = (1..).step_by(2).map(|burst: u32| burst * 100);
    let mut go_away = None;
    for first in bursts {
        let streams = (first + 1..).step_by(2).take(50);
        let mut bytes: Vec<u8> = streams
            .flat_map(|stream| [call(stream), cancel(stream)].concat())
            .collect();
        bytes.extend(ping());
        flood.send(&bytes).await;
        // Each burst is read before the next one is sent, so that no unread byte cuts off the server's GOAWAY.
        let said = flood.said_of(&[PING, GOAWAY]).await.expect("a last word");
        if said.kind == GOAWAY {
            go_away = Some(said.payload);
            break;
        }
    }
    let go_away = go_away.unwrap();
    assert_eq!(go_away[4..8], [0, 0, 0, 11], "ENHANCE_YOUR_CALM");
    assert_eq!(&go_away[8..], b"too_many_resets");
    assert!(flood.said().await.is_none(), "the end");
    other.send(&call(1)).await;
    answered(&mut other, 1).await;
    // The shim relays what all of its callers cancel, so this limit does not apply to it.
    let mut shim = Wire::open(unix(&engine).await).await;
    for stream in (1..2_001).step_by(2) {
        shim.send(&[call(stream), cancel(stream)].concat()).await;
    }
    shim.send(&call(2_001)).await;
    answered(&mut shim, 2_001).await;
}

/// Python's grpcio makes an authority of the socket's path, `%2Ftmp%2Fs.sock`, which Rust's HTTP does not accept. Its
/// callers can set one (`grpc.default_authority`). If they do not, each call ends alone, however many there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_is_none_ends_its_call_only() {
    let (engine, _feed) = Engine::fed(&[], 1).await;
    let mut wire = Wire::open(unix(&engine).await).await;
    for stream in (1..2_401).step_by(2) {
        let bytes = [head(stream, "%2Ftmp%2Fs.sock", &[]), message(stream, "a")].concat();
        wire.send(&bytes).await;
        let said = wire.said_of(&[RST_STREAM, HEADERS, GOAWAY]).await.unwrap();
        assert_eq!((said.kind, said.stream), (RST_STREAM, stream));
        assert_eq!(said.payload, [0, 0, 0, 1], "PROTOCOL_ERROR");
    }
    wire.send(&call(2_401)).await;
    answered(&mut wire, 2_401).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_half_sent_ends_at_its_deadline() {
    let (engine, _feed) = Engine::fed(&["--max-in-flight", "1"], 1).await;
    let mut wire = Wire::open(unix(&engine).await).await;
    wire.send(&head(1, "localhost", &HURRIED)).await;
    let said = wire.said_of(&[HEADERS]).await.unwrap();
    assert!(said.ended, "a status alone");
    assert_eq!(too_late(&engine).await, 1);
    engine.client().await.get(get("a", &[])).await.unwrap();
    let health = "/grpc.health.v1.Health/Check";
    wire.send(&head_of(health, 3, "localhost", &HURRIED)).await;
    let said = wire.said_of(&[HEADERS]).await.unwrap();
    assert_eq!((said.ended, said.stream), (true, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_read_takes_long_ends_at_its_deadline() {
    let (engine, _feed) = Engine::fed(&[], 1).await;
    let mut wire = Wire::open(unix(&engine).await).await;
    let name = "held-beyond-its-deadline";
    wire.send(&[head(1, "localhost", &HURRIED), message(1, name)].concat())
        .await;
    let said = wire.said_of(&[HEADERS]).await.unwrap();
    assert!(said.ended, "a status alone");
    assert_eq!(too_late(&engine).await, 1);
    moody::release(name);
}

/// The number of calls that ended at their deadline, as the server counts them.
async fn too_late(engine: &Engine) -> usize {
    let (_, metrics) = fetch_text(engine.running.addresses.admin, "/metrics").await;
    let late = metrics.lines().find_map(|line| {
        line.strip_prefix("hotpathd_requests_total{method=\"Get\",code=\"DEADLINE_EXCEEDED\"} ")
    });
    late.map_or(0, |count| count.parse().unwrap())
}
