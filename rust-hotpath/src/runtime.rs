//! The threads and the log of the process. No other module chooses them.

mod cores;

pub use cores::Cores;

use crate::{
    error::{Error, Kind},
    limits,
    settings::{Group, Setting, Settings},
};
use tokio::runtime::{Builder, Runtime};
use tracing::Level;

/// How the process runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Threads that serve connections.
    pub threads: usize,
    /// The lowest level that is logged.
    pub log_level: Level,
}

impl Config {
    /// What can be set.
    pub const SETTINGS: Group = Group {
        title: "Process",
        settings: &[
            Setting::new(
                "threads",
                "N",
                "",
                "Threads that serve connections, each its own (default: one per core)",
            )
            .within(&limits::THREADS),
            Setting::new(
                "log-level",
                "LEVEL",
                "info",
                "error, warn, info, debug or trace; lines go to standard error",
            ),
        ],
    };

    /// Reads the settings.
    pub fn resolve(settings: &mut Settings) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = match settings.text("threads") {
            Some(_) => settings.size("threads"),
            None => cores,
        };
        let level = settings.parsed("log-level", |text| {
            let known = ["error", "warn", "info", "debug", "trace"].contains(&text);
            let level = text.parse().ok().filter(|_| known);
            level.ok_or_else(|| "must be error, warn, info, debug or trace".to_owned())
        });
        Self {
            threads,
            log_level: level.unwrap_or(Level::INFO),
        }
    }
}

/// Starts the main runtime, which runs everything but the connections. It has one thread, because nothing on it takes
/// long.
///
/// # Errors
/// If the system has no file descriptor left.
pub fn start() -> Result<Runtime, Error> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Error::new(Kind::Io, "the runtime cannot be started").because(error))
}

/// Logs to standard error, one plain line per event. A panic is one line too. A line that cannot be written is lost.
pub fn log(config: &Config) {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_max_level(config.log_level)
        // They go through `eprintln!`, which panics if the log's reader is gone or its disk is full. The hook below
        // would then log that panic.
        .log_internal_errors(false)
        .finish();
    // This fails only if the embedding program already logs. Then its way is the right one.
    let _ = tracing::subscriber::set_global_default(subscriber);
    std::panic::set_hook(Box::new(|panic| {
        let text = crate::error::panic_text(panic.payload());
        match panic.location() {
            Some(at) => tracing::error!("panic at {}:{}: {text}", at.file(), at.line()),
            None => tracing::error!("panic: {text}"),
        }
    }));
}
