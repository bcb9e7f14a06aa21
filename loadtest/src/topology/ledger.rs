//! Ledgers. They are generated once for each setting, and copied for each target. The ids that requests ask for are
//! listed from them.

use super::Rig;
use crate::{
    error::{Error, Kind, Result},
    process::log_tail,
    scenario,
};
use std::{
    ffi::OsString,
    fs::{self, File, TryLockError},
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// Files that SQLite and walletd keep beside a database.
const BESIDE: [&str; 3] = ["-wal", "-shm", ".new"];

/// The time between two looks at a program that works on a ledger.
const POLL: Duration = Duration::from_millis(20);

/// The path of a database that is removed on drop.
#[derive(Debug)]
pub(super) struct Copy(PathBuf);

/// What is in a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Accounts with entries.
    pub accounts: u64,
    /// Entries.
    pub entries: u64,
    /// The newest position.
    pub position: u64,
}

impl Copy {
    /// Makes a copy ([`copy`]) that is removed on drop.
    pub(super) fn new(from: &Path, to: PathBuf) -> Result<Self> {
        // The guard also removes half a copy if copying fails.
        let guard = Self(to);
        copy(from, &guard.0)?;
        Ok(guard)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // The file may be large. If this fails, the next start removes it.
        let _ = remove(&self.0);
    }
}

/// Locks the work folder, so that two runs don't share copies and sockets.
pub fn lock(work: &Path) -> Result<File> {
    let path = work.join("lock");
    let made = fs::create_dir_all(work).and_then(|()| File::create(&path));
    let file = made.map_err(|error| output(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(output(&path, error)),
        Err(TryLockError::WouldBlock) => {
            let text = format!(
                "another loadtest uses the work folder {}: wait for it, or name another with --work",
                work.display()
            );
            Err(Error::new(Kind::Target, text))
        }
    }
}

/// Returns the path of the ledger with these settings.
#[must_use]
pub fn path(work: &Path, ledger: &scenario::Ledger) -> PathBuf {
    let scenario::Ledger {
        seed,
        accounts,
        transactions,
        shape,
    } = ledger;
    let folder = format!("{shape}-seed{seed}-accounts{accounts}-transactions{transactions}");
    work.join("ledgers").join(folder).join("ledger.db")
}

/// Generates the ledger if there is none yet. It has another name until it is complete, so half a ledger is never taken
/// for a whole one.
pub fn generate(rig: &Rig, ledger: &scenario::Ledger, stop: &AtomicBool) -> Result<PathBuf> {
    let path = path(&rig.work, ledger);
    if path.is_file() {
        return Ok(path);
    }
    let unfinished = path.with_file_name("unfinished.db");
    let folder = path.parent().unwrap_or(&rig.work);
    fs::create_dir_all(folder).map_err(|error| output(folder, error))?;
    remove(&unfinished).map_err(|error| output(&unfinished, error))?;
    let number = |flag: &str, value: u64| [flag.into(), OsString::from(value.to_string())];
    let mut arguments = vec!["generate".into(), "--db".into(), unfinished.clone().into()];
    arguments.extend(number("--seed", ledger.seed));
    arguments.extend(number("--accounts", ledger.accounts));
    arguments.extend(number("--transactions", ledger.transactions));
    arguments.extend(["--shape".into(), ledger.shape.into()]);
    let log = rig.work.join("generate.log");
    let made = walletd(rig, &arguments, Stdio::null(), &log, stop);
    if let Err(error) = made {
        // The file may be large. If this fails, the next attempt removes it.
        let _ = remove(&unfinished);
        return Err(error);
    }
    copy(&unfinished, &path)?;
    remove(&unfinished).map_err(|error| output(&unfinished, error))?;
    Ok(path)
}

/// Lists the ids of a ledger into a file, and returns the ledger's size.
pub fn ids(rig: &Rig, db: &Path, at_most: usize, to: &Path, stop: &AtomicBool) -> Result<Size> {
    let file = File::create(to).map_err(|error| output(to, error))?;
    let arguments = [
        "ids".into(),
        "--db".into(),
        db.into(),
        "--at-most".into(),
        OsString::from(at_most.to_string()),
    ];
    let log = rig.work.join("ids.log");
    walletd(rig, &arguments, file.into(), &log, stop)?;
    let text = fs::read_to_string(to).map_err(|error| output(to, error))?;
    size(&text).ok_or_else(|| {
        let text = "`walletd ids` did not say how large the ledger is";
        Error::new(Kind::Target, text)
    })
}

fn size(text: &str) -> Option<Size> {
    let number = |name: &str| {
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
        values.next()?.trim().parse().ok()
    };
    Some(Size {
        accounts: number("# accounts ")?,
        entries: number("# entries ")?,
        position: number("# position ")?,
    })
}

/// Copies a database that no process has open. If the new path exists, the copy is complete.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = |error| {
        let text = format!("cannot copy {} to {}", from.display(), to.display());
        Error::caused(Kind::Output, text, error)
    };
    if !from.is_file() {
        let text = format!("there is no ledger {}", from.display());
        return Err(Error::new(Kind::Input, text));
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    remove(to).map_err(failed)?;
    if beside(from, BESIDE[0]).is_file() {
        fs::copy(beside(from, BESIDE[0]), beside(to, BESIDE[0])).map_err(failed)?;
    }
    let unfinished = beside(to, ".unfinished");
    fs::copy(from, &unfinished)
        .and_then(|_| fs::rename(&unfinished, to))
        .map_err(failed)
}

/// Removes a database and all files beside it.
pub fn remove(db: &Path) -> io::Result<()> {
    let files = BESIDE.iter().map(|suffix| beside(db, suffix));
    for file in files.chain([db.to_owned()]) {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn beside(db: &Path, suffix: &str) -> PathBuf {
    let mut path = db.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn walletd(
    rig: &Rig,
    arguments: &[OsString],
    stdout: Stdio,
    log: &Path,
    stop: &AtomicBool,
) -> Result<()> {
    let errors = File::create(log).map_err(|error| output(log, error))?;
    let name = arguments
        .first()
        .map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let mut command = Command::new(super::program(&rig.walletd));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(errors)
        // Ctrl-C then reaches this program only, which reports what happened.
        .process_group(0);
    match finish(command, stop) {
        Ok(_) if stop.load(Ordering::Relaxed) => Err(super::interrupted()),
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            let text = format!("`walletd {name}` failed ({status}){}", log_tail(log));
            Err(Error::new(Kind::Target, text))
        }
        Err(error) => {
            let text = format!("cannot start {}", rig.walletd.display());
            Err(Error::caused(Kind::Target, text, error))
        }
    }
}

/// Waits for the program to end, or kills it once `stop` is set.
fn finish(mut command: Command, stop: &AtomicBool) -> io::Result<ExitStatus> {
    let mut process = command.spawn()?;
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(status);
        }
        if stop.load(Ordering::Relaxed) {
            process.kill()?;
            return process.wait();
        }
        thread::sleep(POLL);
    }
}

fn output(path: &Path, error: io::Error) -> Error {
    Error::caused(
        Kind::Output,
        format!("cannot write {}", path.display()),
        error,
    )
}
