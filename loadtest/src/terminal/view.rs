//! The view, which writes to any [`Write`].

use super::{
    Asked, Now,
    columns::{cut, header, line},
};
use crate::{
    generator::Progress,
    report::{
        format::{closed_loop, count, duration_us, percent, significant},
        model::Window,
    },
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use std::{io::Write, sync::atomic::Ordering, time::Duration};

/// The number of windows' lines between two headers.
const LINES_PER_HEADER: usize = 20;
/// The width if the output is not a terminal.
const USUAL_WIDTH: usize = 140;
/// The characters of a progress bar.
const BAR: usize = 24;

/// How the view looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Whether to show notes only.
    pub(super) quiet: bool,
    pub(super) colours: bool,
}

#[derive(Debug)]
pub(super) struct View<W: Write> {
    out: W,
    look: Look,
    /// Its message is the live lines. It is hidden if the output is not a terminal.
    live: ProgressBar,
    now: Option<Now>,
    /// The number of windows' lines so far.
    lines: usize,
}

impl<W: Write> View<W> {
    pub(super) fn new(out: W, target: ProgressDrawTarget, look: Look) -> Self {
        let live =
            ProgressBar::with_draw_target(None, target).with_finish(ProgressFinish::AndClear);
        live.set_style(
            ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        live.finish_and_clear();
        Self {
            out,
            look,
            live,
            now: None,
            lines: 0,
        }
    }

    pub(super) fn note(&mut self, text: &str) {
        self.put(text);
    }

    pub(super) fn begin(&mut self, now: &Now, width: Option<usize>) {
        self.now = Some(now.clone());
        self.show(&[head(now)], width);
        self.live.reset();
    }

    pub(super) fn progress(
        &mut self,
        progress: &Progress,
        elapsed: Duration,
        cpu_cores: Option<f64>,
        width: Option<usize>,
    ) {
        if let Some(now) = &self.now {
            let lines = [
                head(now),
                bars(now, elapsed),
                figures(now, progress, elapsed, cpu_cores),
            ];
            self.show(&lines, width);
        }
    }

    pub(super) fn end(&mut self, window: &Window, width: Option<usize>) {
        self.now = None;
        self.live.finish_and_clear();
        if self.look.quiet {
            return;
        }
        let columns = width.unwrap_or(USUAL_WIDTH);
        if self.lines.is_multiple_of(LINES_PER_HEADER) {
            self.put(&self.coloured(&fitted(header(columns), width), "2"));
        }
        let colour = match (&window.void, &window.broke) {
            (Some(_), _) => "33",
            (None, Some(_)) => "31",
            (None, None) => "",
        };
        self.put(&self.coloured(&fitted(line(window, columns), width), colour));
        self.lines += 1;
    }

    /// Replaces the live lines.
    fn show(&self, lines: &[String], width: Option<usize>) {
        let lines = lines.iter().map(|line| fitted(line.clone(), width));
        self.live.set_message(lines.collect::<Vec<_>>().join("\n"));
    }

    fn coloured(&self, text: &str, colour: &str) -> String {
        if self.look.colours && !colour.is_empty() {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Writes a line that stays, above the live lines.
    fn put(&mut self, text: &str) {
        let out = &mut self.out;
        self.live.suspend(|| drop(writeln!(out, "{text}")));
    }
}

/// Cuts a line to the terminal's width, because a line that wraps could not be erased. Without a terminal nothing is
/// cut.
fn fitted(line: String, width: Option<usize>) -> String {
    match width {
        Some(width) => cut(&line, width.saturating_sub(1)),
        None => line,
    }
}

fn head(now: &Now) -> String {
    let asked = match now.asked {
        Asked::Qps(qps) => format!("{} reads/s offered", count(qps)),
        Asked::OwnTimes(speed) => format!("{} times as fast as captured", significant(speed)),
        Asked::InFlight(in_flight) => closed_loop(in_flight),
    };
    format!("{}: {}, {asked}", now.target, now.phase)
}

fn bars(now: &Now, elapsed: Duration) -> String {
    let planned = now.duration.as_secs_f64();
    let share = if planned > 0.0 {
        elapsed.as_secs_f64() / planned
    } else {
        1.0
    };
    let window = format!(
        "{} {:.1} of {planned:.1} s",
        bar(share),
        elapsed.as_secs_f64()
    );
    match now.done {
        Some(done) => format!(
            "{window}   run {} {}",
            bar(done),
            percent(done.clamp(0.0, 1.0))
        ),
        None => window,
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Within 0 and `BAR`.
fn bar(share: f64) -> String {
    let full =
        (share.clamp(0.0, 1.0) * f64::from(u8::try_from(BAR).unwrap_or(u8::MAX))).round() as usize;
    format!(
        "{}{}",
        "█".repeat(full),
        "░".repeat(BAR.saturating_sub(full))
    )
}

#[allow(clippy::cast_precision_loss)] // Shown with three digits.
fn figures(now: &Now, progress: &Progress, elapsed: Duration, cpu_cores: Option<f64>) -> String {
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let seconds = elapsed.as_secs_f64();
    let rate = if seconds > 0.0 {
        read(&progress.ok) / seconds
    } else {
        0.0
    };
    let lag = match now.asked {
        // Nothing is planned there.
        Asked::InFlight(_) => String::new(),
        _ => format!("   lag {}", duration_us(read(&progress.lag_p99_us))),
    };
    let cores = cpu_cores.map(|cores| format!("   CPU {} cores", significant(cores)));
    format!(
        "answered {}/s   p99 {}   errors {}{lag}   in flight {}{}",
        count(rate),
        duration_us(read(&progress.p99_us)),
        count(read(&progress.errors)),
        count(read(&progress.in_flight)),
        cores.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests;
