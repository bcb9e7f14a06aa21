//! Starts the servers of a target, pinned to cores, and stops them.
//!
//! Every target gets its own copy of the ledger, in `targets/NAME` of the work folder, next to the server's log. Each
//! server watches a pipe that only this program holds open. So servers end with this program, however it ends.

pub mod burn;
mod child;
pub mod cores;
pub mod ledger;
mod ready;
#[cfg(test)]
mod tests;

use crate::{
    error::{Error, Kind as ErrorKind, Result},
    generator::{Address, Endpoints},
    process::Watched,
};
use child::Child;
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::AtomicBool,
    time::Duration,
};

/// `NumStreamWorkers` of targets with workers, unless the command line gives their number.
pub const STREAM_WORKERS: u32 = 128;
/// The highest connection limit that hotpathd accepts.
const MAX_CONNECTIONS: u32 = 1_000_000;
/// Longest path of the sidecar's socket. It leaves some room for names that are derived from it.
const SOCKET_PATH_BYTES: usize = 100;
/// Longest time that a server with an empty ledger may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Each byte of the ledger allows more time to start: a minute for 256 MiB.
const BYTES_PER_SECOND: u64 = (256 << 20) / 60;

/// What a target is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// walletd alone, as it is.
    Legacy,
    /// walletd alone, without a read model: it answers from its database.
    Store,
    /// walletd alone, with the best read model in Go, without its index.
    BestGoScan,
    /// walletd alone, with the best read model in Go.
    BestGo,
    /// walletd, and hotpathd as its sidecar.
    Sidecar,
    /// As `Sidecar`, but hot reads go straight to hotpathd.
    Direct,
}

/// One target to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Name of the target's folder: the target's name without colons.
    pub name: String,
    /// What it is made of.
    pub kind: Kind,
    /// `NumStreamWorkers` of walletd. 0 means that each call gets a new goroutine.
    pub stream_workers: u32,
    /// Whether each request crosses to the sidecar as a gRPC call, for comparison with the exchange.
    pub unary_hop: bool,
    /// Whether hot reads are served below grpc-go and hyper. Alone, walletd answers them itself through its spliced front
    /// door. With a sidecar, walletd forwards them through that door, and hotpathd has its spliced front, too. Asked
    /// directly, only hotpathd has. The door knows only the exchange, so it makes no sense together with `unary_hop`.
    pub spliced: bool,
    /// Whether walletd has no read model beside its sidecar, and answers from its database what the sidecar can't.
    pub stored: bool,
    /// Whether there are two sidecars, of which one stands by.
    pub pair: bool,
    /// Whether the sidecar answers windows of long accounts by reading every entry, instead of from its index.
    pub scan: bool,
    /// The mode of all hot methods; `sidecar` if there is none. It is for measuring what a mode costs callers.
    pub mode: Option<&'static str>,
}

/// What servers are started from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rig {
    /// The walletd program.
    pub walletd: PathBuf,
    /// The hotpathd program.
    pub hotpathd: PathBuf,
    /// The folder for ledgers, copies, logs and sockets.
    pub work: PathBuf,
    /// Cores that servers are pinned to; empty: not pinned.
    pub server_cores: Vec<usize>,
}

/// The running servers of one target. They are stopped on drop.
#[derive(Debug)]
pub struct Server {
    // Fields are dropped in this order: the copy is removed once no process has it open.
    _child: Child,
    _db: ledger::Copy,
    endpoints: Endpoints,
    watched: Vec<Watched>,
    admin: String,
}

impl Kind {
    /// Returns its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Store => "store",
            Self::BestGoScan => "best-go-scan",
            Self::BestGo => "best-go",
            Self::Sidecar => "sidecar",
            Self::Direct => "direct",
        }
    }

    /// Returns the kind with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::Legacy,
            Self::Store,
            Self::BestGoScan,
            Self::BestGo,
            Self::Sidecar,
            Self::Direct,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }

    /// Whether it has a sidecar.
    #[must_use]
    pub fn has_sidecar(self) -> bool {
        matches!(self, Self::Sidecar | Self::Direct)
    }
}

impl Spec {
    /// Describes the target in words.
    #[must_use]
    pub fn about(&self) -> String {
        let what = match self.kind {
            Kind::Legacy => "walletd alone, its read model as it is",
            Kind::Store => "walletd alone, which answers from its database",
            Kind::BestGoScan => "walletd alone, with the best read model in Go, without its index",
            Kind::BestGo => "walletd alone, with the best read model in Go",
            Kind::Sidecar => "walletd, which forwards hot reads to hotpathd",
            Kind::Direct => "hot reads straight to hotpathd's own port, the rest to its walletd",
        };
        let workers = match self.stream_workers {
            0 => "without stream workers".to_owned(),
            1 => "with 1 stream worker".to_owned(),
            number => format!("with {number} stream workers"),
        };
        let how = match (self.spliced, self.kind) {
            (true, Kind::Sidecar) => ", below grpc-go and hyper",
            (true, Kind::Direct) => ", below hyper",
            (true, _) => ", below grpc-go",
            (false, _) if self.unary_hop => ", by a gRPC call each",
            (false, _) => "",
        };
        let scan = if self.scan {
            ", whose statistics scan"
        } else {
            ""
        };
        let copies = if self.stored {
            ", without a read model in Go"
        } else {
            ""
        };
        let pair = if self.pair {
            ", with a second sidecar that stands by"
        } else {
            ""
        };
        let mode = match self.mode {
            Some(mode) => format!(", in mode {mode}"),
            None => String::new(),
        };
        format!("{what}{how}{scan}{copies}{pair}{mode}; {workers}")
    }
}

impl Rig {
    /// Checks that the programs exist.
    ///
    /// # Errors
    /// [`ErrorKind::Target`], with what to do about it.
    pub fn check(&self, specs: &[Spec]) -> Result<()> {
        let sidecar = specs.iter().any(|spec| spec.kind.has_sidecar());
        let needed = [(&self.walletd, true), (&self.hotpathd, sidecar)];
        let absent = needed
            .iter()
            .find(|(path, needed)| *needed && !path.is_file());
        if let Some((path, _)) = absent {
            let text = format!(
                "there is no program {}: run `make build`, or name it with --walletd and --hotpathd",
                path.display()
            );
            return Err(Error::new(ErrorKind::Target, text));
        }
        Ok(())
    }

    /// Returns the first line of what a program says about its version.
    #[must_use]
    pub fn version(program: &Path, argument: &str) -> Option<String> {
        let output = Command::new(program)
            .arg(argument)
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().next().map(|line| line.trim().to_owned())
    }

    fn arguments(&self, spec: &Spec, db: &Path, folder: &Path) -> Vec<OsString> {
        let model = match spec.kind {
            Kind::BestGo => "best",
            Kind::BestGoScan => "best-scan",
            Kind::Store => "store",
            Kind::Sidecar | Kind::Direct if spec.stored => "store",
            Kind::Legacy | Kind::Sidecar | Kind::Direct => "legacy",
        };
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |flag: &str, value: OsString| arguments.extend([flag.into(), value]);
        add("--db", db.into());
        add("--listen", "127.0.0.1:0".into());
        add("--admin", "127.0.0.1:0".into());
        add("--ready-file", ready_file(folder).into());
        add("--read-model", model.into());
        add("--stream-workers", spec.stream_workers.to_string().into());
        if spec.kind.has_sidecar() {
            add("--sidecar", "supervise".into());
            add("--sidecar-bin", program(&self.hotpathd).into());
            add("--sidecar-socket", socket(folder).into());
            if spec.pair {
                add("--sidecars", "2".into());
            }
            if spec.unary_hop {
                add("--hop", "unary".into());
            }
            if spec.spliced && spec.kind == Kind::Sidecar {
                add("--front-door", "spliced".into());
            }
        } else if spec.spliced {
            add("--sidecar", "alone".into());
            add("--front-door", "spliced".into());
            arguments.push("--front-local".into());
        } else {
            add("--sidecar", "off".into());
        }
        arguments.insert(0, "serve".into());
        arguments.push("--lifeline".into());
        arguments
    }

    fn command(&self, spec: &Spec, db: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program(&self.walletd));
        command.args(self.arguments(spec, db, folder));
        own_settings(&mut command);
        // The other targets take any number of connections, because walletd has no limit.
        command.env("HOTPATHD_MAX_CONNECTIONS", MAX_CONNECTIONS.to_string());
        if spec.kind == Kind::Direct {
            command.env("HOTPATHD_LISTEN", "127.0.0.1:0");
        }
        if spec.scan {
            command.env("HOTPATHD_STATISTICS", "scan");
        }
        if let Some(mode) = spec.mode {
            command.env("HOTPATH_MODES", format!("default={mode}"));
        }
        if spec.spliced && spec.kind.has_sidecar() {
            command.env("HOTPATHD_FRONT", "spliced");
        }
        command
    }
}

impl Server {
    /// Copies the ledger, starts the servers, and waits until they answer and the sidecar has caught up.
    pub fn start(rig: &Rig, spec: &Spec, ledger: &Path, stop: &AtomicBool) -> Result<Self> {
        let folder = rig.work.join("targets").join(&spec.name);
        fresh_folder(&folder)?;
        if spec.kind.has_sidecar() {
            socket_fits(&folder)?;
        }
        let db = ledger::Copy::new(ledger, folder.join("ledger.db"))?;
        let log = folder.join("walletd.log");
        let command = rig.command(spec, db.path(), &folder);
        let mut child = Child::spawn(&spec.name, "walletd", command, &log, &rig.server_cores)?;
        let waiting = ready::Waiting {
            folder: &folder,
            deadline: start_timeout(ledger),
            stop,
        };
        let walletd = ready::service(&mut child, &waiting)?;
        let mut endpoints = Endpoints {
            front: Address::Tcp(walletd.listen),
            hot: None,
        };
        let mut watched = vec![Watched {
            name: "walletd".to_owned(),
            pid: child.id(),
            admin: Some(walletd.admin.clone()),
            log: Some(log.clone()),
        }];
        if spec.kind.has_sidecar() {
            let direct = spec.kind == Kind::Direct;
            let sidecars = if spec.pair { 2 } else { 1 };
            let caught_up = |values: &_| ready::caught_up(values, sidecars);
            for (at, name) in ["hotpathd", "hotpathd-2"][..sidecars].iter().enumerate() {
                let admin = &walletd.admin;
                let sidecar = ready::sidecar(&mut child, &waiting, admin, caught_up, direct, at)?;
                if direct && at == 0 {
                    endpoints.hot = sidecar.listen.map(Address::Tcp);
                }
                watched.push(Watched {
                    name: (*name).to_owned(),
                    pid: sidecar.pid,
                    admin: None,
                    // hotpathd's output goes to walletd, which passes it on.
                    log: Some(log.clone()),
                });
            }
        }
        Ok(Self {
            _child: child,
            _db: db,
            endpoints,
            watched,
            admin: walletd.admin,
        })
    }

    /// Returns the addresses that requests go to.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Returns its processes.
    #[must_use]
    pub fn watched(&self) -> &[Watched] {
        &self.watched
    }

    /// Returns the `host:port` of walletd's admin pages.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.admin
    }
}

/// Removes settings from the environment that the user made for another sidecar.
fn own_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("HOTPATHD_") || text == "HOTPATH_MODES" {
            command.env_remove(name);
        }
    }
    command.env("HOTPATHD_ADMIN", "127.0.0.1:0");
}

fn interrupted() -> Error {
    Error::new(ErrorKind::Target, "interrupted before the first window")
}

fn ready_file(folder: &Path) -> PathBuf {
    folder.join("service.ready")
}

fn socket_fits(folder: &Path) -> Result<()> {
    let longest = socket(folder).as_os_str().len();
    if longest <= SOCKET_PATH_BYTES {
        return Ok(());
    }
    let text = format!(
        "--work: the path of a socket in it would have {longest} bytes, over {SOCKET_PATH_BYTES}: name a shorter one"
    );
    Err(Error::new(ErrorKind::Usage, text))
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("sidecar.sock")
}

/// Makes a bare file name a path, because it would be looked up on `PATH` otherwise.
fn program(path: &Path) -> PathBuf {
    if path.components().count() == 1 {
        Path::new(".").join(path)
    } else {
        path.to_owned()
    }
}

fn start_timeout(ledger: &Path) -> Duration {
    let bytes = fs::metadata(ledger).map_or(0, |metadata| metadata.len());
    START_TIMEOUT + Duration::from_secs(bytes / BYTES_PER_SECOND)
}

fn fresh_folder(folder: &Path) -> Result<()> {
    let made = match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(folder),
    };
    made.map_err(|error| {
        let text = format!("cannot make the folder {}", folder.display());
        Error::caused(ErrorKind::Output, text, error)
    })
}
