//! Lanes: bytes in, and what comes of them.

use super::{
    super::{Event, Splice},
    conversations::{frame, greet, headers, kinds, told},
    peers::{Client, EchoLane, HOT, LANE, answer, hot, message, splice_of},
};
use crate::{
    front::frame::{self, Broken, Code, HEAD, Head, MOST, PAYLOAD, flag, kind, setting},
    limits,
};
use std::task::{Context, Waker};

const REPLY: (u8, u32) = (kind::HEADERS, 1);
const LAST: u8 = flag::END_HEADERS | flag::END_STREAM;
const WINDOW: usize = limits::STREAM_WINDOW_BYTES as usize;

type Lanes = Splice<(), EchoLane>;

/// A connection with a lane on stream 1 that echoes in messages of up to so many bytes. What was said so far is forgotten.
fn with_lane(settings: &[(u16, u32)], most: usize) -> Lanes {
    let mut splice = greet(splice_of(), settings);
    open(&mut splice, 1, most);
    assert_eq!(kinds(&std::mem::take(&mut splice.out)), [REPLY]);
    splice
}

fn open(splice: &mut Lanes, stream: u32, most: usize) {
    let bytes = headers(stream, LANE, &[]);
    let (used, event) = splice.client(&bytes).unwrap();
    assert_eq!(used, bytes.len());
    let Some(Event::Lane(opening)) = event else {
        panic!("no lane is asked for");
    };
    splice.open_lane(opening, EchoLane::new(most));
}

/// The client says this.
fn say(splice: &mut Lanes, bytes: &[u8]) {
    let (used, event) = splice.client(bytes).unwrap();
    assert!(used == bytes.len() && event.is_none());
}

/// The lane whose turn it is may speak. Returns whether it did.
fn serve(splice: &mut Lanes) -> bool {
    splice.serve_lane(&mut Context::from_waker(Waker::noop()))
}

fn data(stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(kind::DATA, 0, stream, payload)
}

fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

fn said(splice: &mut Lanes) -> Vec<u8> {
    std::mem::take(&mut splice.out)
}

fn ends_with(splice: &mut Lanes, bytes: &[u8]) -> Option<Broken> {
    splice.client(bytes).err()
}

#[test]
fn a_lane_answers_and_hyper_hears_nothing() {
    let mut splice = with_lane(&[], 100);
    assert!(!serve(&mut splice), "nothing was asked");
    say(&mut splice, &[data(1, b"one "), data(1, b"two")].concat());
    assert!(serve(&mut splice));
    assert_eq!(said(&mut splice), data(1, b"one two"));
    assert!(!serve(&mut splice));
    say(
        &mut splice,
        &frame(kind::DATA, flag::END_STREAM, 1, b"three"),
    );
    assert!(serve(&mut splice));
    assert_eq!(said(&mut splice), data(1, b"three"));
    assert!(serve(&mut splice));
    let trailers = frame(kind::HEADERS, LAST, 1, b"\0\x0bgrpc-status\x010");
    assert_eq!(said(&mut splice), trailers, "and no reset");
    assert!(splice.lanes() == 0 && !serve(&mut splice));
    assert!(splice.to_hyper.is_empty() && splice.inner.is_none());
}

#[test]
fn each_byte_may_come_alone() {
    let script = [
        headers(1, LANE, &[]),
        data(1, b"one "),
        window_update(1, 7),
        frame(kind::DATA, flag::PADDED, 1, b"\x02two\0\0"),
        frame(kind::HEADERS, LAST, 1, b"\0\x01x\x01y"),
    ]
    .concat();
    for piece in [1, 2, 3, script.len()] {
        let mut splice: Lanes = greet(splice_of(), &[]);
        let (mut at, mut heard) = (0, Vec::new());
        for begin in (0..script.len()).step_by(piece) {
            let come = script.len().min(begin + piece);
            let (used, event) = splice.client(&script[at..come]).unwrap();
            at += used;
            if let Some(Event::Lane(opening)) = event {
                splice.open_lane(opening, EchoLane::new(100));
                // The rest of what has come, as the connection does.
                let (used, event) = splice.client(&script[at..come]).unwrap();
                at += used;
                assert!(event.is_none());
            }
            while serve(&mut splice) {}
            heard.append(&mut splice.out);
        }
        let mut client = Client::new();
        let _ = client.call(1, LANE);
        client.read(&mut heard, usize::MAX);
        let stream = &client.streams[&1];
        assert_eq!(stream.body, b"one two", "in pieces of {piece}");
        assert!(stream.ended && stream.blocks.len() == 2 && !stream.reset);
    }
}

#[test]
fn a_lane_that_ends_first_tells_the_client_to_say_no_more() {
    let mut splice = with_lane(&[], 100);
    splice.lanes[0].lane().ends = true;
    assert!(serve(&mut splice));
    let told = said(&mut splice);
    assert_eq!(kinds(&told), [REPLY, (kind::RST_STREAM, 1)]);
    assert!(told.ends_with(&frame(kind::RST_STREAM, 0, 1, &[0; 4])));
    // What crosses that is dropped, and credited in the end.
    let crossing = [
        data(1, &[7; PAYLOAD]).repeat(40),
        window_update(1, 5),
        frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]),
    ];
    say(&mut splice, &crossing.concat());
    assert_eq!(kinds(&said(&mut splice)), [(kind::WINDOW_UPDATE, 0)]);
}

#[test]
fn one_without_a_place_is_hypers() {
    let mut splice: Lanes = greet(splice_of(), &[]);
    say(&mut splice, &headers(1, HOT, &[]));
    let bytes = headers(3, LANE, &[]);
    let Ok((_, Some(Event::Lane(opening)))) = splice.client(&bytes) else {
        panic!("no lane is asked for");
    };
    splice.pass_lane(opening);
    say(&mut splice, &data(3, b"to whom?"));
    assert_eq!(
        told(&mut splice),
        [(kind::HEADERS, 1), (kind::HEADERS, 3), (kind::DATA, 3)],
        "streams ascend"
    );
    assert!(splice.out.is_empty());
}

#[test]
fn what_is_no_plain_call_is_hypers() {
    let ended = frame(kind::HEADERS, LAST, 1, &super::peers::block(LANE, &[]));
    for bytes in [headers(1, LANE, &[("grpc-encoding", "gzip")]), ended] {
        let mut splice: Lanes = greet(splice_of(), &[]);
        say(&mut splice, &bytes);
        assert_eq!(told(&mut splice), [(kind::HEADERS, 1)]);
    }
    let mut splice: Lanes = greet(splice_of(), &[]);
    splice.drain();
    say(&mut splice, &headers(1, LANE, &[]));
    assert_eq!(told(&mut splice), [(kind::HEADERS, 1)], "a late one");
}

#[test]
fn messages_keep_to_both_windows() {
    let mut splice = with_lane(&[(setting::INITIAL_WINDOW_SIZE, 10)], 25);
    say(&mut splice, &data(1, b"abcdefghijklmnopqrstuvwxyz"));
    assert!(serve(&mut splice));
    assert_eq!(said(&mut splice), data(1, b"abcdefghij"));
    splice.pump();
    assert!(!serve(&mut splice), "its last message has yet to leave");
    assert!(splice.is_holding() && !splice.waits_for_room());
    say(&mut splice, &window_update(1, 14));
    splice.pump();
    assert_eq!(said(&mut splice), data(1, b"klmnopqrstuvwx"));
    assert!(!serve(&mut splice));
    say(&mut splice, &window_update(1, 100_000));
    splice.pump();
    assert!(serve(&mut splice));
    assert_eq!(said(&mut splice), [data(1, b"y"), data(1, b"z")].concat());
    // The connection's window is nearly used up, by whatever.
    let long = vec![7; 65_535 - 26 - 3];
    for piece in long.chunks(PAYLOAD) {
        say(&mut splice, &data(1, piece));
    }
    while serve(&mut splice) {}
    assert!(!splice.is_holding());
    said(&mut splice);
    say(&mut splice, &data(1, b"12345"));
    assert!(serve(&mut splice));
    assert_eq!(said(&mut splice), data(1, b"123"));
    say(&mut splice, &window_update(0, 9));
    splice.pump();
    assert_eq!(said(&mut splice), data(1, b"45"));
}

#[test]
fn a_long_message_leaves_in_as_many_frames_as_it_takes() {
    let mut splice = with_lane(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)], 50_000);
    let payload: Vec<u8> = (0..50_000_u32).map(|at| at as u8).collect();
    for piece in payload.chunks(PAYLOAD) {
        say(&mut splice, &data(1, piece));
    }
    assert!(serve(&mut splice));
    let mut wanted = Vec::new();
    payload
        .chunks(PAYLOAD)
        .for_each(|piece| wanted.extend(data(1, piece)));
    assert!(said(&mut splice) == wanted);
    // The buffer of the message is used again.
    let before = splice.lanes[0].lane().message_place();
    say(&mut splice, &data(1, &payload[..10_000]));
    assert!(serve(&mut splice));
    assert_eq!(splice.lanes[0].lane().message_place(), before);
}

#[test]
fn a_window_that_is_too_large_ends_one_lane_only() {
    for (by, code) in [(MOST - 65_534, Code::FlowControl), (0, Code::Protocol)] {
        let mut splice = with_lane(&[], 100);
        open(&mut splice, 3, 100);
        said(&mut splice);
        say(&mut splice, &window_update(1, by));
        let reset = frame(kind::RST_STREAM, 0, 1, &(code as u32).to_be_bytes());
        assert_eq!(said(&mut splice), reset);
        say(&mut splice, &[data(1, b"x"), data(3, b"x")].concat());
        assert!(serve(&mut splice) && splice.lanes() == 1);
        assert_eq!(said(&mut splice), data(3, b"x"));
    }
    let mut splice = with_lane(&[], 100);
    say(&mut splice, &window_update(1, MOST - 65_535));
    let mut bytes = Vec::new();
    frame::settings(&mut bytes, &[(setting::INITIAL_WINDOW_SIZE, 65_536)]);
    let broken = ends_with(&mut splice, &bytes).unwrap();
    assert_eq!(broken.code, Code::FlowControl);
}

#[test]
fn a_client_that_says_more_than_it_may_is_reset() {
    let mut splice = with_lane(&[], PAYLOAD);
    say(
        &mut splice,
        &data(1, &[7; PAYLOAD]).repeat(WINDOW / PAYLOAD),
    );
    assert_eq!(splice.lanes(), 1);
    said(&mut splice);
    say(&mut splice, &data(1, b"x"));
    assert_eq!(
        said(&mut splice),
        frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 3])
    );
    assert_eq!((splice.lanes(), splice.take_resets()), (0, 1));
}

#[test]
fn rules_of_streams() {
    let more = || frame(kind::HEADERS, flag::END_HEADERS, 1, b"\0\x01x\x01y");
    let last = || frame(kind::HEADERS, LAST, 1, b"\0\x01x\x01y");
    let end = || frame(kind::DATA, flag::END_STREAM, 1, b"");
    for (what, bytes) in [
        ("DATA behind the end", [end(), data(1, b"x")].concat()),
        ("DATA behind trailers", [last(), data(1, b"x")].concat()),
        ("trailers behind the end", [end(), last()].concat()),
        (
            "padding longer than its frame",
            frame(kind::DATA, flag::PADDED, 1, b"\x05x"),
        ),
    ] {
        let broken = ends_with(&mut with_lane(&[], 100), &bytes);
        assert_eq!(
            broken.map(|broken| broken.code),
            Some(Code::Protocol),
            "{what}"
        );
    }
    let mut splice = with_lane(&[], 100);
    say(&mut splice, &more());
    let reset = frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 1]);
    assert_eq!(
        said(&mut splice),
        reset,
        "trailers that do not end the stream"
    );
    assert_eq!(splice.lanes(), 0);
    let mut splice = with_lane(&[], 100);
    say(&mut splice, &last());
    assert!(serve(&mut splice));
    assert_eq!(kinds(&said(&mut splice)), [REPLY], "the end");
}

#[test]
fn a_lane_that_is_reset_says_no_more() {
    let mut splice = with_lane(&[(setting::INITIAL_WINDOW_SIZE, 3)], 100);
    say(&mut splice, &data(1, b"12345"));
    assert!(serve(&mut splice));
    said(&mut splice);
    say(&mut splice, &frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]));
    assert_eq!((splice.lanes(), splice.take_resets()), (0, 1));
    assert!(!splice.is_holding());
    say(&mut splice, &window_update(0, 100));
    splice.pump();
    assert!(said(&mut splice).is_empty() && splice.to_hyper.is_empty());
}

#[test]
fn a_client_is_credited_in_batches_for_what_was_taken() {
    let mut splice = with_lane(&[(setting::INITIAL_WINDOW_SIZE, MOST)], 64 << 10);
    say(&mut splice, &window_update(0, MOST - 65_535));
    let mut client = Client::new();
    let _ = client.call(1, LANE);
    client.window = i64::from(MOST);
    client
        .streams
        .get_mut(&1)
        .unwrap()
        .blocks
        .push("the reply".to_owned());
    client.set_initial(MOST);
    let (mut sent, total) = (0, 6 * WINDOW);
    while sent < total {
        let window = WINDOW + client.credited.get(&1).copied().unwrap_or(0) - sent;
        let connection = client.credited.get(&0).copied().unwrap_or(0);
        assert!(
            connection + 4 * WINDOW > sent,
            "the connection's is open, too"
        );
        let bytes = window.min(PAYLOAD);
        if bytes == 0 {
            assert!(serve(&mut splice), "nobody waits for ever");
        }
        say(&mut splice, &data(1, &vec![7; bytes]));
        sent += bytes;
        client.read(&mut splice.out, usize::MAX);
    }
    while serve(&mut splice) {}
    client.read(&mut splice.out, usize::MAX);
    assert_eq!(client.streams[&1].body.len(), total);
    let [of_lane, of_all] = [1, 0].map(|stream| client.credited[&stream]);
    assert!((total - WINDOW / 4..=total).contains(&of_lane), "{of_lane}");
    assert!((total - WINDOW / 2..=total).contains(&of_all), "{of_all}");
}

#[test]
fn lanes_take_turns_and_calls_come_between() {
    let mut splice = with_lane(&[], 3);
    open(&mut splice, 3, 3);
    said(&mut splice);
    let asked = [data(1, b"aaabbb"), data(3, b"cccddd"), headers(5, HOT, &[])];
    say(&mut splice, &asked.concat());
    let mut order = Vec::new();
    for _ in 0..4 {
        assert!(serve(&mut splice));
        let bytes = said(&mut splice);
        let stream = Head::parse(&bytes).unwrap().stream;
        order.push((stream, bytes[HEAD..].to_vec()));
    }
    let wanted = [(1, "aaa"), (3, "ccc"), (1, "bbb"), (3, "ddd")];
    assert_eq!(
        order,
        wanted.map(|(stream, text)| (stream, text.as_bytes().to_vec()))
    );
    let bytes = frame(kind::DATA, flag::END_STREAM, 5, &message(5, 1));
    let (_, call) = splice.client(&bytes).unwrap();
    answer(&mut splice, hot(call), 1);
    assert_eq!(
        kinds(&said(&mut splice)),
        [(kind::HEADERS, 5), (kind::DATA, 5), (kind::HEADERS, 5)]
    );
}

#[test]
fn a_drain_leaves_open_lanes_alone_and_its_goaway_names_them() {
    let mut splice = with_lane(&[], 100);
    splice.drain();
    splice.hyper(&frame(kind::GOAWAY, 0, 0, &[0; 8]));
    let wanted = frame(kind::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(said(&mut splice), wanted);
    say(&mut splice, &data(1, b"x"));
    assert!(serve(&mut splice));
    assert_eq!(said(&mut splice), data(1, b"x"));
    splice.drop_lanes();
    assert_eq!(splice.lanes(), 0);
}
