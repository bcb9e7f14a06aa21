//! Where a measurement runs, and what becomes of it: the options of all commands that measure.

use super::{asked::Conduct, record::Recorded};
use std::{path::PathBuf, time::Duration};

pub(super) fn resolve(recorded: &mut Recorded) -> Conduct {
    let pinned = ["server-cores", "generator-core"];
    recorded.excludes("no-pin", &pinned, "either pin, or don't");
    recorded.excludes("keep", &["out"], "either says where the report goes");
    Conduct {
        work: recorded.path("work", "target/loadtest"),
        server_cores: recorded.parsed("server-cores", cores),
        generator_core: recorded.whole("generator-core", 0..=1023),
        no_pin: recorded.switch("no-pin"),
        seed: recorded.whole("seed", 0..=u64::MAX).unwrap_or(1),
        budget: recorded.seconds("budget", 1.0..=86_400.0),
        max_lag: Duration::from_micros(recorded.whole("max-lag-us", 1..=1_000_000).unwrap_or(1000)),
        max_void_share: recorded.number("max-void-share", 0.0..=1.0).unwrap_or(0.2),
        out: recorded.text("out").map(PathBuf::from),
        keep: recorded.switch("keep"),
        quiet: recorded.switch("quiet"),
    }
}

fn cores(text: &str) -> Result<Vec<usize>, String> {
    let each = text
        .split(',')
        .map(|core| core.parse().ok().filter(|core| *core < 1024));
    let all: Option<Vec<usize>> = each.collect();
    all.ok_or_else(|| "must be numbers of cores with commas between, such as 0,1".to_owned())
}
