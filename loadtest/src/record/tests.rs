#![allow(clippy::unwrap_used, clippy::panic)]

mod rig;

use super::*;
use crate::{
    capture::{Replay, Writer, summary},
    traffic::Request,
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Frame;
use rig::{Pieces, Rig, framed, options};
use std::{fs, io::Read as _, os::unix::fs::PermissionsExt as _};
use tokio::sync::mpsc;
use tonic::Code;

/// Returns method and message of all requests of a capture.
fn captured(recorded: &Recorded) -> Vec<(String, Vec<u8>)> {
    let workload = capture::open(&recorded.file, Replay::Rate, &[]).unwrap();
    let request = |n| {
        let Request { method, message } = workload.read(0, n);
        let method = &workload.methods()[usize::from(method)];
        (method.path.clone(), message.to_vec())
    };
    (0..recorded.requests).map(request).collect()
}

#[test]
fn unary_calls_are_passed_on_and_recorded() {
    let rig = Rig::start(options());
    for message in ["one", "", "three"] {
        let answer = rig.call("/t.T/Unary", framed(message));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, framed(message));
        // The headers that the target adds come through, and no others are added.
        let names: Vec<&str> = answer
            .headers
            .keys()
            .map(http::HeaderName::as_str)
            .collect();
        assert_eq!(names, ["content-type", "x-kept"]);
        assert_eq!(answer.headers["x-kept"], "asked; te: trailers");
        let trailers = answer.trailers.unwrap();
        assert_eq!(trailers["grpc-status"], "0");
        assert_eq!(trailers["x-of-target"], "yes");
    }
    let recorded = rig.stop();
    assert_eq!((recorded.requests, recorded.not_recorded.len()), (3, 0));
    let path = "/t.T/Unary".to_owned();
    let expected = ["one", "", "three"].map(|m| (path.clone(), m.as_bytes().to_vec()));
    assert_eq!(captured(&recorded), expected);
    assert_eq!(recorded.ended, None);
    let size = fs::metadata(&recorded.file).unwrap().len();
    assert_eq!(recorded.bytes, size);
    let told = format!(
        "3 requests recorded in {}, {size} bytes\n",
        recorded.file.display()
    );
    assert_eq!(recorded.to_string(), told);
}

#[test]
fn only_its_owner_may_read_a_capture_and_it_holds_no_metadata() {
    let rig = Rig::start(options());
    rig.call("/t.T/Unary", framed("m"));
    let recorded = rig.stop();
    let mode = fs::metadata(&recorded.file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut bytes = Vec::new();
    fs::File::open(&recorded.file)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    let secret = b"Bearer secret";
    assert!(!bytes.windows(secret.len()).any(|window| window == secret));
}

#[test]
fn a_refusal_is_passed_on_and_its_call_recorded() {
    let rig = Rig::start(options());
    let answer = rig.call("/t.T/Refuse", framed("m"));
    assert_eq!(answer.headers["grpc-status"], "5");
    assert_eq!(answer.headers["grpc-message"], "no such thing");
    assert_eq!((answer.body.len(), answer.trailers), (0, None));
    assert_eq!(
        captured(&rig.stop()),
        [("/t.T/Refuse".to_owned(), b"m".to_vec())]
    );
}

#[test]
fn streams_flow_both_ways_and_are_not_recorded() {
    let rig = Rig::start(options());
    let (sender, receiver) = mpsc::channel(1);
    rig.run(async {
        let mut answer = rig.send("/t.T/Unary", Pieces(receiver)).await.into_body();
        // Each message comes back before the next is sent, so nothing waits for the end of the stream.
        for message in ["one", "two"] {
            sender.send(Frame::data(framed(message))).await.unwrap();
            let echoed = answer.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(echoed, framed(message));
        }
        drop(sender);
        let trailers = answer
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_trailers()
            .unwrap();
        assert_eq!(trailers["grpc-status"], "0");
    });
    let two = rig.call("/t.T/Twice", framed("m"));
    assert_eq!(two.body, [framed("m"), framed("m")].concat());
    let recorded = rig.stop();
    assert_eq!(recorded.requests, 0);
    let why = "streams, or calls without a message";
    assert_eq!(recorded.not_recorded, BTreeMap::from([(why, 2)]));
}

#[test]
fn what_is_not_recorded_is_passed_on_and_counted() {
    let mut options = options();
    options.only = vec!["/t.T/U".to_owned()];
    options.max_message_bytes = 8;
    let rig = Rig::start(options);
    let compressed = Bytes::from_static(b"\x01\0\0\0\x01z");
    assert_eq!(rig.call("/t.T/Unary", compressed.clone()).body, compressed);
    assert_eq!(
        rig.call("/t.T/Unary", framed("longer than 8")).body,
        framed("longer than 8")
    );
    assert_eq!(rig.call("/t.T/Unary", Bytes::new()).body, "");
    assert_eq!(
        rig.call("/t.T/Unary", Bytes::from_static(b"\0\0\0"))
            .body
            .len(),
        3
    );
    assert_eq!(rig.call("/t.T/Twice", framed("m")).status, 200);
    assert_eq!(
        rig.call_as("text/plain", "/t.T/Unary", framed("m")).body,
        framed("m")
    );
    assert_eq!(rig.call("/t.T/Unary", framed("8 bytes!")).status, 200);
    let recorded = rig.stop();
    assert_eq!(
        captured(&recorded),
        [("/t.T/Unary".to_owned(), b"8 bytes!".to_vec())]
    );
    let expected = [
        ("compressed requests", 1),
        ("requests above the limit of a message", 1),
        ("streams, or calls without a message", 1),
        ("cancelled, or without a whole answer", 1),
        ("methods that are not asked for", 1),
        ("requests that are not gRPC", 1),
    ];
    assert_eq!(recorded.not_recorded, BTreeMap::from(expected));
    assert!(
        recorded
            .to_string()
            .contains("\n1 passed on only: compressed requests\n")
    );
}

#[test]
fn a_reset_keeps_its_reason() {
    let rig = Rig::start(options());
    let error = rig.run(async {
        let mut sender = rig.connect().await;
        let request = rig::request("/t.T/Reset", Full::new(framed("m")));
        sender.send_request(request).await.unwrap_err()
    });
    let cause = std::error::Error::source(&error).unwrap();
    let cause = cause.downcast_ref::<h2::Error>().unwrap();
    assert_eq!(cause.reason(), Some(h2::Reason::REFUSED_STREAM));
    assert_eq!(rig.stop().requests, 0);
}

#[test]
fn a_cancelled_call_is_cancelled_at_the_target() {
    let rig = Rig::start(options());
    rig.run(async {
        let mut sender = rig.connect().await;
        let request = rig::request("/t.T/Hang", Full::new(framed("m")));
        let mut call = Box::pin(sender.send_request(request));
        tokio::select! {
            _ = &mut call => panic!("must hang"),
            () = rig.hanging.notified() => {}
        }
        drop(call);
        rig.cancelled.notified().await;
    });
    let recorded = rig.stop();
    let why = "cancelled, or without a whole answer";
    assert_eq!(recorded.not_recorded, BTreeMap::from([(why, 1)]));
}

#[test]
fn a_target_that_goes_away_is_unavailable_and_may_come_back() {
    let mut rig = Rig::start(options());
    assert_eq!(rig.tonic("/t.T/Unary").unwrap(), "m");
    let address = rig.kill_target();
    let status = rig.tonic("/t.T/Unary").unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status
            .message()
            .starts_with("loadtest record: the target can't be reached: ")
    );
    rig.start_target(&address);
    assert_eq!(rig.tonic("/t.T/Unary").unwrap(), "m");
    assert_eq!(rig.stop().requests, 2);
}

#[test]
fn calls_under_way_are_unavailable_when_the_target_goes_away() {
    let mut rig = Rig::start(options());
    for path in ["/t.T/Hang", "/t.T/Stall"] {
        let call = rig.tonic_call(path);
        rig.run(async { rig.hanging.notified().await });
        let address = rig.kill_target();
        let status = rig.run(async { call.await.unwrap().unwrap_err() });
        assert_eq!(status.code(), Code::Unavailable, "{path}: {status:?}");
        rig.start_target(&address);
    }
    assert_eq!(rig.stop().requests, 0);
}

#[test]
fn a_limit_ends_the_recording_and_not_the_proxy() {
    let mut options = options();
    options.max_file_bytes = 12 + Writer::longest("/t.T/Unary", b"m");
    let rig = Rig::start(options);
    for calls in 1..=3 {
        assert_eq!(rig.call("/t.T/Unary", framed("m")).body, framed("m"));
        rig.judged(calls);
    }
    let notes = rig.noted();
    let recorded = rig.stop();
    let limit = "the limit of 41 bytes is reached";
    assert_eq!(
        notes,
        [format!(
            "recording ended, calls are still passed on: {limit}"
        )]
    );
    assert_eq!(recorded.requests, 1);
    assert_eq!(
        recorded.not_recorded,
        BTreeMap::from([("after the recording ended", 2)])
    );
    assert_eq!(recorded.ended.as_deref(), Some(limit));
    assert!(
        recorded
            .to_string()
            .ends_with(&format!("recording ended early: {limit}\n"))
    );
    assert_eq!(summary(&recorded.file).unwrap().requests, 1);
}

#[test]
fn time_is_limited_too() {
    let mut options = options();
    options.max_duration = Duration::ZERO;
    let rig = Rig::start(options);
    for _ in 0..2 {
        assert_eq!(rig.call("/t.T/Unary", framed("m")).body, framed("m"));
    }
    assert_eq!(
        rig.stop().ended.as_deref(),
        Some("the limit of 0 seconds is reached")
    );
}

#[test]
fn unix_sockets_do_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options();
    options.listen = Address::Unix(folder.path().join("listen.sock"));
    options.target = Address::Unix(folder.path().join("target.sock"));
    let rig = Rig::start(options);
    assert_eq!(rig.call("/t.T/Unary", framed("m")).body, framed("m"));
    assert_eq!(rig.stop().requests, 1);
    assert!(!folder.path().join("listen.sock").exists());
}

#[test]
fn a_socket_that_nobody_serves_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.sock");
    let bind = |file: &str| {
        let mut options = RecordOptions::new(Address::Unix(path.clone()), folder.path().join(file));
        options.listen = Address::Unix(path.clone());
        Recorder::bind(options)
    };
    // A recorder that was killed leaves the file of its socket behind.
    drop(bind("one").unwrap());
    let _living = bind("two").unwrap();
    let error = bind("three").unwrap_err().to_string();
    assert!(error.ends_with(": another process serves it"), "{error}");
}

#[test]
fn nothing_that_exists_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    fs::write(&taken, "mine").unwrap();
    let target = Address::Unix(folder.path().join("any"));
    let error = Recorder::bind(RecordOptions::new(target.clone(), taken.clone())).unwrap_err();
    assert_eq!(error.kind(), Kind::Output);
    let mut options = RecordOptions::new(target, folder.path().join("new"));
    options.listen = Address::Unix(taken.clone());
    let error = Recorder::bind(options).unwrap_err();
    assert_eq!(error.kind(), Kind::Target);
    let told = format!(
        "can't listen on unix:{}: something else has this name",
        taken.display()
    );
    assert_eq!(error.to_string(), told);
    assert_eq!(fs::read_to_string(taken).unwrap(), "mine");
}
