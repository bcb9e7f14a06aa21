//! One of the two services that are asked. Messages pass as bytes, because bytes are what is compared.

use prost::bytes::{Buf as _, BufMut as _};
use std::time::Duration;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    metadata::{MetadataMap, MetadataValue},
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

/// Longest reply that is taken.
const REPLY_BYTES: usize = 64 << 20;
const CONNECT: Duration = Duration::from_secs(5);
const POSITION: &str = "x-hotpath-position";
const AT_POSITION: &str = "x-hotpath-at-position";

/// A connection to a service.
#[derive(Clone)]
pub(super) struct Peer {
    /// The name in the report.
    pub(super) name: &'static str,
    channel: Channel,
    timeout: Duration,
}

/// The position that a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Newest,
    Position(u64),
}

/// All that a caller sees of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) details: Vec<u8>,
    /// The reason of the `ErrorInfo` in the details.
    pub(super) reason: String,
    pub(super) reply: Vec<u8>,
    pub(super) position: Option<u64>,
}

impl Peer {
    /// Connects. `uri` is `unix:PATH` or `http://IP:PORT`.
    pub(super) async fn connect(
        name: &'static str,
        uri: String,
        timeout: Duration,
    ) -> Result<Self, String> {
        let failed = |error: tonic::transport::Error| {
            let mut text = format!("cannot reach {name} at {uri}: {error}");
            // tonic's own text is only "transport error".
            let mut cause = std::error::Error::source(&error);
            while let Some(deeper) = cause {
                text = format!("{text}: {deeper}");
                cause = deeper.source();
            }
            text
        };
        let endpoint = Endpoint::from_shared(uri.clone()).map_err(failed)?;
        let endpoint = endpoint.connect_timeout(CONNECT);
        let channel = endpoint.connect().await.map_err(failed)?;
        Ok(Self {
            name,
            channel,
            timeout,
        })
    }

    /// Asks `path`, e.g. `/wallet.v1.WalletService/GetBalance`. A failure of the connection is an answer too, without a
    /// position.
    pub(super) async fn ask(&self, path: PathAndQuery, message: Vec<u8>, at: At) -> Answer {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        let fields = request.metadata_mut();
        match at {
            At::Newest => fields.insert(POSITION, MetadataValue::from_static("want")),
            At::Position(position) => fields.insert(AT_POSITION, position.into()),
        };
        let mut client = Grpc::new(self.channel.clone()).max_decoding_message_size(REPLY_BYTES);
        let asked = async {
            let ready = client.ready().await;
            ready.map_err(|error| Status::unavailable(error.to_string()))?;
            client.unary(request, path, Bytes).await
        };
        // The server ends the call in time. This is for one that does not.
        match tokio::time::timeout(self.timeout + CONNECT, asked).await {
            Ok(Ok(reply)) => Answer {
                position: position(reply.metadata()),
                reply: reply.into_inner(),
                ..Answer::empty(Code::Ok)
            },
            Ok(Err(status)) => Answer::refusal(&status),
            Err(_) => Answer {
                message: "no answer in time".to_owned(),
                ..Answer::empty(Code::DeadlineExceeded)
            },
        }
    }
}

impl Answer {
    pub(super) fn empty(code: Code) -> Self {
        Self {
            code,
            message: String::new(),
            details: Vec::new(),
            reason: String::new(),
            reply: Vec::new(),
            position: None,
        }
    }

    fn refusal(status: &Status) -> Self {
        let info = status.get_details_error_info();
        Self {
            message: status.message().to_owned(),
            details: status.details().to_vec(),
            reason: info.map(|info| info.reason).unwrap_or_default(),
            position: position(status.metadata()),
            ..Self::empty(status.code())
        }
    }

    /// Whether the ledger decided this. Any other status is a failure of the infrastructure, or means that the position
    /// is not there.
    pub(super) fn decided(&self) -> Option<u64> {
        let decided = [
            Code::Ok,
            Code::InvalidArgument,
            Code::NotFound,
            Code::OutOfRange,
        ];
        self.position.filter(|_| decided.contains(&self.code))
    }

    /// Whether the position is no longer retained.
    pub(super) fn not_retained(&self) -> bool {
        self.reason == "POSITION_NOT_RETAINED"
    }

    /// Why there is no answer, in few words, for counting.
    pub(super) fn why(&self) -> String {
        match (self.reason.as_str(), self.position) {
            ("", None) if self.code == Code::Ok => "an answer without a position".to_owned(),
            ("", _) => format!("{:?}", self.code),
            (reason, _) => format!("{:?} {reason}", self.code),
        }
    }
}

fn position(metadata: &MetadataMap) -> Option<u64> {
    metadata.get(POSITION)?.to_str().ok()?.parse().ok()
}

/// Messages are bytes.
#[derive(Clone, Copy)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}
