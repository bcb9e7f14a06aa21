//! Parses a target, which is one word of the command line.

use crate::{
    generator::{Address, Endpoints},
    topology::{Kind, STREAM_WORKERS, Spec},
};
use std::{collections::BTreeSet, path::PathBuf};

/// The most targets of a run.
const TARGETS: usize = 16;
/// Longest name of a target.
const NAME_BYTES: usize = 40;
/// The most stream workers that can be asked for. Each is a goroutine that waits, so more workers than callers are of
/// no use.
const MOST_WORKERS: u32 = 4096;

/// One target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name, unique in a run.
    pub name: String,
    /// The servers.
    pub what: What,
}

/// The servers of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Servers that this program starts.
    Topology(Spec),
    /// A server that runs already.
    Running(Running),
}

/// A server that runs already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Where requests go.
    pub endpoints: Endpoints,
    /// The processes of the server, if they are on this machine: name and pid.
    pub processes: Vec<(String, u32)>,
    /// `host:port` of its `/metrics`, for Go's collector.
    pub admin: Option<String>,
}

/// Parses all targets. Servers that this program starts have stream workers if `workers` says so and their name has no
/// suffix. Errors name the target and the rule.
pub fn parse(texts: &[String], workers: bool) -> Result<Vec<Target>, Vec<String>> {
    let mut targets: Vec<Target> = Vec::new();
    let mut mistakes = Vec::new();
    for text in texts {
        match one(text, workers) {
            Ok(target) => targets.push(target),
            Err(rule) => mistakes.push(format!("--target {text:?}: {rule}")),
        }
    }
    if texts.len() > TARGETS {
        mistakes.push(format!("--target: at most {TARGETS} targets"));
    }
    let mut names = BTreeSet::new();
    for target in &mut targets {
        let base = target.name.clone();
        let mut copies = 1;
        while !names.insert(target.name.clone()) {
            copies += 1;
            target.name = format!("{base}-{copies}");
        }
        match &mut target.what {
            What::Topology(spec) => spec.name = target.name.replace(':', "-"),
            What::Running(_) if copies > 1 => {
                mistakes.push(format!("--target: the name {base} is given more than once"));
            }
            What::Running(_) => {}
        }
    }
    if mistakes.is_empty() {
        Ok(targets)
    } else {
        Err(mistakes)
    }
}

fn one(text: &str, workers: bool) -> Result<Target, String> {
    // A name has no colon. A colon before the `=` means that the word is a topology and a suffix with a value.
    if let Some((name, rest)) = text.split_once('=').filter(|(name, _)| !name.contains(':')) {
        return running(name, rest);
    }
    let mut parts = text.split(':');
    let known = "legacy, store, best-go-scan, best-go, sidecar, direct, each with :workers, :workers=N or :no-workers if need be, sidecar with :unary, :legacy or :shadow, sidecar and direct with :store, :pair or :scan, all but legacy and store with :spliced, or NAME=ADDRESS";
    let kind = parts.next().and_then(Kind::parse);
    let kind = kind.ok_or_else(|| format!("must be one of {known}"))?;
    let name = text.to_owned();
    let mut spec = Spec {
        name: name.clone(),
        kind,
        stream_workers: if workers { STREAM_WORKERS } else { 0 },
        unary_hop: false,
        spliced: false,
        stored: false,
        pair: false,
        scan: false,
        mode: None,
    };
    for suffix in parts {
        if let Some(number) = suffix.strip_prefix("workers=") {
            spec.stream_workers = number_of_workers(number)?;
            continue;
        }
        match suffix {
            "" => return Err(format!("must be one of {known}")),
            "workers" => spec.stream_workers = STREAM_WORKERS,
            "no-workers" => spec.stream_workers = 0,
            "unary" if kind == Kind::Sidecar => spec.unary_hop = true,
            "unary" => return Err("unary is for sidecar only".to_owned()),
            "spliced" if !matches!(kind, Kind::Legacy | Kind::Store) => spec.spliced = true,
            "spliced" => return Err("spliced is not for legacy and store".to_owned()),
            "legacy" | "shadow" if kind == Kind::Sidecar => {
                spec.mode = Some(if suffix == "shadow" {
                    "shadow"
                } else {
                    "legacy"
                });
            }
            "legacy" | "shadow" => return Err(format!("{suffix} is for sidecar only")),
            "store" if kind.has_sidecar() => spec.stored = true,
            "pair" if kind.has_sidecar() => spec.pair = true,
            "scan" if kind.has_sidecar() => spec.scan = true,
            "store" | "pair" | "scan" => {
                return Err(format!("{suffix} is for sidecar and direct only"));
            }
            _ => {
                return Err(format!(
                    "{suffix} must be workers, workers=N, no-workers, unary, legacy, shadow, spliced, store, pair or scan"
                ));
            }
        }
    }
    if spec.unary_hop && spec.spliced {
        // Its door would leave every request to grpc-go, and the target would be sidecar:unary by another name.
        let rule = "unary and spliced: the spliced front door forwards by the exchange only";
        return Err(rule.to_owned());
    }
    Ok(Target {
        name,
        what: What::Topology(spec),
    })
}

fn number_of_workers(text: &str) -> Result<u32, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| (1..=MOST_WORKERS).contains(number));
    number.ok_or_else(|| {
        format!("workers={text}: must be a whole number from 1 to {MOST_WORKERS}; no-workers is 0")
    })
}

fn running(name: &str, rest: &str) -> Result<Target, String> {
    let letters = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let good = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(letters);
    if !good || name.len() > NAME_BYTES {
        return Err(format!(
            "the name must be 1-{NAME_BYTES} letters, digits and -_. , and begin with a letter or digit"
        ));
    }
    let mut parts = rest.split(',');
    let mut running = Running {
        endpoints: Endpoints {
            front: address(parts.next().unwrap_or_default())?,
            hot: None,
        },
        processes: Vec::new(),
        admin: None,
    };
    for part in parts {
        match part.split_once('=') {
            Some(("hot", hot)) => running.endpoints.hot = Some(address(hot)?),
            Some(("pid", process)) => running.processes.push(pid(process)?),
            Some(("admin", admin)) => {
                tcp(admin)?;
                running.admin = Some(admin.to_owned());
            }
            _ => {
                let known = "hot=ADDRESS, pid=NAME:NUMBER, admin=host:port";
                return Err(format!("{part:?} must be one of {known}"));
            }
        }
    }
    if running.admin.is_some() && running.processes.is_empty() {
        return Err("admin= needs the pid=NAME:NUMBER of the process that it tells of".to_owned());
    }
    Ok(Target {
        name: name.to_owned(),
        what: What::Running(running),
    })
}

fn pid(text: &str) -> Result<(String, u32), String> {
    let rule = || format!("{text:?} must be NAME:NUMBER, such as pid=walletd:1234");
    let (name, number) = text.rsplit_once(':').ok_or_else(rule)?;
    let number = number.parse().ok().filter(|number| *number > 0);
    let named = !name.is_empty() && name.len() <= NAME_BYTES;
    number
        .filter(|_| named)
        .map(|number| (name.to_owned(), number))
        .ok_or_else(rule)
}

/// `host:port` or `unix:PATH`.
pub(super) fn address(text: &str) -> Result<Address, String> {
    match text.strip_prefix("unix:") {
        Some("") => Err("unix: needs a path".to_owned()),
        Some(path) => Ok(Address::Unix(PathBuf::from(path))),
        None => tcp(text),
    }
}

fn tcp(text: &str) -> Result<Address, String> {
    let rule = |_| format!("{text:?} must be host:port, such as 127.0.0.1:7450, or unix:PATH");
    text.parse().map_err(rule)
}
