//! Bytes in, and what comes of them.

use super::{
    super::Splice,
    peers::{COLD, HOT, answer, block, hot, message, splice},
};
use crate::front::frame::{self, HEAD, Head, MOST, PREFACE, flag, kind, setting};

/// A connection that has been greeted; what it has said so far is forgotten.
pub(super) fn greeted(settings: &[(u16, u32)]) -> Splice<()> {
    greet(splice(), settings)
}

pub(super) fn greet<L>(mut splice: Splice<(), L>, settings: &[(u16, u32)]) -> Splice<(), L> {
    let mut bytes = PREFACE.to_vec();
    frame::settings(&mut bytes, settings);
    assert_eq!(splice.client(&bytes).map(|(used, _)| used), Ok(bytes.len()));
    splice.out.clear();
    splice
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::whole(&mut bytes, kind, flags, stream, payload);
    bytes
}

pub(super) fn headers(stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS, stream, &block(path, more))
}

fn data(stream: u32, bytes: usize) -> Vec<u8> {
    frame(
        kind::DATA,
        flag::END_STREAM,
        stream,
        &message(stream, bytes),
    )
}

/// Types and streams of frames, and those of hyper's without what greets it.
pub(super) fn kinds(bytes: &[u8]) -> Vec<(u8, u32)> {
    let mut rest = bytes.strip_prefix(&PREFACE[..]).unwrap_or(bytes);
    let mut kinds = Vec::new();
    while let Some(head) = Head::parse(rest) {
        kinds.push((head.kind, head.stream));
        rest = &rest[HEAD + head.length..];
    }
    assert!(rest.is_empty());
    kinds
}

/// What hyper is told, after the greeting.
pub(super) fn told<L>(splice: &mut Splice<(), L>) -> Vec<(u8, u32)> {
    let kinds = kinds(&std::mem::take(&mut splice.to_hyper));
    kinds
        .into_iter()
        .filter(|(kind, _)| *kind != kind::SETTINGS)
        .collect()
}

/// Whether these bytes give a hot call.
fn is_hot(splice: &mut Splice<()>, bytes: &[u8]) -> bool {
    let (used, call) = splice.client(bytes).unwrap();
    assert_eq!(used, bytes.len());
    call.is_some()
}

#[test]
fn the_front_speaks_first() {
    let splice = splice();
    assert_eq!(
        kinds(&splice.out),
        [(kind::SETTINGS, 0), (kind::WINDOW_UPDATE, 0)]
    );
    let head = Head::parse(&splice.out).unwrap();
    let entries = splice.out[HEAD..HEAD + head.length].chunks(6);
    let values: Vec<_> = entries
        .map(|entry| (entry[1], u32::from_be_bytes(entry[2..].try_into().unwrap())))
        .collect();
    assert_eq!(
        values,
        [(3, 8_192), (4, 1 << 20), (5, 16_384), (6, 4 * 65_536)]
    );
}

#[test]
fn a_hot_call_is_answered_and_hyper_hears_nothing() {
    let mut splice = greeted(&[]);
    let bytes = [
        headers(1, HOT, &[("grpc-timeout", "1S"), ("x", "y")]),
        data(1, 5),
    ]
    .concat();
    let (used, call) = splice.client(&bytes).unwrap();
    let call = hot(call);
    assert_eq!((used, call.stream, call.method), (bytes.len(), 1, 0));
    assert_eq!(*call.body, message(1, 5));
    assert!(call.fields.sum.timeout.is_some());
    answer(&mut splice, call, 1);
    let three = [(kind::HEADERS, 1), (kind::DATA, 1), (kind::HEADERS, 1)];
    assert_eq!(kinds(&splice.out), three);
    assert!(splice.to_hyper.is_empty() && splice.inner.is_none());
    // What crosses the reply means nothing any more.
    let crossing = [
        frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9]),
        frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]),
        frame(kind::PRIORITY, 0, 1, &[0; 5]),
    ];
    splice.out.clear();
    assert!(!is_hot(&mut splice, &crossing.concat()));
    assert!(splice.to_hyper.is_empty() && splice.out.is_empty());
}

#[test]
fn what_is_not_plain_goes_to_hyper() {
    const LAST: u8 = flag::END_HEADERS | flag::END_STREAM;
    let long = "y".repeat(10_000);
    let hot = || headers(1, HOT, &[]);
    let with = |name, value| [headers(1, HOT, &[(name, value)]), data(1, 5)].concat();
    let padded = [&[2][..], &message(1, 3), &[0, 0]].concat();
    let padded = frame(kind::DATA, flag::PADDED | flag::END_STREAM, 1, &padded);
    let trailers = [
        frame(kind::DATA, 0, 1, &message(1, 5)),
        frame(kind::HEADERS, LAST, 1, b"\0\x01x\x01y"),
    ];
    let other = [headers(1, COLD, &[]), data(1, 5)].concat();
    let cases: [(&str, Vec<u8>); 10] = [
        ("another method", other),
        ("compressed", with("grpc-encoding", "gzip")),
        ("a host", with("host", "x")),
        ("a length too great", with("content-length", "11")),
        ("a length too small", with("content-length", "9")),
        ("long headers", with("x", &long)),
        (
            "no message",
            frame(kind::HEADERS, LAST, 1, &block(HOT, &[])),
        ),
        ("padding", [hot(), padded].concat()),
        ("trailers", [hot(), trailers.concat()].concat()),
        ("a long message", [hot(), data(1, 9_000)].concat()),
    ];
    for (what, bytes) in cases {
        let mut splice = greeted(&[]);
        if what == "long headers" {
            splice.rules.header_bytes = 10_000;
        }
        assert!(!is_hot(&mut splice, &bytes), "{what}");
        let told = told(&mut splice);
        assert_eq!(told[0], (kind::HEADERS, 1), "{what}");
        assert!(splice.out.is_empty(), "{what}");
    }
}

#[test]
fn a_message_in_pieces_is_hot_if_it_is_in_time() {
    let whole = message(1, 5);
    for late in [false, true] {
        let mut splice = greeted(&[]);
        let first = [
            headers(1, HOT, &[]),
            frame(kind::DATA, 0, 1, &whole[..4]),
            frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9]),
        ];
        assert!(!is_hot(&mut splice, &first.concat()));
        assert_eq!(splice.oldest(), Some(1));
        if late {
            splice.pass_gathered();
        }
        let last = frame(kind::DATA, flag::END_STREAM, 1, &whole[4..]);
        let (_, call) = splice.client(&last).unwrap();
        assert_eq!(call.is_none(), late);
        if !late {
            let call = hot(call);
            assert_eq!(*call.body, whole);
            assert_eq!(call.opened, 9);
        }
        let of_hyper = [
            (kind::HEADERS, 1),
            (kind::WINDOW_UPDATE, 1),
            (kind::DATA, 1),
            (kind::DATA, 1),
        ];
        let wanted = if late { &of_hyper[..] } else { &[] };
        assert_eq!(told(&mut splice), wanted);
    }
}

#[test]
fn hyper_sees_ascending_streams() {
    let mut splice = greeted(&[]);
    let bytes = [
        headers(1, HOT, &[]),
        headers(3, HOT, &[]),
        headers(5, COLD, &[]),
    ]
    .concat();
    assert!(!is_hot(&mut splice, &bytes));
    assert_eq!(
        told(&mut splice),
        [(kind::HEADERS, 1), (kind::HEADERS, 3), (kind::HEADERS, 5)]
    );
    // And when the core cannot answer the later of two.
    let (bytes, last) = (
        [headers(7, HOT, &[]), headers(9, HOT, &[])].concat(),
        data(9, 1),
    );
    assert!(!is_hot(&mut splice, &bytes));
    let (_, call) = splice.client(&last).unwrap();
    splice.pass(hot(call));
    assert_eq!(
        told(&mut splice),
        [(kind::HEADERS, 7), (kind::HEADERS, 9), (kind::DATA, 9)]
    );
}

#[test]
fn pings_and_settings_are_answered() {
    let mut splice = greeted(&[]);
    let mut bytes = frame(kind::PING, 0, 0, b"12345678");
    bytes.extend(frame(kind::PING, flag::ACK, 0, b"hotpathd"));
    frame::settings(&mut bytes, &[(setting::INITIAL_WINDOW_SIZE, 7), (99, 99)]);
    bytes.extend(frame(200, 0xff, 3, b"unknown"));
    assert!(!is_hot(&mut splice, &bytes));
    let mut wanted = frame(kind::PING, flag::ACK, 0, b"12345678");
    wanted.extend(frame(kind::SETTINGS, flag::ACK, 0, &[]));
    assert_eq!(splice.out, wanted);
}

#[test]
fn a_drain_leaves_all_to_hyper_and_its_goaway_names_what_was_answered() {
    let mut splice = greeted(&[]);
    let bytes = [headers(1, COLD, &[]), headers(3, HOT, &[]), data(3, 1)].concat();
    let (_, call) = splice.client(&bytes).unwrap();
    answer(&mut splice, hot(call), 1);
    splice.drain();
    assert!(!is_hot(
        &mut splice,
        &[headers(5, HOT, &[]), data(5, 1)].concat()
    ));
    assert_eq!(
        told(&mut splice)[1..],
        [(kind::HEADERS, 5), (kind::DATA, 5)]
    );
    for (hypers, ours) in [(1_u32, 3_u32), (5, 5), (MOST, MOST)] {
        splice.out.clear();
        let said = [&hypers.to_be_bytes()[..], &[0, 0, 0, 0], b"why"].concat();
        splice.hyper(&frame(kind::GOAWAY, 0, 0, &said));
        let wanted = [&ours.to_be_bytes()[..], &[0, 0, 0, 0], b"why"].concat();
        assert_eq!(splice.out, frame(kind::GOAWAY, 0, 0, &wanted));
    }
}

#[test]
fn hypers_first_words_are_the_fronts() {
    let mut splice = greeted(&[]);
    assert!(!is_hot(&mut splice, &headers(1, COLD, &[])));
    splice.to_hyper.clear();
    let mut said = Vec::new();
    frame::settings(&mut said, &[(3, 1)]);
    frame::window_update(&mut said, 0, (4 << 20) - 65_535 + 11);
    said.extend(frame(kind::SETTINGS, flag::ACK, 0, &[]));
    // A head that is not whole waits.
    said.extend([0, 0, 1, kind::DATA]);
    assert_eq!(splice.hyper(&said), said.len() - 4);
    assert_eq!(splice.out, frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 11]));
    assert!(splice.to_hyper.is_empty());
    splice.out.clear();
    let more = frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 5]);
    splice.hyper(&more);
    assert_eq!(splice.out, more);
}

#[test]
fn long_headers_of_hypers_stay_together() {
    let mut splice = greeted(&[]);
    assert!(!is_hot(&mut splice, &headers(1, COLD, &[])));
    splice.hyper(&frame(kind::HEADERS, flag::END_STREAM, 1, &[0x20, 0x88]));
    assert!(splice.out.is_empty());
    splice.hyper(&frame(
        kind::CONTINUATION,
        flag::END_HEADERS,
        1,
        b"\0\x01x\x01y",
    ));
    let flags = flag::END_HEADERS | flag::END_STREAM;
    assert_eq!(
        splice.out,
        frame(kind::HEADERS, flags, 1, b"\x88\0\x01x\x01y")
    );
}

#[test]
fn windows_of_single_replies_that_overflow_end_those_only() {
    let mut splice = greeted(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    let (_, bytes) = (
        0,
        [
            headers(1, HOT, &[]),
            data(1, 1),
            headers(3, HOT, &[]),
            data(3, 1),
        ]
        .concat(),
    );
    let mut at = 0;
    while at < bytes.len() {
        let (used, call) = splice.client(&bytes[at..]).unwrap();
        answer(&mut splice, hot(call), 1);
        at += used;
    }
    splice.pump();
    assert_eq!(kinds(&splice.out), [(kind::HEADERS, 1), (kind::HEADERS, 3)]);
    splice.out.clear();
    let open = |stream, by: u32| frame(kind::WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    assert!(!is_hot(
        &mut splice,
        &[open(1, MOST), open(1, 1), open(3, 3)].concat()
    ));
    assert_eq!(splice.out, frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 3]));
    splice.out.clear();
    splice.pump();
    assert_eq!(splice.out, frame(kind::DATA, 0, 3, &message(3, 1)[..3]));
    splice.out.clear();
    assert!(!is_hot(&mut splice, &open(3, 3)));
    splice.pump();
    assert_eq!(kinds(&splice.out), [(kind::DATA, 3), (kind::HEADERS, 3)]);
    assert!(!splice.is_holding());
}

#[test]
fn too_many_streams_are_refused() {
    let mut splice = greeted(&[]);
    for stream in (1..2 * 8_192).step_by(2) {
        assert!(!is_hot(&mut splice, &headers(stream, HOT, &[])));
        splice.to_hyper.clear();
    }
    assert!(splice.out.is_empty());
    assert!(!is_hot(&mut splice, &headers(20_001, HOT, &[])));
    assert_eq!(
        splice.out,
        frame(kind::RST_STREAM, 0, 20_001, &[0, 0, 0, 7])
    );
    assert_eq!(splice.take_resets(), 1);
}
