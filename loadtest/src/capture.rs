//! Captured traffic: a file of (method, request bytes, planned time), blind to the schema.

use crate::{
    error::{Error, Kind, Result},
    traffic::Workload,
};
use std::{path::Path, sync::Arc};

/// How a capture is replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Replay {
    /// At its own planned times, this much faster; each window goes on where the one before it of the same target ended
    /// if its seed says so, see [`open`].
    Speed(f64),
    /// In its order, at the rates of the windows.
    Rate,
}

/// Reads a whole capture. Window `seed`s are offsets: window `i` of a speed replay has seed `i` and covers the capture's
/// time from `i * duration * speed` on, cyclically.
pub fn open(_path: &Path, _replay: Replay) -> Result<Arc<dyn Workload>> {
    Err(Error::new(Kind::Internal, "not there yet"))
}
