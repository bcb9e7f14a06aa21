//! Tests that reports say when they can't be trusted, and that runs that end early have a report.

use crate::{
    rig::{Rig, target},
    stub::{Behaviour, Stub},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

fn signal(child: &Child, signal: Signal) {
    // If the child has ended and was not waited for, this does nothing.
    kill_process(Pid::from_child(child), signal).expect("a signal to a child");
}

#[test]
fn a_generator_that_is_late_voids_its_run() {
    let stub = Stub::start(Behaviour::default());
    let rig = Rig::new();
    // No machine is fast enough for this limit of the lag. (`generator::upkeep` tests that lag counts from the planned
    // send.)
    let ran = rig.run(&[
        &target("stub", &stub),
        "--qps=500",
        "--window=0.5",
        "--rounds=2",
        "--warm-up=0",
        "--max-lag-us=1",
        "--no-noise-floor",
    ]);
    let report = ran.report();
    assert!(report.void);
    assert!(report.void_reason.is_some());
    assert!(report.generator.void_windows > 0);
    assert_eq!(ran.code, 3, "{}", ran.stdout);
    let first = ran.stdout.lines().next().unwrap_or_default();
    assert!(first.contains("VOID"), "the first line says so: {first:?}");
}

#[test]
fn an_interrupt_gives_the_report_so_far() {
    let stub = Stub::start(Behaviour::default());
    let rig = Rig::new();
    let child = rig
        .command(&[
            &target("stub", &stub),
            "--qps=200",
            "--window=1",
            "--rounds=600",
            "--no-noise-floor",
            "--warm-up=0",
        ])
        .spawn()
        .expect("the program starts");
    // This is more than the first window has.
    let deadline = Instant::now() + Duration::from_secs(60);
    while stub.requests() < 500 {
        assert!(
            Instant::now() < deadline,
            "only {} requests came",
            stub.requests()
        );
        thread::sleep(Duration::from_millis(10));
    }
    signal(&child, Signal::INT);
    let ran = rig.wait(child);
    let report = ran.report();
    assert!(report.interrupted, "exit {}\n{}", ran.code, ran.stderr);
    assert!(
        report.windows.iter().any(|window| window.ok > 150),
        "{:?}",
        report.windows
    );
    assert!(ran.stdout.contains("INTERRUPTED"), "{}", ran.stdout);
    assert!(ran.out.join("report.html").exists() && ran.out.join("windows.csv").exists());
}

#[test]
fn a_target_that_is_not_there_is_named() {
    // Nobody listens on port 1, and no system gives it to who asks for a free port.
    let address = "127.0.0.1:1";
    let rig = Rig::new();
    let ran = rig.run(&[
        &format!("--target=gone={address}"),
        "--qps=10",
        "--window=1",
    ]);
    assert_eq!(ran.code, 69, "{}", ran.stderr);
    assert!(ran.stderr.contains(address), "{}", ran.stderr);
}

#[test]
fn no_rate_that_holds_has_an_exit_code_of_its_own() {
    // Errors don't depend on time, so no lag of a busy machine can explain them.
    let stub = Stub::start(Behaviour {
        errs: Some((1, 13)),
        ..Behaviour::default()
    });
    let rig = Rig::new();
    let ran = rig.run(&[
        &target("failing", &stub),
        "--from=100",
        "--step=x2",
        "--every=0.5",
        "--until-failure",
        "--failing-windows=1",
        "--warm-up=0",
        "--no-equal",
        "--max-lag-us=1000000",
    ]);
    let report = ran.report();
    assert_eq!(report.targets[0].max_qps_within_slo, None);
    assert!(
        report.targets[0]
            .limited_by
            .as_deref()
            .is_some_and(|rule| rule.contains("errors")),
        "{:?}",
        report.targets
    );
    assert_eq!(ran.code, 5, "{}", ran.stdout);
}

#[test]
fn a_bad_scenario_is_told_by_file_line_key_and_rule() {
    let rig = Rig::new();
    std::fs::write(
        rig.path().join("stub.toml"),
        "title = \"x\"\nabout = \"y\"\n[load]\nconnections = 0\nconections = 4\n",
    )
    .unwrap();
    let ran = rig.run(&["--target=x=127.0.0.1:1", "--qps=10"]);
    assert_eq!(ran.code, 65, "{}", ran.stderr);
    for part in [
        "stub.toml:4",
        "connections",
        "stub.toml:5",
        "conections",
        "mix",
    ] {
        assert!(
            ran.stderr.contains(part),
            "{part:?} is not in:\n{}",
            ran.stderr
        );
    }
}

#[test]
fn a_recording_goes_on_when_nobody_reads_its_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("front.sock");
    let (reader, log) = std::io::pipe().expect("a pipe");
    drop(reader);
    let child = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["record", "--to", "127.0.0.1:1", "--listen"])
        .arg(format!("unix:{}", socket.display()))
        .arg("--out")
        .arg(folder.path().join("day.capture"))
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("the program starts");
    let deadline = Instant::now() + Duration::from_secs(60);
    while UnixStream::connect(&socket).is_err() {
        assert!(Instant::now() < deadline, "it does not listen");
        thread::sleep(Duration::from_millis(10));
    }
    signal(&child, Signal::INT);
    let output = child.wait_with_output().expect("the program ends");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{:?}: {said}", output.status);
    assert!(said.starts_with("0 requests recorded"), "{said}");
}
