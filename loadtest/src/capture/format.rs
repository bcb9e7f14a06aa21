//! Reads the format that [`crate::capture`] describes.

use crate::error::{Error, Kind, Result};
use std::{collections::HashSet, fs::File, io::Read as _, path::Path};

/// The largest capture.
pub const MAX_FILE_BYTES: u64 = 2 << 30;
/// The largest message of a request.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

pub(super) const MAGIC: [u8; 8] = *b"LOADCAP\n";
pub(super) const VERSION: u32 = 1;
pub(super) const METHOD: u8 = 1;
pub(super) const REQUEST: u8 = 2;
pub(super) const MAX_METHODS: usize = 65_535;
pub(super) const MAX_REQUESTS: usize = 20_000_000;
pub(super) const MAX_TIME_US: u64 = 366 * 86_400 * 1_000_000;
const MAX_PATH_BYTES: usize = 1_024;
/// A capture with one request, or with all requests at the same time, is repeated after this time.
const LONE_CYCLE_US: u64 = 1_000_000;

/// A capture in memory. The messages stay where they are in the bytes of the file.
#[derive(Debug)]
pub(super) struct Capture {
    pub(super) bytes: Vec<u8>,
    pub(super) methods: Vec<String>,
    /// The requests in the order of their times. The first is at 0.
    pub(super) requests: Vec<Captured>,
    /// The length of the incomplete record at the end of the file.
    pub(super) dropped_bytes: u64,
}

/// A request, and the place of its message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Captured {
    pub(super) at_us: u64,
    begin: u32,
    length: u32,
    pub(super) method: u16,
}

/// Why a record can't be read.
#[derive(Debug)]
enum Stop {
    Truncated,
    Garbage(String),
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Capture {
    pub(super) fn message(&self, request: &Captured) -> &[u8] {
        let begin = request.begin as usize;
        &self.bytes[begin..begin + request.length as usize]
    }

    /// The time from the first request to the last.
    pub(super) fn duration_us(&self) -> u64 {
        self.requests.last().map_or(0, |last| last.at_us)
    }

    /// The time from the first request until it is repeated: the duration and one mean gap. It is never 0.
    pub(super) fn cycle_us(&self) -> u64 {
        let duration = self.duration_us();
        let gaps = self.requests.len().saturating_sub(1) as u64;
        match duration.checked_div(gaps) {
            None | Some(0) if duration == 0 => LONE_CYCLE_US,
            gap => duration + gap.unwrap_or_default().max(1),
        }
    }
}

/// Reads a whole file. It is an error if there is no request.
pub(super) fn read(path: &Path) -> Result<Capture> {
    let failed = |error| {
        let message = format!("can't read capture {}", path.display());
        Error::caused(Kind::Input, message, error)
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    parse(bytes).map_err(|rule| {
        let message = format!("capture {}: {rule}", path.display());
        Error::new(Kind::Input, message)
    })
}

/// Whether a method may have this path.
pub(super) fn is_path(path: &[u8]) -> bool {
    (3..=MAX_PATH_BYTES).contains(&path.len())
        && path.starts_with(b"/")
        && path.iter().all(u8::is_ascii_graphic)
}

pub(super) fn parse(bytes: Vec<u8>) -> std::result::Result<Capture, String> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err("must be a file of at most 2 GiB".to_owned());
    }
    let version = bytes
        .strip_prefix(&MAGIC)
        .and_then(|rest| rest.first_chunk());
    match version.map(|version| u32::from_le_bytes(*version)) {
        None => {
            return Err(
                "byte 0: is no capture: it must begin with LOADCAP and a version".to_owned(),
            );
        }
        Some(VERSION) => {}
        Some(other) => {
            return Err(format!(
                "byte 8: version {other} is not known, only {VERSION} is"
            ));
        }
    }
    let mut capture = Capture {
        bytes: Vec::new(),
        methods: Vec::new(),
        requests: Vec::new(),
        dropped_bytes: 0,
    };
    let end = read_records(&bytes, &mut capture)?;
    capture.dropped_bytes = (bytes.len() - end) as u64;
    capture.bytes = bytes;
    capture.requests.sort_by_key(|request| request.at_us);
    let Some(first) = capture.requests.first().map(|request| request.at_us) else {
        return Err("holds no whole request".to_owned());
    };
    for request in &mut capture.requests {
        request.at_us -= first;
    }
    Ok(capture)
}

/// Returns where the last whole record ends.
fn read_records(bytes: &[u8], capture: &mut Capture) -> std::result::Result<usize, String> {
    let mut known = HashSet::new();
    let mut end = MAGIC.len() + 4;
    while end < bytes.len() {
        let mut cursor = Cursor { bytes, at: end };
        match record(&mut cursor, capture, &mut known) {
            Ok(()) => end = cursor.at,
            Err(Stop::Truncated) => break,
            Err(Stop::Garbage(rule)) => return Err(format!("byte {end}: {rule}")),
        }
    }
    Ok(end)
}

fn record<'a>(
    cursor: &mut Cursor<'a>,
    capture: &mut Capture,
    known: &mut HashSet<&'a [u8]>,
) -> std::result::Result<(), Stop> {
    let garbage = |rule: &str| Err(Stop::Garbage(rule.to_owned()));
    match u8::from_le_bytes(cursor.array()?) {
        METHOD => {
            let length = usize::from(u16::from_le_bytes(cursor.array()?));
            if length > MAX_PATH_BYTES {
                return garbage("a method's path must not be longer than 1024 bytes");
            }
            let path = cursor.take(length)?;
            if !is_path(path) || !known.insert(path) {
                return garbage("a method's path must be /package.Service/Method, none twice");
            }
            if capture.methods.len() == MAX_METHODS {
                return garbage("there must not be more than 65535 methods");
            }
            capture
                .methods
                .push(String::from_utf8_lossy(path).into_owned());
            Ok(())
        }
        REQUEST => {
            let request = request(cursor, capture.methods.len())?;
            if capture.requests.len() == MAX_REQUESTS {
                return garbage("there must not be more than 20000000 requests");
            }
            capture.requests.push(request);
            Ok(())
        }
        kind => garbage(&format!("a record must be of kind 1 or 2, not {kind}")),
    }
}

fn request(cursor: &mut Cursor<'_>, methods: usize) -> std::result::Result<Captured, Stop> {
    let garbage = |rule: String| Err(Stop::Garbage(rule));
    let method = u16::from_le_bytes(cursor.array()?);
    if usize::from(method) >= methods {
        return garbage(format!("method {method} is not known yet, {methods} are"));
    }
    let at_us = u64::from_le_bytes(cursor.array()?);
    if at_us > MAX_TIME_US {
        return garbage(format!("a time must be at most 366 days, not {at_us} µs"));
    }
    let length = u32::from_le_bytes(cursor.array()?);
    if length as usize > MAX_MESSAGE_BYTES {
        return garbage(format!(
            "a message must be at most 4 MiB, not {length} bytes"
        ));
    }
    let begin = u32::try_from(cursor.at).unwrap_or(u32::MAX);
    cursor.take(length as usize)?;
    Ok(Captured {
        at_us,
        begin,
        length,
        method,
    })
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> std::result::Result<&'a [u8], Stop> {
        let taken = self.bytes.get(self.at..self.at + length);
        self.at += length;
        taken.ok_or(Stop::Truncated)
    }

    fn array<const N: usize>(&mut self) -> std::result::Result<[u8; N], Stop> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| Stop::Truncated)
    }
}
