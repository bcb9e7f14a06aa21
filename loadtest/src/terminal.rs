//! Shows the progress of a run: a live view on a terminal, otherwise one line per window.

mod columns;
mod view;

use self::view::{Look, View};
use crate::{generator::Progress, report::model::Window};
use indicatif::ProgressDrawTarget;
use std::{
    env,
    io::{self, Stderr},
    time::Duration,
};

/// The window that is about to run, for the live view.
#[derive(Debug, Clone, PartialEq)]
pub struct Now {
    /// Name of the target.
    pub target: String,
    /// The phase in words, such as `escalate, pass 4`.
    pub phase: String,
    /// The load.
    pub asked: Asked,
    /// Planned length of the window.
    pub duration: Duration,
    /// Share of the whole run that is done, if it can be estimated.
    pub done: Option<f64>,
}

/// The load on a target in a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Asked {
    /// Planned reads a second.
    Qps(f64),
    /// A capture at its own times, this many times as fast.
    OwnTimes(f64),
    /// A closed loop with this many reads always in flight.
    InFlight(u64),
}

/// The view. It writes to standard error, so that standard output has the summary only. Errors of writing are ignored:
/// a terminal that went away must not end the run.
#[derive(Debug)]
pub struct Terminal {
    view: View<Stderr>,
}

impl Terminal {
    /// Makes a view. It is live if standard error is a terminal. With `quiet` it shows notes only.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let terminal = ProgressDrawTarget::stderr();
        let look = Look {
            quiet,
            colours: !terminal.is_hidden() && !set("NO_COLOR"),
        };
        let target = if quiet {
            ProgressDrawTarget::hidden()
        } else {
            terminal
        };
        Self {
            view: View::new(io::stderr(), target, look),
        }
    }

    /// Writes a line that stays, such as `legacy: ready after 3.1 s`.
    pub fn note(&mut self, text: &str) {
        self.view.note(text);
    }

    /// Shows that a window begins.
    pub fn begin(&mut self, now: &Now) {
        self.view.begin(now, width());
    }

    /// Shows the progress of a window. Called a few times a second from another thread while the window runs.
    /// `cpu_fraction` is the CPU of the target's processes, in cores.
    pub fn progress(&mut self, progress: &Progress, elapsed: Duration, cpu_fraction: Option<f64>) {
        self.view.progress(progress, elapsed, cpu_fraction, width());
    }

    /// Shows that the window is over.
    pub fn end(&mut self, window: &Window) {
        self.view.end(window, width());
    }
}

/// Returns the number of columns, or `None` without a terminal. It is asked each time, because a terminal may be
/// resized.
fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
