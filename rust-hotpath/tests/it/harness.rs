//! An engine in this process, its clients, and a feed to drive it with.

pub use crate::client::*;
use crate::{
    counter::proto::{
        Added, GetRequest, GetResponse, counter_service_client::CounterServiceClient,
    },
    moody::Moody,
};
use hotpath::{
    app::{self, Program, Running},
    config::{self, Asked},
    proto::hotpath::{EventBatch, FeedRequest, feed_request::Kind},
};
use prost::Message as _;
use std::{ffi::OsString, ops::RangeInclusive, path::Path};
use tempfile::TempDir;
use tonic::{Request, Response, Status, transport::Channel};

pub const LEDGER: &str = "ledger-1";
pub const PROGRAM: Program = Program::new("tester", "1.2.3", "");

pub struct Engine {
    pub running: Running,
    pub dir: TempDir,
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
        // `make test` runs all these tests once more with it.
        let front = std::env::var_os("TEST_FRONT").filter(|_| !args.contains(&"--front"));
        if let Some(front) = front {
            all.extend(["--front".into(), front]);
        }
        all.extend(args.iter().map(OsString::from));
        let Asked::Run(config) = config::read(PROGRAM, all, []).unwrap() else {
            panic!("help was asked for");
        };
        let running = app::start::<Moody>(*config).await?;
        Ok(Self { running, dir })
    }

    /// Starts an engine, and feeds it up to `head` with one event per position, each of which adds 1 to `a`.
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

    /// Stops the engine, and waits for its end.
    pub async fn stop(self) -> TempDir {
        self.running.stop();
        tokio::time::timeout(SOON, self.running.ended())
            .await
            .expect("an end");
        self.dir
    }
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

/// A batch with one event per position, each of which adds 1 to `a`.
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

pub fn added(position: u64, name: &str, delta: i64) -> Added {
    let name = name.to_owned();
    Added {
        position,
        name,
        delta,
    }
}
