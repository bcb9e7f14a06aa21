//! The file from which a launcher learns where the process listens.

use crate::{
    error::{Error, Kind},
    json,
    settings::{Group, Setting, Settings},
};
use std::{fs, net::SocketAddr, path::PathBuf};

/// Says whether there is a ready file.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its path. `None` if there is no ready file.
    pub ready_file: Option<PathBuf>,
}

/// Where a running process can be reached.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The Unix socket.
    pub socket: PathBuf,
    /// TCP for direct callers, if any.
    pub listen: Option<SocketAddr>,
    /// HTTP for operators.
    pub admin: SocketAddr,
}

/// A ready file that was written, or none.
#[derive(Debug)]
pub struct ReadyFile(Option<PathBuf>);

impl Config {
    /// What can be set.
    pub const SETTINGS: Group = Group {
        title: "Launchers",
        settings: &[Setting::new(
            "ready-file",
            "PATH",
            "",
            "Written once listening: JSON of pid, socket, listen and admin",
        )],
    };

    /// Reads the settings.
    pub fn resolve(settings: &mut Settings) -> Self {
        Self {
            ready_file: settings.text("ready-file").map(PathBuf::from),
        }
    }
}

impl ReadyFile {
    /// Writes the file whole or not at all. Does nothing if none is configured.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(config: &Config, addresses: &Addresses) -> Result<Self, Error> {
        let Some(path) = &config.ready_file else {
            return Ok(Self(None));
        };
        let listen = addresses
            .listen
            .map_or_else(|| "null".to_owned(), |address| format!("\"{address}\""));
        let json = format!(
            "{{\"pid\":{},\"socket\":\"{}\",\"listen\":{listen},\"admin\":\"{}\"}}\n",
            std::process::id(),
            json::escape(&addresses.socket.to_string_lossy()),
            addresses.admin,
        );
        let mut unready = path.as_os_str().to_owned();
        unready.push(".new");
        let written = fs::write(&unready, json).and_then(|()| fs::rename(&unready, path));
        let text = format!("the ready file {} cannot be written", path.display());
        written.map_err(|error| Error::new(Kind::CannotCreate, text).because(error))?;
        Ok(Self(Some(path.clone())))
    }

    /// Removes the file, because nothing listens any more.
    pub fn remove(self) {
        if let Some(path) = self.0 {
            let _ = fs::remove_file(path);
        }
    }
}
