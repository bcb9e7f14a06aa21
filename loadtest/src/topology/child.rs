//! One server process.

use super::cores;
use crate::{
    error::{Error, Kind, Result},
    process::log_tail,
};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::{
    fs::File,
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The time between asking a server to end and killing it.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// A server process. It ends when this program does, because its standard input is a pipe that only this program holds.
#[derive(Debug)]
pub(super) struct Child {
    name: String,
    program: &'static str,
    process: std::process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts the server. It gets a process group of its own, so that Ctrl-C reaches this program only.
    pub(super) fn spawn(
        name: &str,
        program: &'static str,
        mut command: Command,
        log: &Path,
        server_cores: &[usize],
    ) -> Result<Self> {
        let failed = |error: io::Error| {
            let program = command_name(name, log);
            Error::caused(Kind::Target, format!("cannot start {program}"), error)
        };
        let output = File::create(log).map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        command
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .process_group(0);
        let process = cores::pinned(server_cores, || command.spawn())?.map_err(failed)?;
        Ok(Self {
            name: name.to_owned(),
            program,
            process,
            log: log.to_owned(),
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns an error if the server has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.process.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failed(&format!("ended while it started ({status})"))),
            Err(error) => Err(self.failed(&format!("cannot be waited for: {error}"))),
        }
    }

    /// Makes an error about the server, with the end of its log.
    pub(super) fn failed(&self, what: &str) -> Error {
        let text = format!(
            "target {}: {} {what}{}",
            self.name,
            self.program,
            log_tail(&self.log)
        );
        Error::new(Kind::Target, text)
    }

    /// Asks the server to end, and kills it if it does not.
    pub(super) fn stop(&mut self) {
        let Some(pid) = i32::try_from(self.id()).ok().and_then(Pid::from_raw) else {
            return;
        };
        if matches!(self.process.try_wait(), Ok(Some(_))) {
            return;
        }
        // These calls fail only if the process is gone already.
        let _ = kill_process(pid, Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < STOP_TIMEOUT {
            if matches!(self.process.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            thread::sleep(POLL);
        }
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop();
    }
}

fn command_name(name: &str, log: &Path) -> String {
    format!("the server of target {name} (log {})", log.display())
}
