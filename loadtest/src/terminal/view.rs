//! The view, over anything that can be written to.

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
use std::{io::Write, sync::atomic::Ordering, time::Duration};

/// Lines of windows between two headers.
const LINES_PER_HEADER: usize = 20;
/// Where the output is no terminal.
const USUAL_WIDTH: usize = 140;
/// Characters of a bar.
const BAR: usize = 24;

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
const ERASE_BELOW: &str = "\x1b[J";

/// What is shown, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Notes only.
    pub(super) quiet: bool,
    /// Lines that are repainted.
    pub(super) live: bool,
    pub(super) colours: bool,
}

#[derive(Debug, Clone, Copy)]
enum Colour {
    Dim,
    Red,
    Yellow,
}

#[derive(Debug)]
pub(super) struct View<W: Write> {
    out: W,
    look: Look,
    now: Option<Now>,
    /// Live lines on the screen, above the cursor.
    painted: usize,
    /// Lines of windows so far.
    lines: usize,
}

impl<W: Write> View<W> {
    pub(super) fn new(out: W, look: Look) -> Self {
        Self {
            out,
            look,
            now: None,
            painted: 0,
            lines: 0,
        }
    }

    pub(super) fn note(&mut self, text: &str, width: Option<usize>) {
        let erase = self.erased();
        self.put(&format!("{erase}{text}\n"));
        if let Some(now) = self.now.clone().filter(|_| self.look.live) {
            self.paint(&[head(&now)], width);
        }
    }

    pub(super) fn begin(&mut self, now: &Now, width: Option<usize>) {
        self.now = Some(now.clone());
        if self.look.live {
            self.put(HIDE_CURSOR);
            self.paint(&[head(now)], width);
        }
    }

    pub(super) fn progress(
        &mut self,
        progress: &Progress,
        elapsed: Duration,
        cpu_cores: Option<f64>,
        width: Option<usize>,
    ) {
        if !self.look.live {
            return;
        }
        if let Some(now) = &self.now {
            let lines = [
                head(now),
                bars(now, elapsed),
                figures(now, progress, elapsed, cpu_cores),
            ];
            self.paint(&lines, width);
        }
    }

    pub(super) fn end(&mut self, window: &Window, width: Option<usize>) {
        self.now = None;
        if self.look.quiet {
            return;
        }
        let columns = width.unwrap_or(USUAL_WIDTH);
        let mut text = self.erased();
        if self.lines.is_multiple_of(LINES_PER_HEADER) {
            text.push_str(&self.coloured(&fitted(header(columns), width), Some(Colour::Dim)));
            text.push('\n');
        }
        let colour = match (&window.void, &window.broke) {
            (Some(_), _) => Some(Colour::Yellow),
            (None, Some(_)) => Some(Colour::Red),
            (None, None) => None,
        };
        text.push_str(&self.coloured(&fitted(line(window, columns), width), colour));
        text.push('\n');
        if self.look.live {
            text.push_str(SHOW_CURSOR);
        }
        self.lines += 1;
        self.put(&text);
    }

    /// Replaces the live lines.
    fn paint(&mut self, lines: &[String], width: Option<usize>) {
        let mut text = self.erased();
        for line in lines {
            text.push_str(&fitted(line.clone(), width));
            text.push('\n');
        }
        self.painted = lines.len();
        self.put(&text);
    }

    /// What takes the live lines off the screen.
    fn erased(&mut self) -> String {
        match std::mem::take(&mut self.painted) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\r{ERASE_BELOW}"),
        }
    }

    fn coloured(&self, text: &str, colour: Option<Colour>) -> String {
        let Some(colour) = colour.filter(|_| self.look.colours) else {
            return text.to_owned();
        };
        let code = match colour {
            Colour::Dim => 2,
            Colour::Red => 31,
            Colour::Yellow => 33,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    fn put(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes());
        let _ = self.out.flush();
    }
}

/// A run that ends in the middle of a window leaves the screen as it should be.
impl<W: Write> Drop for View<W> {
    fn drop(&mut self) {
        if self.now.is_some() && self.look.live {
            let erase = self.erased();
            self.put(&format!("{erase}{SHOW_CURSOR}"));
        }
    }
}

/// A line that wraps could not be erased, so what does not fit is cut off; where there is no terminal, nothing is.
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
