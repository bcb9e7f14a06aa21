//! Records real traffic: a proxy that passes every call on unchanged and writes unary requests to a [`crate::capture`].
//!
//! What is written: calls whose request stream held exactly one message, not compressed, and that were answered with at
//! most one, whatever the status; with the time at which their headers came. Everything else is passed on all the same,
//! and counted with the reason. Metadata is never written: it holds credentials. A stream that happened to carry one
//! message each way can't be told from a unary call.
//!
//! A limit that is reached ends the recording, not the proxy: its callers would lose their server. Limits: those of the
//! format, and of [`RecordOptions`]. Once stopped, calls that are under way get two seconds to end.

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

/// How often the wish to stop is looked at.
const TICK: Duration = Duration::from_millis(50);
/// For tasks that are left when the calls have ended.
const LEFTOVER: Duration = Duration::from_secs(1);

/// What to record, from where, to where.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordOptions {
    /// Where callers connect. Anything but loopback only because the user named it.
    pub listen: Address,
    /// Where their calls go.
    pub target: Address,
    /// The capture; must not exist.
    pub file: PathBuf,
    /// Beginnings of method paths (`/package.Service/`); empty means all.
    pub only: Vec<String>,
    /// Recording ends before the file is larger; at most [`capture::MAX_FILE_BYTES`].
    pub max_file_bytes: u64,
    /// Recording ends this long after the first call; at most 366 days.
    pub max_duration: Duration,
    /// Larger messages are not recorded; at most [`capture::MAX_MESSAGE_BYTES`].
    pub max_message_bytes: usize,
}

/// A proxy that callers can connect to already.
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
    /// The capture.
    pub file: PathBuf,
    /// Written.
    pub requests: u64,
    /// Size of the capture.
    pub bytes: u64,
    /// Passed on only: why, and how many.
    pub not_recorded: BTreeMap<&'static str, u64>,
    /// The limit that ended the recording before the proxy was stopped.
    pub ended: Option<String>,
}

impl RecordOptions {
    /// Everything that goes to `target`, from a free port of loopback, with the largest limits but for an hour of time.
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

/// Records until `stop` is set; tells where it listens, and when a limit is reached, on standard error.
pub fn run(options: RecordOptions, stop: &Arc<AtomicBool>) -> Result<Recorded> {
    let recorder = Recorder::bind(options)?;
    // A reader of the log that has gone is no reason to end the recording.
    let note = |text: &str| drop(writeln!(io::stderr(), "{text}"));
    note(&format!("listening on {}", recorder.address()));
    recorder.serve(stop, note)
}

impl Recorder {
    /// Begins to listen, and begins the file.
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

    /// Where callers connect, with the port that was free.
    #[must_use]
    pub fn address(&self) -> &Address {
        self.listener.address()
    }

    /// Passes calls on until `stop` is set. `note` gets one line if a limit ends the recording before.
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
        // Calls are judged when the last task that carries them is gone.
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
