#![allow(clippy::unwrap_used)]

use super::*;
use crate::traffic::{Spread, Window};
use proptest::prelude::*;
use std::{fs, path::PathBuf};
use tempfile::TempDir;

type Sent = (String, u64, Vec<u8>);

fn written(requests: &[Sent]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.capture");
    let mut writer = Writer::create(&path).unwrap();
    for (method, at_us, message) in requests {
        writer
            .write(method, Duration::from_micros(*at_us), message)
            .unwrap();
    }
    let bytes = writer.bytes();
    writer.finish().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), bytes);
    (folder, path)
}

fn some() -> Vec<Sent> {
    vec![
        ("/a.B/Two".to_owned(), 5_000, vec![2; 3]),
        ("/a.B/One".to_owned(), 3_000, vec![]),
        ("/a.B/Two".to_owned(), 9_000, vec![9]),
    ]
}

fn window(seed: u64, millis: u64) -> Window {
    Window {
        from_qps: 1_000.0,
        to_qps: 1_000.0,
        duration: Duration::from_millis(millis),
        spread: Spread::Constant,
        in_flight: None,
        seed,
        keep_replies: false,
    }
}

fn sent(workload: &dyn Workload, seed: u64, count: u64) -> Vec<(String, Vec<u8>)> {
    let request = |n| {
        let request = workload.read(seed, n);
        let method = &workload.methods()[usize::from(request.method)];
        (method.path.clone(), request.message.to_vec())
    };
    (0..count).map(request).collect()
}

fn times(workload: &dyn Workload, window: &Window) -> Vec<u128> {
    workload.schedule(window).map(|at| at.as_micros()).collect()
}

fn garbage(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let (_folder, path) = written(&some());
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    format::parse(bytes).unwrap_err()
}

#[test]
fn the_bytes_are_as_documented() {
    let (_folder, path) = written(&[("/a/B".to_owned(), 258, vec![7, 8])]);
    let mut expected = b"LOADCAP\n\x01\0\0\0".to_vec();
    expected.extend(b"\x01\x04\0/a/B");
    expected.extend(b"\x02\0\0\x02\x01\0\0\0\0\0\0\x02\0\0\0\x07\x08");
    assert_eq!(fs::read(path).unwrap(), expected);
}

#[test]
fn a_replay_is_in_the_order_of_time() {
    let (_folder, path) = written(&some());
    let workload = open(&path, Replay::Rate, &["/a.B/One".to_owned()]).unwrap();
    let hot: Vec<(&str, bool)> = workload
        .methods()
        .iter()
        .map(|m| (&*m.path, m.hot))
        .collect();
    assert_eq!(hot, [("/a.B/Two", false), ("/a.B/One", true)]);
    let expected = [
        ("/a.B/One".to_owned(), vec![]),
        ("/a.B/Two".to_owned(), vec![2; 3]),
        ("/a.B/Two".to_owned(), vec![9]),
        ("/a.B/One".to_owned(), vec![]),
    ];
    assert_eq!(sent(&*workload, 0, 4), expected);
    assert_eq!(sent(&*workload, 3_001, 3), expected[1..]);
    assert_eq!(workload.write(0), None);
    // Requests come at the windows' rate, whatever their times in the capture.
    assert_eq!(times(&*workload, &window(0, 3)), [1_000, 2_000]);
}

#[test]
fn a_replay_at_speed_keeps_its_times() {
    let (_folder, path) = written(&some());
    let workload = open(&path, Replay::Speed(2.0), &[]).unwrap();
    // The requests are at 0, 2 and 6 ms. After a pause of the mean gap the capture begins again, every 9 ms. All is
    // twice as fast.
    let all = [0, 1_000, 3_000, 4_500, 5_500, 7_500];
    assert_eq!(times(&*workload, &window(0, 9)), all);
    let windows: Vec<u128> = (0..3)
        .flat_map(|i| {
            let seed = Replay::Speed(2.0)
                .seed(i, Duration::from_millis(3))
                .unwrap();
            let begin = u128::from(i) * 3_000;
            times(&*workload, &window(seed, 3))
                .into_iter()
                .map(move |at| begin + at)
        })
        .collect();
    assert_eq!(windows, all);
    // The window at 3 ms begins at 6 ms of the capture, with its third request.
    assert_eq!(sent(&*workload, 6_000, 2)[0].1, [9]);
    assert_eq!(sent(&*workload, 6_000, 2)[1].0, "/a.B/One");
    // A window that begins in the pause begins with the first request.
    assert_eq!(sent(&*workload, 7_000, 1)[0].0, "/a.B/One");
    assert_eq!(times(&*workload, &window(7_000, 2)), [1_000]);
    assert_eq!(Replay::Rate.seed(1, Duration::from_secs(1)), None);
}

#[test]
fn a_lone_request_is_repeated_every_second() {
    let (_folder, path) = written(&[("/a/B".to_owned(), 77, vec![])]);
    let workload = open(&path, Replay::Speed(1.0), &[]).unwrap();
    let all = [0, 1_000_000, 2_000_000];
    assert_eq!(times(&*workload, &window(0, 2_500)), all);
}

#[test]
fn speeds_have_limits() {
    for speed in [0.0, -1.0, f64::NAN, 1_000.5] {
        let error = open(Path::new("any"), Replay::Speed(speed), &[])
            .err()
            .unwrap();
        assert_eq!(error.kind(), Kind::Usage);
        let told = format!("speed must be a number from 0.001 to 1000, not {speed}");
        assert_eq!(error.to_string(), told);
    }
}

#[test]
fn a_summary_tells_what_there_is() {
    let (_folder, path) = written(&some());
    let summary = summary(&path).unwrap();
    assert_eq!((summary.requests, summary.message_bytes), (3, 4));
    assert_eq!(summary.duration, Duration::from_millis(6));
    assert!((summary.mean_qps - 3.0 / 0.009).abs() < 1e-6);
    let told = summary.to_string();
    assert_eq!(
        told,
        "3 requests, 4 bytes, 0.006 s, 333.3 requests/s\n\
        \x20        2 requests            4 bytes  /a.B/Two\n\
        \x20        1 requests            0 bytes  /a.B/One\n"
    );
}

#[test]
fn garbage_is_told_with_its_offset() {
    type Change = fn(&mut Vec<u8>);
    // The first method is at byte 12, the first request at 23.
    let cases: [(Change, &str); 9] = [
        (
            |b| b[0] = b'l',
            "byte 0: is no capture: it must begin with LOADCAP and a version",
        ),
        (
            |b| b.truncate(11),
            "byte 0: is no capture: it must begin with LOADCAP and a version",
        ),
        (|b| b[8] = 2, "byte 8: version 2 is not known, only 1 is"),
        (
            |b| b[12] = 9,
            "byte 12: a record must be of kind 1 or 2, not 9",
        ),
        (
            |b| b[14] = 9,
            "byte 12: a method's path must not be longer than 1024 bytes",
        ),
        (
            |b| b[15] = b'x',
            "byte 12: a method's path must be /package.Service/Method, none twice",
        ),
        (|b| b[24] = 5, "byte 23: method 5 is not known yet, 1 are"),
        (
            |b| b[33] = 1,
            "byte 23: a time must be at most 366 days, not 72057594037932936 µs",
        ),
        (
            |b| b[37] = 1,
            "byte 23: a message must be at most 4 MiB, not 16777219 bytes",
        ),
    ];
    for (change, told) in cases {
        assert_eq!(garbage(change), told);
    }
    assert_eq!(garbage(|b| b.truncate(12)), "holds no whole request");
}

#[test]
fn a_method_is_not_defined_twice() {
    let told = garbage(|bytes| {
        let method = bytes[12..23].to_vec();
        bytes.extend(method);
    });
    assert!(
        told.ends_with("a method's path must be /package.Service/Method, none twice"),
        "{told}"
    );
}

#[test]
fn what_the_format_cannot_hold_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.capture");
    let mut writer = Writer::create(&path).unwrap();
    let mut refused = |method: &str, at: Duration, message: &[u8]| {
        let error = writer.write(method, at, message).unwrap_err();
        error.kind() == std::io::ErrorKind::InvalidInput
    };
    assert!(refused("a.B/One", Duration::ZERO, &[]));
    assert!(refused("/a b", Duration::ZERO, &[]));
    assert!(refused(
        &format!("/{}", "x".repeat(1_024)),
        Duration::ZERO,
        &[]
    ));
    assert!(refused("/a/B", Duration::from_secs(367 * 86_400), &[]));
    assert!(refused(
        "/a/B",
        Duration::ZERO,
        &vec![0; MAX_MESSAGE_BYTES + 1]
    ));
    assert_eq!(writer.bytes(), 12);
    let again = Writer::create(&path).unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
}

#[test]
fn a_file_cut_anywhere_is_good_up_to_its_last_whole_record() {
    let (_folder, path) = written(&some());
    let bytes = fs::read(path).unwrap();
    let whole = format::parse(bytes.clone()).unwrap();
    assert_eq!(whole.dropped_bytes, 0);
    for end in 12..bytes.len() {
        match format::parse(bytes[..end].to_vec()) {
            Ok(capture) => {
                assert!(capture.requests.len() < 3);
                let kept = capture.bytes.len() as u64 - capture.dropped_bytes;
                let again = format::parse(bytes[..usize::try_from(kept).unwrap()].to_vec());
                assert_eq!(again.unwrap().dropped_bytes, 0);
            }
            Err(told) => assert_eq!(told, "holds no whole request"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(
        requests in prop::collection::vec(
            ("/[!-~]{2,20}", 0..1_000_000_u64, prop::collection::vec(any::<u8>(), 0..40)),
            1..30,
        )
    ) {
        let (_folder, path) = written(&requests);
        let mut expected = requests.clone();
        expected.sort_by_key(|(_, at, _)| *at);
        let workload = open(&path, Replay::Speed(1.0), &[]).unwrap();
        let read = sent(&*workload, 0, requests.len() as u64);
        let first = expected[0].1;
        for ((path, message), (expected_path, _, expected_message)) in read.iter().zip(&expected) {
            prop_assert_eq!((path, message), (expected_path, expected_message));
        }
        let due = times(&*workload, &window(0, 2_000));
        for (at, (_, expected, _)) in due.iter().zip(&expected) {
            // A float of seconds is exact to a microsecond.
            prop_assert!(at.abs_diff(u128::from(expected - first)) <= 1);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..200)) {
        let mut file = b"LOADCAP\n\x01\0\0\0\x01\x03\0/ab".to_vec();
        file.extend(bytes);
        if let Ok(capture) = format::parse(file) {
            for request in &capture.requests {
                capture.message(request);
            }
        }
    }
}
