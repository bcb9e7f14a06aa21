//! An engine in this process, its clients, and a feed to drive it with.

use crate::{
    counter::proto::{
        Added, GetRequest, GetResponse, counter_service_client::CounterServiceClient,
    },
    moody::Moody,
};
pub use hotpath::feed::PROTOCOL_VERSION;
use hotpath::{
    app::{self, Running},
    config::{self, Asked},
    proto::hotpath::{
        EventBatch, FeedOpen, FeedRequest, Head, Watermark, feed_request::Kind,
        feed_service_client::FeedServiceClient,
    },
};
use prost::Message as _;
use std::{ffi::OsString, ops::RangeInclusive, path::Path, time::Duration};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request, Response, Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

/// Long enough for any machine; nothing waits this long unless it is broken.
pub const SOON: Duration = Duration::from_secs(30);
pub const LEDGER: &str = "ledger-1";

pub struct Engine {
    pub running: Running,
    pub dir: TempDir,
}

/// An open feed.
pub struct Feed {
    requests: mpsc::Sender<FeedRequest>,
    pub watermarks: Streaming<Watermark>,
    pub first: Watermark,
}

impl Engine {
    pub async fn start(args: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), args)
            .await
            .unwrap()
    }

    pub async fn start_in(dir: TempDir, args: &[&str]) -> Result<Self, hotpath::error::Error> {
        let socket = dir.path().join("s").into_os_string();
        let mut all: Vec<OsString> = vec!["--socket".into(), socket];
        all.extend(args.iter().map(OsString::from));
        let Asked::Run(config) = config::read(all, []).unwrap() else {
            panic!("help was asked for");
        };
        let running = app::start::<Moody>(*config).await?;
        Ok(Self { running, dir })
    }

    /// Already fed up to `head`, one event a position, each adding 1 to `a`.
    pub async fn fed(args: &[&str], head: u64) -> (Self, Feed) {
        let engine = Self::start(args).await;
        let mut feed = engine.feed(LEDGER, head).await.unwrap();
        if head > 0 {
            feed.send(plain(1..=head)).await;
        }
        feed.reached(head).await;
        (engine, feed)
    }

    pub fn socket(&self) -> &Path {
        &self.running.addresses.socket
    }

    pub async fn channel(&self) -> Channel {
        connect(self.socket()).await
    }

    pub async fn client(&self) -> CounterServiceClient<Channel> {
        CounterServiceClient::new(self.channel().await)
    }

    pub async fn feed(&self, ledger: &str, head: u64) -> Result<Feed, Status> {
        Feed::open(self.channel().await, open(PROTOCOL_VERSION, ledger, head)).await
    }

    /// Reads one counter with the given metadata.
    pub async fn get(
        &self,
        name: &str,
        metadata: &[(&'static str, &str)],
    ) -> Result<Response<GetResponse>, Status> {
        let mut client = self.client().await;
        client.get(get(name, metadata)).await
    }

    /// Stops and waits for the end.
    pub async fn stop(self) -> TempDir {
        self.running.stop();
        tokio::time::timeout(SOON, self.running.ended())
            .await
            .expect("an end");
        self.dir
    }
}

impl Feed {
    pub async fn open(channel: Channel, first: FeedRequest) -> Result<Self, Status> {
        let (requests, stream) = mpsc::channel(64);
        requests.send(first).await.unwrap();
        let mut client = FeedServiceClient::new(channel);
        let mut watermarks = client.feed(ReceiverStream::new(stream)).await?.into_inner();
        let first = watermarks.message().await?.expect("a first watermark");
        Ok(Self {
            requests,
            watermarks,
            first,
        })
    }

    pub async fn send(&mut self, request: FeedRequest) {
        self.requests.send(request).await.expect("an open feed");
    }

    /// Waits until readers see `position`.
    pub async fn reached(&mut self, position: u64) {
        let mut seen = self.first.position;
        while seen < position {
            let next = tokio::time::timeout(SOON, self.watermarks.message());
            seen = next
                .await
                .expect("in time")
                .expect("no refusal")
                .expect("no end")
                .position;
        }
    }

    /// How the feed ends: code, reason, text.
    pub async fn refusal(mut self) -> (Code, String, String) {
        let end = async {
            loop {
                match self.watermarks.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("the feed ended without a refusal"),
                    Err(status) => return reason(&status),
                }
            }
        };
        tokio::time::timeout(SOON, end)
            .await
            .expect("a refusal in time")
    }
}

pub async fn connect(socket: &Path) -> Channel {
    let uri = format!("unix:{}", socket.to_str().unwrap());
    Endpoint::from_shared(uri)
        .unwrap()
        .connect()
        .await
        .expect("a connection")
}

pub fn reason(status: &Status) -> (Code, String, String) {
    let info = status.get_details_error_info();
    let reason = info.map(|info| {
        assert_eq!(info.domain, "hotpath");
        info.reason
    });
    (
        status.code(),
        reason.unwrap_or_default(),
        status.message().to_owned(),
    )
}

pub fn get(name: &str, metadata: &[(&'static str, &str)]) -> Request<GetRequest> {
    let mut request = Request::new(GetRequest {
        name: name.to_owned(),
    });
    for (key, value) in metadata {
        request.metadata_mut().append(*key, value.parse().unwrap());
    }
    request
}

/// The position that a reply or an error carries.
pub fn position<T>(outcome: &Result<Response<T>, Status>) -> Option<u64> {
    let metadata = match outcome {
        Ok(response) => response.metadata(),
        Err(status) => status.metadata(),
    };
    Some(
        metadata
            .get("x-hotpath-position")?
            .to_str()
            .unwrap()
            .parse()
            .unwrap(),
    )
}

pub fn open(protocol_version: u32, ledger: &str, head_position: u64) -> FeedRequest {
    let ledger_id = ledger.to_owned();
    kind(Kind::Open(FeedOpen {
        protocol_version,
        ledger_id,
        head_position,
    }))
}

pub fn head(position: u64) -> FeedRequest {
    kind(Kind::Head(Head { position }))
}

/// One event a position, each adding 1 to `a`.
pub fn plain(positions: RangeInclusive<u64>) -> FeedRequest {
    let first = *positions.start();
    batch(first, positions.map(|position| added(position, "a", 1)))
}

pub fn batch(first_position: u64, events: impl IntoIterator<Item = Added>) -> FeedRequest {
    let events = events
        .into_iter()
        .map(|event| event.encode_to_vec())
        .collect();
    kind(Kind::Batch(EventBatch {
        first_position,
        events,
    }))
}

pub fn kind(kind: Kind) -> FeedRequest {
    FeedRequest { kind: Some(kind) }
}

pub fn added(position: u64, name: &str, delta: i64) -> Added {
    let name = name.to_owned();
    Added {
        position,
        name,
        delta,
    }
}

/// Polls until `check` gives something.
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut check: impl FnMut() -> F,
) -> T {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
