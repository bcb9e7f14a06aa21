//! The client's side of the socket: connections, feeds and statuses. It fits any model, so the wallet's tests use it
//! too.

pub use hotpath::feed::PROTOCOL_VERSION;
use hotpath::proto::hotpath::{
    FeedOpen, FeedRequest, Head, Watermark, feed_request::Kind,
    feed_service_client::FeedServiceClient,
};
use std::{path::Path, time::Duration};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

/// A time that is long enough on any machine. Only something broken waits this long.
pub const SOON: Duration = Duration::from_secs(30);

/// An open feed.
pub struct Feed {
    requests: mpsc::Sender<FeedRequest>,
    pub watermarks: Streaming<Watermark>,
    pub first: Watermark,
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

    /// Waits for the end of the feed, and returns its code, reason and text.
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

pub fn kind(kind: Kind) -> FeedRequest {
    FeedRequest { kind: Some(kind) }
}

/// Polls until `check` returns something.
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
