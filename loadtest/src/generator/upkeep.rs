//! Whether a target kept up with what a window asked of it.
//!
//! Answers count for the window of their reads, whenever they come: a target that takes 100 ms for each of them answers all
//! that it is asked, the last of them 100 ms after the end. One that can't keep up is told by something else: the longer
//! the window lasts, the longer it takes. By how much later it answers at the end than at the begin, so much longer it takes for
//! the window's reads than the window lasts.

use std::time::Duration;

/// Parts of a window. Of its trend most is seen in the first and the last of three.
const PARTS: u64 = 3;
/// From the middle of the first part to that of the last, a window has one and a half times.
const WINDOW_OVER_DISTANCE: f64 = 1.5;
/// A difference of means that is at most so many standard errors is chance.
const CHANCE: f64 = 3.0;

/// What tells how long the target took.
#[derive(Debug)]
pub(super) enum Upkeep {
    /// Reads were due by a schedule.
    Open {
        begin: u64,
        part: u64,
        waits: [Waits; 3],
    },
    /// So many reads were always in flight, and occupied them for so many nanoseconds.
    Closed { in_flight: u64, occupied: u128 },
}

/// From the planned send to the answer.
#[derive(Debug, Default)]
pub(super) struct Waits {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Upkeep {
    pub(super) fn open(begin: u64, end: u64) -> Self {
        Self::Open {
            begin,
            part: (end.saturating_sub(begin) / PARTS).max(1),
            waits: Default::default(),
        }
    }

    pub(super) fn closed(in_flight: usize) -> Self {
        Self::Closed {
            in_flight: in_flight as u64,
            occupied: 0,
        }
    }

    /// A read was answered with OK after such a wait.
    pub(super) fn answered(&mut self, planned: u64, waited: u64) {
        if let Self::Open { begin, part, waits } = self {
            let at = planned.saturating_sub(*begin) / *part;
            let at = usize::try_from(at.min(PARTS - 1)).unwrap_or_default();
            if let Some(waits) = waits.get_mut(at) {
                waits.add(waited as f64);
            }
        }
    }

    /// A read that was sent has ended, however: so long nobody else had its place.
    pub(super) fn occupied(&mut self, nanoseconds: u64) {
        if let Self::Closed { occupied, .. } = self {
            *occupied += u128::from(nanoseconds);
        }
    }

    /// How long the target took for the reads of a window of such a length, at least that long.
    pub(super) fn taken(&self, window: Duration) -> Duration {
        match self {
            Self::Open {
                waits: [first, .., last],
                ..
            } => window + later(first, last),
            // By Little's law: all places are occupied until the window is over, and then until their last reads end.
            Self::Closed {
                in_flight,
                occupied,
            } => {
                let each = occupied / u128::from((*in_flight).max(1));
                window.max(Duration::from_nanos(
                    u64::try_from(each).unwrap_or(u64::MAX),
                ))
            }
        }
    }
}

fn later(first: &Waits, last: &Waits) -> Duration {
    let (Some((before, error_before)), Some((after, error_after))) = (first.mean(), last.mean())
    else {
        return Duration::ZERO;
    };
    let by_chance = CHANCE * error_before.hypot(error_after);
    if after - before <= by_chance {
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64((after - before) * WINDOW_OVER_DISTANCE / 1e9).unwrap_or_default()
}

impl Waits {
    fn add(&mut self, waited: f64) {
        self.count += 1.0;
        self.sum += waited;
        self.squares += waited * waited;
    }

    /// With its standard error; of fewer than two nothing is known.
    fn mean(&self) -> Option<(f64, f64)> {
        if self.count < 2.0 {
            return None;
        }
        let mean = self.sum / self.count;
        let variance = (self.squares / self.count - mean * mean).max(0.0);
        Some((mean, (variance / (self.count - 1.0)).sqrt()))
    }
}

#[cfg(test)]
mod tests;
