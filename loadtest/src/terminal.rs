//! What is shown while a run goes on: a live view on a terminal, a line per window anywhere else.

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

/// What is about to run, for the live view.
#[derive(Debug, Clone, PartialEq)]
pub struct Now {
    /// Target.
    pub target: String,
    /// What the window is for, in words, such as `escalate, step 4`.
    pub phase: String,
    /// What the target is asked.
    pub asked: Asked,
    /// Planned length.
    pub duration: Duration,
    /// Share of the whole run that is done, if it can be told.
    pub done: Option<f64>,
}

/// What a target is asked in a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Asked {
    /// Planned reads a second.
    Qps(f64),
    /// A capture at its own times, so many times as fast.
    OwnTimes(f64),
    /// A closed loop: always so many reads in flight.
    InFlight(u64),
}

/// The view. Writes to standard error, so that standard output holds the summary only. What can't be written is lost:
/// a terminal that went away is no reason to lose a run.
#[derive(Debug)]
pub struct Terminal {
    view: View<Stderr>,
}

impl Terminal {
    /// Live if standard error is a terminal and `quiet` is not set; `quiet` shows notes only.
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

    /// A line that stays, such as `legacy: filled with 1,025,639 entries in 3.1 s`.
    pub fn note(&mut self, text: &str) {
        self.view.note(text);
    }

    /// A window begins.
    pub fn begin(&mut self, now: &Now) {
        self.view.begin(now, width());
    }

    /// Called a few times a second, from a thread of its own, while the window runs. `cpu_fraction`: of the target's
    /// processes, in cores.
    pub fn progress(&mut self, progress: &Progress, elapsed: Duration, cpu_fraction: Option<f64>) {
        self.view.progress(progress, elapsed, cpu_fraction, width());
    }

    /// The window is over.
    pub fn end(&mut self, window: &Window) {
        self.view.end(window, width());
    }
}

/// Columns of the terminal, asked anew each time because it may be resized; `None` if there is none.
fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
