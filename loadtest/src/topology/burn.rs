//! The servers of the break-even report: `burnd`, whose requests are answered by Go, by its sidecar, or by Rust that is
//! linked in.

use super::{
    START_TIMEOUT, child::Child, fresh_folder, program, ready, ready_file, socket, socket_fits,
};
use crate::{
    error::{Error, Kind, Result},
    generator::{Address, Endpoints},
    process::{Watched, metrics},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::AtomicBool,
};

/// Who does the work of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The Go handler.
    Local,
    /// The sidecar, asked by a gRPC call for each request.
    Unary,
    /// The sidecar, asked through the exchange.
    Batched,
    /// As `Batched`, but through the spliced fronts of the shim and of the sidecar, below grpc-go and hyper.
    Spliced,
    /// Rust in the Go process, called by cgo.
    Cgo,
}

/// What servers are started from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rig {
    /// The burnd program, built with cgo.
    pub burnd: PathBuf,
    /// The sidecar program.
    pub sidecar: PathBuf,
    /// What burnd keeps in memory beside its requests, in MiB.
    pub heap_mib: u32,
    /// The folder for logs and sockets.
    pub work: PathBuf,
    /// Cores that servers are pinned to; empty: not pinned.
    pub server_cores: Vec<usize>,
}

/// The running servers of one answer. They are stopped on drop.
#[derive(Debug)]
pub struct Server {
    _child: Child,
    endpoints: Endpoints,
    watched: Vec<Watched>,
    admin: String,
}

impl Answer {
    /// All answers, the baseline first.
    pub const ALL: [Self; 5] = [
        Self::Local,
        Self::Unary,
        Self::Batched,
        Self::Spliced,
        Self::Cgo,
    ];

    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Unary => "unary",
            Self::Batched => "batched",
            Self::Spliced => "spliced",
            Self::Cgo => "cgo",
        }
    }

    /// Returns the values of burnd's `--answer` and `--front-door`.
    const fn arguments(self) -> (&'static str, &'static str) {
        match self {
            Self::Spliced => (Self::Batched.name(), "spliced"),
            other => (other.name(), "stock"),
        }
    }

    /// Describes it in words.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Local => "the Go handler does the work itself",
            Self::Unary => {
                "the shim forwards each request by a gRPC call; the sidecar does the work"
            }
            Self::Batched => {
                "the shim forwards requests by the exchange; the sidecar does the work"
            }
            Self::Spliced => {
                "as batched, but the shim and the sidecar read and write frames themselves, below grpc-go and hyper"
            }
            Self::Cgo => "the Go handler calls Rust in its own process, by cgo",
        }
    }

    fn has_sidecar(self) -> bool {
        matches!(self, Self::Unary | Self::Batched | Self::Spliced)
    }
}

impl Rig {
    /// Checks that the programs exist.
    ///
    /// # Errors
    /// [`Kind::Target`], with what to do about it.
    pub fn check(&self) -> Result<()> {
        let absent = [&self.burnd, &self.sidecar]
            .into_iter()
            .find(|path| !path.is_file());
        absent.map_or(Ok(()), |path| {
            let text = format!(
                "there is no program {}: run `make break-even`, which builds it, or name it with --burnd and --burn-sidecar",
                path.display()
            );
            Err(Error::new(Kind::Target, text))
        })
    }

    fn command(&self, answer: Answer, folder: &Path) -> Command {
        let mut command = Command::new(program(&self.burnd));
        let (who, door) = answer.arguments();
        command
            .args(["--answer", who, "--front-door", door, "--lifeline"])
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .arg("--ready-file")
            .arg(ready_file(folder))
            .arg("--stream-workers")
            .arg(super::STREAM_WORKERS.to_string())
            .arg("--heap-mib")
            .arg(self.heap_mib.to_string());
        if answer.has_sidecar() {
            command
                .arg("--sidecar-bin")
                .arg(program(&self.sidecar))
                .arg("--sidecar-socket")
                .arg(socket(folder));
        }
        super::own_settings(&mut command);
        if answer == Answer::Spliced {
            command.env("HOTPATHD_FRONT", "spliced");
        }
        command
    }
}

impl Server {
    /// Starts burnd, and waits until it and its sidecar are ready.
    pub fn start(rig: &Rig, answer: Answer, stop: &AtomicBool) -> Result<Self> {
        let folder = rig.work.join("targets").join(answer.name());
        fresh_folder(&folder)?;
        if answer.has_sidecar() {
            socket_fits(&folder)?;
        }
        let log = folder.join("burnd.log");
        let command = rig.command(answer, &folder);
        let mut child = Child::spawn(answer.name(), "burnd", command, &log, &rig.server_cores)?;
        let waiting = ready::Waiting {
            folder: &folder,
            deadline: START_TIMEOUT,
            stop,
        };
        let service = ready::service(&mut child, &waiting)?;
        let mut watched = vec![Watched {
            name: "burnd".to_owned(),
            pid: child.id(),
            admin: Some(service.admin.clone()),
            log: Some(log.clone()),
        }];
        if answer.has_sidecar() {
            let admin = &service.admin;
            let sidecar = ready::sidecar(&mut child, &waiting, admin, ready::is_ready, false, 0)?;
            watched.push(Watched {
                name: "sidecar".to_owned(),
                pid: sidecar.pid,
                admin: None,
                log: Some(log),
            });
        }
        Ok(Self {
            _child: child,
            endpoints: Endpoints {
                front: Address::Tcp(service.listen),
                hot: None,
            },
            watched,
            admin: service.admin,
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

    /// Returns the number of requests so far that the Go handler answered in place of the sidecar; 0 without a sidecar.
    pub fn fallbacks(&self) -> Result<u64> {
        self.total(metrics::FALLBACKS, None)
    }

    /// Returns the number of requests so far that the spliced front door left to grpc-go; 0 behind the stock one. It does
    /// not count those that came first on their connections, which a door can't have.
    pub fn handed_over(&self) -> Result<u64> {
        self.total(metrics::HANDED_OVER, Some(metrics::AT_THE_BEGINNING))
    }

    fn total(&self, name: &str, without: Option<&str>) -> Result<u64> {
        metrics::total(&self.admin, name, without).map_err(|cause| {
            let text = format!("no metrics from burnd's admin address: {cause}");
            Error::new(Kind::Target, text)
        })
    }
}
