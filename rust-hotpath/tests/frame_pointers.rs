//! Tests that a program finds out whether it was built with frame pointers. The module is compiled in each way.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::{env, fs, path::Path, process::Command};

/// What the module says in a program that was built with these flags.
fn found(flags: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let [source, program] = ["main.rs", "program"].map(|name| dir.path().join(name));
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/frame_pointers.rs");
    let main = format!(
        "#[path = {module:?}] mod frame_pointers;
         fn main() {{ print!(\"{{}}\", frame_pointers::missing().unwrap_or(\"kept\")) }}"
    );
    fs::write(&source, main).unwrap();
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc)
        .args(["--edition", "2024", "-o"])
        .arg(&program)
        .args(flags)
        .arg(&source)
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    let ran = Command::new(&program).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn builds_that_have_them_are_not_complained_of() {
    for level in ["-Copt-level=0", "-Copt-level=3"] {
        assert_eq!(found(&[level, "-Cforce-frame-pointers=yes"]), "kept");
    }
}

/// Only here: on other machines frame pointers are kept whatever the flags.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn builds_that_lack_them_are_told_the_line_that_mends_it() {
    for level in [
        "-Copt-level=0",
        "-Copt-level=1",
        "-Copt-level=3",
        "-Copt-level=s",
    ] {
        let said = found(&[level, "-Cforce-frame-pointers=no"]);
        let line = r#"rustflags = ["-C", "force-frame-pointers=yes"]"#;
        assert!(said.contains(line), "{level}: {said}");
    }
}
