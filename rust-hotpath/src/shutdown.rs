//! The end of the process has two steps. While it drains, it takes no new connections or streams. When it ends, long
//! streams are cut.

use crate::{
    limits,
    settings::{Group, Setting, Settings},
};
use std::{io::Read as _, sync::Arc, thread, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// How the process ends.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long requests in flight may take.
    pub drain: Duration,
    /// Whether the end of standard input ends the process.
    pub lifeline: bool,
}

/// The phase of the process' life. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<Phase>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Draining,
    Ending,
}

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals {
    term: Signal,
    int: Signal,
}

impl Config {
    /// What can be set.
    pub const SETTINGS: Group = Group {
        title: "Shutdown",
        settings: &[
            Setting::new(
                "drain-ms",
                "MS",
                "5000",
                "How long requests in flight may take after SIGTERM or SIGINT",
            )
            .within(&limits::DRAIN_MS),
            Setting::switch(
                "lifeline",
                "Also shut down when standard input ends, so as to die with the parent",
            ),
        ],
    };

    /// Reads the settings.
    pub fn resolve(settings: &mut Settings) -> Self {
        Self {
            drain: Duration::from_millis(settings.number("drain-ms")),
            lifeline: settings.switch("lifeline"),
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Running)))
    }
}

impl Shutdown {
    /// Starts draining.
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Cuts streams that do not end by themselves.
    pub fn end(&self) {
        self.advance(Phase::Ending);
    }

    /// Waits until draining has started.
    pub async fn draining(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Waits until long streams must end.
    pub async fn ending(&self) {
        self.reached(Phase::Ending).await;
    }

    /// Whether draining has started.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.0.borrow() >= Phase::Draining
    }

    fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let advanced = *phase < to;
            *phase = to.max(*phase);
            advanced
        });
    }

    async fn reached(&self, phase: Phase) {
        // An error would mean that the sender is gone, but `self` holds it.
        let _ = self.0.subscribe().wait_for(|now| *now >= phase).await;
    }
}

/// Takes over SIGTERM and SIGINT. Call it before there is anything that these signals would leave behind.
///
/// # Errors
/// If the handlers cannot be installed.
pub fn signals() -> std::io::Result<Signals> {
    Ok(Signals {
        term: signal(SignalKind::terminate())?,
        int: signal(SignalKind::interrupt())?,
    })
}

impl Signals {
    /// Drains on the first signal and ends the process on the second.
    pub async fn obey(mut self, shutdown: Shutdown) {
        loop {
            let (name, code) = tokio::select! {
                _ = self.term.recv() => ("SIGTERM", 143),
                _ = self.int.recv() => ("SIGINT", 130),
            };
            if shutdown.is_draining() {
                tracing::warn!("{name} again: exiting at once");
                std::process::exit(code);
            }
            tracing::info!("{name}: draining");
            shutdown.drain();
        }
    }
}

/// Drains when standard input ends. It uses a thread of its own, because a blocked read would delay the end of the
/// runtime.
///
/// # Errors
/// If the system has no thread left.
pub fn on_lifeline(shutdown: Shutdown) -> std::io::Result<()> {
    let thread = thread::Builder::new().name("lifeline".to_owned());
    thread.spawn(move || {
        let mut scratch = [0; 256];
        let mut input = std::io::stdin().lock();
        loop {
            match input.read(&mut scratch) {
                Ok(0) => break,
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        tracing::info!("standard input ended: draining");
        shutdown.drain();
    })?;
    Ok(())
}
