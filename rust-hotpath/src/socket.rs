//! The file of the Unix socket. It has one owner at a time, and is never removed while its owner lives.

use crate::error::{Error, Kind};
use std::{
    ffi::OsString,
    fs::{self, File, Permissions, TryLockError},
    io::ErrorKind,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

/// An owned socket file. It is removed on drop, unless something else has replaced it.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    /// The device and inode of the file that was bound.
    identity: (u64, u64),
    /// Holds the lock as long as it is open. The lock file is never removed: otherwise two processes could lock two
    /// different files of that name.
    _lock: File,
}

impl Socket {
    /// Takes the path over and listens on it. Only this user can connect.
    ///
    /// # Errors
    /// [`Kind::SocketTaken`] if another sidecar serves it, [`Kind::CannotCreate`] otherwise.
    pub fn bind(path: &Path) -> Result<(Self, UnixListener), Error> {
        let lock = lock(path)?;
        remove_stale(path)?;
        // The socket is bound under another name first. So under the real name there is never a socket with wider
        // permissions, or one on which nobody listens yet.
        let unready = beside(path, ".new");
        let failed = |error| cannot(path, "cannot be created", error);
        match fs::remove_file(&unready) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&unready).map_err(failed)?;
        fs::set_permissions(&unready, Permissions::from_mode(0o600)).map_err(failed)?;
        let identity = identity(&unready).map_err(failed)?;
        fs::rename(&unready, path).map_err(failed)?;
        let path = path.to_owned();
        let socket = Self {
            path,
            identity,
            _lock: lock,
        };
        Ok((socket, listener))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn lock(path: &Path) -> Result<File, Error> {
    let name = beside(path, ".lock");
    let file = File::options().create(true).append(true).open(&name);
    let file = file.map_err(|error| cannot(&name, "cannot be created", error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(taken(path)),
        Err(TryLockError::Error(error)) => Err(cannot(&name, "cannot be locked", error)),
    }
}

fn remove_stale(path: &Path) -> Result<(), Error> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot(path, "cannot be looked at", error)),
    };
    if !kind.is_socket() {
        let text = format!(
            "socket {}: something else has this name; remove it or choose another",
            path.display()
        );
        return Err(Error::new(Kind::CannotCreate, text));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(taken(path)),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            tracing::info!(
                "removing the socket that an earlier process left at {}",
                path.display()
            );
            fs::remove_file(path)
                .map_err(|error| cannot(path, "is stale and cannot be removed", error))
        }
        Err(error) => Err(cannot(path, "cannot be tried", error)),
    }
}

fn taken(path: &Path) -> Error {
    let path = path.display();
    let text = format!(
        "socket {path}: another process serves it; stop that one or choose another --socket"
    );
    Error::new(Kind::SocketTaken, text)
}

fn cannot(path: &Path, what: &str, error: std::io::Error) -> Error {
    Error::new(Kind::CannotCreate, format!("{} {what}", path.display())).because(error)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_owner_at_a_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s");
        let (socket, _listener) = Socket::bind(&path).expect("free");
        assert_eq!(
            fs::metadata(&path).expect("there").permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            Socket::bind(&path).expect_err("owned").kind(),
            Kind::SocketTaken
        );
        drop(socket);
        assert!(!path.exists());
        Socket::bind(&path).expect("free again");
    }

    #[test]
    fn a_stale_socket_is_replaced_a_living_one_and_other_files_are_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s");
        let foreign = UnixListener::bind(&path).expect("free");
        assert_eq!(
            Socket::bind(&path).expect_err("alive").kind(),
            Kind::SocketTaken
        );
        drop(foreign);
        drop(Socket::bind(&path).expect("stale"));
        fs::write(&path, "precious").expect("written");
        assert_eq!(
            Socket::bind(&path).expect_err("a file").kind(),
            Kind::CannotCreate
        );
        assert_eq!(fs::read_to_string(&path).expect("kept"), "precious");
    }

    #[test]
    fn what_replaced_our_socket_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s");
        let (socket, _listener) = Socket::bind(&path).expect("free");
        fs::remove_file(&path).expect("ours");
        fs::write(&path, "theirs").expect("written");
        drop(socket);
        assert!(path.exists());
    }
}
