//! The one contract between the engine (versions, feed, sockets) and what it serves.
//!
//! The engine never looks into a request, a reply or an event. A model is a set of pure functions: nothing it answers
//! may depend on the clock, on iteration order of a hash map or on anything but (state, request).

/// What a ledger is and how its hot methods are answered.
pub trait Model: Send + Sync + 'static {
    /// Fully qualified gRPC service, e.g. `wallet.v1.WalletService`.
    const SERVICE: &'static str;
    /// Names of the hot methods, in the order of their index.
    const METHODS: &'static [&'static str];
    /// Encoded `FileDescriptorSet` that describes `SERVICE`, for reflection and for the schema hash.
    const DESCRIPTORS: &'static [u8];

    /// The ledger at one position; `default()` is the empty ledger, position 0. Cloning must be O(1).
    type State: Clone + Default + Send + Sync + 'static;
    /// One decoded unit of the feed.
    type Event: Send + Sync + 'static;
    /// One checked request; may borrow from its bytes.
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

    /// Decodes and checks a request of `METHODS[method]`, before any state is looked at.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if the bytes are no such message, else the model's own verdict.
    fn parse(method: usize, request: &[u8]) -> Result<Self::Query<'_>, Refusal>;

    /// Appends the encoded reply to `reply`.
    ///
    /// # Errors
    /// The model's verdict; what was appended is then thrown away.
    fn answer(
        state: &Self::State,
        query: &Self::Query<'_>,
        reply: &mut Vec<u8>,
    ) -> Result<(), Refusal>;

    /// About how long `answer` would take, in units of scanning one entry (some 5 ns); reads by key are 0. From some
    /// thousands on a request is moved out of the way of cheap ones. An estimate: it must itself cost no more than a
    /// read by key.
    #[must_use]
    fn cost(_state: &Self::State, _query: &Self::Query<'_>) -> usize {
        0
    }

    /// Sizes worth watching, as (name, help, value), e.g. `("accounts", "Accounts with entries", 3)`. Those that the empty
    /// ledger has are shown, as `hotpathd_model_NAME`: letters, digits and `_`; the help is one line.
    fn gauges(state: &Self::State) -> Vec<(&'static str, &'static str, u64)>;
}

/// Why a request has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes cannot be decoded. Not an answer: the caller's own service decides what to say.
    Malformed(String),
    /// An answer: the status that the service itself would have given.
    Verdict {
        /// The gRPC status code.
        code: VerdictCode,
        /// The status message; the same bytes as the service's own.
        message: String,
    },
}

/// The status codes that a model may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerdictCode {
    /// A field breaks a rule.
    InvalidArgument,
    /// What was asked about does not exist at this position.
    NotFound,
    /// A figure of the answer does not fit its field.
    OutOfRange,
}

/// Whether what `M` says of itself can be shown: its names go into paths and metrics as they are, and one that breaks the
/// format would make all of `/metrics` unreadable.
///
/// # Errors
/// The first thing that cannot.
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

/// As protobuf's grammar has it.
fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.bytes().all(is_word)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
