//! Tests how runs are carried out, with targets whose capacity, latency and answers are known.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss
)]

use super::*;
use crate::{
    error::Kind,
    measure::{Replies, Reply},
    plan::{Equal, Load, Search, Seeds, Settings, Step},
    report::model::Phase,
    traffic::{Method, Request, Workload},
};
use std::{cell::Cell, path::Path};

const SECOND: Duration = Duration::from_secs(1);

/// A target that answers in 1 ms up to its capacity, and in 100 ms beyond.
#[derive(Clone)]
struct Fake {
    capacity: f64,
    /// One in this many answers is wrong.
    wrong_every: Option<u64>,
}

struct Bench<'a> {
    targets: Vec<Fake>,
    clock: Duration,
    lag: Duration,
    backlog: bool,
    /// The flag that is set after this many windows.
    stop: Option<(usize, &'a AtomicBool)>,
    fail_after: Option<usize>,
    /// The rate that every target answers in a closed loop.
    closed_qps: f64,
    windows: Vec<(usize, Window)>,
    shown: Cell<usize>,
}

impl<'a> Bench<'a> {
    fn new(capacities: &[f64]) -> Self {
        let fake = |capacity: &f64| Fake {
            capacity: *capacity,
            wrong_every: None,
        };
        Self {
            targets: capacities.iter().map(fake).collect(),
            clock: Duration::ZERO,
            lag: Duration::from_micros(20),
            backlog: false,
            stop: None,
            fail_after: None,
            closed_qps: 0.0,
            windows: Vec::new(),
            shown: Cell::new(0),
        }
    }

    fn execute(&mut self, job: &Job) -> Done {
        let stop = AtomicBool::new(false);
        execute(job, self, None, &stop).0
    }
}

impl Drive for Bench<'_> {
    fn run_window(&mut self, target: usize, window: &Window, now: &Now) -> Result<Measurement> {
        assert_eq!(now.duration, window.duration);
        let fake = self.targets.get(target).unwrap_or(&self.targets[0]);
        let qps = match window.spread {
            Spread::Closed => self.closed_qps,
            _ => window.to_qps,
        };
        let reads = (qps * window.duration.as_secs_f64()) as u64;
        let slow = window.to_qps > fake.capacity;
        let latency = Duration::from_millis(if slow { 100 } else { 1 });
        let mut observed = sample::observed(reads, latency);
        observed.generator.lag.reset();
        observed
            .generator
            .lag
            .saturating_record_n(self.lag.as_nanos() as u64, reads);
        if window.keep_replies {
            observed.replies = Some(replies(reads, fake.wrong_every));
        }
        self.windows.push((target, window.clone()));
        if let Some((after, stop)) = self.stop
            && self.windows.len() >= after
        {
            stop.store(true, Ordering::Relaxed);
            observed.interrupted = true;
        }
        if self
            .fail_after
            .is_some_and(|after| self.windows.len() > after)
        {
            return Err(Error::new(Kind::Target, "walletd is gone"));
        }
        let at = self.clock;
        self.clock += window.duration;
        Ok(Measurement {
            observed,
            processes: Vec::new(),
            at,
            took: window.duration,
            backlog: self.backlog,
        })
    }

    fn finished(&mut self, _row: &model::Window) {
        self.shown.set(self.shown.get() + 1);
    }
}

fn replies(reads: u64, wrong_every: Option<u64>) -> Replies {
    let reply = |n: u64| Reply {
        status: 0,
        status_message: String::new(),
        position: Some(1),
        hash: if wrong_every.is_some_and(|every| n.is_multiple_of(every)) {
            666
        } else {
            n
        },
        message: None,
    };
    Replies {
        replies: (1..=reads).map(|n| Some(reply(n))).collect(),
        bytes: Vec::new(),
    }
}

struct Nothing;

impl Workload for Nothing {
    fn methods(&self) -> &[Method] {
        &[]
    }
    fn read(&self, _seed: u64, _n: u64) -> Request<'_> {
        Request {
            method: 0,
            message: b"",
        }
    }
    fn write(&self, _k: u64) -> Option<(u16, Vec<u8>)> {
        None
    }
}

fn job(names: &[&str]) -> Job {
    Job {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        plan: Settings {
            targets: names.len(),
            noise_floor: true,
            seeds: Seeds::Hashed(1),
            warm_up: Some((100.0, SECOND)),
            search: Some(Search {
                from_qps: 100.0,
                step: Step::Times(1.5),
                to_qps: 1e6,
                ramp: false,
                refinements: 5,
                failing_windows: 2,
                window: SECOND,
            }),
            equal: Some(Equal {
                load: Load::Share(0.5),
                rounds: 2,
                window: SECOND,
            }),
            full: None,
            leaders: vec![0],
            budget: None,
        },
        replay: None,
        spread: Spread::Constant,
        max_in_flight: 64,
        objective: Objective {
            p50: None,
            p99: Some(Duration::from_millis(10)),
            p999: None,
            max_error_rate: 0.0,
            min_achieved: 0.9,
            windows: 2,
        },
        max_lag: Duration::from_millis(1),
    }
}

#[test]
fn known_capacities_are_found_and_all_windows_are_rows() {
    let mut bench = Bench::new(&[1000.0, 3000.0]);
    let done = bench.execute(&job(&["a", "b"]));
    for (search, capacity) in done.searches.iter().zip([1000.0, 3000.0]) {
        let search = search.as_ref().unwrap();
        let held = search.sustained_qps.unwrap();
        assert!((capacity * 0.95..=capacity).contains(&held), "{held}");
        assert!(
            search.limited_by.starts_with("p99 100"),
            "{}",
            search.limited_by
        );
    }
    assert_eq!(done.windows.len(), bench.windows.len());
    assert_eq!(bench.shown.get(), bench.windows.len());
    let indexes: Vec<_> = done
        .windows
        .iter()
        .map(|measured| measured.window.index)
        .collect();
    assert!(
        indexes
            .iter()
            .enumerate()
            .all(|(at, index)| at == *index as usize)
    );
    let equal: Vec<_> = done
        .windows
        .iter()
        .filter(|measured| measured.window.phase == Phase::Equal)
        .map(|measured| measured.window.target.as_str())
        .collect();
    assert_eq!(equal, ["a", "b", "a again", "a again", "b", "a"]);
    assert!(!done.interrupted && done.failure.is_none() && done.notes.is_empty());
    assert!(bench.windows.iter().all(|(_, window)| !window.keep_replies));
}

#[test]
fn windows_of_a_round_are_sent_the_same() {
    let mut bench = Bench::new(&[1000.0, 1000.0]);
    bench.execute(&job(&["a", "b"]));
    let warm = 2;
    for round in bench.windows[warm..].chunks(3).take(4) {
        assert_eq!(round[0].1, round[1].1);
        assert_eq!(round[0].1, round[2].1);
    }
}

#[test]
fn a_generator_that_lags_voids_its_windows_and_limits_the_search() {
    let mut bench = Bench::new(&[1000.0]);
    bench.lag = Duration::from_millis(5);
    let done = bench.execute(&job(&["a"]));
    assert!(
        done.windows
            .iter()
            .all(|measured| measured.window.void.is_some())
    );
    let search = done.searches[0].as_ref().unwrap();
    assert_eq!(
        (search.sustained_qps, search.limited_by.as_str()),
        (None, "generator")
    );
}

#[test]
fn a_backlog_voids_windows_and_is_named_as_what_limits_the_search() {
    let mut bench = Bench::new(&[1000.0]);
    bench.backlog = true;
    let done = bench.execute(&job(&["a"]));
    let voids = done.windows.iter().map(|measured| &measured.window.void);
    assert!(voids.flatten().all(|void| void.contains("given up")));
    let search = done.searches[0].as_ref().unwrap();
    assert_eq!(
        (search.sustained_qps, search.limited_by.as_str()),
        (None, "backlog")
    );
}

#[test]
fn an_interrupt_keeps_what_was_measured() {
    let stop = AtomicBool::new(false);
    let mut bench = Bench::new(&[1000.0]);
    bench.stop = Some((4, &stop));
    let (done, _) = execute(&job(&["a"]), &mut bench, None, &stop);
    assert!(done.interrupted);
    assert_eq!(done.windows.len(), 4);
    let search = done.searches[0].as_ref().unwrap();
    assert_eq!(search.limited_by, "interrupted");
    assert_eq!(search.sustained_qps, Some(100.0));
}

#[test]
fn a_target_that_fails_ends_the_run_with_what_was_measured() {
    let mut bench = Bench::new(&[1000.0]);
    bench.fail_after = Some(3);
    let done = bench.execute(&job(&["a"]));
    assert_eq!(done.windows.len(), 3);
    assert_eq!(done.failure.unwrap().kind(), Kind::Target);
}

#[test]
fn wrong_answers_disqualify_whichever_runs_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(&[1000.0, 1000.0, 1000.0]);
    bench.targets[1].wrong_every = Some(10);
    let stop = AtomicBool::new(false);
    let comparer = Comparer::new(&Nothing, folder.path(), false);
    let (done, comparison) = execute(&job(&["a", "b", "c"]), &mut bench, Some(comparer), &stop);
    let comparison = comparison.unwrap();
    assert!(comparison.mismatches > 0 && comparison.compared > comparison.mismatches);
    let search = done.searches[1].as_ref().unwrap();
    assert_eq!(search.sustained_qps, None);
    assert_eq!(search.limited_by, "answers differ from those of a");
    assert!(done.searches[2].as_ref().unwrap().sustained_qps.is_some());
    let measured = done
        .windows
        .iter()
        .filter(|one| one.window.phase == Phase::Equal);
    for window in measured.map(|measured| &measured.window) {
        assert_eq!(window.broke.is_some(), window.target == "b", "{window:?}");
    }
    assert!(Path::new(&folder.path().join(&comparison.samples[0])).exists());
}

#[test]
fn a_closed_loop_is_one_from_warm_up_to_the_noise_floor() {
    let mut job = job(&["a", "b"]);
    job.spread = Spread::Closed;
    job.plan.search = None;
    job.plan.warm_up = Some((0.0, SECOND));
    job.plan.equal.as_mut().unwrap().load = Load::Qps(0.0);
    job.objective = objective::of_closed_loop(&job.objective);
    let mut bench = Bench::new(&[1000.0, 1000.0]);
    // The latency is above any limit, but there is no planned send to count it from.
    bench.closed_qps = 10.0;
    bench.lag = Duration::from_secs(1);
    let done = bench.execute(&job);
    assert_eq!(done.windows.len(), 2 + 2 * 3);
    for measured in &done.windows {
        let window = &measured.window;
        assert_eq!(window.closed_in_flight, Some(64));
        assert_eq!((&window.broke, &window.void), (&None, &None));
    }
    let all_closed = |(_, window): &(usize, Window)| window.spread == Spread::Closed;
    assert!(bench.windows.iter().all(all_closed));
    assert!(done.searches.iter().all(Option::is_none));
}

#[test]
fn a_capture_at_its_own_times_goes_on_where_it_was() {
    let mut job = job(&["a"]);
    job.replay = Some(Replay::Speed(2.0));
    job.plan.seeds = Seeds::Passes;
    job.plan.search = None;
    job.plan.warm_up = None;
    job.plan.equal.as_mut().unwrap().load = Load::Qps(0.0);
    let mut bench = Bench::new(&[1000.0]);
    let done = bench.execute(&job);
    assert_eq!(done.windows.len(), 4);
    let seeds: Vec<_> = bench
        .windows
        .iter()
        .map(|(_, window)| window.seed)
        .collect();
    assert_eq!(seeds, [0, 0, 2_000_000, 2_000_000]);
}

#[test]
fn full_load_after_a_search_is_a_closed_loop_without_limits_of_latency() {
    let mut job = job(&["a", "b"]);
    job.plan.full = Some(crate::plan::Full {
        in_flight: 8,
        rounds: 2,
        window: SECOND,
    });
    let mut bench = Bench::new(&[1000.0, 3000.0]);
    bench.closed_qps = 5000.0;
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let comparer = Comparer::new(&Nothing, folder.path(), false);
    let (done, _) = execute(&job, &mut bench, Some(comparer), &stop);
    let full = |measured: &&Measured| measured.window.phase == Phase::Full;
    let windows: Vec<_> = done.windows.iter().filter(full).collect();
    assert_eq!(windows.len(), 6);
    for measured in windows {
        let window = &measured.window;
        assert_eq!(window.closed_in_flight, Some(8));
        assert_eq!((&window.broke, &window.void), (&None, &None));
    }
    let sent = bench.windows.iter().rev().take(6);
    for (_, window) in sent {
        assert_eq!((window.spread, window.in_flight), (Spread::Closed, Some(8)));
        assert!(!window.keep_replies);
    }
    let searched = done.searches[0].as_ref().unwrap();
    assert!(searched.sustained_qps.unwrap() <= 1000.0);
}
