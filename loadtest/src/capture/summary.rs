//! What a capture holds, in words.

use super::format::{self, Capture};
use crate::error::Result;
use std::{fmt, path::Path, time::Duration};

/// What a capture holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Those that have requests, most of them first.
    pub methods: Vec<MethodSummary>,
    /// Of all methods.
    pub requests: u64,
    /// Of all messages.
    pub message_bytes: u64,
    /// From the first request to the last.
    pub duration: Duration,
    /// Requests a second, as a replay at speed 1 sends them.
    pub mean_qps: f64,
    /// At the end of the file, of a record that is not whole: the recorder was killed.
    pub dropped_bytes: u64,
}

/// One method's share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodSummary {
    /// `/package.Service/Method`.
    pub path: String,
    /// How many.
    pub requests: u64,
    /// Of their messages.
    pub message_bytes: u64,
}

/// Reads a capture and tells what it holds.
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
