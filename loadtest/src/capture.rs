//! Captured traffic: a file of requests, each with its method, bytes and time. It needs no schema.
//!
//! # The file, byte by byte
//! All integers are little-endian. The header is 12 bytes: the 8 bytes `LOADCAP\n`, then the version as u32, which is 1.
//! Records follow to the end of the file, in any order of their times. Each begins with a byte that says its kind:
//!
//! | kind | bytes | meaning |
//! |---|---|---|
//! | 1 | u16 length, path | A method, `/package.Service/Method`. The first one has index 0, the next 1, and so on. |
//! | 2 | u16 method, u64 time, u32 length, message | A request: index of a method above it, µs since the beginning of the capture, and the protobuf message without gRPC's five-byte prefix. |
//!
//! Limits: a file of 2 GiB; 20,000,000 requests; 65,535 different methods; a path of 3-1,024 bytes of printable ASCII
//! without spaces that begins with a slash; a message of 4 MiB, which is gRPC's default; a time of 366 days. A capture
//! has no metadata, because metadata holds credentials.
//!
//! A request's bytes don't show whether it writes. A replay therefore sends everything that was captured, writes like
//! reads.
//!
//! If the file ends within a record, as it does when the recorder is killed, everything before that record is used. Any
//! other fault is an error that names the offset.

mod format;
mod replay;
mod summary;
mod writer;

pub use format::{MAX_FILE_BYTES, MAX_MESSAGE_BYTES};
pub use summary::{MethodSummary, Summary, summary};
pub use writer::Writer;

use crate::{
    error::{Error, Kind, Result},
    traffic::Workload,
};
use std::{path::Path, sync::Arc, time::Duration};

/// How a capture is replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Replay {
    /// At its own times, this many times as fast (0.001-1,000). See [`Replay::seed`].
    Speed(f64),
    /// In its order, at the rates of the windows. The window's seed selects its first request.
    Rate,
}

impl Replay {
    /// Returns the seed of the `index`-th window of a target, so that each window continues where the one before ended.
    /// For a replay at its own times this is the time in the capture at which the window begins, in µs. `None` means
    /// that any seed will do.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Saturates.
    pub fn seed(self, index: u64, duration: Duration) -> Option<u64> {
        match self {
            Self::Rate => None,
            #[allow(clippy::cast_precision_loss)]
            Self::Speed(speed) => {
                Some((index as f64 * duration.as_secs_f64() * speed * 1e6) as u64)
            }
        }
    }
}

/// Reads a whole capture. `hot` has the paths of hot methods. A capture that comes to its end begins again, after a
/// pause as long as the mean gap between its requests.
pub fn open(path: &Path, replay: Replay, hot: &[String]) -> Result<Arc<dyn Workload>> {
    if let Replay::Speed(speed) = replay
        && !(0.001..=1_000.0).contains(&speed)
    {
        let message = format!("speed must be a number from 0.001 to 1000, not {speed}");
        return Err(Error::new(Kind::Usage, message));
    }
    let capture = format::read(path)?;
    Ok(Arc::new(replay::Replayed::new(capture, replay, hot)))
}

#[cfg(test)]
mod tests;
