//! Tests what happens to a reply that is longer than a frame.

use super::*;

/// Some 270 kB.
const COUNTERS: usize = 4_000;

fn next(lane: &mut Body) -> Vec<generated::ReplyFrame> {
    match poll(lane) {
        Poll::Ready(Some(frame)) => replies(frame),
        other => panic!("{other:?} instead of replies"),
    }
}

#[test]
fn short_replies_pass_a_long_one() {
    let (mut lane, pipe, serve) = lane_over(COUNTERS);
    pipe.push(framed(vec![list(1)]));
    let (mut pieces, mut body) = (0, Vec::new());
    loop {
        pipe.push(framed(vec![get(2)]));
        let said = next(&mut lane);
        assert_eq!((said.len(), said[0].id), (2, 2));
        let piece = &said[1];
        assert!(piece.id == 1 && piece.body.len() <= limits::EXCHANGE_PIECE_BYTES);
        body.extend_from_slice(&piece.body);
        assert_eq!(piece.more, piece.position.is_none());
        if !piece.more {
            break;
        }
        pieces += 1;
        assert!(serve.buffered_bytes() >= body.len() && serve.in_flight() >= 1);
    }
    assert!(pieces >= 8, "{pieces}");
    let listed = crate::counter::proto::ListResponse::decode(&*body).expect("a reply");
    assert_eq!(listed.rows.len(), COUNTERS + 1);
    assert!(matches!(poll(&mut lane), Poll::Pending));
    assert_eq!((serve.buffered_bytes(), serve.in_flight()), (0, 0));
}

#[test]
fn one_that_is_cancelled_in_the_midst_ends_with_a_status() {
    let (mut lane, pipe, serve) = lane_over(COUNTERS);
    pipe.push(framed(vec![list(1), list(2)]));
    assert!(next(&mut lane)[0].more);
    pipe.push(framed_with(Vec::new(), vec![1]));
    let said = next(&mut lane);
    assert_eq!((said[0].id, said[0].status), (1, Code::Cancelled as u32));
    assert!(said[0].body.is_empty() && !said[0].more);
    assert!(said[1].id == 2 && said[1].more, "the next one begins");
    // The id of an ended reply may be used again, that of a reply under way may not.
    pipe.push(framed(vec![get(1)]));
    assert_eq!(next(&mut lane)[0].id, 1);
    pipe.push(framed(vec![get(2)]));
    let ended = run(&mut lane);
    assert_eq!(ended.1, "3", "{ended:?}");
    assert_eq!((serve.buffered_bytes(), serve.in_flight()), (0, 0));
}

#[test]
fn an_end_of_the_peers_side_is_awaited_by_the_last_piece() {
    let (mut lane, pipe, _) = lane_over(COUNTERS);
    pipe.push(framed(vec![list(1)]));
    pipe.end();
    let (said, code) = run(&mut lane);
    let last = said.last().expect("a reply");
    assert_eq!(
        (code.as_str(), last.more, last.position.is_some()),
        ("0", false, true)
    );
}

#[test]
fn a_lane_that_is_lost_gives_back_what_it_held() {
    let (mut lane, pipe, serve) = lane_over(COUNTERS);
    pipe.push(framed(vec![list(1), list(2), list(3)]));
    assert!(next(&mut lane)[0].more);
    assert!(serve.buffered_bytes() > 3 * 200_000);
    drop(lane);
    assert_eq!((serve.buffered_bytes(), serve.in_flight()), (0, 0));
}

/// `max_buffered_bytes` is a mebibyte here, so three of these replies fit.
#[test]
fn one_for_which_there_is_no_room_is_refused() {
    let (mut lane, pipe, _) = lane_over(COUNTERS);
    pipe.push(framed((1..=6).map(list).collect()));
    pipe.end();
    let (said, code) = run(&mut lane);
    let full = |reply: &&generated::ReplyFrame| reply.status == Code::ResourceExhausted as u32;
    assert_eq!(code, "0");
    assert!(said.iter().filter(full).count() >= 2);
    assert!(said.iter().filter(|reply| reply.position.is_some()).count() >= 2);
}
