//! When reads are due: seeded, at a constant or linearly rising rate.

use crate::traffic::{Spread, Window};
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use std::time::Duration;

/// Planned times of one window, ascending, all below its duration.
#[derive(Debug)]
pub struct Arrivals {
    from_qps: f64,
    to_qps: f64,
    seconds: f64,
    spread: Spread,
    random: Pcg64Mcg,
    /// Expected arrivals up to the next one: the rate's integral, in which gaps are even or of mean 1.
    due: f64,
}

impl Arrivals {
    /// The times of a window, from its rates, duration, spread and seed.
    #[must_use]
    pub fn new(window: &Window) -> Self {
        Self {
            from_qps: window.from_qps,
            to_qps: window.to_qps,
            seconds: window.duration.as_secs_f64(),
            spread: window.spread,
            random: Pcg64Mcg::seed_from_u64(window.seed),
            due: 0.0,
        }
    }

    /// The time by which `due` arrivals are expected: the inverse of `from t + (to - from) t^2 / (2 seconds)`.
    fn time_of(&self, due: f64) -> f64 {
        let slope = (self.to_qps - self.from_qps) / self.seconds;
        if slope.abs() < 1e-9 {
            return due / self.from_qps;
        }
        let root = self.from_qps * self.from_qps + 2.0 * slope * due;
        if root < 0.0 {
            return f64::INFINITY;
        }
        (root.sqrt() - self.from_qps) / slope
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.due += match self.spread {
            Spread::Constant => 1.0,
            Spread::Poisson => -(1.0 - self.random.random::<f64>()).ln(),
        };
        let time = self.time_of(self.due);
        (time < self.seconds).then(|| Duration::from_secs_f64(time))
    }
}
