//! Rules that a client breaks, and the code with which its connection ends.

use super::{
    conversations::{frame, greeted, headers},
    peers::{HOT, splice},
};
use crate::front::frame::{self, Broken, Code, MOST, PREFACE, flag, kind, setting};

/// Each of them broken on a connection of its own.
fn all_end(cases: &[(&str, Code, Vec<u8>)]) {
    for (what, code, bytes) in cases {
        let told = greeted(&[]).client(bytes).err();
        assert_eq!(told.map(|broken| broken.code), Some(*code), "{what}");
    }
}

fn ten(kind: u8, stream: u32) -> Vec<u8> {
    frame(kind, 0, stream, &[0; 10])
}

fn begun(flags: u8, payload: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, flags, 1, payload)
}

fn goes_on(stream: u32) -> Vec<u8> {
    frame(kind::CONTINUATION, 0, stream, &[])
}

#[test]
fn of_data_and_headers() {
    use Code::{Compression, EnhanceYourCalm, FrameSize, Protocol};
    let long = vec![0, 0x40, 1, kind::DATA, 0, 0, 0, 0, 1];
    let interrupted = [begun(0, &[]), ten(kind::PING, 0)].concat();
    let elsewhere = [begun(0, &[]), goes_on(3)].concat();
    let flood = [begun(0, &[]), goes_on(1).repeat(100)].concat();
    all_end(&[
        ("DATA on 0", Protocol, ten(kind::DATA, 0)),
        ("DATA on no stream", Protocol, ten(kind::DATA, 1)),
        ("a long frame", FrameSize, long),
        ("headers on 0", Protocol, headers(0, HOT, &[])),
        ("headers on 2", Protocol, headers(2, HOT, &[])),
        (
            "broken headers",
            Compression,
            begun(flag::END_HEADERS, &[0x80]),
        ),
        ("too much padding", Protocol, begun(flag::PADDED, &[9])),
        ("no priority", FrameSize, begun(flag::PRIORITY, &[9])),
        ("a beginning missed", Protocol, ten(kind::CONTINUATION, 1)),
        ("headers interrupted", Protocol, interrupted),
        ("headers going on elsewhere", Protocol, elsewhere),
        ("a flood of CONTINUATION", EnhanceYourCalm, flood),
        ("a push", Protocol, ten(kind::PUSH_PROMISE, 1)),
    ]);
}

#[test]
fn of_windows_and_resets() {
    use Code::{FlowControl, FrameSize, Protocol};
    let open = |by: u32| frame(kind::WINDOW_UPDATE, 0, 0, &by.to_be_bytes());
    let reset = |stream| frame(kind::RST_STREAM, 0, stream, &[0; 4]);
    let long = [headers(1, HOT, &[]), ten(kind::RST_STREAM, 1)].concat();
    let nowhere = frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
    all_end(&[
        ("a reset of 0", Protocol, reset(0)),
        ("a reset of no stream", Protocol, reset(1)),
        ("a long reset", FrameSize, long),
        ("a window opened by 0", Protocol, open(0)),
        ("a window too large", FlowControl, open(MOST)),
        ("a window of no stream", Protocol, nowhere),
        ("a long update", FrameSize, ten(kind::WINDOW_UPDATE, 0)),
    ]);
}

#[test]
fn of_the_connection() {
    use Code::{FlowControl, FrameSize, Protocol};
    let set = |id, value| {
        let mut bytes = Vec::new();
        frame::settings(&mut bytes, &[(id, value)]);
        bytes
    };
    let window = set(setting::INITIAL_WINDOW_SIZE, MOST + 1);
    let small = set(setting::MAX_FRAME_SIZE, 16_383);
    let ack = frame(kind::SETTINGS, flag::ACK, 0, &[0; 6]);
    all_end(&[
        (
            "a PING on a stream",
            Protocol,
            frame(kind::PING, 0, 1, &[0; 8]),
        ),
        ("a long PING", FrameSize, ten(kind::PING, 0)),
        ("SETTINGS on a stream", Protocol, ten(kind::SETTINGS, 1)),
        ("SETTINGS cut off", FrameSize, ten(kind::SETTINGS, 0)),
        ("an ACK that says more", FrameSize, ack),
        ("initial windows too large", FlowControl, window),
        ("frames too small", Protocol, small),
        (
            "a push allowed twice",
            Protocol,
            set(setting::ENABLE_PUSH, 2),
        ),
        ("a GOAWAY on a stream", Protocol, ten(kind::GOAWAY, 1)),
    ]);
}

#[test]
fn of_greeting() {
    let first = |bytes: &[u8]| splice().client(bytes).err();
    let none = Some(Broken::protocol("no preface of HTTP/2"));
    assert_eq!(first(b"GET / HTTP/1.1\r\n"), none);
    assert_eq!(first(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r"), none);
    let early = [&PREFACE[..], &frame(kind::PING, 0, 0, &[0; 8])].concat();
    let told = first(&early).map(|broken| broken.code);
    assert_eq!(told, Some(Code::Protocol));
}
