//! The contract between the engine (versions, feed, sockets) and the model that it serves.
//!
//! The engine never looks into a request, a reply or an event. A model is a set of pure functions: an answer may depend
//! only on the state and the request. It may not depend on the clock or on the iteration order of a hash map, for
//! example.

/// Defines what a ledger is and how its hot methods are answered.
pub trait Model: Send + Sync + 'static {
    /// Fully qualified gRPC service, e.g. `wallet.v1.WalletService`.
    const SERVICE: &'static str;
    /// Names of the hot methods, in the order of their index.
    const METHODS: &'static [&'static str];
    /// Every reason of [`Refusal::Decline`]. Each is a label of `hotpathd_declined_total` and of the shim's metrics.
    /// There may be at most 32, each of 1-64 letters, digits and `_`.
    const DECLINES: &'static [&'static str] = &[];
    /// The encoded `FileDescriptorSet` that describes `SERVICE`. Reflection and the schema hash use it.
    const DESCRIPTORS: &'static [u8];

    /// What an operator may choose about the model. Each choice is a setting of the program, `--NAME` and so on.
    const CHOICES: &'static [Choice] = &[];

    /// The ledger at one position; `default()` is the empty ledger, position 0. Cloning must be O(1).
    type State: Clone + Default + Send + Sync + 'static;
    /// One decoded event of the feed.
    type Event: Send + Sync + 'static;
    /// One checked request. It may borrow from the request's bytes.
    type Query<'a>: Send + 'a;

    /// Decodes one event and checks what can be checked without a state.
    ///
    /// # Errors
    /// The text says what is wrong with the event.
    fn decode_event(bytes: &[u8]) -> Result<Self::Event, String>;

    /// The position that the event itself claims.
    fn position(event: &Self::Event) -> u64;

    /// Applies one event, whole or not at all.
    ///
    /// # Errors
    /// The rule of the ledger that the event breaks; `state` is then unchanged.
    fn apply(state: &mut Self::State, event: &Self::Event) -> Result<(), String>;

    /// Makes the empty ledger. `chosen` has one value for each of [`Model::CHOICES`]. Answers must not depend on it.
    #[must_use]
    fn begin(_chosen: &[&'static str]) -> Self::State {
        Self::State::default()
    }

    /// Takes long work that the last events left to do, such as rebuilding an index. The engine does it on a thread of
    /// its own, while events are applied and requests answered. Answers must not depend on whether it is done yet.
    #[must_use]
    fn chores(_state: &mut Self::State) -> Vec<Chore<Self::State>> {
        Vec::new()
    }

    /// Decodes and checks a request of `METHODS[method]`, before any state is looked at.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if the bytes are no such message, [`Refusal::Decline`], or the model's own verdict. A
    /// verdict must be the same at every position.
    fn parse(method: usize, request: &[u8]) -> Result<Self::Query<'_>, Refusal>;

    /// Appends the encoded reply to `reply`.
    ///
    /// # Errors
    /// The model's verdict, or [`Refusal::Decline`]. The engine then drops what was appended.
    fn answer(
        state: &Self::State,
        query: &Self::Query<'_>,
        reply: &mut Vec<u8>,
    ) -> Result<(), Refusal>;

    /// Estimates how long `answer` would take, in units of scanning one entry (some 5 ns). A read by key costs 0. The
    /// engine moves requests that cost more than 20 000 out of the way of cheap ones. The estimate itself must take no
    /// longer than a read by key.
    #[must_use]
    fn cost(_state: &Self::State, _query: &Self::Query<'_>) -> usize {
        0
    }

    /// Checks one version against itself, e.g. an index against a scan, with up to `questions` questions drawn by `seed`.
    /// It runs on a thread of its own, as long as `go_on` says so. Operators ask for it (`/debug/audit`). A model that
    /// has one way to answer has nothing to check.
    #[must_use]
    fn audit(
        _state: &Self::State,
        _seed: u64,
        _questions: u64,
        _go_on: &dyn Fn() -> bool,
    ) -> Option<Audit> {
        None
    }

    /// Sizes worth watching, as (name, help, value), e.g. `("accounts", "Accounts with entries", 3)`. Each gauge of the
    /// empty ledger is shown as `hotpathd_model_NAME`. A name consists of letters, digits and `_`, and the help is one
    /// line.
    fn gauges(state: &Self::State) -> Vec<(&'static str, &'static str, u64)>;
}

/// Long work. It returns how to finish it.
pub type Chore<S> = Box<dyn FnOnce() -> Finish<S> + Send>;

/// The end of a [`Chore`], done by the writer, so it must be short. Events were applied since the chore was taken, and
/// after a panic others may have been taken back: it must do nothing if its work no longer fits.
pub type Finish<S> = Box<dyn FnOnce(&mut S) + Send>;

/// What [`Model::audit`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Questions that were asked.
    pub asked: u64,
    /// Whether all were asked that should have been.
    pub complete: bool,
    /// Mistakes that were found.
    pub wrong: u64,
    /// The first few mistakes, each in a line.
    pub mistakes: Vec<String>,
    /// What was checked, each in a line.
    pub notes: Vec<String>,
}

/// One of a few words that an operator may choose.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// The flag without dashes, as in `statistics`. The engine's settings have other names.
    pub name: &'static str,
    /// The words, as in `index|scan`. The first is the default.
    pub values: &'static str,
    /// The line in the help.
    pub help: &'static str,
}

impl Choice {
    /// The word that holds if none is given.
    #[must_use]
    pub fn default(&self) -> &'static str {
        self.values.split('|').next().unwrap_or_default()
    }

    /// The word that is written like `text`.
    #[must_use]
    pub fn value(&self, text: &str) -> Option<&'static str> {
        self.values.split('|').find(|value| *value == text)
    }
}

/// Why a request has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes cannot be decoded. This is not an answer: the caller's own service decides what to say.
    Malformed(String),
    /// The model does not answer this request, so the service's own handler does, within the caller's deadline. It is
    /// not a failure, however often it happens. The reason is one of [`Model::DECLINES`]. Any other is counted as
    /// `other`.
    Decline(&'static str),
    /// An answer: the status that the service itself would have returned.
    Verdict {
        /// The gRPC status code.
        code: VerdictCode,
        /// The status message, with the same bytes as the service's own.
        message: String,
        /// The details of the status, in the service's order. Most statuses have none.
        details: Vec<Detail>,
    },
}

/// One detail of a status, as `google.protobuf.Any` holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The type of `value`, e.g. `type.googleapis.com/google.rpc.ErrorInfo`.
    pub type_url: String,
    /// The encoded message.
    pub value: Vec<u8>,
}

/// The status codes that a model may decide: all but `OK`. Callers get them as they are. The shim does not mistake them
/// for failures of the sidecar, because only an answer of the model names a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum VerdictCode {
    /// `CANCELLED`
    Cancelled = 1,
    /// `UNKNOWN`. grpc-go also uses it for an error that is no status.
    Unknown = 2,
    /// `INVALID_ARGUMENT`: a field breaks a rule.
    InvalidArgument = 3,
    /// `DEADLINE_EXCEEDED`
    DeadlineExceeded = 4,
    /// `NOT_FOUND`: what was asked about does not exist at this position.
    NotFound = 5,
    /// `ALREADY_EXISTS`
    AlreadyExists = 6,
    /// `PERMISSION_DENIED`
    PermissionDenied = 7,
    /// `RESOURCE_EXHAUSTED`
    ResourceExhausted = 8,
    /// `FAILED_PRECONDITION`
    FailedPrecondition = 9,
    /// `ABORTED`
    Aborted = 10,
    /// `OUT_OF_RANGE`: for example, a figure of the answer does not fit its field.
    OutOfRange = 11,
    /// `UNIMPLEMENTED`
    Unimplemented = 12,
    /// `INTERNAL`
    Internal = 13,
    /// `UNAVAILABLE`
    Unavailable = 14,
    /// `DATA_LOSS`
    DataLoss = 15,
    /// `UNAUTHENTICATED`
    Unauthenticated = 16,
}

const MOST_DECLINES: usize = 32;
const DECLINE_BYTES: usize = 64;

impl Refusal {
    /// Returns a verdict without details.
    pub fn verdict(code: VerdictCode, message: impl Into<String>) -> Self {
        Self::Verdict {
            code,
            message: message.into(),
            details: Vec::new(),
        }
    }

    /// Adds a detail: the full name of a message, e.g. `google.rpc.ErrorInfo`, and its encoded bytes. Does nothing to a
    /// refusal that is no verdict.
    #[must_use]
    pub fn with_detail(mut self, message_name: &str, value: Vec<u8>) -> Self {
        if let Self::Verdict { details, .. } = &mut self {
            let type_url = format!("type.googleapis.com/{message_name}");
            details.push(Detail { type_url, value });
        }
        self
    }
}

impl VerdictCode {
    /// Returns the code with this number, or `None` for `OK` and for numbers that are no code. A service's own message
    /// may hold such a number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Cancelled,
            2 => Self::Unknown,
            3 => Self::InvalidArgument,
            4 => Self::DeadlineExceeded,
            5 => Self::NotFound,
            6 => Self::AlreadyExists,
            7 => Self::PermissionDenied,
            8 => Self::ResourceExhausted,
            9 => Self::FailedPrecondition,
            10 => Self::Aborted,
            11 => Self::OutOfRange,
            12 => Self::Unimplemented,
            13 => Self::Internal,
            14 => Self::Unavailable,
            15 => Self::DataLoss,
            16 => Self::Unauthenticated,
            _ => return None,
        })
    }

    /// The number of this code.
    #[must_use]
    pub fn number(self) -> i32 {
        i32::from(self as u8)
    }
}

/// Checks that the names and texts of `M` can be shown. They go into paths and metrics as they are, and one that breaks
/// the format would make all of `/metrics` unreadable.
///
/// # Errors
/// The first one that cannot be shown.
pub fn check<M: Model>() -> Result<(), String> {
    if !M::SERVICE.split('.').all(is_identifier) {
        return Err(format!(
            "SERVICE {:?} is no full name of a service",
            M::SERVICE
        ));
    }
    for (index, method) in M::METHODS.iter().enumerate() {
        if !is_identifier(method) {
            return Err(format!(
                "METHODS[{index}] {method:?} is no name of a method"
            ));
        }
        if M::METHODS[..index].contains(method) {
            return Err(format!("METHODS[{index}] {method:?} repeats another"));
        }
    }
    check_declines(M::DECLINES)?;
    let gauges = M::gauges(&M::State::default());
    for (index, (name, help, _)) in gauges.iter().enumerate() {
        if name.is_empty() || !name.bytes().all(is_word) {
            let rule = "must be letters, digits and _";
            return Err(format!("gauges[{index}] {name:?}: the name {rule}"));
        }
        if gauges[..index].iter().any(|(other, ..)| other == name) {
            return Err(format!("gauges[{index}] {name:?} repeats another"));
        }
        if help.contains(|c: char| c.is_control() || matches!(c, '"' | '\\')) {
            let rule = "must be one line without quotes and backslashes";
            return Err(format!(
                "gauges[{index}] {name:?}: the help {help:?} {rule}"
            ));
        }
    }
    Ok(())
}

fn check_declines(declines: &[&str]) -> Result<(), String> {
    if declines.len() > MOST_DECLINES {
        let count = declines.len();
        return Err(format!(
            "DECLINES: must be at most {MOST_DECLINES} reasons, not {count}"
        ));
    }
    for (index, reason) in declines.iter().enumerate() {
        if !(1..=DECLINE_BYTES).contains(&reason.len()) || !reason.bytes().all(is_word) {
            return Err(format!(
                "DECLINES[{index}] {reason:?} must be 1-{DECLINE_BYTES} letters, digits and _"
            ));
        }
        if declines[..index].contains(reason) {
            return Err(format!("DECLINES[{index}] {reason:?} repeats another"));
        }
    }
    Ok(())
}

/// Whether this is an identifier in protobuf's grammar.
fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.bytes().all(is_word)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shim has a copy of the rule, and checks it against the same file.
    #[test]
    fn reasons_to_decline_follow_the_rule_of_both_languages() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../proto/golden/decline-reasons.txt"
        );
        let golden = std::fs::read_to_string(path).expect(path);
        let mut cases = [0, 0];
        for line in golden.lines().filter(|line| !line.starts_with('#')) {
            let (allowed, text) = line.split_once(' ').expect(line);
            let text: String = serde_json::from_str(text).expect(line);
            assert_eq!(check_declines(&[&text]).is_ok(), allowed == "yes", "{line}");
            cases[usize::from(allowed == "yes")] += 1;
        }
        assert!(cases[0] >= 10 && cases[1] >= 5, "{cases:?}");
    }
}
