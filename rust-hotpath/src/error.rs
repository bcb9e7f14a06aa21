//! The engine's one error type. A kind says what went wrong, where the cause lies, and whether trying again can help.

use std::{borrow::Cow, collections::HashMap, fmt};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Domain of every `google.rpc.ErrorInfo` that the engine attaches.
pub const DOMAIN: &str = "hotpath";

/// Where the cause lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The caller, or whoever started the process.
    Caller,
    /// The feed.
    Feed,
    /// Files, sockets and ports of this machine.
    Disk,
    /// This process.
    Internal,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bad flags or environment.
    Usage,
    /// Bad configuration file.
    Config,
    /// Another sidecar owns the socket.
    SocketTaken,
    /// A socket, port or file cannot be created.
    CannotCreate,
    /// Input or output failed.
    Io,
    /// The model's names or descriptors have a mistake, so it cannot be served.
    BadModel,
    /// Too few events were fed so far.
    NotReady,
    /// The process is about to end.
    Draining,
    /// A limit on concurrent work is reached.
    Overloaded,
    /// A message is longer than allowed.
    TooLong,
    /// The peer asked for something that is not served here.
    Unsupported,
    /// Bytes that are no gRPC message, or no message of this method.
    Malformed,
    /// An argument breaks a rule.
    Argument,
    /// The request asks for a position that the ledger has not reached.
    NotReached,
    /// The version asked for is no longer retained.
    NotRetained,
    /// The model leaves the request to the caller's own service.
    Declined,
    /// The caller's time was up before there was an answer.
    TooLate,
    /// The caller has gone.
    Cancelled,
    /// The model panicked.
    Panicked,
    /// The peer speaks another version of the private protocol.
    ProtocolMismatch,
    /// The peer has another ledger.
    LedgerMismatch,
    /// The fed ledger is behind what this sidecar already holds.
    FeedBehind,
    /// A position was skipped.
    FeedGap,
    /// A position came again or out of order.
    FeedRepeat,
    /// The feed sent a message that is not allowed there.
    FeedBadMessage,
    /// An event cannot be decoded or breaks a rule.
    FeedBadEvent,
    /// Another feed is open.
    FeedBusy,
    /// The feed's connection ended.
    FeedLost,
    /// A lane's connection ended.
    LaneLost,
}

/// An error with its cause.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The properties of a [`Kind`].
struct Row {
    origin: Origin,
    retryable: bool,
    code: Code,
    reason: Option<&'static str>,
    /// The exit code, as in sysexits.h.
    exit: u8,
}

impl Kind {
    /// Every kind that can end a feed, for metrics.
    pub const FEED: [Kind; 11] = [
        Kind::ProtocolMismatch,
        Kind::LedgerMismatch,
        Kind::FeedBehind,
        Kind::FeedGap,
        Kind::FeedRepeat,
        Kind::FeedBadMessage,
        Kind::FeedBadEvent,
        Kind::FeedBusy,
        Kind::FeedLost,
        Kind::Draining,
        Kind::Panicked,
    ];

    /// Every kind that can end a lane of the exchange, for metrics.
    pub const LANE: [Kind; 6] = [
        Kind::Argument,
        Kind::TooLong,
        Kind::Overloaded,
        Kind::Unsupported,
        Kind::LaneLost,
        Kind::Draining,
    ];

    /// The name in metrics and in `ErrorInfo`.
    #[must_use]
    pub fn reason(self) -> &'static str {
        self.row().reason.unwrap_or(match self {
            Kind::FeedLost => "FEED_LOST",
            Kind::LaneLost => "LANE_LOST",
            Kind::Argument => "ARGUMENT",
            Kind::TooLong => "TOO_LONG",
            Kind::Unsupported => "UNSUPPORTED",
            Kind::Draining => "DRAINING",
            Kind::Panicked => "PANICKED",
            _ => "OTHER",
        })
    }

    fn row(self) -> Row {
        use Code as C;
        use Origin::{Caller, Disk, Feed, Internal};
        let gone = Some("POSITION_NOT_RETAINED");
        let (origin, retryable, code, reason, exit) = match self {
            Kind::Usage => (Caller, false, C::InvalidArgument, None, 64),
            Kind::Config => (Caller, false, C::InvalidArgument, None, 78),
            Kind::SocketTaken => (Disk, true, C::Unavailable, None, 69),
            Kind::CannotCreate => (Disk, false, C::Internal, None, 73),
            Kind::Io => (Disk, true, C::Internal, None, 74),
            Kind::NotReady => (Feed, true, C::Unavailable, None, 70),
            Kind::Draining => (Internal, true, C::Unavailable, None, 70),
            Kind::Overloaded => (Caller, true, C::ResourceExhausted, Some("OVERLOADED"), 70),
            Kind::TooLong => (Caller, false, C::ResourceExhausted, None, 70),
            Kind::Unsupported => (Caller, false, C::Unimplemented, None, 70),
            Kind::Malformed => (Caller, false, C::Internal, None, 70),
            Kind::Argument => (Caller, false, C::InvalidArgument, None, 70),
            Kind::NotReached => (
                Feed,
                true,
                C::FailedPrecondition,
                Some("POSITION_NOT_REACHED"),
                70,
            ),
            Kind::NotRetained => (Caller, false, C::FailedPrecondition, gone, 70),
            // Clients do not retry this code, and an older shim does not take it for a failure.
            Kind::Declined => (Caller, false, C::Unimplemented, Some("DECLINED"), 70),
            Kind::TooLate => (Caller, true, C::DeadlineExceeded, None, 70),
            Kind::Cancelled => (Caller, false, C::Cancelled, None, 70),
            Kind::BadModel | Kind::Panicked => (Internal, false, C::Internal, None, 70),
            Kind::ProtocolMismatch => (
                Feed,
                false,
                C::FailedPrecondition,
                Some("PROTOCOL_MISMATCH"),
                70,
            ),
            Kind::LedgerMismatch => (
                Feed,
                false,
                C::FailedPrecondition,
                Some("LEDGER_MISMATCH"),
                70,
            ),
            Kind::FeedBehind => (Feed, false, C::FailedPrecondition, Some("FEED_BEHIND"), 70),
            Kind::FeedGap => (Feed, true, C::FailedPrecondition, Some("FEED_GAP"), 70),
            Kind::FeedRepeat => (Feed, true, C::FailedPrecondition, Some("FEED_REPEAT"), 70),
            Kind::FeedBadMessage => (
                Feed,
                false,
                C::InvalidArgument,
                Some("FEED_BAD_MESSAGE"),
                70,
            ),
            Kind::FeedBadEvent => (Feed, false, C::InvalidArgument, Some("FEED_BAD_EVENT"), 70),
            Kind::FeedBusy => (Feed, true, C::AlreadyExists, Some("FEED_BUSY"), 70),
            Kind::FeedLost => (Feed, true, C::Cancelled, None, 70),
            Kind::LaneLost => (Caller, true, C::Cancelled, None, 70),
        };
        Row {
            origin,
            retryable,
            code,
            reason,
            exit,
        }
    }
}

impl Error {
    /// An error without a deeper cause.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            cause: None,
        }
    }

    /// The error for a request that a model declined. Its message is the model's reason.
    #[must_use]
    pub fn declined(why: &str) -> Self {
        Self::new(Kind::Declined, why)
    }

    /// The same error, caused by `cause`.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where the cause lies.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.kind.row().origin
    }

    /// The gRPC status code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.kind.row().code
    }

    /// Whether the same thing may work later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.kind.row().retryable
    }

    /// The process' exit code, as in sysexits.h.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.kind.row().exit
    }

    /// The gRPC status. A kind with a reason carries it as `google.rpc.ErrorInfo`. For a declined request, the
    /// metadata's `why` has the model's reason.
    #[must_use]
    pub fn status(&self) -> Status {
        let row = self.kind.row();
        let Some(reason) = row.reason else {
            return Status::new(row.code, &self.message);
        };
        let mut metadata = HashMap::new();
        if self.kind == Kind::Declined {
            metadata.insert("why".to_owned(), self.message.clone());
        }
        let details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
        Status::with_error_details(row.code, self.text(), details)
    }

    fn text(&self) -> Cow<'_, str> {
        match self.kind {
            Kind::Declined => Cow::Owned(format!(
                "the sidecar declined this request ({}): ask the service itself",
                self.message
            )),
            _ => Cow::Borrowed(&self.message),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())?;
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// The message of a panic.
pub(crate) fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_travels_as_error_info() {
        let status = Error::new(Kind::FeedGap, "text").status();
        assert_eq!(
            (status.code(), status.message()),
            (Code::FailedPrecondition, "text")
        );
        let info = status.get_details_error_info().expect("details");
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("FEED_GAP", DOMAIN)
        );
    }

    #[test]
    fn what_is_declined_says_why_to_programs_too() {
        let status = Error::declined("too_new").status();
        assert_eq!(
            (status.code(), status.message()),
            (
                Code::Unimplemented,
                "the sidecar declined this request (too_new): ask the service itself"
            )
        );
        let info = status.get_details_error_info().expect("details");
        assert_eq!(
            (info.reason.as_str(), &*info.metadata["why"]),
            ("DECLINED", "too_new")
        );
    }

    #[test]
    fn the_cause_is_part_of_the_text() {
        let error =
            Error::new(Kind::Io, "cannot read x").because(std::io::Error::other("worn out"));
        assert_eq!(error.to_string(), "cannot read x: worn out");
        assert_eq!(
            (error.origin(), error.retryable(), error.exit_code()),
            (Origin::Disk, true, 74)
        );
    }
}
