//! Reads `/proc` of a process.

use std::{fs, io, time::Duration};

/// The part of `/proc/PID/stat` that is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// User and system CPU time.
    pub cpu: Duration,
    /// Start time since the machine booted, which distinguishes processes that had the same pid.
    pub started_ticks: u64,
    /// Whether it has ended and was not yet waited for.
    pub dead: bool,
}

/// Reads `/proc/PID/stat`.
pub fn stat(pid: u32) -> io::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text, rustix::param::clock_ticks_per_second())
        .ok_or_else(|| io::Error::other("its /proc/PID/stat is not understood"))
}

/// The process's name, in parentheses, may hold anything. So fields are counted from the last parenthesis.
fn parse_stat(text: &str, ticks_per_second: u64) -> Option<Stat> {
    let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let ticks = number(11)? + number(12)?;
    Some(Stat {
        cpu: Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / ticks_per_second.max(1))),
        started_ticks: number(19)?,
        dead: matches!(*fields.first()?, "Z" | "X" | "x"),
    })
}

/// Returns the CPU time of the threads that exist now, to the nanosecond; `None` if the kernel does not record it.
#[must_use]
pub fn threads_cpu(pid: u32) -> Option<Duration> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread may end at any moment.
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).unwrap_or_default();
        total += text
            .split(' ')
            .next()
            .and_then(|ns| ns.parse::<u64>().ok())
            .unwrap_or(0);
    }
    (total > 0).then(|| Duration::from_nanos(total))
}

/// Returns the time between two clock ticks.
#[must_use]
pub fn tick() -> Duration {
    Duration::from_nanos(1_000_000_000 / rustix::param::clock_ticks_per_second().max(1))
}

/// Returns the resident memory.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = text.split_whitespace().nth(1).and_then(|n| n.parse().ok());
    let pages: u64 =
        pages.ok_or_else(|| io::Error::other("its /proc/PID/statm is not understood"))?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// Returns the number of voluntary and involuntary switches of all threads that exist now.
pub fn context_switches(pid: u32) -> io::Result<u64> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end at any moment.
        let status = fs::read_to_string(task?.path().join("status")).unwrap_or_default();
        total += parse_switches(&status);
    }
    Ok(total)
}

fn parse_switches(status: &str) -> u64 {
    let lines = status.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.ends_with("voluntary_ctxt_switches")
            .then(|| value.trim().parse::<u64>().ok())?
    });
    lines.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_parentheses_and_blanks() {
        let text = "7 (a) b) c) S 1 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 9 0 4242 0 0";
        let stat = parse_stat(text, 100).unwrap();
        assert_eq!(stat.cpu, Duration::from_secs(2));
        assert_eq!((stat.started_ticks, stat.dead), (4242, false));
        assert_eq!(parse_stat("nonsense", 100), None);
        assert_eq!(parse_stat("7 (a) S 1", 100), None);
    }

    #[test]
    fn both_accounts_of_cpu_agree() {
        let pid = std::process::id();
        let threads = threads_cpu(pid).expect("this kernel has schedstat");
        // Only the process's own account includes threads that have ended.
        assert!(threads <= stat(pid).unwrap().cpu + tick() * 2 + Duration::from_millis(50));
    }

    #[test]
    fn both_kinds_of_switches_count() {
        let status =
            "Name:\tx\nvoluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t2\nThreads:\t9\n";
        assert_eq!(parse_switches(status), 42);
    }
}
