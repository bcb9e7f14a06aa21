//! Frames on streams that are over, and streams that depend on themselves.

use super::{
    super::{Event, Splice},
    conversations::{frame, greeted, headers, kinds, told},
    peers::{COLD, HOT, LANE, answer, block, hot, message},
};
use crate::front::frame::{self, Broken, Code, MOST, flag, kind, setting};

const LAST: u8 = flag::END_HEADERS | flag::END_STREAM;
/// A header block of trailers.
const MORE: &[u8] = b"\0\x01x\x01y";

type Then = fn(&mut Splice<()>);

/// The client says this, and lanes are opened. Calls are answered, each by a long message.
fn say(splice: &mut Splice<()>, bytes: &[u8]) -> Result<(), Broken> {
    let mut at = 0;
    while at < bytes.len() {
        let (used, event) = splice.client(&bytes[at..])?;
        at += used;
        match event {
            None => assert_eq!(at, bytes.len()),
            Some(Event::Call(call)) => answer(splice, call, 10),
            Some(Event::Lane(opening)) => splice.open_lane(opening, ()),
        }
    }
    Ok(())
}

/// What the front says to that.
fn said(splice: &mut Splice<()>, bytes: &[u8]) -> Vec<u8> {
    say(splice, bytes).unwrap();
    splice.pump();
    std::mem::take(&mut splice.out)
}

fn code(splice: &mut Splice<()>, bytes: &[u8]) -> Option<Code> {
    say(splice, bytes).err().map(|broken| broken.code)
}

fn reset(stream: u32, code: Code) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &(code as u32).to_be_bytes())
}

fn data(stream: u32, ends: bool) -> Vec<u8> {
    frame(kind::DATA, u8::from(ends), stream, b"late")
}

fn trailers(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, LAST, stream, MORE)
}

/// A call with its message.
fn whole(stream: u32, path: &str) -> Vec<u8> {
    let message = frame(kind::DATA, flag::END_STREAM, stream, &message(stream, 5));
    [headers(stream, path, &[]), message].concat()
}

/// Headers that make their stream depend on this one, behind some padding or none.
fn dependent(stream: u32, on: u32, flags: u8, path: &str) -> Vec<u8> {
    let padding = usize::from(flags & flag::PADDED != 0);
    let mut payload = vec![2; padding];
    payload.extend((on | 1 << 31).to_be_bytes());
    payload.push(15);
    payload.extend(block(path, &[]));
    payload.extend(vec![0; 2 * padding]);
    frame(kind::HEADERS, flags | flag::PRIORITY, stream, &payload)
}

fn priority(stream: u32, on: u32) -> Vec<u8> {
    let payload = [&on.to_be_bytes()[..], &[15]].concat();
    frame(kind::PRIORITY, 0, stream, &payload)
}

/// Connections on which the client has ended its side of stream 1, which is over, and how.
fn ended_by_the_client() -> Vec<(&'static str, Splice<()>)> {
    let cancel = || frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    let cancelled = |path| [headers(1, path, &[]), cancel()].concat();
    let all = [
        ("answered", whole(1, HOT)),
        ("cancelled while it was gathered", cancelled(HOT)),
        ("cancelled at hyper", cancelled(COLD)),
        ("a cancelled lane", cancelled(LANE)),
        ("answered by hyper", whole(1, COLD)),
        ("skipped", headers(3, COLD, &[])),
    ];
    let begin = |(how, bytes): (&'static str, Vec<u8>)| {
        let mut splice = greeted(&[]);
        say(&mut splice, &bytes).unwrap();
        if how == "answered by hyper" {
            splice.hyper(&frame(kind::HEADERS, LAST, 1, &[0x20, 0x88]));
            assert!(splice.passed.is_empty());
        }
        splice.out.clear();
        splice.to_hyper.clear();
        (how, splice)
    };
    all.into_iter().map(begin).collect()
}

/// Connections on which stream 1 was reset before the client had ended its side, and why.
fn reset_before_the_client_ended() -> Vec<(&'static str, Splice<()>)> {
    let none = |_: &mut Splice<()>| {};
    let hypers = |splice: &mut Splice<()>| {
        splice.hyper(&frame(kind::HEADERS, LAST, 1, &[0x20, 0x88]));
        splice.hyper(&reset(1, Code::None));
    };
    let too_wide = frame(kind::WINDOW_UPDATE, 0, 1, &MOST.to_be_bytes());
    let long = frame(kind::DATA, 0, 1, &[7; 16_384]).repeat(65);
    let lane = |more: &[u8]| [&headers(1, LANE, &[]), more].concat();
    let no_end = frame(kind::HEADERS, flag::END_HEADERS, 1, MORE);
    let all: [(&'static str, Vec<u8>, Then); 6] = [
        ("hyper has enough", headers(1, COLD, &[]), hypers),
        ("a lane's window is too wide", lane(&too_wide), none),
        ("more than a lane's window", lane(&long), none),
        ("a lane's trailers go on", lane(&no_end), none),
        ("on itself", dependent(1, 1, flag::END_HEADERS, HOT), none),
        (
            "gathered on itself",
            [headers(1, HOT, &[]), priority(1, 1)].concat(),
            none,
        ),
    ];
    let begin = |(why, bytes, then): (&'static str, Vec<u8>, Then)| {
        let mut splice = greeted(&[]);
        say(&mut splice, &bytes).unwrap();
        then(&mut splice);
        assert!(kinds(&splice.out).contains(&(kind::RST_STREAM, 1)), "{why}");
        splice.out.clear();
        splice.to_hyper.clear();
        (why, splice)
    };
    all.into_iter().map(begin).collect()
}

/// Hyper resets these streams as soon as they are open.
fn reset_by_hyper(splice: &mut Splice<()>, streams: impl Iterator<Item = u32>) {
    for stream in streams {
        say(splice, &headers(stream, COLD, &[])).unwrap();
        splice.hyper(&reset(stream, Code::None));
        splice.to_hyper.clear();
    }
}

#[test]
fn data_behind_the_clients_own_end_resets_the_stream() {
    for (how, mut splice) in ended_by_the_client() {
        for ends in [false, true] {
            let told = said(&mut splice, &data(1, ends));
            assert_eq!(told, reset(1, Code::StreamClosed), "{how}");
        }
        assert!(splice.take_resets() >= 2, "{how}: resets count");
        let bytes = frame(kind::DATA, 0, 1, &[7; 16_384]).repeat(40);
        let credit = (kind::WINDOW_UPDATE, 0);
        assert!(kinds(&said(&mut splice, &bytes)).contains(&credit), "{how}");
        assert!(splice.to_hyper.is_empty(), "{how}");
    }
}

#[test]
fn headers_behind_the_clients_own_end_end_the_connection() {
    for late in [headers(1, HOT, &[]), headers(1, COLD, &[]), trailers(1)] {
        for (how, mut splice) in ended_by_the_client() {
            assert_eq!(code(&mut splice, &late), Some(Code::Protocol), "{how}");
            assert!(splice.to_hyper.is_empty(), "{how}");
        }
    }
}

#[test]
fn a_stream_that_was_skipped_is_not_opened_later() {
    for first in [HOT, COLD, LANE] {
        for second in [HOT, COLD, LANE] {
            let mut splice = greeted(&[]);
            say(&mut splice, &whole(5, first)).unwrap();
            assert_eq!(code(&mut splice, &whole(3, second)), Some(Code::Protocol));
        }
    }
}

#[test]
fn what_crosses_the_end_of_a_stream_is_ignored() {
    let crossing = [
        frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9]),
        priority(1, 3),
        frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]),
        frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9]),
    ];
    let both = [ended_by_the_client(), reset_before_the_client_ended()];
    for (how, mut splice) in both.into_iter().flatten() {
        assert!(said(&mut splice, &crossing.concat()).is_empty(), "{how}");
        assert!(splice.to_hyper.is_empty(), "{how}");
    }
}

#[test]
fn a_window_is_opened_by_something_even_if_its_stream_is_over() {
    let nothing = frame(kind::WINDOW_UPDATE, 0, 1, &[0; 4]);
    let both = [ended_by_the_client(), reset_before_the_client_ended()];
    for (how, mut splice) in both.into_iter().flatten() {
        let told = said(&mut splice, &nothing);
        assert_eq!(told, reset(1, Code::Protocol), "{how}");
    }
}

#[test]
fn a_client_that_has_not_heard_of_a_reset_may_go_on_until_it_ends() {
    let end = frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    for last in [data(1, true), trailers(1), end] {
        for (why, mut splice) in reset_before_the_client_ended() {
            let late = [data(1, false).repeat(3), last.clone()];
            assert!(said(&mut splice, &late.concat()).is_empty(), "{why}");
            assert!(splice.to_hyper.is_empty(), "{why}");
            let told = said(&mut splice, &data(1, false));
            assert_eq!(told, reset(1, Code::StreamClosed), "{why}: and then not");
            assert_eq!(
                code(&mut splice, &trailers(1)),
                Some(Code::Protocol),
                "{why}"
            );
        }
    }
}

#[test]
fn what_a_client_has_not_heard_of_is_credited() {
    for (why, mut splice) in reset_before_the_client_ended() {
        let bytes = frame(kind::DATA, 0, 1, &[7; 16_384]).repeat(40);
        let told = kinds(&said(&mut splice, &bytes));
        assert_eq!(told, [(kind::WINDOW_UPDATE, 0)], "{why}");
    }
}

/// Most of them have been forgotten by then.
#[test]
fn many_resets_may_cross() {
    let mut splice = greeted(&[]);
    let streams = || (1..6_000).step_by(2);
    reset_by_hyper(&mut splice, streams());
    splice.out.clear();
    for stream in streams() {
        let late = [data(stream, false), trailers(stream)].concat();
        assert!(said(&mut splice, &late).is_empty(), "{stream}");
    }
    assert!(splice.passed.is_empty());
}

#[test]
fn a_refused_client_may_send_its_message() {
    let mut splice = greeted(&[]);
    for stream in (1..2 * 8_192).step_by(2) {
        say(&mut splice, &headers(stream, HOT, &[])).unwrap();
        splice.to_hyper.clear();
    }
    let refused = reset(20_001, Code::RefusedStream);
    assert_eq!(said(&mut splice, &whole(20_001, HOT)), refused);
    let closed = reset(20_001, Code::StreamClosed);
    assert_eq!(said(&mut splice, &data(20_001, true)), closed);
}

#[test]
fn a_reply_that_waits_for_a_window_is_dropped_if_its_client_goes_on() {
    for (late, path) in [
        (data(1, true), HOT),
        (trailers(1), HOT),
        (data(1, false), COLD),
    ] {
        let mut splice = greeted(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
        say(&mut splice, &whole(1, path)).unwrap();
        if path == COLD {
            splice.windows.data(&mut splice.out, 3, &[7; 65_535], true);
            splice.hyper(&frame(kind::HEADERS, flag::END_HEADERS, 1, &[0x20, 0x88]));
            splice.hyper(&frame(kind::DATA, flag::END_STREAM, 1, b"reply"));
        }
        splice.pump();
        // Its stream is older than those that are remembered.
        reset_by_hyper(&mut splice, (3..600).step_by(2));
        splice.out.clear();
        assert!(splice.is_holding());
        assert_eq!(said(&mut splice, &late), reset(1, Code::StreamClosed));
        assert!(!splice.is_holding() && splice.hot_bytes() == 0);
    }
}

#[test]
fn headers_that_depend_on_themselves_reset_their_stream() {
    for flags in [
        0,
        flag::PADDED,
        flag::END_STREAM,
        flag::PADDED | flag::END_STREAM,
    ] {
        for path in [HOT, COLD, LANE] {
            let mut splice = greeted(&[]);
            let plain = dependent(1, 3, flags | flag::END_HEADERS, path);
            say(&mut splice, &plain).unwrap();
            assert!(!kinds(&splice.out).contains(&(kind::RST_STREAM, 1)));
            splice.out.clear();
            splice.to_hyper.clear();
            let bytes = dependent(3, 3, flags | flag::END_HEADERS, path);
            assert_eq!(said(&mut splice, &bytes), reset(3, Code::Protocol));
            // Or they go on in a second frame.
            let bytes = [
                dependent(5, 5, flags, path),
                frame(kind::CONTINUATION, flag::END_HEADERS, 5, MORE),
            ];
            assert_eq!(said(&mut splice, &bytes.concat()), reset(5, Code::Protocol));
            assert!(splice.to_hyper.is_empty());
            let may_go_on = code(&mut splice, &trailers(3)).is_none();
            assert_eq!(may_go_on, flags & flag::END_STREAM == 0);
        }
    }
}

#[test]
fn fields_of_headers_that_are_reset_are_in_the_table() {
    let mut splice = greeted(&[]);
    let mut payload = vec![0, 0, 0, 1, 15];
    payload.extend(b"\x40\x0cx-remembered\x05value");
    let first = frame(kind::HEADERS, flag::PRIORITY | LAST, 1, &payload);
    assert_eq!(said(&mut splice, &first), reset(1, Code::Protocol));
    let second = [block(HOT, &[]), vec![0x80 | 62]].concat();
    say(
        &mut splice,
        &frame(kind::HEADERS, flag::END_HEADERS, 3, &second),
    )
    .unwrap();
    let last = frame(kind::DATA, flag::END_STREAM, 3, &message(3, 5));
    let call = hot(splice.client(&last).unwrap().1);
    let names = crate::front::hpack::fields_in(&call.fields.block);
    assert_eq!(names.last(), Some((&b"x-remembered"[..], &b"value"[..])));
}

#[test]
fn a_priority_on_its_own_stream_resets_it() {
    let open = [("gathered", HOT), ("a lane", LANE)];
    for (what, path) in open {
        for bytes in [priority(1, 1), dependent(1, 1, LAST, path)] {
            let mut splice = greeted(&[]);
            say(&mut splice, &headers(1, path, &[])).unwrap();
            splice.out.clear();
            assert_eq!(
                said(&mut splice, &bytes),
                reset(1, Code::Protocol),
                "{what}"
            );
            assert!(splice.gathered.is_empty() && splice.lanes() == 0, "{what}");
            assert!(splice.to_hyper.is_empty(), "{what}");
        }
    }
    for (how, mut splice) in ended_by_the_client() {
        let told = said(&mut splice, &priority(1, 1));
        assert_eq!(told, reset(1, Code::Protocol), "{how}");
    }
    let mut splice = greeted(&[]);
    let bytes = [priority(1, 3), priority(3, 1), priority(2, 1)].concat();
    assert!(said(&mut splice, &bytes).is_empty(), "on others, and idle");
}

/// Hyper resets its streams itself, and is told what it judges in the same way.
#[test]
fn hyper_judges_its_streams_that_depend_on_themselves() {
    for (bytes, ends) in [(priority(1, 1), false), (dependent(1, 1, LAST, COLD), true)] {
        let mut splice = greeted(&[]);
        say(&mut splice, &headers(1, COLD, &[])).unwrap();
        assert_eq!(told(&mut splice), [(kind::HEADERS, 1)]);
        assert!(said(&mut splice, &bytes).is_empty());
        let head = [0, 0, 5, kind::PRIORITY, 0, 0, 0, 0, 1, 0, 0, 0, 1];
        assert!(splice.to_hyper.starts_with(&head));
        assert_eq!(told(&mut splice), [(kind::PRIORITY, 1)]);
        splice.hyper(&reset(1, Code::Protocol));
        assert_eq!(std::mem::take(&mut splice.out), reset(1, Code::Protocol));
        let again = said(&mut splice, &data(1, false));
        assert_eq!(again.is_empty(), !ends);
    }
}

#[test]
fn a_priority_that_no_stream_can_bear_ends_the_connection() {
    let mut cases = vec![
        priority(0, 0),
        priority(0, 5),
        priority(1, 1),
        priority(2, 2),
    ];
    cases.push(frame(kind::PRIORITY, 0, 0, &[0; 4]));
    for bytes in cases {
        assert_eq!(code(&mut greeted(&[]), &bytes), Some(Code::Protocol));
    }
    let mut bytes = Vec::new();
    frame::number(&mut bytes, kind::PRIORITY, 1, 3);
    assert_eq!(code(&mut greeted(&[]), &bytes), Some(Code::FrameSize));
}
