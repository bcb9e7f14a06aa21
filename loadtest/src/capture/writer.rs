//! Writes the format that [`crate::capture`] describes.

use super::format::{
    MAGIC, MAX_FILE_BYTES, MAX_MESSAGE_BYTES, MAX_METHODS, MAX_REQUESTS, MAX_TIME_US, METHOD,
    REQUEST, VERSION, is_path,
};
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

/// A capture that is being written.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    methods: HashMap<String, u16>,
    requests: usize,
    bytes: u64,
}

impl Writer {
    /// Begins a new file, which only its owner can read, because requests name people. A file that exists is not
    /// overwritten.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let mut writer = Self {
            file: BufWriter::new(file),
            methods: HashMap::new(),
            requests: 0,
            bytes: 0,
        };
        writer.put(&[&MAGIC, &VERSION.to_le_bytes()])?;
        Ok(writer)
    }

    /// Adds a request. `at` is its time since the beginning of the capture. A request that the format can't hold is
    /// refused with [`io::ErrorKind::InvalidInput`], and leaves the file as it was.
    pub fn write(&mut self, path: &str, at: Duration, message: &[u8]) -> io::Result<()> {
        let refused = |rule: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, rule));
        let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let known = self.methods.get(path).copied();
        if !is_path(path.as_bytes()) {
            return refused("a method's path must be /package.Service/Method");
        }
        if message.len() > MAX_MESSAGE_BYTES || at_us > MAX_TIME_US {
            return refused("a message must be at most 4 MiB, a time at most 366 days");
        }
        if self.requests == MAX_REQUESTS || (known.is_none() && self.methods.len() == MAX_METHODS) {
            return refused("there must not be more than 65535 methods and 20000000 requests");
        }
        if self.bytes + Self::longest(path, message) > MAX_FILE_BYTES {
            return refused("must be a file of at most 2 GiB");
        }
        let method = match known {
            Some(method) => method,
            None => self.define(path)?,
        };
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        self.put(&[
            &[REQUEST],
            &method.to_le_bytes(),
            &at_us.to_le_bytes(),
            &length.to_le_bytes(),
            message,
        ])?;
        self.requests += 1;
        Ok(())
    }

    /// Returns the most bytes that a request takes, with the definition of its method.
    #[must_use]
    pub fn longest(path: &str, message: &[u8]) -> u64 {
        (1 + 2 + path.len() + 1 + 2 + 8 + 4 + message.len()) as u64
    }

    /// Returns the size of the file so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes what is buffered to the file, so that little is lost if the process is killed.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// Writes everything to the disk and closes the file.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }

    fn define(&mut self, path: &str) -> io::Result<u16> {
        let method = u16::try_from(self.methods.len()).unwrap_or(u16::MAX);
        let length = u16::try_from(path.len()).unwrap_or(u16::MAX);
        self.put(&[&[METHOD], &length.to_le_bytes(), path.as_bytes()])?;
        self.methods.insert(path.to_owned(), method);
        Ok(method)
    }

    fn put(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        for part in parts {
            self.file.write_all(part)?;
            self.bytes += part.len() as u64;
        }
        Ok(())
    }
}
