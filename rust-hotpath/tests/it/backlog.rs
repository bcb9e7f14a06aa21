//! Tests a peer that does not read. Its replies wait, hold up nobody, and arrive whole.

use crate::{
    admin::fetch_text,
    counter::proto::{ListRequest, counter_service_client::CounterServiceClient},
    harness::{Engine, SOON, added, batch, until},
};
use std::path::{Path, PathBuf};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{UnixListener, UnixStream},
    sync::oneshot,
    task::JoinSet,
    time::timeout,
};
use tonic::transport::{Channel, Endpoint};

/// More replies than both ends of a socket and the sidecar's own buffers hold.
const REPLIES: usize = 60;
const ROWS: u64 = 500;
const WINDOW_BYTES: u32 = 1 << 30;

/// A connection to the sidecar. Nothing comes back on it until the sender says so, and then replies come in small
/// pieces.
async fn stuck(engine: &Engine) -> (Channel, oneshot::Sender<()>) {
    let path = engine.dir.path().join("stuck");
    let listener = UnixListener::bind(&path).unwrap();
    let (go_on, told) = oneshot::channel();
    tokio::spawn(relay(listener, engine.socket().to_owned(), told));
    (connect(&path), go_on)
}

fn connect(path: &Path) -> Channel {
    let endpoint = Endpoint::from_shared(format!("unix:{}", path.to_str().unwrap())).unwrap();
    endpoint
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .connect_lazy()
}

async fn relay(listener: UnixListener, socket: PathBuf, told: oneshot::Receiver<()>) {
    let (client, _) = listener.accept().await.unwrap();
    let (mut asked, mut answers) = client.into_split();
    let (mut replies, mut requests) = UnixStream::connect(socket).await.unwrap().into_split();
    tokio::spawn(async move { copy(&mut asked, &mut requests).await });
    if told.await.is_err() {
        return;
    }
    let mut piece = [0; 1_000];
    while let Ok(read @ 1..) = replies.read(&mut piece).await {
        answers.write_all(&piece[..read]).await.unwrap();
    }
}

/// An engine that has answered a peer, which has not read anything yet.
async fn owing(args: &[&str]) -> (Engine, JoinSet<Vec<String>>, oneshot::Sender<()>) {
    let (engine, mut feed) = Engine::fed(args, 1).await;
    let events = (2..).zip(names()).map(|(at, name)| added(at, &name, 1));
    feed.send(batch(2, events)).await;
    feed.reached(1 + ROWS).await;
    let (channel, go_on) = stuck(&engine).await;
    let mut lists = JoinSet::new();
    for _ in 0..REPLIES {
        let mut client = CounterServiceClient::new(channel.clone());
        let prefix = "row-".to_owned();
        lists.spawn(async move {
            let rows = client.list(ListRequest { prefix }).await;
            let rows = rows.unwrap().into_inner().rows.into_iter();
            rows.map(|row| row.name).collect()
        });
    }
    let counted = format!("hotpathd_requests_total{{method=\"List\",code=\"OK\"}} {REPLIES}\n");
    until("all are answered", || async {
        let (_, metrics) = fetch_text(engine.running.addresses.admin, "/metrics").await;
        metrics.contains(&counted).then_some(())
    })
    .await;
    assert!(lists.try_join_next().is_none());
    (engine, lists, go_on)
}

/// The bytes of long messages that the engine holds.
async fn held(engine: &Engine) -> u64 {
    let (_, metrics) = fetch_text(engine.running.addresses.admin, "/metrics").await;
    let mut lines = metrics.lines();
    let held = lines.find_map(|line| line.strip_prefix("hotpathd_buffered_bytes "));
    held.unwrap().parse().unwrap()
}

fn names() -> impl Iterator<Item = String> {
    (0..ROWS).map(|row| format!("row-{row:050}"))
}

#[tokio::test]
async fn what_a_peer_does_not_read_waits_and_arrives_whole() {
    let (engine, mut lists, go_on) = owing(&["--threads", "1"]).await;
    let other = timeout(SOON, engine.get("a", &[])).await;
    assert_eq!(other.unwrap().unwrap().into_inner().value, 1);
    assert!(held(&engine).await > 0);
    go_on.send(()).unwrap();
    while let Some(listed) = timeout(SOON, lists.join_next()).await.unwrap() {
        assert!(listed.unwrap().into_iter().eq(names()));
    }
    until("nothing is held", || async {
        (held(&engine).await == 0).then_some(())
    })
    .await;
    engine.stop().await;
}

#[tokio::test]
async fn who_neither_reads_nor_speaks_is_cut_when_the_time_to_drain_is_over() {
    for drain_ms in ["0", "50"] {
        let (engine, _lists, _go_on) = owing(&["--drain-ms", drain_ms]).await;
        let mut silent = UnixStream::connect(engine.socket()).await.unwrap();
        silent.readable().await.unwrap();
        engine.stop().await;
        let cut = timeout(SOON, silent.read_to_end(&mut Vec::new())).await;
        cut.unwrap().unwrap();
    }
}
