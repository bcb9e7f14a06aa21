//! Measures what the processes of a target use, from `/proc` and, for Go's collector, from `/metrics`.
//!
//! CPU time is the scheduler's, exact to the nanosecond, as long as no thread has ended between two readings. Otherwise
//! it is exact to the kernel's clock tick only (usually 10 ms). If a process ended, or another process got its pid, the
//! error names it and shows the end of its log.

pub mod metrics;
pub mod proc;

use crate::{
    error::{Error, Kind, Result},
    measure::{GcUsage, ProcessUsage},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The number of lines of a log that an error shows.
const TAIL_LINES: usize = 12;
/// The bytes that are read from the end of a log to find them.
const TAIL_BYTES: usize = 16 << 10;

/// A process to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// `walletd`, `hotpathd`, or the name that the command line gives.
    pub name: String,
    /// Its pid.
    pub pid: u32,
    /// `host:port` of its `/metrics`, if it has Go's metrics.
    pub admin: Option<String>,
    /// The file that its output goes to, if it is known.
    pub log: Option<PathBuf>,
}

/// The processes of one target.
#[derive(Debug)]
pub struct Meter {
    processes: Vec<Process>,
}

#[derive(Debug)]
struct Process {
    watched: Watched,
    started_ticks: u64,
    rss_peak_bytes: AtomicU64,
}

/// What the processes had used at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// By process: its counts.
    processes: Vec<Counts>,
    /// By process: its metrics, as far as it reports them.
    told: Vec<metrics::Told>,
}

#[derive(Debug, Clone, Copy)]
struct Counts {
    stat: proc::Stat,
    /// CPU time of the threads that existed then, to the nanosecond.
    threads_cpu: Option<Duration>,
    switches: u64,
}

impl Counts {
    /// Returns the CPU time used since `before`. The finer account is right unless a thread ended, which takes its time
    /// out of it. Then the two accounts differ by more than the coarse one's error, which is a tick for user and one
    /// for system time.
    fn cpu_since(&self, before: &Self) -> Duration {
        let coarse = self.stat.cpu.saturating_sub(before.stat.cpu);
        let fine = self.threads_cpu.zip(before.threads_cpu);
        let fine = fine.and_then(|(after, before)| after.checked_sub(before));
        fine.filter(|fine| fine.abs_diff(coarse) <= proc::tick() * 2)
            .unwrap_or(coarse)
    }
}

impl Meter {
    /// Fails unless all processes are running.
    pub fn new(watched: Vec<Watched>) -> Result<Self> {
        let processes = watched.into_iter().map(|watched| {
            let stat = proc::stat(watched.pid).map_err(|error| gone(&watched, &error))?;
            Ok(Process {
                started_ticks: stat.started_ticks,
                rss_peak_bytes: AtomicU64::new(0),
                watched,
            })
        });
        Ok(Self {
            processes: processes.collect::<Result<_>>()?,
        })
    }

    /// Reads what the processes have used, before a window. It asks `/metrics` first, so that the cost of the answer is
    /// not part of the window.
    pub fn before(&self) -> Result<Reading> {
        let told = self.told();
        Ok(Reading {
            processes: self.counts()?,
            told,
        })
    }

    /// Reads what the processes have used, after a window. It asks `/metrics` last, for the same reason.
    pub fn after(&self) -> Result<Reading> {
        Ok(Reading {
            processes: self.counts()?,
            told: self.told(),
        })
    }

    fn counts(&self) -> Result<Vec<Counts>> {
        let each = self.processes.iter().map(|process| {
            let stat = process.stat()?;
            let watched = &process.watched;
            let switches =
                proc::context_switches(watched.pid).map_err(|error| gone(watched, &error))?;
            Ok(Counts {
                stat,
                threads_cpu: proc::threads_cpu(watched.pid),
                switches,
            })
        });
        each.collect()
    }

    fn told(&self) -> Vec<metrics::Told> {
        let admins = self.processes.iter().map(|process| &process.watched.admin);
        let told = admins.map(|admin| admin.as_deref().map(metrics::told).unwrap_or_default());
        told.collect()
    }

    /// Notes the resident memory, and returns the CPU time used so far. If a process is gone, [`Self::before`] or
    /// [`Self::after`] reports it.
    pub fn sample(&self) -> Option<Duration> {
        let mut cpu = Duration::ZERO;
        for process in &self.processes {
            if let Ok(bytes) = proc::resident_bytes(process.watched.pid) {
                process.rss_peak_bytes.fetch_max(bytes, Ordering::Relaxed);
            }
            cpu += proc::stat(process.watched.pid).ok()?.cpu;
        }
        (!self.processes.is_empty()).then_some(cpu)
    }

    /// Forgets the peaks of the memory. Called before a window.
    pub fn reset_peaks(&self) {
        for process in &self.processes {
            process.rss_peak_bytes.store(0, Ordering::Relaxed);
        }
    }

    /// Returns what was used between two readings, with the peaks that [`Self::sample`] noted.
    #[must_use]
    pub fn usage(&self, before: &Reading, after: &Reading) -> Vec<ProcessUsage> {
        let readings = before.processes.iter().zip(&after.processes);
        let told = before.told.iter().zip(&after.told);
        let each = self.processes.iter().zip(readings).zip(told);
        each.map(|((process, (before, after)), told)| ProcessUsage {
            name: process.watched.name.clone(),
            cpu: after.cpu_since(before),
            rss_peak_bytes: process.rss_peak_bytes.load(Ordering::Relaxed),
            // The count of a thread that ended is lost.
            context_switches: after.switches.saturating_sub(before.switches),
            gc: told.0.gc.zip(told.1.gc).map(|(before, after)| GcUsage {
                cpu: after.cpu.saturating_sub(before.cpu),
                pause: after.pause.saturating_sub(before.pause),
                cycles: after.cycles.saturating_sub(before.cycles),
            }),
            fallbacks: grown(told, |told| told.fallbacks),
            handed_over: grown(told, |told| told.handed_over),
        })
        .collect()
    }
}

/// Returns how much a counter grew, if both readings have it.
fn grown(
    told: (&metrics::Told, &metrics::Told),
    counter: fn(&metrics::Told) -> Option<u64>,
) -> Option<u64> {
    let (before, after) = counter(told.0).zip(counter(told.1))?;
    Some(after.saturating_sub(before))
}

impl Process {
    fn stat(&self) -> Result<proc::Stat> {
        let stat = proc::stat(self.watched.pid).map_err(|error| gone(&self.watched, &error))?;
        if stat.dead || stat.started_ticks != self.started_ticks {
            return Err(gone(&self.watched, "it ended"));
        }
        Ok(stat)
    }
}

fn gone(watched: &Watched, why: &(impl std::fmt::Display + ?Sized)) -> Error {
    let Watched { name, pid, log, .. } = watched;
    let log = log.as_deref().map(log_tail).unwrap_or_default();
    let text = format!("{name} (process {pid}) is not running any more: {why}{log}");
    Error::new(Kind::Target, text)
}

/// Returns the end of a log, indented, to be appended to an error. If the log is empty, it says so.
#[must_use]
pub fn log_tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
    let lines: Vec<_> = text.lines().collect();
    let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    if tail.is_empty() {
        return format!(" ({} is empty)", path.display());
    }
    let mut shown = format!("\n  the end of {}:", path.display());
    for line in tail {
        shown.push_str("\n  | ");
        shown.push_str(line);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::sample;
    use std::{
        net::TcpListener,
        process::{Command, Stdio},
        thread,
    };

    fn watched(pid: u32) -> Watched {
        Watched {
            name: "walletd".into(),
            pid,
            admin: None,
            log: None,
        }
    }

    #[test]
    fn this_process_is_accounted_for() {
        let meter = Meter::new(vec![watched(std::process::id())]).unwrap();
        let before = meter.before().unwrap();
        let mut spin = 1_u64;
        while meter.sample().unwrap() < before.processes[0].stat.cpu + Duration::from_millis(50) {
            spin = spin.wrapping_mul(3);
        }
        let usage = meter.usage(&before, &meter.after().unwrap());
        assert_eq!(usage[0].name, "walletd");
        // The two accounts may differ by the error of the coarser one.
        assert!(
            usage[0].cpu + proc::tick() * 2 >= Duration::from_millis(50),
            "{spin}"
        );
        assert!(usage[0].rss_peak_bytes > 1 << 20);
        assert_eq!(usage[0].gc, None);
        meter.reset_peaks();
        assert_eq!(meter.usage(&before, &before)[0].rss_peak_bytes, 0);
    }

    #[test]
    fn the_cost_of_asking_is_outside_of_the_window() {
        // This process answers for its metrics, and works hard for each answer.
        let work = Duration::from_millis(60);
        let cpu = || proc::stat(std::process::id()).unwrap().cpu;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut asked = watched(std::process::id());
        asked.admin = Some(listener.local_addr().unwrap().to_string());
        let answered = thread::spawn(move || {
            let mut spent = Vec::new();
            for stream in listener.incoming().take(2) {
                let begun = cpu();
                while cpu() < begun + work {}
                spent.push((begun, cpu()));
                drop(stream);
            }
            spent
        });
        let meter = Meter::new(vec![asked]).unwrap();
        let before = meter.before().unwrap();
        let after = meter.after().unwrap();
        let spent = answered.join().unwrap();
        assert!(before.processes[0].stat.cpu >= spent[0].1);
        assert!(after.processes[0].stat.cpu <= spent[1].0);
    }

    #[test]
    fn a_process_that_ended_is_named_with_its_log() {
        let _alone = sample::starting();
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("walletd.log");
        fs::write(&log, "one\npanic: two\n").unwrap();
        let mut child = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut process = watched(child.id());
        process.log = Some(log);
        let meter = Meter::new(vec![process]).unwrap();
        meter.before().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let error = meter.after().unwrap_err();
        assert_eq!(error.kind(), Kind::Target);
        let text = error.to_string();
        assert!(text.starts_with("walletd (process "), "{text}");
        assert!(text.contains("| panic: two"), "{text}");
    }

    #[test]
    fn the_finer_account_counts_unless_threads_have_ended() {
        let tick = proc::tick();
        let counts = |ticks: u32, fine: Option<Duration>| Counts {
            stat: proc::Stat {
                cpu: tick * ticks,
                started_ticks: 1,
                dead: false,
            },
            threads_cpu: fine,
            switches: 0,
        };
        let before = counts(10, Some(tick * 10));
        let fine = tick * 22 + tick / 3;
        assert_eq!(
            counts(21, Some(fine)).cpu_since(&before),
            tick * 12 + tick / 3
        );
        assert_eq!(
            counts(30, Some(tick * 13)).cpu_since(&before),
            tick * 20,
            "one of them took the most of it with it"
        );
        assert_eq!(counts(15, Some(tick)).cpu_since(&before), tick * 5);
        assert_eq!(counts(15, None).cpu_since(&before), tick * 5);
    }

    #[test]
    fn nothing_to_watch_is_nothing_used() {
        let meter = Meter::new(Vec::new()).unwrap();
        assert_eq!(meter.sample(), None);
        let reading = meter.before().unwrap();
        assert!(meter.usage(&reading, &reading).is_empty());
    }

    #[test]
    fn a_process_that_never_was_is_an_error() {
        assert!(Meter::new(vec![watched(u32::MAX >> 1)]).is_err());
    }
}
