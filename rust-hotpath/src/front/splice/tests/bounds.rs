//! What one client can make the front hold or do, however few bytes it sends.

use super::{
    super::{Splice, TO_HYPER_BYTES},
    conversations::{frame, greeted, headers, kinds},
    peers::{COLD, HOT, Hyper, answer, block, hot, message},
};
use crate::{
    front::{
        frame::{self, Code, flag, kind, setting},
        table::{append_literal, append_number},
    },
    limits,
};

/// Bytes of a field of which a client's table has just one.
const FIELD: usize = 4_000;

/// Headers of a call, with a field that is this often repeated; `first` puts it into the table.
fn repeated(stream: u32, path: &str, first: bool, times: usize) -> Vec<u8> {
    let mut block = block(path, &[]);
    if first {
        block.extend([0x40, 1, b'x']);
        append_number(&mut block, 7, 0, FIELD);
        block.extend([b'y'; FIELD]);
    }
    block.resize(block.len() + times, 0xbe);
    let mut bytes = Vec::new();
    frame::headers(&mut bytes, stream, false, &block);
    bytes
}

/// So many calls with headers of 60 KB each.
fn bomb(path: &str, calls: u32) -> Vec<u8> {
    let calls = (0..calls).flat_map(|call| repeated(2 * call + 1, path, call == 0, 14));
    calls.collect()
}

/// Follows all bytes as long as hyper takes what there is for it. Returns what hyper got, and how much it got at once at most.
fn follow(splice: &mut Splice<()>, bytes: &[u8]) -> (Vec<u8>, usize) {
    let (mut at, mut got, mut most) = (0, Vec::new(), 0);
    loop {
        let (used, event) = splice.client(&bytes[at..]).unwrap();
        assert!(event.is_none());
        at += used;
        most = most.max(splice.to_hyper.len());
        got.append(&mut splice.to_hyper);
        if !splice.is_unread() {
            assert_eq!(at, bytes.len());
            return (got, most);
        }
    }
}

fn streams_of(bytes: &[u8]) -> Vec<u32> {
    let headers = |(kind, stream): (u8, u32)| (kind == kind::HEADERS).then_some(stream);
    kinds(bytes).into_iter().filter_map(headers).collect()
}

#[test]
fn a_bomb_is_passed_bit_by_bit() {
    for path in [COLD, HOT] {
        let mut splice = greeted(&[]);
        let (mut got, most) = follow(&mut splice, &bomb(path, 500));
        let left = splice.gathered_bytes;
        assert!(left <= super::super::GATHERED_BYTES, "{left} are gathered");
        splice.pass_gathered();
        assert!(splice.to_hyper.len() <= left + 500 * 9 + 100);
        got.append(&mut splice.to_hyper);
        assert!(got.len() > 500 * 14 * FIELD);
        assert!(most <= TO_HYPER_BYTES + 70_000, "{most} at once");
        let all: Vec<u32> = (0..500).map(|call| 2 * call + 1).collect();
        assert_eq!(streams_of(&got), all);
        assert_eq!(splice.gathered_bytes, 0);
    }
}

#[test]
fn what_was_not_taken_is_taken_when_hyper_has_read() {
    let mut splice = greeted(&[]);
    let ping = frame(kind::PING, 0, 0, b"12345678");
    let hot_call = [
        headers(101, HOT, &[]),
        frame(kind::DATA, flag::END_STREAM, 101, &message(101, 5)),
    ];
    let bytes = [bomb(COLD, 3), ping, hot_call.concat()].concat();
    let (used, event) = splice.client(&bytes).unwrap();
    assert!(event.is_none() && splice.is_unread() && used < bytes.len());
    assert!(splice.out.is_empty(), "not even the PING");
    let (more, _) = splice.client(&bytes[used..]).unwrap();
    assert!(more == 0 && splice.is_unread(), "hyper has not read");
    splice.to_hyper.clear();
    let (rest, event) = splice.client(&bytes[used..]).unwrap();
    assert_eq!(used + rest, bytes.len());
    answer(&mut splice, hot(event), 1);
    assert_eq!(kinds(&splice.out)[0], (kind::PING, 0));
}

/// Cheap to write, and dear to read: each block makes the table anew.
#[test]
fn long_work_is_interrupted() {
    let mut splice = greeted(&[]);
    let mut bytes = Vec::new();
    for call in 0..100 {
        let mut block = block(HOT, &[]);
        block.extend([0x40, 1, b'x', 0].repeat(150));
        frame::headers(&mut bytes, 2 * call + 1, false, &block);
        frame::reset(&mut bytes, 2 * call + 1, Code::None);
    }
    let mut rounds = 0;
    let mut at = 0;
    while at < bytes.len() {
        at += splice.client(&bytes[at..]).unwrap().0;
        rounds += 1;
    }
    assert!(rounds >= 6, "{rounds}");
    assert!(splice.to_hyper.is_empty());
}

/// Hyper refuses such a list once it has seen that it is too long.
#[test]
fn of_a_list_that_is_too_long_hyper_gets_what_it_takes_to_see_that() {
    let most = 4 * 65_536;
    let mut cases = vec![repeated(1, COLD, true, 200)];
    for (name, value) in [(1_usize, 300_000_usize), (300_000, 1), (1, 262_000)] {
        let mut block = block(COLD, &[]);
        append_literal(&mut block, &vec![b'n'; name], &vec![b'v'; value]);
        append_literal(&mut block, b"more", &[b'v'; 3_000]);
        let mut bytes = Vec::new();
        frame::headers(&mut bytes, 1, false, &block);
        cases.push(bytes);
    }
    for bytes in cases {
        let mut splice = greeted(&[]);
        let (got, _) = follow(&mut splice, &bytes);
        assert!(got.len() < most + 10_000, "{}", got.len());
        let mut hyper = Hyper::new();
        hyper.read(&mut splice.greeting);
        assert!(hyper.list_of(&got) > most);
    }
}

#[test]
fn a_client_that_changes_its_windows_all_the_time_is_told_to_calm_down() {
    let mut splice = greeted(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)]);
    let call = [
        headers(1, COLD, &[]),
        frame(kind::DATA, flag::END_STREAM, 1, &message(1, 5)),
    ];
    follow(&mut splice, &call.concat());
    // Hyper has said more than the window takes, so acknowledgements wait.
    splice.hyper(&frame(kind::SETTINGS, flag::ACK, 0, &[]));
    for _ in 0..5 {
        splice.hyper(&frame(kind::DATA, 0, 1, &[7; 16_384]));
    }
    splice.pump();
    let mut change = Vec::new();
    frame::settings(&mut change, &[(setting::INITIAL_WINDOW_SIZE, 1 << 20)]);
    let mut calm = None;
    for _ in 0..5_000 {
        if let Err(broken) = splice.client(&change) {
            calm = Some(broken.code);
            break;
        }
        splice.to_hyper.clear();
        splice.hyper(&frame(kind::SETTINGS, flag::ACK, 0, &[]));
        splice.pump();
    }
    assert_eq!(calm, Some(Code::EnhanceYourCalm));
}

#[test]
fn what_hyper_says_for_long_is_not_kept_when_it_has_left() {
    let mut splice = greeted(&[]);
    follow(&mut splice, &headers(1, COLD, &[]));
    // So much that never all of it leaves.
    for _ in 0..6 {
        splice.hyper(&frame(kind::DATA, 0, 1, &[7; 16_384]));
    }
    for _ in 0..200 {
        let open = frame(kind::WINDOW_UPDATE, 0, 0, &16_384_u32.to_be_bytes());
        follow(&mut splice, &open);
        splice.pump();
        splice.out.clear();
        splice.hyper(&frame(kind::DATA, 0, 1, &[7; 16_384]));
    }
    let kept = splice.windows.held_capacity();
    assert!((1..=256 << 10).contains(&kept), "{kept}");
}

/// As many as are allowed, in any order.
#[test]
fn thousands_of_calls_under_way_are_found() {
    let mut splice = greeted(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    let streams: Vec<u32> = (0..2_000).map(|call| 2 * call + 1).collect();
    for stream in &streams {
        follow(&mut splice, &short(*stream));
    }
    assert!(splice.to_hyper.is_empty());
    let mixed: Vec<u32> = (0..2_000).map(|at| streams[at * 1_103 % 2_000]).collect();
    for stream in &mixed {
        let last = frame(kind::DATA, flag::END_STREAM, *stream, &message(*stream, 1));
        let (_, event) = splice.client(&last).unwrap();
        answer(&mut splice, hot(event), 1);
    }
    splice.pump();
    splice.out.clear();
    assert_eq!(splice.windows.len(), 2_000);
    for stream in &mixed[..1_000] {
        let open = frame(kind::WINDOW_UPDATE, 0, *stream, &100_u32.to_be_bytes());
        follow(&mut splice, &open);
    }
    splice.pump();
    let left: Vec<u32> = kinds(&splice.out).chunks(2).map(|pair| pair[0].1).collect();
    assert_eq!(left, mixed[..1_000], "in the order in which windows opened");
    for stream in &mixed[1_000..] {
        let reset = frame(kind::RST_STREAM, 0, *stream, &[0; 4]);
        follow(&mut splice, &reset);
    }
    assert!(!splice.is_holding());
    assert_eq!(splice.windows.hot_bytes(), 0);
}

/// Headers of so few bytes that thousands are gathered.
fn short(stream: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::headers(&mut bytes, stream, false, &block(HOT, &[]));
    assert!(2_000 * bytes.len() < limits::CONNECTION_WINDOW_BYTES as usize);
    bytes
}
