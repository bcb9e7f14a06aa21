//! Writes beside the reads.

use super::*;

#[test]
fn writes_come_in_order_each_until_it_has_succeeded() {
    let (address, seen) = serve();
    let traffic = Traffic::new(vec![(ECHO, vec![1])]).writing(WRITE);
    let options = Options {
        writes_per_second: 50.0,
        ..options()
    };
    let mut generator = connect(&address, traffic, options).unwrap();
    let (progress, stop, mut next) = (Progress::default(), AtomicBool::new(false), 5);
    let window = window(100.0, 200, false);
    let observed = generator.run(&window, &mut next, &progress, &stop).unwrap();
    assert_eq!((observed.writes.done, next), (10, 15));
    assert!(observed.writes.failed >= 2);
    let failure = observed.writes.last_failure.unwrap();
    assert_eq!(failure, (14, "busy".to_owned()));
    assert_eq!(observed.writes.from_planned.len(), 10);
    check_accounts(&run(&mut generator, &window));
    let writes = seen.writes.lock().unwrap();
    let first: Vec<_> = (5_u64..15).map(|k| k.to_le_bytes().to_vec()).collect();
    assert_eq!(writes[..10], first);
}

#[test]
fn writes_follow_the_reads_and_are_all_done() {
    let (address, seen) = serve();
    let traffic = Traffic::new(vec![(ECHO, vec![1])]).writing(WRITE);
    let (mut options, mut next) = (options(), 5);
    (options.writes_per_read, options.writes_at_once) = (0.5, 4);
    let mut generator = connect(&address, traffic, options).unwrap();
    let (window, progress) = (window(200.0, 200, false), Progress::default());
    let ran = generator.run(&window, &mut next, &progress, &AtomicBool::new(false));
    // 40 reads.
    assert_eq!((ran.unwrap().writes.done, next), (20, 25));
    let writes = seen.writes.lock().unwrap();
    assert!((5_u64..25).all(|k| writes.contains(&k.to_le_bytes().to_vec())));
}

#[test]
fn writes_of_windows_that_were_sat_out_are_caught_up_with() {
    let (address, seen) = serve();
    let traffic = Traffic::new(vec![(ECHO, vec![1])]).writing(WRITE);
    let options = Options {
        // At this rate the writes would take two minutes.
        writes_per_second: 0.1,
        ..options()
    };
    let mut generator = connect(&address, traffic, options).unwrap();
    let (stop, mut next) = (AtomicBool::new(false), 3);
    generator.catch_up(&mut next, 15, &stop).unwrap();
    assert_eq!(next, 15);
    generator.catch_up(&mut next, 9, &stop).unwrap();
    assert_eq!(next, 15);
    let expected: Vec<_> = (3_u64..15).map(|k| k.to_le_bytes().to_vec()).collect();
    assert_eq!(*seen.writes.lock().unwrap(), expected);
}

#[test]
fn writes_that_never_succeed_end_the_run() {
    let (address, _) = serve();
    let traffic = Traffic::new(vec![(ECHO, vec![1])]).writing(REFUSE);
    let options = Options {
        writes_per_second: 100.0,
        ..options()
    };
    let mut generator = connect(&address, traffic, options).unwrap();
    let (progress, stop, mut next) = (Progress::default(), AtomicBool::new(false), 0);
    let error = generator
        .run(&window(100.0, 100, false), &mut next, &progress, &stop)
        .unwrap_err();
    assert_eq!((error.kind(), next), (Kind::Target, 0));
    assert!(error.to_string().contains("status 9 `never`"), "{error}");
}
