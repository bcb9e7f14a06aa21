//! Tests the generator against a tonic server: counts, statuses, bytes and limits. No test depends on timing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

#[path = "engine/peer.rs"]
mod peer;
#[path = "engine/server.rs"]
mod server;
#[path = "engine/writes.rs"]
mod writes;

use loadtest::{
    error::{Kind, Result},
    generator::{Address, Endpoints, Generator, Options, Progress},
    measure::Observed,
    traffic::{Spread, Window},
};
use server::{BIG, ECHO, FAIL, GATED, NEVER, REFUSE, STUCK_SEED, Traffic, WRITE, named, serve};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const MS: Duration = Duration::from_millis(1);

fn options() -> Options {
    Options {
        connections: 2,
        idle_connections: 1,
        max_in_flight: 1000,
        timeout: Duration::from_secs(20),
        writes_per_second: 0.0,
        writes_per_read: 0.0,
        writes_at_once: 1,
        reply_budget_bytes: 64 << 20,
    }
}

fn window(qps: f64, milliseconds: u32, keep_replies: bool) -> Window {
    Window {
        from_qps: qps,
        to_qps: qps,
        duration: MS * milliseconds,
        spread: Spread::Poisson,
        in_flight: None,
        seed: 7,
        keep_replies,
    }
}

fn connect(address: &Address, traffic: Traffic, options: Options) -> Result<Generator> {
    let endpoints = Endpoints {
        front: address.clone(),
        hot: None,
    };
    Generator::connect(&endpoints, Arc::new(traffic), options)
}

fn run(generator: &mut Generator, window: &Window) -> Observed {
    let (progress, stop) = (Progress::default(), AtomicBool::new(false));
    let observed = generator.run(window, &mut 0, &progress, &stop).unwrap();
    check_accounts(&observed);
    assert_eq!(progress.planned.load(Ordering::Relaxed), observed.planned);
    assert_eq!(progress.in_flight.load(Ordering::Relaxed), 0);
    observed
}

/// Checks what holds for every window: each read that was due is in the accounts exactly once.
fn check_accounts(observed: &Observed) {
    assert_eq!(observed.planned, observed.from_planned.len());
    assert_eq!(observed.planned, observed.generator.lag.len());
    assert_eq!(observed.sent, observed.from_sent.len());
    let failed: u64 = observed.statuses.values().sum();
    assert_eq!(observed.sent, observed.ok + failed);
    let methods = &observed.methods;
    let planned: u64 = methods.iter().map(|method| method.planned).sum();
    let errors: u64 = methods.iter().map(|method| method.errors).sum();
    let recorded: u64 = methods.iter().map(|method| method.from_planned.len()).sum();
    assert_eq!(planned, observed.planned);
    assert_eq!(recorded, observed.planned);
    assert_eq!(errors, observed.planned - observed.ok);
}

#[test]
fn all_reads_are_answered_and_counted() {
    let (address, seen) = serve();
    let traffic = Traffic::new(vec![(ECHO, vec![1; 20]), (ECHO, vec![])]);
    let mut generator = connect(&address, traffic, options()).unwrap();
    let mut total = 0;
    for _ in 0..2 {
        let observed = run(&mut generator, &window(2000.0, 300, false));
        assert_eq!(observed.ok, observed.planned);
        assert!(
            (400..800).contains(&observed.planned),
            "{}",
            observed.planned
        );
        assert!(observed.replies.is_none() && !observed.interrupted);
        assert_eq!(observed.elapsed, 300 * MS);
        total += observed.planned;
    }
    assert_eq!(seen.requests.load(Ordering::SeqCst), total);
}

#[test]
fn statuses_and_replies_are_kept_by_the_number_of_the_read() {
    let (address, _) = serve();
    let traffic = Traffic::new(vec![
        (ECHO, b"first".to_vec()),
        (FAIL, vec![]),
        (ECHO, b"third".to_vec()),
        (ECHO, b"third".to_vec()),
    ]);
    let mut generator = connect(&address, traffic, options()).unwrap();
    let observed = run(&mut generator, &window(1000.0, 200, true));
    let replies = observed.replies.unwrap();
    assert_eq!(replies.replies.len() as u64, observed.planned);
    let failed = (observed.planned + 2) / 4;
    assert_eq!(observed.statuses.get(&10), Some(&failed));
    assert_eq!(observed.methods[usize::from(FAIL)].errors, failed);
    let mut hashes = [None; 4];
    for (n, reply) in replies.replies.iter().enumerate() {
        let reply = reply.as_ref().unwrap();
        let message = &replies.bytes[reply.message.clone().unwrap()];
        let expected: &[u8] = [b"first", &b""[..], b"third", b"third"][n % 4];
        assert_eq!(message, expected);
        assert_eq!(*hashes[n % 4].get_or_insert(reply.hash), reply.hash);
        if n % 4 == 1 {
            assert_eq!(reply.status, 10);
            assert_eq!(reply.status_message, "no: 100 % \u{e9}");
        } else {
            assert_eq!((reply.status, reply.status_message.as_str()), (0, ""));
            assert!(reply.position.unwrap() >= 1000);
        }
    }
    assert_eq!(hashes[2], hashes[3]);
    assert_ne!(hashes[0], hashes[2]);
}

#[test]
fn beyond_the_budget_replies_keep_their_hash_only() {
    let (address, _) = serve();
    let traffic = Traffic::new(vec![(ECHO, vec![9; 100])]).at(vec![MS; 5]);
    let options = Options {
        reply_budget_bytes: 250,
        ..options()
    };
    let mut generator = connect(&address, traffic, options).unwrap();
    let replies = run(&mut generator, &window(1.0, 100, true))
        .replies
        .unwrap();
    let replies: Vec<_> = replies.replies.into_iter().flatten().collect();
    assert_eq!(replies.len(), 5);
    assert_eq!(
        replies
            .iter()
            .filter(|reply| reply.message.is_some())
            .count(),
        2
    );
    assert!(replies.iter().all(|reply| reply.hash == replies[0].hash));
}

#[test]
fn large_requests_and_replies_pass_flow_control() {
    let (address, _) = serve();
    let large: Vec<u8> = (0..100_000_u32).map(|at| at.to_be_bytes()[3]).collect();
    let two_megabytes = 2_000_000_u32.to_le_bytes().to_vec();
    let traffic = Traffic::new(vec![(ECHO, large.clone()), (BIG, two_megabytes)]).at(vec![MS; 8]);
    let mut generator = connect(&address, traffic, options()).unwrap();
    let observed = run(&mut generator, &window(1.0, 100, true));
    assert_eq!((observed.planned, observed.ok), (8, 8));
    let replies = observed.replies.unwrap();
    for (n, reply) in replies.replies.iter().enumerate() {
        let message = &replies.bytes[reply.as_ref().unwrap().message.clone().unwrap()];
        if n % 2 == 0 {
            assert_eq!(message, large);
        } else {
            assert_eq!(message.len(), 2_000_000);
            assert!(
                (0_u32..)
                    .zip(message)
                    .all(|(at, &byte)| at.to_le_bytes()[0] == byte)
            );
        }
    }
}

#[test]
fn reads_without_an_answer_end_as_deadline_exceeded() {
    let (address, _) = serve();
    let traffic = Traffic::new(vec![(NEVER, vec![]), (ECHO, vec![])]).at(vec![MS; 20]);
    let options = Options {
        timeout: 300 * MS,
        ..options()
    };
    let mut generator = connect(&address, traffic, options).unwrap();
    let observed = run(&mut generator, &window(1.0, 10, true));
    assert_eq!((observed.planned, observed.sent, observed.ok), (20, 20, 10));
    assert_eq!(observed.statuses.get(&4), Some(&10));
    assert!(observed.from_planned.max() >= 299_000_000);
}

#[test]
fn reads_beyond_the_limit_wait_and_are_dropped_at_their_timeout() {
    let (address, seen) = serve();
    let traffic = Traffic::new(vec![(NEVER, vec![])]).at(vec![MS; 5]);
    let options = Options {
        max_in_flight: 1,
        // A machine that stalls for longer sends not even the first.
        timeout: 3_000 * MS,
        ..options()
    };
    let mut generator = connect(&address, traffic, options).unwrap();
    let observed = run(&mut generator, &window(1.0, 10, false));
    assert_eq!((observed.planned, observed.sent, observed.ok), (5, 1, 0));
    assert_eq!((observed.generator.held_back, observed.expired), (4, 4));
    assert_eq!(observed.generator.in_flight_max, 1);
    assert_eq!(seen.requests.load(Ordering::SeqCst), 1);
}

#[test]
fn reads_that_were_held_back_until_their_time_was_nearly_up_are_not_sent() {
    let (address, seen) = serve();
    let times = (1..=5).map(|n| MS * n).collect();
    let traffic = Traffic::new(vec![(NEVER, vec![])]).at(times);
    let options = Options {
        max_in_flight: 1,
        timeout: 1000 * MS,
        ..options()
    };
    let mut generator = connect(&address, traffic, options).unwrap();
    let observed = run(&mut generator, &window(1.0, 10, false));
    // When the first read's place was free, the others had only milliseconds left.
    assert_eq!((observed.sent, observed.expired, observed.ok), (1, 4, 0));
    assert_eq!(seen.requests.load(Ordering::SeqCst), 1);
    // A caller would have waited until the deadline.
    assert!(observed.from_planned.min() >= 999_000_000);
}

#[test]
fn reads_whose_time_was_up_before_the_loop_came_to_them_are_not_sent() {
    let (address, seen) = serve();
    let times = (0..1000).map(Duration::from_nanos).collect();
    let traffic = Traffic::new(vec![(ECHO, vec![])]).at(times);
    let options = Options {
        timeout: Duration::from_nanos(1),
        ..options()
    };
    let mut generator = connect(&address, traffic, options).unwrap();
    let observed = run(&mut generator, &window(1.0, 1, false));
    assert_eq!((observed.planned, observed.ok), (1000, 0));
    // No loop handles a read within a nanosecond.
    assert!(observed.expired > 900, "{}", observed.expired);
    let begun = seen.requests.load(Ordering::SeqCst);
    assert!(begun <= observed.planned - observed.expired, "{begun}");
}

#[test]
fn a_target_has_drained_once_it_answers_a_read_alone() {
    let (address, seen) = serve();
    let traffic = Traffic::new(vec![(GATED, vec![])]);
    let mut generator = connect(&address, traffic, options()).unwrap();
    let stop = AtomicBool::new(false);
    let stuck = generator.drain(1, 200 * MS, &stop).unwrap();
    assert!(!stuck);
    seen.open.store(true, Ordering::SeqCst);
    assert!(generator.drain(1, 60_000 * MS, &stop).unwrap());
    // The reads that `drain` sent are in no window's accounts.
    let observed = run(&mut generator, &window(100.0, 50, false));
    assert_eq!(observed.ok, observed.planned);
}

#[test]
fn a_closed_loop_keeps_as_many_in_flight_as_it_may() {
    let (address, seen) = serve();
    let traffic = Traffic::new(vec![(ECHO, vec![3; 10])]);
    let most = Options {
        max_in_flight: 8,
        ..options()
    };
    let mut generator = connect(&address, traffic, most).unwrap();
    let closed = Window {
        spread: Spread::Closed,
        ..window(0.0, 300, false)
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let observed = run(&mut generator, &closed);
        assert_eq!(observed.ok, observed.planned);
        assert_eq!(observed.generator.in_flight_max, 8);
        assert_eq!(observed.generator.held_back, 0);
        assert_eq!(observed.from_planned, observed.from_sent);
        assert!(seen.most.load(Ordering::SeqCst) <= 8);
        // The first eight reads are sent at once. Further ones show that replies make room. On a busy machine a window may
        // end before there are any.
        if observed.ok > 8 {
            break;
        }
        assert!(Instant::now() < deadline, "replies make no room");
    }
    let fewer = Window {
        in_flight: Some(2),
        ..closed
    };
    let observed = run(&mut generator, &fewer);
    assert_eq!(observed.generator.in_flight_max, 2, "a window's own limit");
}

#[test]
fn one_in_flight_means_one_in_flight() {
    let (address, seen) = serve();
    let traffic = Traffic::new(vec![(ECHO, vec![3; 10])]).at(vec![MS; 50]);
    let options = Options {
        max_in_flight: 1,
        ..options()
    };
    let mut generator = connect(&address, traffic, options).unwrap();
    let observed = run(&mut generator, &window(1.0, 10, false));
    assert_eq!((observed.planned, observed.ok), (50, 50));
    assert_eq!(observed.generator.held_back, 49);
    assert_eq!(seen.most.load(Ordering::SeqCst), 1);
}

#[test]
fn hot_methods_have_an_address_of_their_own() {
    let ((front, cold), (hot, warm)) = (serve(), serve());
    let traffic = Traffic::new(vec![(ECHO, vec![1]), (BIG, vec![0; 4])]).at(vec![MS; 10]);
    let endpoints = Endpoints {
        front,
        hot: Some(hot),
    };
    let mut generator = Generator::connect(&endpoints, Arc::new(traffic), options()).unwrap();
    assert_eq!(run(&mut generator, &window(1.0, 10, false)).ok, 10);
    for seen in [cold, warm] {
        assert_eq!(seen.requests.load(Ordering::SeqCst), 5);
    }
}

#[test]
fn a_window_can_be_stopped_and_the_next_one_is_whole() {
    let (address, _) = serve();
    let traffic = Traffic::new(vec![(ECHO, vec![])]);
    let mut generator = connect(&address, traffic, options()).unwrap();
    let (progress, stop) = (Progress::default(), AtomicBool::new(false));
    let observed = std::thread::scope(|scope| {
        scope.spawn(|| {
            while progress.planned.load(Ordering::Relaxed) == 0 {
                std::thread::sleep(MS);
            }
            stop.store(true, Ordering::Relaxed);
        });
        let window = Window {
            seed: STUCK_SEED,
            ..window(100.0, 60_000, false)
        };
        generator.run(&window, &mut 0, &progress, &stop).unwrap()
    });
    assert!(observed.interrupted && observed.ok == 0);
    check_accounts(&observed);
    let observed = run(&mut generator, &window(1000.0, 50, false));
    assert_eq!(observed.ok, observed.planned);
}

#[test]
fn hundreds_of_idle_connections_are_opened_and_held() {
    let (address, _) = serve();
    let options = Options {
        idle_connections: 500,
        ..options()
    };
    let traffic = Traffic::new(vec![(ECHO, vec![1])]).at(vec![MS; 10]);
    let mut generator = connect(&address, traffic, options).unwrap();
    assert_eq!(run(&mut generator, &window(1.0, 10, false)).ok, 10);
}

#[test]
fn what_cannot_be_opened_says_why() {
    let address = Address::Tcp(closed_port());
    let error = connect(&address, Traffic::new(vec![(ECHO, vec![])]), options()).unwrap_err();
    assert_eq!(error.kind(), Kind::Target);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(error.to_string().contains("efused"), "{error}");
}

/// Nobody listens on port 1, and no system gives it to who asks for a free port.
fn closed_port() -> std::net::SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

#[test]
fn of_a_name_the_first_address_that_answers_is_asked() {
    let (Address::Tcp(served), seen) = serve() else {
        panic!("TCP")
    };
    let address = named(vec![closed_port(), served]);
    let traffic = Traffic::new(vec![(ECHO, vec![1])]).at(vec![MS; 4]);
    let mut generator = connect(&address, traffic, options()).unwrap();
    assert_eq!(run(&mut generator, &window(1.0, 10, false)).ok, 4);
    assert_eq!(seen.requests.load(Ordering::SeqCst), 4);
}

#[test]
fn a_name_without_an_address_that_answers_says_why_of_each() {
    let all = vec![closed_port(), closed_port()];
    let traffic = Traffic::new(vec![(ECHO, vec![])]);
    let error = connect(&named(all.clone()), traffic, options()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("somewhere:7"), "{text}");
    for address in all {
        assert!(text.contains(&format!("{address}: ")), "{text}");
    }
}

#[test]
fn wrong_options_are_told_all_at_once() {
    let options = Options {
        connections: 0,
        max_in_flight: 0,
        timeout: Duration::ZERO,
        writes_per_second: -1.0,
        ..options()
    };
    let address = "127.0.0.1:1".parse().unwrap();
    let error = connect(&address, Traffic::new(vec![(ECHO, vec![])]), options).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    for field in [
        "connections",
        "max_in_flight",
        "timeout",
        "writes_per_second",
    ] {
        assert!(error.to_string().contains(field), "{error}");
    }
}
