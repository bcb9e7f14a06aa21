//! Decides which calls are written, and counts the others by reason.

use super::{RecordOptions, Recorded};
use crate::capture::Writer;
use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How often buffered bytes are written to the file.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// The longest time that a capture can hold.
const MAX_DURATION: Duration = Duration::from_secs(366 * 86_400);

/// Why a call is passed on but not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Streaming,
    Compressed,
    TooLarge,
    NotGrpc,
    Filtered,
    Unfinished,
    Ended,
}

/// The capture that is being written.
#[derive(Debug)]
pub(super) struct Journal {
    only: Vec<String>,
    max_file_bytes: u64,
    max_duration: Duration,
    max_message_bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    writer: Option<Writer>,
    begun: Option<Instant>,
    flushed: Instant,
    requests: u64,
    bytes: u64,
    not_recorded: BTreeMap<&'static str, u64>,
    ended: Option<String>,
    failed: Option<io::Error>,
}

/// A call, from its headers to the end of both its streams. When it is dropped, it is written or counted.
#[derive(Debug)]
pub(super) struct Call {
    journal: Arc<Journal>,
    path: String,
    at: Duration,
    outcome: Mutex<Outcome>,
}

#[derive(Debug, Default)]
struct Outcome {
    refused: Option<Why>,
    message: Option<Vec<u8>>,
    /// The number of messages in the answer, once the answer is complete.
    answered: Option<u64>,
}

impl Why {
    fn text(self) -> &'static str {
        match self {
            Self::Streaming => "streams, or calls without a message",
            Self::Compressed => "compressed requests",
            Self::TooLarge => "requests above the limit of a message",
            Self::NotGrpc => "requests that are not gRPC",
            Self::Filtered => "methods that are not asked for",
            Self::Unfinished => "cancelled, or without a whole answer",
            Self::Ended => "after the recording ended",
        }
    }
}

impl Journal {
    /// Creates the file.
    pub(super) fn create(options: RecordOptions) -> io::Result<Self> {
        let writer = Writer::create(&options.file)?;
        let state = State {
            bytes: writer.bytes(),
            writer: Some(writer),
            begun: None,
            flushed: Instant::now(),
            requests: 0,
            not_recorded: BTreeMap::new(),
            ended: None,
            failed: None,
        };
        Ok(Self {
            only: options.only,
            max_file_bytes: options.max_file_bytes,
            max_duration: options.max_duration.min(MAX_DURATION),
            max_message_bytes: options.max_message_bytes,
            state: Mutex::new(state),
        })
    }

    /// Begins a call, whose headers have come.
    pub(super) fn begin(self: &Arc<Self>, path: &str, grpc: bool) -> Call {
        let asked_for = self.only.is_empty() || self.only.iter().any(|o| path.starts_with(&**o));
        let mut outcome = Outcome::default();
        let mut at = Duration::ZERO;
        if !grpc {
            outcome.refused = Some(Why::NotGrpc);
        } else if !asked_for {
            outcome.refused = Some(Why::Filtered);
        } else {
            let mut state = self.state();
            at = state.begun.get_or_insert_with(Instant::now).elapsed();
            if at > self.max_duration {
                let limit = self.max_duration.as_secs_f64();
                state.end(&format!("the limit of {limit} seconds is reached"));
            }
            if state.ended.is_some() {
                outcome.refused = Some(Why::Ended);
            }
        }
        Call {
            journal: Arc::clone(self),
            path: path.to_owned(),
            at,
            outcome: Mutex::new(outcome),
        }
    }

    /// The largest message of a request that is recorded.
    pub(super) fn max_message_bytes(&self) -> usize {
        self.max_message_bytes
    }

    /// Flushes from time to time. Returns why the recording has ended, if it has.
    pub(super) fn tick(&self) -> Option<String> {
        let mut state = self.state();
        if state.flushed.elapsed() >= FLUSH_EVERY {
            state.flushed = Instant::now();
            let flushed = state.writer.as_mut().map_or(Ok(()), Writer::flush);
            if let Err(error) = flushed {
                state.fail(error);
            }
        }
        state.ended.clone()
    }

    /// Closes the file. Calls that end later are not counted.
    pub(super) fn finish(&self, file: &Path) -> io::Result<Recorded> {
        let mut state = self.state();
        let written = state.writer.take().map_or(Ok(()), Writer::finish);
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        written?;
        Ok(Recorded {
            file: file.to_owned(),
            requests: state.requests,
            bytes: state.bytes,
            not_recorded: state.not_recorded.clone(),
            ended: state.ended.clone(),
        })
    }

    /// A panic while the lock is held leaves the counts one short at worst, so it is ignored.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of calls that were written or counted.
    #[cfg(test)]
    pub(super) fn judged(&self) -> u64 {
        let state = self.state();
        state.requests + state.not_recorded.values().sum::<u64>()
    }

    fn write(&self, path: &str, at: Duration, message: &[u8]) {
        let mut state = self.state();
        if state.bytes + Writer::longest(path, message) > self.max_file_bytes {
            let limit = self.max_file_bytes;
            state.end(&format!("the limit of {limit} bytes is reached"));
        }
        let recording = state.ended.is_none();
        let written = match &mut state.writer {
            Some(writer) if recording => writer.write(path, at, message).map(|()| writer.bytes()),
            _ => return state.count(Why::Ended),
        };
        match written {
            Ok(bytes) => {
                state.bytes = bytes;
                state.requests += 1;
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                state.end(&error.to_string());
                state.count(Why::Ended);
            }
            Err(error) => state.fail(error),
        }
    }
}

impl State {
    fn count(&mut self, why: Why) {
        *self.not_recorded.entry(why.text()).or_default() += 1;
    }

    fn end(&mut self, why: &str) {
        self.ended.get_or_insert_with(|| why.to_owned());
    }

    fn fail(&mut self, error: io::Error) {
        self.end(&format!("the file can't be written: {error}"));
        self.failed.get_or_insert(error);
    }
}

impl Call {
    /// The largest message of a request that is recorded.
    pub(super) fn max_message_bytes(&self) -> usize {
        self.journal.max_message_bytes()
    }

    /// Records that the request is complete.
    pub(super) fn requested(&self, message: Result<Vec<u8>, Why>) {
        let mut outcome = self.outcome();
        match message {
            Ok(message) => outcome.message = Some(message),
            Err(why) => outcome.refused = outcome.refused.or(Some(why)),
        }
    }

    /// Records that the answer is complete.
    pub(super) fn answered(&self, messages: u64) {
        self.outcome().answered = Some(messages);
    }

    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let outcome = std::mem::take(&mut *self.outcome());
        let why = match (outcome.refused, outcome.message, outcome.answered) {
            (Some(why), _, _) => why,
            (None, Some(message), Some(0 | 1)) => {
                return self.journal.write(&self.path, self.at, &message);
            }
            (None, _, Some(messages)) if messages > 1 => Why::Streaming,
            _ => Why::Unfinished,
        };
        self.journal.state().count(why);
    }
}
