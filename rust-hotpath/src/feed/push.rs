//! The source that the shim feeds over the Unix socket.

use super::{Feeds, Opening, Said, Session, Source};
use crate::{
    error::{Error, Kind},
    ingest::Start,
    limits,
    model::Model,
    proto::hotpath::{
        FeedRequest, Watermark,
        feed_request::Kind as Message,
        feed_service_server::{FeedService, FeedServiceServer},
    },
    shutdown::Shutdown,
    view::View,
};
use std::sync::Arc;
use tokio::{runtime::Handle, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// The gRPC service.
pub struct Push<M: Model> {
    feeds: Feeds<M>,
    view: View<M>,
    ledger: Arc<super::Ledger>,
    shutdown: Shutdown,
    /// Where feeds are decoded. It is not a runtime that serves lanes, because batches are long.
    runtime: Handle,
}

/// The messages of one stream after the first.
struct Pushed(Streaming<FeedRequest>);

impl<M: Model> Push<M> {
    /// The service, ready to be routed to. Feeds run on the runtime on which this is called.
    #[must_use]
    pub fn service(
        feeds: Feeds<M>,
        view: View<M>,
        ledger: Arc<super::Ledger>,
        shutdown: Shutdown,
    ) -> FeedServiceServer<Self> {
        let push = Self {
            feeds,
            view,
            ledger,
            shutdown,
            runtime: Handle::current(),
        };
        FeedServiceServer::new(push).max_decoding_message_size(limits::FEED_MESSAGE_BYTES)
    }

    /// Tells the shim the newest position that readers see. Positions published while the shim doesn't read are
    /// skipped.
    async fn watermarks(
        view: View<M>,
        ledger_id: String,
        start: Start,
        replies: mpsc::Sender<Result<Watermark, Status>>,
    ) {
        let mut positions = view.positions();
        let mut said = start.position;
        let opening = Watermark {
            position: said,
            ledger_id: ledger_id.clone(),
            event_sha256: start.event_sha256,
        };
        if replies.send(Ok(opening)).await.is_err() {
            return;
        }
        loop {
            let Ok(room) = replies.reserve().await else {
                return;
            };
            let position = *positions.borrow_and_update();
            if position == said {
                drop(room);
            } else {
                said = position;
                room.send(Ok(Watermark {
                    position,
                    ledger_id: ledger_id.clone(),
                    event_sha256: Vec::new(),
                }));
            }
            if positions.changed().await.is_err() {
                return;
            }
        }
    }
}

#[tonic::async_trait]
impl<M: Model> FeedService for Push<M> {
    type FeedStream = ReceiverStream<Result<Watermark, Status>>;

    async fn feed(
        &self,
        request: Request<Streaming<FeedRequest>>,
    ) -> Result<Response<Self::FeedStream>, Status> {
        let mut inbound = request.into_inner();
        let opening = opening(inbound.message().await?).map_err(|error| {
            self.feeds.count(&error);
            error.status()
        })?;
        let session = self.feeds.open(&opening).await;
        let session = session.map_err(|error| error.status())?;
        let (replies, outbound) = mpsc::channel(1);
        let watermarks = Self::watermarks(
            self.view.clone(),
            self.ledger.id().to_owned(),
            session.start.clone(),
            replies.clone(),
        );
        let shutdown = self.shutdown.clone();
        self.runtime.spawn(async move {
            let ended = converse(session, Pushed(inbound), watermarks, shutdown).await;
            if let Err(error) = ended {
                let _ = replies.send(Err(error.status())).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(outbound)))
    }
}

impl Source for Pushed {
    async fn next(&mut self) -> Result<Option<Said>, Error> {
        let message = self.0.message().await;
        let message = message.map_err(|status| match status.code() {
            tonic::Code::OutOfRange | tonic::Code::ResourceExhausted => {
                Error::new(Kind::FeedBadMessage, status.message())
            }
            _ => Error::new(Kind::FeedLost, "the feed's connection ended").because(status),
        })?;
        match message.map(|message| message.kind) {
            None => Ok(None),
            Some(Some(Message::Batch(batch))) => Ok(Some(Said::Events {
                first_position: batch.first_position,
                events: batch.events,
            })),
            Some(Some(Message::Head(head))) => Ok(Some(Said::Head(head.position))),
            Some(Some(Message::Open(_))) => Err(bad("open: must come first and only once")),
            Some(None) => Err(bad("kind: must be batch or head")),
        }
    }
}

/// Runs until the feed ends, the shim stops reading, or the process is about to end.
async fn converse<M: Model>(
    session: Session<M>,
    mut pushed: Pushed,
    watermarks: impl Future<Output = ()>,
    shutdown: Shutdown,
) -> Result<(), Error> {
    tokio::select! {
        ended = session.run(&mut pushed) => ended,
        () = watermarks => Ok(()),
        () = shutdown.ending() => Err(Error::new(Kind::Draining, "the sidecar is shutting down")),
    }
}

fn opening(first: Option<FeedRequest>) -> Result<Opening, Error> {
    match first.and_then(|message| message.kind) {
        Some(Message::Open(open)) => Ok(Opening {
            protocol_version: open.protocol_version,
            ledger_id: open.ledger_id,
            head: open.head_position,
        }),
        _ => Err(bad("open: must come first")),
    }
}

fn bad(rule: &str) -> Error {
    Error::new(Kind::FeedBadMessage, rule)
}
