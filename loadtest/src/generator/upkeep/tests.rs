//! Windows in simulated time: the accounts, the verdict and the search against servers of known capacity.

use super::Upkeep;
use crate::{
    arrivals::Arrivals,
    error::Result,
    generator::{
        tally::{GivenUp, Purpose, Tally, Token},
        writes::{Plan as WritePlan, Writes},
    },
    http2::reply::Answer,
    measure::Observed,
    plan::{Search, Seeds, Settings, Step},
    report::model,
    run::{Drive, Job, Measurement, execute},
    scenario::Objective,
    terminal::Now,
    traffic::{Spread, Window},
};
use std::{sync::atomic::AtomicBool, time::Duration};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
const TIMEOUT: u64 = 2 * SECOND;

/// A server that works on one read after the other, at a fixed rate. Each answer comes after a further delay.
#[derive(Debug, Clone, Copy)]
struct Server {
    delay: u64,
    per_second: u64,
}

impl Server {
    /// Returns when reads that arrive at these times are answered.
    fn answers(self, reads: &[u64]) -> Vec<u64> {
        let mut free_at = 0;
        let answer = |&at: &u64| {
            free_at = at.max(free_at) + SECOND / self.per_second;
            free_at + self.delay
        };
        reads.iter().map(answer).collect()
    }
}

fn ok() -> Answer<'static> {
    Answer {
        status: 0,
        status_message: b"",
        position: None,
        message: b"",
        replied: true,
    }
}

/// Records reads, given by planned times and answers, as the loop would.
fn accounts(upkeep: Upkeep, end: u64, reads: &[(u64, u64)], timeout: u64) -> Observed {
    let mut tally = Tally::new((0, end), u64::MAX, upkeep, vec![None], None);
    for (n, &(planned, answered)) in (0..).zip(reads) {
        let token = Token {
            purpose: Purpose::Read { n, method: 0 },
            planned,
            sent: planned,
        };
        tally.due(0, 0);
        tally.sent();
        if answered - planned < timeout {
            tally.answered(token, (n, 0), &ok(), answered);
        } else {
            tally.given_up(token, GivenUp::Late, planned + timeout);
        }
    }
    let plan = WritePlan {
        link: 0,
        timeout,
        begin: 0,
        end,
        per_second: 0.0,
        at_once: 1,
    };
    let (writes, _) = Writes::new(plan, 0).finish();
    tally.finish(writes, None).0
}

fn window(qps: f64) -> Window {
    Window {
        from_qps: qps,
        to_qps: qps,
        duration: Duration::from_secs(1),
        spread: Spread::Poisson,
        in_flight: None,
        seed: 1,
        keep_replies: false,
    }
}

fn open(server: Server, window: &Window) -> Observed {
    let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
    let planned: Vec<u64> = Arrivals::new(window).map(ns).collect();
    let answered = server.answers(&planned);
    let reads: Vec<_> = planned.into_iter().zip(answered).collect();
    let end = ns(window.duration);
    accounts(Upkeep::open(0, end), end, &reads, TIMEOUT)
}

/// Simulates a closed loop with `places` reads in flight.
fn closed(server: Server, places: usize) -> Observed {
    let mut reads = Vec::new();
    let mut free = vec![0; places];
    let mut busy_until = 0;
    while let Some((place, at)) = free.iter().copied().enumerate().min_by_key(|(_, at)| *at)
        && at < SECOND
    {
        busy_until = at.max(busy_until) + SECOND / server.per_second;
        free[place] = busy_until + server.delay;
        reads.push((at, free[place]));
    }
    accounts(Upkeep::closed(places), SECOND, &reads, TIMEOUT)
}

struct Bench(Server);

impl Drive for Bench {
    fn run_window(&mut self, _target: usize, window: &Window, _now: &Now) -> Result<Measurement> {
        Ok(Measurement {
            observed: open(self.0, window),
            processes: Vec::new(),
            at: Duration::ZERO,
            took: window.duration,
            backlog: false,
        })
    }

    fn finished(&mut self, _row: &model::Window) {}
}

fn job(p99: Option<Duration>) -> Job {
    Job {
        names: vec!["a".to_owned()],
        plan: Settings {
            targets: 1,
            noise_floor: false,
            seeds: Seeds::Hashed(1),
            warm_up: None,
            search: Some(Search {
                from_qps: 20.0,
                step: Step::Times(1.6),
                to_qps: 1e6,
                ramp: false,
                refinements: 8,
                failing_windows: 2,
                window: Duration::from_millis(1500),
            }),
            equal: None,
            full: None,
            leaders: vec![0],
            budget: None,
        },
        replay: None,
        spread: Spread::Poisson,
        max_in_flight: 4096,
        objective: Objective {
            p50: None,
            p99,
            p999: None,
            max_error_rate: 0.001,
            min_achieved: 0.98,
            windows: 2,
        },
        max_lag: Duration::from_millis(1),
    }
}

/// Returns the highest rate that held, and what ended the search.
fn searched(server: Server, p99: Option<Duration>) -> (f64, String) {
    let stop = AtomicBool::new(false);
    let (done, _) = execute(&job(p99), &mut Bench(server), None, &stop);
    let search = done.searches[0].as_ref().unwrap();
    (search.sustained_qps.unwrap(), search.limited_by.clone())
}

fn near(value: f64, expected: f64, share: f64) {
    assert!(
        (value - expected).abs() <= expected * share,
        "{value}, not within {share} of {expected}"
    );
}

#[test]
fn a_slow_server_is_found_to_hold_what_it_can() {
    for delay in [0, 100 * MS, 400 * MS] {
        let server = Server {
            delay,
            per_second: 1600,
        };
        // Whether or not there is a limit of latency (which the server holds), the search finds no more than the
        // capacity.
        for p99 in [None, Some(Duration::from_millis(500))] {
            let (held, rule) = searched(server, p99);
            near(held, 1600.0, 0.06);
            assert!(rule.starts_with("achieved"), "{rule}");
        }
    }
}

#[test]
fn a_window_has_the_answers_to_its_reads_whenever_they_come() {
    let server = Server {
        delay: 300 * MS,
        per_second: 100_000,
    };
    let observed = open(server, &window(400.0));
    assert_eq!(observed.ok, observed.planned);
    near(observed.achieved_qps, observed.planned as f64, 1e-9);
}

#[test]
fn who_falls_behind_has_achieved_what_it_can() {
    let server = Server {
        delay: 0,
        per_second: 1000,
    };
    for qps in [1300.0, 2000.0, 2900.0] {
        let observed = open(server, &window(qps));
        // All reads are answered before their timeout.
        assert_eq!(observed.ok, observed.planned);
        near(observed.achieved_qps, 1000.0, 0.03);
    }
}

#[test]
fn waits_that_only_scatter_are_no_falling_behind() {
    let read = |n: u64| (n * 2 * MS, n * 2 * MS + n * 37 % 101 * 4 * MS);
    let reads: Vec<_> = (0..500).map(read).collect();
    let observed = accounts(Upkeep::open(0, SECOND), SECOND, &reads, TIMEOUT);
    near(observed.achieved_qps, 500.0, 1e-9);
}

#[test]
fn a_closed_loop_counts_the_last_answers_with_the_time_they_took() {
    let slow = Server {
        delay: 300 * MS,
        per_second: 1_000_000,
    };
    near(closed(slow, 8).achieved_qps, 8.0 / 0.3, 0.001);
    let busy = Server {
        delay: 0,
        per_second: 1000,
    };
    near(closed(busy, 8).achieved_qps, 1000.0, 0.01);
}

#[test]
fn who_answers_too_late_has_answered_nothing() {
    let server = Server {
        delay: TIMEOUT,
        per_second: 1000,
    };
    let observed = open(server, &window(100.0));
    assert_eq!((observed.ok, observed.statuses[&4]), (0, observed.planned));
    near(observed.achieved_qps, 0.0, 0.0);
}
