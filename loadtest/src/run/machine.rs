//! Describes this machine and this program, which figures depend on.

use crate::report::model::Machine;
use std::{
    fs,
    process::{Command, Stdio},
};

/// Describes this machine.
#[must_use]
pub fn this() -> Machine {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // All cores of the machine. This process may already be pinned to some of them.
    let all = read("/proc/cpuinfo")
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let cores = all.max(cores);
    let kernel = rustix::system::uname();
    Machine {
        cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".to_owned()),
        cores,
        memory_bytes: field(&read("/proc/meminfo"), "MemTotal").map_or(0, |text| bytes(&text)),
        kernel: kernel.release().to_string_lossy().into_owned(),
        host_kind: format!("{}-{cores}-cores", std::env::consts::OS),
    }
}

/// Returns this program's version, with the commit of the working directory, if there is one, and whether a file was
/// changed since. Changed reports of other runs don't count.
#[must_use]
pub fn version() -> String {
    let version = concat!("loadtest ", env!("CARGO_PKG_VERSION"));
    let Some(commit) = git(&["describe", "--always"]).filter(|commit| !commit.is_empty()) else {
        return version.to_owned();
    };
    let all_but_reports = [":/", ":(top,exclude)loadtest/results"];
    let mut status = vec!["status", "--porcelain", "--untracked-files=no", "--"];
    status.extend(all_but_reports);
    let dirty = git(&status).is_none_or(|changed| !changed.is_empty());
    format!("{version} ({commit}{})", if dirty { "-dirty" } else { "" })
}

fn git(arguments: &[&str]) -> Option<String> {
    let git = Command::new("git")
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let output = git.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Returns the value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    let found = pairs.find(|(key, _)| key.trim() == name)?;
    Some(found.1.trim().to_owned())
}

/// Parses an amount such as `16384 kB`.
fn bytes(text: &str) -> u64 {
    let number = text
        .split_whitespace()
        .next()
        .and_then(|n| n.parse::<u64>().ok());
    number.unwrap_or_default().saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_are_found() {
        let text = "processor\t: 0\nmodel name\t: A: B\nMemTotal:       16 kB\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A: B"));
        assert_eq!(
            field(text, "MemTotal").map(|text| bytes(&text)),
            Some(16_384)
        );
        assert_eq!(field(text, "absent"), None);
    }

    #[test]
    fn this_machine_has_something_to_say() {
        let machine = this();
        assert!(machine.cores > 0 && machine.memory_bytes > 0);
        assert!(machine.host_kind.ends_with("-cores"));
        assert!(version().starts_with("loadtest "));
    }
}
