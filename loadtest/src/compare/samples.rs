//! Saves mismatches: both replies as bytes, and a text with the request and the replies.

use super::{
    Pair, message,
    text::{Side, decoded, hex},
};
use crate::{
    error::{Error, Kind, Result},
    measure::Replies,
    traffic::Workload,
};
use std::{fmt::Write as _, fs, path::Path};

const FOLDER: &str = "mismatches";

/// Saves read `n`, and returns the names of the files.
pub(super) fn save(
    folder: &Path,
    number: usize,
    workload: &dyn Workload,
    pair: &Pair<'_>,
    n: u64,
) -> Result<[String; 3]> {
    let name = |suffix: &str| format!("{FOLDER}/{number:03}{suffix}");
    let names = [name("-baseline.bin"), name("-target.bin"), name(".txt")];
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        let made = fs::create_dir_all(folder.join(FOLDER)).and_then(|()| fs::write(&path, bytes));
        made.map_err(|error| {
            let text = format!("cannot save a mismatch to {}", path.display());
            Error::caused(Kind::Output, text, error)
        })
    };
    write(&names[0], bytes(pair.replies[0], n))?;
    write(&names[1], bytes(pair.replies[1], n))?;
    write(&names[2], describe(workload, pair, n).as_bytes())?;
    Ok(names)
}

fn bytes(replies: &Replies, n: u64) -> &[u8] {
    let reply = usize::try_from(n).ok().and_then(|n| replies.replies.get(n));
    reply
        .and_then(Option::as_ref)
        .and_then(|reply| message(replies, reply))
        .unwrap_or_default()
}

fn describe(workload: &dyn Workload, pair: &Pair<'_>, n: u64) -> String {
    let request = workload.read(pair.seed, n);
    let method = workload.methods().get(usize::from(request.method));
    let path = method.map_or("?", |method| method.path.as_str());
    let mut text = format!(
        "read {n} of the window with seed {}\nmethod {path}\n\nrequest {}\n{}\n",
        pair.seed,
        hex(request.message),
        decoded(path, Side::Request, request.message),
    );
    for (name, replies) in pair.names.iter().zip(pair.replies) {
        text.push_str(&reply(name, path, replies, n));
    }
    text
}

fn reply(name: &str, path: &str, replies: &Replies, n: u64) -> String {
    let found = usize::try_from(n).ok().and_then(|n| replies.replies.get(n));
    let Some(reply) = found.and_then(Option::as_ref) else {
        return format!("\n{name}: no answer\n");
    };
    let mut text = format!("\n{name}: status {}", reply.status);
    if !reply.status_message.is_empty() {
        let _ = write!(text, " {:?}", reply.status_message);
    }
    match reply.position {
        Some(position) => text.push_str(&format!(", position {position}\n")),
        None => text.push_str(", no position\n"),
    }
    match message(replies, reply) {
        Some(bytes) => {
            let _ = writeln!(
                text,
                "{}\n{}",
                hex(bytes),
                decoded(path, Side::Reply, bytes)
            );
        }
        None => {
            let _ = writeln!(text, "(not kept, hash {:016x})", reply.hash);
        }
    }
    text
}
