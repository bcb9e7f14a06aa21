//! Records real traffic: a proxy that passes every call on unchanged and writes unary requests to a [`crate::capture`].
//!
//! A call is written if its request stream held exactly one message, not compressed, and if the answer had at most one,
//! whatever its status. Its time is that at which its headers came. All other calls are passed on too, and counted by
//! the reason why they are not written. Metadata is never written, because it holds credentials. A stream with one
//! message each way looks like a unary call, so it is written.
//!
//! When a limit is reached, the recording ends. The proxy goes on, because its callers would otherwise lose their
//! server. The limits are those of the format and of [`RecordOptions`]. When the proxy is stopped, calls that are under
//! way get two seconds to end.

mod body;
mod journal;
mod listen;
mod message;
mod proxy;

use crate::{
    capture,
    error::{Error, Kind, Result},
    generator::Address,
};
use journal::Journal;
use listen::Listener;
use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How often `stop` is looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long tasks that are left after the calls have ended may take.
const LEFTOVER: Duration = Duration::from_secs(1);

/// What to record, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordOptions {
    /// The address that callers connect to. It is a loopback address unless the user names another one.
    pub listen: Address,
    /// The address that calls are passed on to.
    pub target: Address,
    /// The file of the capture, which must not exist.
    pub file: PathBuf,
    /// Prefixes of method paths (such as `/package.Service/`) to record; empty means all methods.
    pub only: Vec<String>,
    /// Recording ends before the file becomes larger; at most [`capture::MAX_FILE_BYTES`].
    pub max_file_bytes: u64,
    /// Recording ends this long after the first call; at most 366 days.
    pub max_duration: Duration,
    /// Calls with a larger message are not recorded; at most [`capture::MAX_MESSAGE_BYTES`].
    pub max_message_bytes: usize,
}

/// A proxy that already listens.
#[derive(Debug)]
pub struct Recorder {
    listener: Listener,
    target: Address,
    file: PathBuf,
    journal: Arc<Journal>,
}

/// What was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The file of the capture.
    pub file: PathBuf,
    /// The number of requests that were written.
    pub requests: u64,
    /// Size of the capture.
    pub bytes: u64,
    /// The number of calls that were passed on only, by reason.
    pub not_recorded: BTreeMap<&'static str, u64>,
    /// The limit that ended the recording before the proxy was stopped.
    pub ended: Option<String>,
}

impl RecordOptions {
    /// Options to record everything that goes to `target`. They listen on a free port of loopback, for an hour, and
    /// have the largest limits otherwise.
    #[must_use]
    pub fn new(target: Address, file: PathBuf) -> Self {
        Self {
            listen: Address::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)),
            target,
            file,
            only: Vec::new(),
            max_file_bytes: capture::MAX_FILE_BYTES,
            max_duration: Duration::from_secs(3_600),
            max_message_bytes: capture::MAX_MESSAGE_BYTES,
        }
    }
}

/// Records until `stop` is set. Writes to standard error where it listens, and when a limit is reached.
pub fn run(options: RecordOptions, stop: &Arc<AtomicBool>) -> Result<Recorded> {
    let recorder = Recorder::bind(options)?;
    // If nobody reads standard error any more, the recording goes on.
    let note = |text: &str| drop(writeln!(io::stderr(), "{text}"));
    note(&format!("listening on {}", recorder.address()));
    recorder.serve(stop, note)
}

impl Recorder {
    /// Begins to listen, and creates the file.
    pub fn bind(options: RecordOptions) -> Result<Self> {
        let listener = Listener::bind(&options.listen).map_err(|error| {
            let message = format!("can't listen on {}", options.listen);
            Error::caused(Kind::Target, message, error)
        })?;
        let file = options.file.clone();
        let target = options.target.clone();
        let journal = Journal::create(options).map_err(|error| {
            let message = format!("can't create {}", file.display());
            Error::caused(Kind::Output, message, error)
        })?;
        Ok(Self {
            listener,
            target,
            file,
            journal: Arc::new(journal),
        })
    }

    /// The address that callers connect to, with the port that was chosen.
    #[must_use]
    pub fn address(&self) -> &Address {
        self.listener.address()
    }

    /// Passes calls on until `stop` is set. If a limit ends the recording before, `note` gets one line.
    pub fn serve(self, stop: &AtomicBool, note: impl Fn(&str)) -> Result<Recorded> {
        let failed = |error| Error::caused(Kind::Internal, "can't start the proxy", error);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(failed)?;
        let journal = Arc::clone(&self.journal);
        let until_stopped = async move {
            let mut noted = false;
            while !stop.load(Ordering::Relaxed) {
                tokio::time::sleep(TICK).await;
                let ended = journal.tick();
                if let (Some(ended), false) = (ended, noted) {
                    note(&format!(
                        "recording ended, calls are still passed on: {ended}"
                    ));
                    noted = true;
                }
            }
        };
        let serving = proxy::serve(self.listener, self.target, &self.journal, until_stopped);
        let served = runtime.block_on(serving);
        // A call is counted when the last task that carries it is gone.
        runtime.shutdown_timeout(LEFTOVER);
        let recorded = self.journal.finish(&self.file);
        served.map_err(|error| Error::caused(Kind::Target, "can't accept connections", error))?;
        recorded.map_err(|error| {
            let message = format!("can't write {}", self.file.display());
            Error::caused(Kind::Output, message, error)
        })
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requests, bytes, file) = (self.requests, self.bytes, self.file.display());
        writeln!(f, "{requests} requests recorded in {file}, {bytes} bytes")?;
        for (why, calls) in &self.not_recorded {
            writeln!(f, "{calls} passed on only: {why}")?;
        }
        match &self.ended {
            Some(ended) => writeln!(f, "recording ended early: {ended}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
