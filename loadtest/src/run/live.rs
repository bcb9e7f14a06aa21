//! Runs windows against real servers.

mod between;

use self::between::{FirstWrite, settle};
use super::{Drive, Measurement};
use crate::{
    error::{Error, Result},
    generator::{Generator, Progress},
    process::Meter,
    report::model,
    terminal::{Now, Terminal},
    topology::Server,
    traffic::Window,
};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::AtomicBool,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

/// The time between two looks at memory and CPU.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// One target, ready for windows. Fields are dropped in this order.
#[derive(Debug)]
pub struct Target {
    /// It comes before the server, so that its connections are closed when the server is asked to drain.
    pub generator: Generator,
    /// The `k` of the target's next write. All targets get the same writes.
    pub next_write: u64,
    /// Measures its processes.
    pub meter: Meter,
    /// Its servers, if this program started them.
    pub server: Option<Server>,
}

/// The longest wait for a target to get done with reads that were given up. Before the target's next window it may wait
/// as long again.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// All targets, and the terminal that shows them.
#[derive(Debug)]
pub struct Live<'a> {
    targets: Vec<Target>,
    terminal: Mutex<&'a mut Terminal>,
    begun: Instant,
    first_write: FirstWrite,
    /// By target: whether it may still be working on reads that were given up.
    backlog: Vec<bool>,
    stop: &'a AtomicBool,
}

impl<'a> Live<'a> {
    /// Makes a run that begins now.
    pub fn new(targets: Vec<Target>, terminal: &'a mut Terminal, stop: &'a AtomicBool) -> Self {
        Self {
            backlog: vec![false; targets.len()],
            targets,
            terminal: Mutex::new(terminal),
            begun: Instant::now(),
            first_write: FirstWrite::default(),
            stop,
        }
    }

    /// Returns the time since the run began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

impl Drive for Live<'_> {
    fn run_window(&mut self, target: usize, window: &Window, now: &Now) -> Result<Measurement> {
        self.measured(target, window, now).map_err(|error| {
            let text = format!("target {}: {error}", now.target);
            Error::new(error.kind(), text)
        })
    }

    fn finished(&mut self, row: &model::Window) {
        show(&self.terminal).end(row);
    }
}

impl Live<'_> {
    fn measured(&mut self, target: usize, window: &Window, now: &Now) -> Result<Measurement> {
        // The baseline's second pass has the same servers, connections and writes.
        let again = target >= self.targets.len();
        let furthest = self.targets.iter().map(|target| target.next_write).max();
        let furthest = furthest.unwrap_or(0);
        let first_write = self.first_write.of(window.seed, furthest);
        let place = if again { 0 } else { target };
        let target = &mut self.targets[place];
        let called = self.begun.elapsed();
        let mut backlog = std::mem::take(&mut self.backlog[place]);
        if backlog {
            backlog = !target
                .generator
                .drain(window.seed, DRAIN_TIMEOUT, self.stop)?;
        }
        show(&self.terminal).begin(now);
        (target.generator).catch_up(&mut target.next_write, first_write, self.stop)?;
        let at = self.begun.elapsed();
        let progress = Progress::default();
        target.meter.reset_peaks();
        let before = target.meter.before()?;
        let begun = Instant::now();
        let observed = thread::scope(|scope| {
            let (over, watch) = mpsc::channel::<()>();
            let (meter, terminal, progress) = (&target.meter, &self.terminal, &progress);
            scope.spawn(move || sample(meter, terminal, progress, begun, &watch));
            let observed =
                target
                    .generator
                    .run(window, &mut target.next_write, progress, self.stop);
            drop(over);
            observed
        });
        // The target's work for reads that were given up counts for this window.
        let given_up = match &observed {
            Ok(observed) => between::gave_up(observed),
            Err(_) => false,
        };
        if given_up {
            settle(&target.meter, self.stop);
        }
        let after = target.meter.after();
        target.meter.sample();
        // If a server died, its error explains why the generator failed, so it is returned first.
        let after = after?;
        let observed = observed?;
        let processes = target.meter.usage(&before, &after);
        if given_up {
            self.backlog[place] = !target
                .generator
                .drain(window.seed, DRAIN_TIMEOUT, self.stop)?;
        }
        Ok(Measurement {
            backlog,
            observed,
            processes,
            at,
            took: self.begun.elapsed() - called,
        })
    }
}

/// Samples the meter and shows the progress until the sender is dropped.
fn sample(
    meter: &Meter,
    terminal: &Mutex<&mut Terminal>,
    progress: &Progress,
    begun: Instant,
    over: &mpsc::Receiver<()>,
) {
    let first = meter.sample();
    while over.recv_timeout(SAMPLE_EVERY) == Err(RecvTimeoutError::Timeout) {
        let elapsed = begun.elapsed();
        let used = meter
            .sample()
            .zip(first)
            .map(|(now, first)| now.saturating_sub(first));
        let cores = used.map(|used| used.as_secs_f64() / elapsed.as_secs_f64().max(1e-9));
        show(terminal).progress(progress, elapsed, cores);
    }
}

fn show<'a, 'b>(
    terminal: &'a Mutex<&'b mut Terminal>,
) -> std::sync::MutexGuard<'a, &'b mut Terminal> {
    terminal.lock().unwrap_or_else(PoisonError::into_inner)
}
