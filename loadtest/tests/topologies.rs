//! Runs the real program, which starts, fills, loads, compares and stops real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use loadtest::report::{
    break_even,
    model::{Phase, Report, Target, Window},
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

const TARGETS: [&str; 12] = [
    "legacy",
    "store",
    "best-go-scan",
    "best-go",
    "sidecar",
    "sidecar:scan",
    "sidecar:unary",
    "sidecar:spliced",
    "best-go:spliced",
    "direct",
    "direct:store",
    "legacy:no-workers",
];

/// Held while servers are measured, because two runs at once would only slow each other down.
static ALONE: Mutex<()> = Mutex::new(());

/// Returns the path of a program of another language or crate.
fn program(variable: &str, name: &str) -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/bin")
        .join(name);
    let path = env::var_os(variable).map_or(built, PathBuf::from);
    assert!(
        path.exists(),
        "{} is missing: run `make test`, which builds it, or set {variable}",
        path.display()
    );
    path
}

/// Writes a scenario with a small ledger and every kind of method.
fn scenario(folder: &Path) -> PathBuf {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/mixed.toml");
    let text = fs::read_to_string(shipped).unwrap();
    let mut table: toml::Table = text.parse().unwrap();
    let ledger = table["ledger"].as_table_mut().unwrap();
    ledger.insert("accounts".into(), 200.into());
    ledger.insert("transactions".into(), 2_000.into());
    // The lag of a busy machine must not void the windows.
    let objective = table["objective"].as_table_mut().unwrap();
    objective.insert("p99_ms".into(), 1_000.into());
    let path = folder.join("small.toml");
    fs::write(&path, table.to_string()).unwrap();
    path
}

/// Makes a short run of all topologies. Returns its report and the program's output.
fn run(folder: &Path) -> (Report, String) {
    let load = [
        "--qps=200",
        "--rounds=2",
        "--compare",
        "--max-lag-us=1000000",
    ];
    measured(folder, &TARGETS, &load)
}

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn measured(folder: &Path, targets: &[&str], load: &[&str]) -> (Report, String) {
    let _alone = alone();
    let out = folder.join("out");
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .arg("run")
        .arg(scenario(folder))
        .args(targets.iter().map(|name| format!("--target={name}")))
        .args(load)
        .args(["--window=0.5", "--warm-up=0.2", "--writes=20"])
        .args(["--quiet", "--no-pin", "--max-void-share=1", "--out"])
        .arg(&out)
        .arg("--work")
        .arg(folder.join("work"))
        .arg("--walletd")
        .arg(program("TEST_WALLETD", "walletd"))
        .arg("--hotpathd")
        .arg(program("TEST_HOTPATHD", "hotpathd"))
        .output()
        .unwrap();
    let said = format!(
        "exit {:?}\n{}\n{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = fs::read_to_string(out.join("report.json"));
    let text = text.unwrap_or_else(|error| panic!("{error}\n{said}"));
    (serde_json::from_str(&text).unwrap(), said)
}

#[test]
fn all_topologies_answer_the_same_and_are_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let (report, said) = run(folder.path());
    let names: Vec<_> = report
        .targets
        .iter()
        .map(|target| target.name.as_str())
        .collect();
    assert_eq!(names[..TARGETS.len()], TARGETS, "{said}");
    for target in &report.targets {
        is_accounted_for(target, &said);
    }
    let counted = |window: &Window| window.void.is_none() && window.phase == Phase::Equal;
    assert!(
        report
            .windows
            .iter()
            .all(|window| !counted(window) || window.writes > 0),
        "{said}"
    );
    let comparison = report.comparison.expect("it was compared");
    // The number depends on how late the writes are. If it is 0, the targets don't go through the same positions.
    assert!(comparison.compared > 0, "{comparison:?}\n{said}");
    assert_eq!(comparison.mismatches, 0, "{said}");
    assert_eq!(
        report.run.ledger.expect("what the ledgers held").position,
        2_000
    );
}

fn is_accounted_for(target: &Target, said: &str) {
    let name = target.name.as_str();
    // 200 reads a second in two windows of half a second. With a debug build on a busy machine a few may time out.
    assert!(target.requests > 100, "{name}: {said}");
    assert!(target.errors * 10 < target.requests, "{name}: {said}");
    assert!(
        target.cpu_us_per_request.is_some_and(|cpu| cpu > 0.0),
        "{name}"
    );
    assert!(
        target.rss_peak_bytes.is_some_and(|bytes| bytes > 1 << 20),
        "{name}"
    );
    let processes: Vec<_> = target
        .processes
        .iter()
        .map(|process| process.name.as_str())
        .collect();
    match name.split(':').next() {
        Some("sidecar" | "direct") => assert_eq!(processes, ["walletd", "hotpathd"]),
        _ => assert_eq!(processes, ["walletd"]),
    }
    assert!(
        target.processes[0].gc.is_some(),
        "walletd tells of its collector: {name}"
    );
}

#[test]
fn a_closed_loop_compares_numbers_of_workers_with_writes_beside_the_reads() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["legacy:workers=2", "legacy:no-workers", "sidecar:workers=7"];
    let (report, said) = measured(
        folder.path(),
        &names,
        &["--closed", "--max-in-flight=16", "--rounds=1"],
    );
    assert_eq!(report.closed_in_flight(), Some(16), "{said}");
    for (target, name) in report.targets.iter().zip(names) {
        assert_eq!(target.name, name);
        assert!(target.achieved_qps.is_some_and(|qps| qps > 0.0), "{said}");
        assert!(
            target.cpu_us_per_request.is_some_and(|cpu| cpu > 0.0),
            "{said}"
        );
    }
    assert!(report.targets[0].about.ends_with("with 2 stream workers"));
    assert!(report.targets[2].about.ends_with("with 7 stream workers"));
    let writes = report
        .notes
        .iter()
        .any(|note| note.starts_with("Writes came at a rate"));
    assert!(writes, "{said}");
}

/// On a machine that is too busy the run may be void (exit code 3). That is a valid result.
#[test]
fn a_short_break_even_run_measures_all_answers() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["break-even", "--work-us=0,50", "--budget=18"])
        .args(["--quiet", "--no-pin", "--max-lag-us=1000000", "--out"])
        .arg(&out)
        .arg("--work")
        .arg(folder.path().join("work"))
        .arg("--burnd")
        .arg(program("TEST_BURND", "burnd"))
        .arg("--burn-sidecar")
        .arg(program("TEST_BURN_SIDECAR", "burn-sidecar"))
        .output()
        .unwrap();
    let said = format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(matches!(output.status.code(), Some(0 | 3)), "{said}");
    let report = break_even::read(&out).unwrap().expect("its kind");
    let names: Vec<_> = report
        .answers
        .iter()
        .map(|answer| answer.name.as_str())
        .collect();
    assert_eq!(names, ["local", "unary", "batched", "spliced", "cgo"]);
    for name in names {
        let mut windows = report.windows.iter();
        let answered = windows.any(|row| row.window.target == name && row.window.ok > 0);
        assert!(answered, "{name}: {said}");
    }
    for file in ["report.html", "windows.csv", "break-even.svg"] {
        assert!(out.join(file).is_file(), "{file}: {said}");
    }
}
