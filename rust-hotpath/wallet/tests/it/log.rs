//! Tests the real `hotpathd` when its log cannot be written. It must not end because of that.

use crate::client::SOON;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Waits until `done` returns something.
fn await_child<T>(child: &mut Child, mut done: impl FnMut(&mut Child) -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = done(child) {
            return found;
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            panic!("it took too long");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Starts a sidecar with this log and lets `spoil` break the log. Then ends the sidecar in good order, and checks that
/// it left nothing.
fn outlives(log: Stdio, spoil: impl FnOnce(&mut Child)) {
    let dir: TempDir = tempfile::tempdir().unwrap();
    let (socket, ready) = (dir.path().join("s"), dir.path().join("ready.json"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_hotpathd"))
        .args(["--log-level", "trace", "--socket"])
        .arg(&socket)
        .arg("--ready-file")
        .arg(&ready)
        .stderr(log)
        .spawn()
        .unwrap();
    await_child(&mut child, |child| {
        assert_eq!(
            child.try_wait().unwrap(),
            None,
            "it ended before it was ready"
        );
        ready.exists().then_some(())
    });
    spoil(&mut child);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let status = await_child(&mut child, |child| child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(!socket.exists() && !ready.exists(), "something is left");
}

#[test]
fn it_goes_on_when_the_reader_of_its_log_is_gone() {
    outlives(Stdio::piped(), |child| drop(child.stderr.take()));
}

#[cfg(target_os = "linux")]
#[test]
fn it_serves_though_the_disk_that_holds_its_log_is_full() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    outlives(full.into(), |_| {});
}
