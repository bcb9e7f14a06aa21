//! What `break-even` is asked for.

use super::{BreakEven, commands::cores, record::Recorded};
use std::{path::PathBuf, time::Duration};

/// What handlers cost unless it is said, in microseconds.
const WORKS_US: [f64; 8] = [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
/// Most of them, and the dearest.
const MOST_WORKS: usize = 20;
const DEAREST_US: f64 = 10_000.0;

pub(super) fn resolve(recorded: &mut Recorded) -> Option<BreakEven> {
    recorded.no_arguments();
    let pinned = ["server-cores", "generator-core"];
    recorded.excludes("no-pin", &pinned, "either pin, or don't");
    recorded.excludes("keep", &["out"], "either says where the report goes");
    let path = |name: &str, default: &str| {
        let text = recorded.text(name);
        PathBuf::from(text.unwrap_or_else(|| default.to_owned()))
    };
    let burnd = path("burnd", "target/bin/burnd");
    let sidecar = path("burn-sidecar", "target/bin/burn-sidecar");
    let work = path("work", "target/loadtest");
    Some(BreakEven {
        works_us: recorded
            .parsed("work-us", works)
            .unwrap_or_else(|| WORKS_US.to_vec()),
        burnd,
        sidecar,
        work,
        server_cores: recorded.parsed("server-cores", cores),
        generator_core: recorded.whole("generator-core", 0..=1023),
        no_pin: recorded.switch("no-pin"),
        budget: recorded
            .seconds("budget", 1.0..=86_400.0)
            .unwrap_or(Duration::from_secs(225)),
        seed: recorded.whole("seed", 0..=u64::MAX).unwrap_or(1),
        max_lag: Duration::from_micros(recorded.whole("max-lag-us", 1..=1_000_000).unwrap_or(1000)),
        max_void_share: recorded.number("max-void-share", 0.0..=1.0).unwrap_or(0.2),
        out: recorded.text("out").map(PathBuf::from),
        keep: recorded.switch("keep"),
        quiet: recorded.switch("quiet"),
    })
}

fn works(text: &str) -> Result<Vec<f64>, String> {
    let rule = || {
        format!(
            "must be 2 to {MOST_WORKS} ascending numbers from 0 to {DEAREST_US} with commas between, the first of them 0"
        )
    };
    let each = text.split(',').map(|work| work.trim().parse::<f64>().ok());
    let works: Vec<f64> = each.collect::<Option<_>>().ok_or_else(rule)?;
    let ascending = works.is_sorted_by(|one, other| one < other);
    let within = works.first() == Some(&0.0) && works.iter().all(|work| *work <= DEAREST_US);
    (ascending && within && (2..=MOST_WORKS).contains(&works.len()))
        .then_some(works)
        .ok_or_else(rule)
}

#[cfg(test)]
mod tests {
    use super::super::{Command, parse};
    use super::*;
    use crate::error::Kind;

    fn asked(line: &str) -> crate::error::Result<Command> {
        parse(line.split_whitespace().map(std::ffi::OsString::from))
    }

    #[test]
    fn works_are_ascending_and_begin_with_none() {
        let Ok(Command::BreakEven(run)) = asked("break-even --work-us 0,2.5,10 --budget 30") else {
            panic!()
        };
        assert_eq!(run.works_us, [0.0, 2.5, 10.0]);
        assert_eq!(run.budget, Duration::from_secs(30));
        for wrong in ["1,2", "0", "0,5,5", "0,9,3", "0,x", "0,NaN", "0,20000"] {
            let error = asked(&format!("break-even --work-us {wrong}")).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.to_string().contains("ascending"), "{wrong}: {error}");
        }
    }

    #[test]
    fn contradictions_are_told() {
        let error = asked("break-even now --keep --out x --no-pin --generator-core 1");
        let text = error.unwrap_err().to_string();
        for part in ["now", "--keep and --out", "--no-pin and --generator-core"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
