//! What happens between windows, so that all targets begin theirs under the same conditions.

use crate::{measure::Observed, process::Meter};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// gRPC's DEADLINE_EXCEEDED: the status of reads that were given up.
const GIVEN_UP: u32 = 4;
/// The time between two looks at the servers' CPU time, and the most CPU time that servers at rest use in it.
const PERIOD: Duration = Duration::from_millis(100);
const AT_REST: Duration = Duration::from_millis(20);
/// The longest wait for servers to rest, in periods.
const MOST_PERIODS: u32 = 50;

/// Finds the write that all windows of a round begin with.
///
/// Targets that broke early have done fewer writes than the others, and the baseline does more because of its second
/// pass. Without a common first write no two targets would ever be at the same position again.
#[derive(Debug, Default)]
pub(super) struct FirstWrite {
    /// The round's seed and its first write.
    round: Option<(u64, u64)>,
}

impl FirstWrite {
    /// Returns the first write of the round with this seed. `furthest` is the next write of the target that has done
    /// most. Only the later one of the baseline's two windows in the round begins later, and its replies are not
    /// compared.
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

/// Whether the target may still be working on reads that were given up. It does not matter after an interrupted window,
/// because no other follows.
pub(super) fn gave_up(observed: &Observed) -> bool {
    observed.statuses.contains_key(&GIVEN_UP) && !observed.interrupted
}

/// Waits until the servers rest. They may still be working on reads that were given up, and the next target's servers
/// use the same cores.
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

/// Calls `used` until the servers rest. It waits for a period and returns the CPU time used in it, or `None` if there
/// is nothing to wait for.
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

    /// Runs passes over targets, given by their index (the last one is the baseline's second pass), with ten writes per
    /// window. Returns the first writes of the windows that are compared, by pass.
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
