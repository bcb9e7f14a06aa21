//! What is done between windows, so that each target begins its own as the others did.

use crate::{measure::Observed, process::Meter};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// gRPC's DEADLINE_EXCEEDED, which reads that were given up count as.
const GIVEN_UP: u32 = 4;
/// Between two looks at the servers' CPU time, and as much of it as servers at rest use.
const PERIOD: Duration = Duration::from_millis(100);
const AT_REST: Duration = Duration::from_millis(20);
/// Longest wait for that, in periods.
const MOST_PERIODS: u32 = 50;

/// The write that all windows of a round begin with.
///
/// Targets that broke early have done fewer writes than the others, and the baseline's second pass makes it do more of
/// them: without this, no two of them would ever be at the same position again.
#[derive(Debug, Default)]
pub(super) struct FirstWrite {
    /// The round's seed, and its first write.
    round: Option<(u64, u64)>,
}

impl FirstWrite {
    /// Of the round with this seed, when the target that has done most would go on with `furthest`. Only the baseline's
    /// other pass of the round begins later, and is compared with nobody.
    pub(super) fn of(&mut self, seed: u64, furthest: u64) -> u64 {
        match self.round {
            Some((of, first)) if of == seed => first,
            _ => {
                self.round = Some((seed, furthest));
                furthest
            }
        }
    }
}

/// Whether the target may still be at work for nobody: an interrupted window is followed by no other.
pub(super) fn gave_up(observed: &Observed) -> bool {
    observed.statuses.contains_key(&GIVEN_UP) && !observed.interrupted
}

/// Lets servers finish what was given up: they may still work on it, on the cores of the target that comes next.
pub(super) fn settle(meter: &Meter, stop: &AtomicBool) {
    let mut before = meter.sample();
    until_at_rest(|| {
        if before.is_none() || stop.load(Ordering::Relaxed) {
            return None;
        }
        thread::sleep(PERIOD);
        let now = meter.sample();
        let used = now
            .zip(before)
            .map(|(now, before)| now.saturating_sub(before));
        before = now;
        used
    });
}

/// `used` waits for a period and gives the CPU time used in it; `None`: there is nothing to wait for.
fn until_at_rest(mut used: impl FnMut() -> Option<Duration>) {
    for _ in 0..MOST_PERIODS {
        if used().is_none_or(|used| used <= AT_REST) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::sample;

    /// Runs passes over targets by their place (the last one is the baseline's second pass) of ten writes each.
    fn first_writes(passes: &[&[usize]], targets: usize) -> Vec<Vec<u64>> {
        let mut first_write = FirstWrite::default();
        let mut next = vec![0_u64; targets];
        let pass = |(seed, members): (u64, &&[usize])| {
            let mut seen = Vec::new();
            let window = |&member: &usize| {
                let target = member % targets;
                let furthest = next.iter().copied().max().unwrap_or(0);
                let first = first_write.of(seed, furthest);
                let began = first.max(next[target]);
                next[target] = began + 10;
                let compared = !seen.contains(&target);
                seen.push(target);
                compared.then_some(began)
            };
            members.iter().filter_map(window).collect()
        };
        (0..).zip(passes).map(pass).collect()
    }

    #[test]
    fn windows_of_a_round_begin_with_the_same_write() {
        let both_ways: [&[usize]; 4] = [&[0, 1, 2], &[2, 1, 0], &[1, 2, 0], &[0, 2, 1]];
        for round in first_writes(&both_ways, 2) {
            assert_eq!(round.len(), 2);
            assert_eq!(round[0], round[1]);
        }
    }

    #[test]
    fn who_sat_out_windows_catches_up() {
        let passes: [&[usize]; 5] = [&[0, 1, 2], &[2, 1], &[1, 2], &[1], &[0, 1, 2]];
        let rounds = first_writes(&passes, 2);
        assert_eq!(rounds[4][0], rounds[4][1]);
        assert!(rounds[4][0] > rounds[3][0]);
    }

    #[test]
    fn servers_are_waited_for_until_they_rest() {
        let busy = Duration::from_millis(90);
        let mut periods = [busy, busy, Duration::from_millis(10), busy].into_iter();
        until_at_rest(|| periods.next());
        assert_eq!(periods.next(), Some(busy));
        let mut waited = 0;
        until_at_rest(|| {
            waited += 1;
            Some(busy)
        });
        assert_eq!(waited, MOST_PERIODS);
    }

    #[test]
    fn only_reads_that_were_given_up_are_waited_for() {
        let this = crate::process::Watched {
            name: "this".into(),
            pid: std::process::id(),
            admin: None,
            log: None,
        };
        let meter = Meter::new(vec![this]).unwrap();
        let observed = sample::observed(10, Duration::from_millis(1));
        assert!(!gave_up(&observed));
        let mut given_up = observed;
        given_up.statuses.insert(GIVEN_UP, 1);
        assert!(gave_up(&given_up));
        given_up.interrupted = true;
        assert!(!gave_up(&given_up));
        settle(&meter, &AtomicBool::new(true));
        assert!(
            meter.usage(&meter.before().unwrap(), &meter.before().unwrap())[0].rss_peak_bytes > 0
        );
    }
}
