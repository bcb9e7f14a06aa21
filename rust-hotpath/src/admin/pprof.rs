//! CPU profiles of the running process. Sampling uses a signal and covers the whole process, so only one profile runs
//! at a time.

use super::{Reply, reply, text};
use crate::{frame_pointers, limits};
use hyper::{StatusCode, header::HeaderValue};
use pprof::{
    ProfilerGuard, ProfilerGuardBuilder, Report,
    flamegraph::Options,
    protos::{Message as _, Profile},
};
use std::{
    ops::RangeInclusive,
    sync::atomic::{
        AtomicBool,
        Ordering::{AcqRel, Release},
    },
    time::Duration,
};

const WARNING: &str = "x-hotpath-warning";

static RUNNING: AtomicBool = AtomicBool::new(false);

/// The right to take a profile. Dropping it gives the right back.
struct Claim;

struct Wanted {
    seconds: u64,
    hz: u64,
}

pub(super) async fn profile(query: &str) -> Reply {
    run(query, "application/octet-stream", |report| {
        let mut profile = report.pprof().map_err(|error| error.to_string())?;
        comment(&mut profile, frame_pointers::missing());
        Ok(profile.encode_to_vec())
    })
    .await
}

pub(super) async fn flamegraph(query: &str) -> Reply {
    run(query, "image/svg+xml", |report| {
        let mut svg = Vec::new();
        let mut options = options(frame_pointers::missing());
        report
            .flamegraph_with_options(&mut svg, &mut options)
            .map_err(|error| error.to_string())?;
        if svg.is_empty() {
            return Err("no CPU was used, so there is nothing to draw".to_owned());
        }
        Ok(svg)
    })
    .await
}

async fn run(
    query: &str,
    kind: &'static str,
    render: fn(&Report) -> Result<Vec<u8>, String>,
) -> Reply {
    let wanted = match Wanted::parse(query) {
        Ok(wanted) => wanted,
        Err(rule) => return text(StatusCode::BAD_REQUEST, format!("{rule}\n")),
    };
    let Some(claim) = Claim::take() else {
        return text(
            StatusCode::CONFLICT,
            "another profile is being taken; try again later\n".to_owned(),
        );
    };
    let taken = take(&wanted, render, claim).await;
    match taken {
        Ok(body) => warn(reply(StatusCode::OK, kind, body), frame_pointers::missing()),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// Adds a comment, which `go tool pprof -comments` shows.
fn comment(profile: &mut Profile, warning: Option<&str>) {
    if let Some(warning) = warning {
        let index = i64::try_from(profile.string_table.len()).unwrap_or_default();
        profile.string_table.push(warning.to_owned());
        profile.comment.push(index);
    }
}

fn options(warning: Option<&str>) -> Options<'static> {
    let mut options = Options::default();
    options.subtitle = warning.map(str::to_owned);
    options
}

/// Adds a header, which `curl -i` shows.
fn warn(mut reply: Reply, warning: Option<&'static str>) -> Reply {
    if let Some(warning) = warning {
        let value = HeaderValue::from_static(warning);
        reply.headers_mut().insert(WARNING, value);
    }
    reply
}

async fn take(
    wanted: &Wanted,
    render: fn(&Report) -> Result<Vec<u8>, String>,
    claim: Claim,
) -> Result<Vec<u8>, String> {
    let hz = i32::try_from(wanted.hz).unwrap_or(99);
    // The first profile of a process reads its debug symbols, which takes seconds if there are many.
    let begun = tokio::task::spawn_blocking(move || {
        let guard = ProfilerGuardBuilder::default().frequency(hz).build();
        guard.map(|guard| (guard, claim))
    });
    let begun = begun.await.map_err(|error| error.to_string())?;
    let (guard, claim): (ProfilerGuard<'static>, Claim) =
        begun.map_err(|error| error.to_string())?;
    tokio::time::sleep(Duration::from_secs(wanted.seconds)).await;
    // Looking up symbols takes long, and must not hold up requests.
    let rendered = tokio::task::spawn_blocking(move || {
        let report = guard.report().build().map_err(|error| error.to_string());
        drop(guard);
        let rendered = render(&report?);
        drop(claim);
        rendered
    });
    rendered.await.map_err(|error| error.to_string())?
}

impl Claim {
    fn take() -> Option<Self> {
        (!RUNNING.swap(true, AcqRel)).then(|| Self)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        RUNNING.store(false, Release);
    }
}

impl Wanted {
    fn parse(query: &str) -> Result<Self, String> {
        let mut wanted = Self {
            seconds: 30,
            hz: 99,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "seconds" => wanted.seconds = number(name, value, limits::PROFILE_SECONDS)?,
                "hz" => wanted.hz = number(name, value, limits::PROFILE_HZ)?,
                _ => return Err(format!("{name}: is unknown; there are seconds and hz")),
            }
        }
        Ok(wanted)
    }
}

fn number(name: &str, value: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let number = value.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        format!(
            "{name}: must be a whole number from {} to {}",
            range.start(),
            range.end()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let rule = |query| Wanted::parse(query).map(|wanted| (wanted.seconds, wanted.hz));
        assert_eq!(rule(""), Ok((30, 99)));
        assert_eq!(rule("seconds=5&hz=1000"), Ok((5, 1000)));
        assert_eq!(
            rule("seconds=0"),
            Err("seconds: must be a whole number from 1 to 300".to_owned())
        );
        assert_eq!(
            rule("hz=1001"),
            Err("hz: must be a whole number from 1 to 1000".to_owned())
        );
        assert_eq!(
            rule("debug=1"),
            Err("debug: is unknown; there are seconds and hz".to_owned())
        );
    }

    #[test]
    fn a_warning_is_in_the_profile_the_picture_and_the_reply() {
        let reply_of = |warning| warn(text(StatusCode::OK, String::new()), warning);
        let mut profile = Profile {
            string_table: vec![String::new(), "samples".to_owned()],
            ..Profile::default()
        };
        comment(&mut profile, None);
        assert!(profile.comment.is_empty() && options(None).subtitle.is_none());
        assert!(!reply_of(None).headers().contains_key(WARNING));

        let warning = frame_pointers::MISSING;
        comment(&mut profile, Some(warning));
        let index = usize::try_from(profile.comment[0]).expect("an index");
        assert_eq!(profile.string_table[index], warning);
        assert_eq!(options(Some(warning)).subtitle.as_deref(), Some(warning));
        assert_eq!(reply_of(Some(warning)).headers()[WARNING], warning);
    }
}
