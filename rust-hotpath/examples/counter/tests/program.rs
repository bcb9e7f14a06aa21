//! Tests that an adopter's program shows its own name everywhere.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    env, fs,
    process::{self, Command, Stdio},
};

/// Returns the exit code, standard output and standard error.
fn said(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_counter"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code(), out, err)
}

#[test]
fn its_version_help_and_errors() {
    let version = format!("counter {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(said(&["--version"]), (Some(0), version, String::new()));
    let (_, help, _) = said(&["--help"]);
    let top = format!("{}\n\nUsage: counter ", env!("CARGO_PKG_DESCRIPTION"));
    assert!(help.starts_with(&top), "{help}");
    let (code, _, error) = said(&["--socket", "/s", "--bogus"]);
    let expected = "counter: 1 mistake, nothing was started:\n  flag --bogus: is unknown\ncounter --help shows every option.\n";
    assert_eq!((code, error.as_str()), (Some(64), expected));
}

#[test]
fn its_log() {
    let socket = env::temp_dir().join(format!("counter-{}.sock", process::id()));
    // Standard input has already ended, so the program ends as soon as it has started.
    let (code, _, log) = said(&["--lifeline", "--socket", socket.to_str().unwrap()]);
    let _ = fs::remove_file(&socket);
    assert_eq!(code, Some(0), "{log}");
    let first = format!(
        "INFO counter {} serves counter.v1.CounterService: ",
        env!("CARGO_PKG_VERSION")
    );
    assert!(log.contains(&first), "{log}");
    assert!(!log.contains("WARN"), "built with frame pointers: {log}");
}
