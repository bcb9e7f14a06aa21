//! A capture as a workload.

use super::{Replay, format::Capture};
use crate::{
    arrivals::Arrivals,
    traffic::{Method, Request, Window, Workload},
};
use std::{sync::Arc, time::Duration};

/// A capture that can be sent.
#[derive(Debug)]
pub(super) struct Replayed {
    capture: Capture,
    methods: Vec<Method>,
    cycle_us: u64,
    /// The times of the requests and the speed, for a replay at its own times.
    times: Option<(Arc<[u64]>, f64)>,
}

/// The times at which the requests of a window are due, in a replay at the capture's own times.
struct Times {
    times: Arc<[u64]>,
    /// Index into `times`.
    next: usize,
    /// The time at which the current repetition of the capture begins, counted from the window's beginning.
    base_us: i128,
    cycle_us: u64,
    speed: f64,
    duration: Duration,
}

impl Replayed {
    pub(super) fn new(capture: Capture, replay: Replay, hot: &[String]) -> Self {
        let methods = capture.methods.iter().map(|path| Method {
            path: path.clone(),
            hot: hot.contains(path),
        });
        let times = match replay {
            Replay::Rate => None,
            Replay::Speed(speed) => {
                let times = capture.requests.iter().map(|request| request.at_us);
                Some((times.collect(), speed))
            }
        };
        Self {
            methods: methods.collect(),
            cycle_us: capture.cycle_us(),
            times,
            capture,
        }
    }

    /// Returns the index of a window's first request. It is one past the last if the window begins in the pause after
    /// that.
    fn first(&self, seed: u64) -> usize {
        let requests = self.capture.requests.len();
        match &self.times {
            None => usize::try_from(seed % requests as u64).unwrap_or_default(),
            Some((times, _)) => {
                let begin = seed % self.cycle_us;
                times.partition_point(|at| *at < begin)
            }
        }
    }
}

impl Workload for Replayed {
    fn methods(&self) -> &[Method] {
        &self.methods
    }

    fn read(&self, seed: u64, n: u64) -> Request<'_> {
        let requests = self.capture.requests.len() as u64;
        let index = (self.first(seed) as u64 + n % requests) % requests;
        let request = &self.capture.requests[usize::try_from(index).unwrap_or_default()];
        Request {
            method: request.method,
            message: self.capture.message(request),
        }
    }

    fn write(&self, _k: u64) -> Option<(u16, Vec<u8>)> {
        None
    }

    fn schedule(&self, window: &Window) -> Box<dyn Iterator<Item = Duration> + Send> {
        let Some((times, speed)) = &self.times else {
            return Box::new(Arrivals::new(window));
        };
        Box::new(Times {
            times: Arc::clone(times),
            next: self.first(window.seed),
            base_us: -i128::from(window.seed % self.cycle_us),
            cycle_us: self.cycle_us,
            speed: *speed,
            duration: window.duration,
        })
    }
}

impl Iterator for Times {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.next == self.times.len() {
            self.next = 0;
            self.base_us += i128::from(self.cycle_us);
        }
        let at_us = self.base_us + i128::from(*self.times.get(self.next)?);
        self.next += 1;
        #[allow(clippy::cast_precision_loss)] // Below 2^53 for centuries.
        let at = Duration::try_from_secs_f64(at_us as f64 / 1e6 / self.speed).ok()?;
        (at < self.duration).then_some(at)
    }
}
