//! The times at which the reads of a window are due: seeded, at a constant or linearly rising rate.

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use std::time::Duration;

/// How planned send times are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spread {
    /// Exponential gaps, such as many independent callers make.
    #[default]
    Poisson,
    /// Equal gaps.
    Constant,
    /// A closed loop, which has no rate of its own: a read is due whenever fewer reads are in flight than the limit. It
    /// shows what a read costs at full load. It says nothing about how long callers wait who would not hold back.
    Closed,
}

/// One window of load against one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Planned reads a second at the beginning.
    pub from_qps: f64,
    /// Planned reads a second at the end. A ramp is linear between the two; otherwise they are equal.
    pub to_qps: f64,
    /// The time in which reads are planned. The window takes longer, until the last read has been answered.
    pub duration: Duration,
    /// How the times are spread.
    pub spread: Spread,
    /// The most reads in flight at once, if it is not that of the generator's options.
    pub in_flight: Option<usize>,
    /// Seed of the arrival times and of what is read. Windows that are compared have the same.
    pub seed: u64,
    /// Whether to ask for positions and to keep replies, which are compared with another target's.
    pub keep_replies: bool,
}

/// Planned times of one window, ascending, all below its duration.
#[derive(Debug)]
pub struct Arrivals {
    from_qps: f64,
    to_qps: f64,
    seconds: f64,
    spread: Spread,
    random: Pcg64Mcg,
    /// The number of arrivals that are expected before the next one, which is the integral of the rate. It grows by
    /// even steps (`Constant`) or by exponential ones of mean 1 (`Poisson`).
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
            // The times depend on the answers.
            Spread::Closed => return None,
        };
        let time = self.time_of(self.due);
        (time < self.seconds).then(|| Duration::from_secs_f64(time))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_precision_loss)]
    use super::*;

    fn times(from_qps: f64, to_qps: f64, spread: Spread, seed: u64) -> Vec<f64> {
        let window = Window {
            from_qps,
            to_qps,
            duration: Duration::from_secs(10),
            spread,
            in_flight: None,
            seed,
            keep_replies: false,
        };
        let times: Vec<f64> = Arrivals::new(&window)
            .map(|time| time.as_secs_f64())
            .collect();
        assert!(times.is_sorted() && times.iter().all(|time| *time < 10.0));
        times
    }

    fn gaps(times: &[f64]) -> impl Iterator<Item = f64> {
        times.windows(2).map(|pair| pair[1] - pair[0])
    }

    #[test]
    fn gaps_of_a_constant_rate_are_equal() {
        let times = times(1000.0, 1000.0, Spread::Constant, 1);
        assert_eq!(times.len(), 9999);
        assert!(gaps(&times).all(|gap| (gap - 0.001).abs() < 1e-8));
    }

    #[test]
    fn gaps_of_poisson_have_mean_and_deviation_alike() {
        let times = times(5000.0, 5000.0, Spread::Poisson, 1);
        let count = times.len() as f64;
        // Within five standard deviations of what is expected.
        assert!(
            (count - 50_000.0).abs() < 5.0 * 50_000_f64.sqrt(),
            "{count}"
        );
        let mean = gaps(&times).sum::<f64>() / (count - 1.0);
        let variance = gaps(&times).map(|gap| (gap - mean).powi(2)).sum::<f64>() / (count - 1.0);
        assert!(
            (variance.sqrt() / mean - 1.0).abs() < 0.03,
            "{mean} {variance}"
        );
    }

    #[test]
    fn ramps_follow_the_integral_of_their_rate() {
        for (from, to) in [(100.0, 900.0), (900.0, 100.0), (0.0, 1000.0)] {
            let times = times(from, to, Spread::Constant, 1);
            for (n, time) in (1_u32..).zip(&times) {
                let expected = from * time + (to - from) * time * time / 20.0;
                assert!((expected - f64::from(n)).abs() < 0.01, "{n} at {time}");
            }
            assert!((times.len() as f64 - (from + to) * 5.0).abs() <= 1.0);
        }
    }

    #[test]
    fn a_seed_gives_the_same_times_and_another_seed_others() {
        let poisson = |seed| times(500.0, 800.0, Spread::Poisson, seed);
        assert_eq!(poisson(3), poisson(3));
        assert_ne!(poisson(3), poisson(4));
    }

    #[test]
    fn no_rate_means_no_reads() {
        assert!(times(0.0, 0.0, Spread::Constant, 1).is_empty());
    }
}
