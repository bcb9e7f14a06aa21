//! `/debug/memory`, and what the operating system says about this process.

use super::{Reply, Status, reply};
use crate::{allocator, json, model::Model};
use hyper::StatusCode;
use std::{fmt::Write as _, fs};

/// The operating system's figures of this process. A figure that it does not give is 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) peak_resident_bytes: u64,
    pub(super) threads: u64,
}

impl Process {
    pub(super) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        Self {
            cpu_seconds: cpu_seconds().unwrap_or(0.0),
            resident_bytes: field("VmRSS:").unwrap_or(0) * 1024,
            peak_resident_bytes: field("VmHWM:").unwrap_or(0) * 1024,
            threads: field("Threads:").unwrap_or(0),
        }
    }
}

/// Returns user and system time, the 14th and 15th fields. The second field, a name, may hold spaces, but it ends with
/// the last `)`.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u32 = ticks.filter_map(|field| field.parse::<u32>().ok()).sum();
    let per_second = u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    Some(f64::from(ticks) / f64::from(per_second))
}

pub(super) fn memory<M: Model>(status: &Status<M>) -> Reply {
    let process = Process::now();
    let sizes = status.view.sizes();
    // Null says that the program does not count, which 0 would not.
    let allocated = allocator::allocated();
    let number = |value: Option<u64>| value.map_or("null".to_owned(), |value| value.to_string());
    let mut json = format!(
        "{{\n  \"allocated_bytes\": {},\n  \"allocations\": {},\n  \"resident_bytes\": {},\n  \"peak_resident_bytes\": {},\n  \"threads\": {},\n  \"position\": {},\n  \
         \"retained_versions\": {},\n  \"retained_events\": {},\n  \"retired_waiting\": {},\n  \"in_flight\": {},\n  \"buffered_bytes\": {},\n  \
         \"model\": {{",
        number(allocated.map(|allocated| allocated.bytes)),
        number(allocated.map(|allocated| allocated.allocations)),
        process.resident_bytes,
        process.peak_resident_bytes,
        process.threads,
        status.view.position(),
        sizes.retained_versions,
        sizes.retained_events,
        sizes.retired_waiting,
        status.serve.in_flight(),
        status.serve.buffered_bytes(),
    );
    for (index, (name, _, value)) in status.view.gauges().iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a `String` cannot fail.
        let _ = write!(json, "{comma}\n    \"{}\": {value}", json::escape(name));
    }
    json.push_str("\n  }\n}\n");
    reply(StatusCode::OK, "application/json", json.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_seen() {
        assert!(Process::now().resident_bytes > 0);
    }
}
