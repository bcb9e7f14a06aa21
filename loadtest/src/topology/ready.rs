//! Waits until servers can answer.

use super::{child::Child, ready_file, socket};
use crate::{error::Result, process::metrics};
use serde_json::Value;
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const POLL: Duration = Duration::from_millis(20);

/// The folder of the server to wait for, how long to wait, and the flag that ends the wait.
pub(super) struct Waiting<'a> {
    pub(super) folder: &'a Path,
    pub(super) deadline: Duration,
    pub(super) stop: &'a AtomicBool,
}

/// The addresses of a service that is ready.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) listen: SocketAddr,
    pub(super) admin: String,
}

/// A sidecar that is ready.
#[derive(Debug)]
pub(super) struct Sidecar {
    pub(super) pid: u32,
    pub(super) listen: Option<SocketAddr>,
}

/// Waits until the service has loaded its data.
pub(super) fn service(child: &mut Child, waiting: &Waiting<'_>) -> Result<Service> {
    let path = ready_file(waiting.folder);
    let json = poll(child, waiting, "did not get ready", || json(&path))?;
    let text = |key: &str| json.get(key).and_then(Value::as_str);
    let listen = text("listen").and_then(|address| address.parse().ok());
    match (listen, text("admin")) {
        (Some(listen), Some(admin)) => Ok(Service {
            listen,
            admin: admin.to_owned(),
        }),
        _ => Err(child.failed(&format!("wrote a ready file without addresses: {json}"))),
    }
}

/// Waits until a sidecar is ready. `caught_up` decides that from the service's metrics. `at` says which one of several it is.
pub(super) fn sidecar(
    child: &mut Child,
    waiting: &Waiting<'_>,
    admin: &str,
    caught_up: impl Fn(&metrics::Values) -> bool,
    direct: bool,
    at: usize,
) -> Result<Sidecar> {
    poll(child, waiting, "got no sidecar that has caught up", || {
        caught_up(&metrics::scrape(admin).ok()?).then_some(())
    })?;
    // The supervisor names the file after the socket, by a flag, which wins over HOTPATHD_READY_FILE.
    let mut path = socket(waiting.folder).into_os_string();
    if at > 0 {
        path.push(format!(".{at}"));
    }
    path.push(".ready");
    let what = "has a sidecar without a ready file";
    let json = poll(child, waiting, what, || json(Path::new(&path)))?;
    let pid = json.get("pid").and_then(Value::as_u64);
    let listen = json.get("listen").and_then(Value::as_str);
    let sidecar = pid
        .and_then(|pid| u32::try_from(pid).ok())
        .map(|pid| Sidecar {
            pid,
            listen: listen.and_then(|address| address.parse().ok()),
        });
    sidecar
        .filter(|sidecar| !direct || sidecar.listen.is_some())
        .ok_or_else(|| {
            child.failed(&format!(
                "has a sidecar that does not say where it is: {json}"
            ))
        })
}

/// Whether the shim's sidecar is ready.
pub(super) fn is_ready(values: &metrics::Values) -> bool {
    values.get("hotpath_shim_sidecar_ready") == Some(&1.0)
}

/// Whether the sidecars are ready and at walletd's position. The metrics of several have a label.
pub(super) fn caught_up(values: &metrics::Values, sidecars: usize) -> bool {
    let value = |name: &str| values.get(name).copied();
    let head = value("walletd_position");
    let of = |name: &str, at: usize| match sidecars {
        1 => value(name),
        _ => value(&format!("{name}{{sidecar=\"{at}\"}}")),
    };
    head.is_some()
        && value("hotpath_shim_head_position") == head
        && (0..sidecars).all(|at| {
            of("hotpath_shim_sidecar_ready", at) == Some(1.0)
                && of("hotpath_shim_sidecar_position", at) == head
        })
}

/// Reads a ready file. Files are renamed into place, so nobody reads half of one.
fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn poll<T>(
    child: &mut Child,
    waiting: &Waiting<'_>,
    what: &str,
    mut ask: impl FnMut() -> Option<T>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = ask() {
            return Ok(found);
        }
        child.check()?;
        if waiting.stop.load(Ordering::Relaxed) {
            return Err(super::interrupted());
        }
        if begun.elapsed() >= waiting.deadline {
            let seconds = waiting.deadline.as_secs_f64();
            return Err(child.failed(&format!("{what} within {seconds} s")));
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, f64)]) -> metrics::Values {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect()
    }

    #[test]
    fn a_sidecar_has_caught_up_once_all_positions_are_equal() {
        let ready = [
            ("hotpath_shim_sidecar_ready", 1.0),
            ("walletd_position", 9.0),
            ("hotpath_shim_sidecar_position", 9.0),
            ("hotpath_shim_head_position", 9.0),
        ];
        assert!(caught_up(&values(&ready), 1));
        for (index, value) in [(0, 0.0), (1, 10.0), (2, 8.0), (3, 8.0)] {
            let mut behind = ready;
            behind[index].1 = value;
            assert!(!caught_up(&values(&behind), 1));
        }
        assert!(!caught_up(&values(&ready[..3]), 1));
    }

    #[test]
    fn each_of_two_sidecars_must_have_caught_up() {
        let ready = [
            ("hotpath_shim_sidecar_ready{sidecar=\"0\"}", 1.0),
            ("hotpath_shim_sidecar_ready{sidecar=\"1\"}", 1.0),
            ("hotpath_shim_sidecar_position{sidecar=\"0\"}", 9.0),
            ("hotpath_shim_sidecar_position{sidecar=\"1\"}", 9.0),
            ("walletd_position", 9.0),
            ("hotpath_shim_head_position", 9.0),
        ];
        assert!(caught_up(&values(&ready), 2));
        assert!(!caught_up(&values(&ready), 1));
        for index in 0..ready.len() {
            let mut behind = ready;
            behind[index].1 -= 1.0;
            assert!(!caught_up(&values(&behind), 2), "{index}");
        }
    }
}
