//! What `break-even` is asked for.

use super::{BreakEven, conduct, record::Recorded};

/// What handlers cost unless it is said, in microseconds.
const WORKS_US: [f64; 8] = [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
/// Most of them, and the dearest.
const MOST_WORKS: usize = 20;
const DEAREST_US: f64 = 10_000.0;
/// What the service keeps: enough that Go's collector comes as seldom as in a service that is worth a sidecar.
const HEAP_MIB: u32 = 64;
/// Most that `burnd` takes.
const MOST_HEAP_MIB: u64 = 1024;

pub(super) fn resolve(recorded: &mut Recorded) -> BreakEven {
    recorded.no_arguments();
    BreakEven {
        works_us: recorded
            .parsed("work-us", works)
            .unwrap_or_else(|| WORKS_US.to_vec()),
        burnd: recorded.path("burnd", "target/bin/burnd"),
        sidecar: recorded.path("burn-sidecar", "target/bin/burn-sidecar"),
        heap_mib: recorded
            .whole("heap-mib", 0..=MOST_HEAP_MIB)
            .unwrap_or(HEAP_MIB),
        conduct: conduct::resolve(recorded),
    }
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
    use crate::error::Kind;
    use std::time::Duration;

    fn asked(line: &str) -> crate::error::Result<Command> {
        parse(line.split_whitespace().map(std::ffi::OsString::from))
    }

    #[test]
    fn works_are_ascending_and_begin_with_none() {
        let Ok(Command::BreakEven(run)) = asked("break-even --work-us 0,2.5,10 --budget 30") else {
            panic!()
        };
        assert_eq!(run.works_us, [0.0, 2.5, 10.0]);
        assert_eq!(run.heap_mib, 64);
        assert_eq!(run.conduct.budget, Some(Duration::from_secs(30)));
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
