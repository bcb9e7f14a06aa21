//! Estimates whether a target kept up with what a window asked of it.
//!
//! Answers count for the window of their reads, however late they come. A target that takes 100 ms for every answer
//! keeps up: it answers everything, the last read 100 ms after the end. A target that can't keep up is recognised by
//! its trend: the longer the window lasts, the longer it takes for an answer. The difference between the waits at the
//! end and at the begin is the time by which the target took longer for the window's reads than the window lasts.

use std::time::Duration;

/// The number of parts that a window is divided into. With three, the first and the last part show the trend best.
const PARTS: u64 = 3;
/// The length of a window over the distance from the middle of its first part to the middle of its last.
const WINDOW_OVER_DISTANCE: f64 = 1.5;
/// A difference of means up to this many standard errors counts as chance.
const CHANCE: f64 = 3.0;

/// The data from which the time that the target took is estimated.
#[derive(Debug)]
pub(super) enum Upkeep {
    /// An open loop: reads were due by a schedule.
    Open {
        begin: u64,
        part: u64,
        waits: [Waits; 3],
    },
    /// A closed loop: `in_flight` reads were always in flight. `occupied` is the sum of the nanoseconds that each read
    /// took.
    Closed { in_flight: u64, occupied: u128 },
}

/// Statistics of the time from the planned send to the answer.
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

    /// Records that a read was answered with OK after this wait.
    pub(super) fn answered(&mut self, planned: u64, waited: u64) {
        if let Self::Open { begin, part, waits } = self {
            let at = planned.saturating_sub(*begin) / *part;
            let at = usize::try_from(at.min(PARTS - 1)).unwrap_or_default();
            if let Some(waits) = waits.get_mut(at) {
                waits.add(waited as f64);
            }
        }
    }

    /// Records how long a read that was sent took to end, whatever its outcome: it occupied one of the places so long.
    pub(super) fn occupied(&mut self, nanoseconds: u64) {
        if let Self::Closed { occupied, .. } = self {
            *occupied += u128::from(nanoseconds);
        }
    }

    /// Estimates how long the target took for the reads of a window of this length; at least that long.
    pub(super) fn taken(&self, window: Duration) -> Duration {
        match self {
            Self::Open {
                waits: [first, .., last],
                ..
            } => window + later(first, last),
            // By Little's law. All places are occupied until the window is over, and then until their last read ends.
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

    /// The mean with its standard error; `None` for fewer than two values.
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
