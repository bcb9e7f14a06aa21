//! Runs the real program against stubs, and reads its report.

use crate::stub::Stub;
use loadtest::report::model::Report;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};
use tempfile::TempDir;

/// The smallest possible scenario: one kind of read, of four accounts.
const SCENARIO: &str = r#"
title = "A stub"
about = "Reads of a server whose behaviour is known."
[ids]
file = "ids.txt"
asset = "GBP"
from_us = 0
to_us = 1000000
draw = "uniform"
[load]
connections = 2
max_in_flight = 4096
timeout_ms = 5000
spread = "constant"
[objective]
# A busy machine must not void what a test wants to see: the default limit is near the generator's own lag there.
p99_ms = 5000
[[mix]]
method = "wallet.v1.WalletService/GetBalance"
weight = 1
request = { account_id = "$account", asset = "$asset" }
"#;

/// A folder with a scenario, in which reports are made.
pub(crate) struct Rig {
    folder: TempDir,
}

/// What a run left behind.
pub(crate) struct Ran {
    /// Exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
    /// The folder of the report.
    pub(crate) out: PathBuf,
}

impl Rig {
    /// Makes a folder with the smallest scenario.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("stub.toml"), SCENARIO).expect("the scenario");
        std::fs::write(folder.path().join("ids.txt"), "a-1\na-2\na-3\na-4\n").expect("the ids");
        Self { folder }
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes a command `loadtest run` of the scenario. It is not pinned, because tests run side by side.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        command
            .arg("run")
            .arg(self.path().join("stub.toml"))
            .args(["--no-pin", "--quiet", "--out"])
            .arg(self.path().join("out"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().expect("the program starts");
        self.ran(&output)
    }

    /// Waits for a child of [`Self::command`], and returns what it left behind.
    pub(crate) fn wait(&self, child: Child) -> Ran {
        let output = child.wait_with_output().expect("the program ends");
        self.ran(&output)
    }

    fn ran(&self, output: &Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            out: self.path().join("out"),
        }
    }
}

impl Ran {
    /// Reads the report. Panics with the program's output if there is none.
    pub(crate) fn report(&self) -> Report {
        let text = std::fs::read_to_string(self.out.join("report.json")).unwrap_or_else(|error| {
            panic!(
                "{error}: exit {}\n{}\n{}",
                self.code, self.stdout, self.stderr
            )
        });
        serde_json::from_str(&text).expect("the documented schema")
    }
}

/// Returns `--target NAME=ADDRESS` for a stub.
pub(crate) fn target(name: &str, stub: &Stub) -> String {
    format!("--target={name}={}", stub.address)
}
