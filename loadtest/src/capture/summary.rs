//! A summary of a capture.

use super::format::{self, Capture};
use crate::error::Result;
use std::{fmt, path::Path, time::Duration};

/// A summary of a capture.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Methods that have requests, the most frequent first.
    pub methods: Vec<MethodSummary>,
    /// The number of all requests.
    pub requests: u64,
    /// The bytes of all messages.
    pub message_bytes: u64,
    /// The time from the first request to the last.
    pub duration: Duration,
    /// Requests a second that a replay at speed 1 sends.
    pub mean_qps: f64,
    /// Bytes of an incomplete record at the end of the file, which is there if the recorder was killed.
    pub dropped_bytes: u64,
}

/// One method's share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodSummary {
    /// `/package.Service/Method`.
    pub path: String,
    /// The number of its requests.
    pub requests: u64,
    /// The bytes of their messages.
    pub message_bytes: u64,
}

/// Reads a capture and summarises it.
pub fn summary(path: &Path) -> Result<Summary> {
    format::read(path).map(|capture| Summary::of(&capture))
}

impl Summary {
    fn of(capture: &Capture) -> Self {
        let named = capture.methods.iter().map(|path| MethodSummary {
            path: path.clone(),
            requests: 0,
            message_bytes: 0,
        });
        let mut methods: Vec<_> = named.collect();
        for request in &capture.requests {
            let method = &mut methods[usize::from(request.method)];
            method.requests += 1;
            method.message_bytes += capture.message(request).len() as u64;
        }
        methods.retain(|method| method.requests > 0);
        methods.sort_by(|a, b| b.requests.cmp(&a.requests).then(a.path.cmp(&b.path)));
        let cycle = Duration::from_micros(capture.cycle_us());
        let requests = capture.requests.len();
        #[allow(clippy::cast_precision_loss)] // At most 20 million.
        let mean_qps = requests as f64 / cycle.as_secs_f64();
        Self {
            requests: requests as u64,
            message_bytes: methods.iter().map(|method| method.message_bytes).sum(),
            methods,
            duration: Duration::from_micros(capture.duration_us()),
            mean_qps,
            dropped_bytes: capture.dropped_bytes,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} requests, {} bytes, {:.3} s, {:.1} requests/s",
            self.requests,
            self.message_bytes,
            self.duration.as_secs_f64(),
            self.mean_qps
        )?;
        for method in &self.methods {
            let MethodSummary {
                path,
                requests,
                message_bytes,
            } = method;
            writeln!(
                f,
                "{requests:>10} requests {message_bytes:>12} bytes  {path}"
            )?;
        }
        if self.dropped_bytes > 0 {
            let dropped = self.dropped_bytes;
            writeln!(
                f,
                "the last {dropped} bytes are no whole record and were left out"
            )?;
        }
        Ok(())
    }
}
