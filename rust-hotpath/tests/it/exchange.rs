//! Tests lanes: which replies come and in which order, and what ends a lane or only a request.

use crate::{
    admin::fetch_text,
    counter::proto::GetResponse,
    harness::{Engine, SOON, added, batch, get as get_unary, plain, until},
    lane::{GET, LIST, Lane, frame, get, get_from, list, raw, unary},
    moody::release,
};
use hotpath::proto::hotpath::{ReplyFrame, RequestFrame};
use prost::Message as _;
use std::{collections::HashMap, time::Duration};
use tonic::{
    Code::{
        self, Cancelled, DeadlineExceeded, InvalidArgument, ResourceExhausted, Unavailable,
        Unimplemented,
    },
    transport::Endpoint,
};

pub async fn lane(engine: &Engine) -> Lane {
    Lane::open(engine.channel().await).await.expect("a lane")
}

fn value(reply: &ReplyFrame) -> i64 {
    assert_eq!(reply.status, 0, "{reply:?}");
    GetResponse::decode(&*reply.body).unwrap().value
}

pub async fn metric(engine: &Engine, line: &str) {
    let admin = engine.running.addresses.admin;
    until(line, || async {
        let (_, page) = fetch_text(admin, "/metrics").await;
        page.contains(&format!("\n{line}\n")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn many_requests_a_message_are_answered_in_one() {
    let (engine, _feed) = Engine::fed(&[], 3).await;
    let mut lane = lane(&engine).await;
    lane.send((1..=200).map(|id| get(id, "a"))).await;
    for id in 1..=200 {
        let reply = lane.reply().await;
        assert_eq!((reply.id, reply.position, value(&reply)), (id, Some(3), 3));
    }
    assert!(lane.messages < 40, "{} messages", lane.messages);
    metric(&engine, "hotpathd_lanes 1").await;
    metric(&engine, "hotpathd_lane_batches_total 1").await;
    metric(&engine, "hotpathd_lane_requests_total 200").await;
    let counted = "hotpathd_requests_total{method=\"Get\",code=\"OK\"} 200";
    metric(&engine, counted).await;
    drop(lane);
    metric(&engine, "hotpathd_lanes 0").await;
}

/// One request of each kind that can be sent by lane and by unary call alike.
fn mix() -> Vec<RequestFrame> {
    let at = |at, asked| RequestFrame {
        at_position: Some(at),
        ..asked
    };
    let mut mix = vec![
        get(0, "a"),
        get(0, "nobody"),
        get(0, ""),
        get(0, "big"),
        get(0, "panic"),
        get(0, "held-mix"),
        list(0, ""),
        list(0, "none"),
        frame(0, GET, b"\x0a".to_vec()),
        frame(0, LIST, b"\x0a\x01\xff".to_vec()),
        frame(0, GET, Vec::new()),
        frame(0, LIST, Vec::new()),
        get_from(0, "a", 8),
        get_from(0, "", 99),
        at(9, get(0, "a")),
        at(8, get(0, "big")),
        at(7, list(0, "")),
        at(1, get(0, "a")),
        at(0, get(0, "a")),
        at(0, list(0, "")),
        at(7, get_from(0, "a", 8)),
        at(7, get_from(0, "", 8)),
        get_from(0, "a", 10),
        at(11, get(0, "a")),
    ];
    for code in 0..=17 {
        mix.push(get(0, &format!("status-{code}")));
        mix.push(get(0, &format!("refused-{code}")));
        mix.push(get_from(0, &format!("refused-{code}"), 10));
        mix.push(at(7, get(0, &format!("refused-{code}"))));
        mix.push(at(8, get(0, &format!("status-{code}"))));
    }
    mix.extend([get(0, "a*"), at(7, get(0, "a*")), get(0, "stray")]);
    (1..).zip(&mut mix).for_each(|(id, asked)| asked.id = id);
    mix
}

#[tokio::test]
async fn every_question_is_answered_as_by_a_unary_call() {
    let settings = ["--retain-versions", "3", "--max-wait-ms", "50"];
    let (engine, mut feed) = Engine::fed(&settings, 4).await;
    for (from, to) in [(5, 5), (6, 7)] {
        feed.send(plain(from..=to)).await;
        feed.reached(to).await;
    }
    feed.send(batch(8, [added(8, "big", i64::MAX), added(9, "big", 1)]))
        .await;
    feed.reached(9).await;
    release("held-mix");
    let mut channel = engine.channel().await;
    let mut lane = lane(&engine).await;
    lane.send(mix()).await;
    let mut replies = HashMap::new();
    for _ in mix() {
        let reply = lane.reply().await;
        replies.insert(reply.id, reply);
    }
    for asked in mix() {
        let expected = unary(&mut channel, &asked).await;
        assert_eq!(replies[&asked.id], expected, "{asked:?}");
    }
    let mut codes: Vec<u32> = replies.values().map(|reply| reply.status).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes, (0..=16).collect::<Vec<_>>(), "none is missing");
}

#[tokio::test]
async fn nothing_is_answered_before_the_first_head_is_published() {
    let engine = Engine::start(&[]).await;
    let mut lane = lane(&engine).await;
    lane.send([get(1, "a")]).await;
    let reply = lane.reply().await;
    assert_eq!((reply.status, reply.position), (Unavailable as u32, None));
    assert_eq!(
        reply,
        unary(&mut engine.channel().await, &get(1, "a")).await
    );
}

#[tokio::test]
async fn one_that_waits_for_a_position_holds_up_nobody() {
    let (engine, mut feed) = Engine::fed(&[], 1).await;
    let mut lane = lane(&engine).await;
    let early = get_from(1, "a", 2);
    let at = RequestFrame {
        at_position: Some(3),
        ..get(2, "a")
    };
    lane.send([early, at, get(3, "a")]).await;
    assert_eq!(lane.reply().await.id, 3);
    metric(&engine, "hotpathd_lane_waited_total 2").await;
    feed.send(plain(2..=2)).await;
    let reply = lane.reply().await;
    assert_eq!((reply.id, reply.position, value(&reply)), (1, Some(2), 2));
    feed.send(plain(3..=3)).await;
    let reply = lane.reply().await;
    assert_eq!((reply.id, reply.position, value(&reply)), (2, Some(3), 3));
}

#[tokio::test]
async fn one_that_takes_long_holds_up_nobody() {
    let (engine, mut feed) = Engine::fed(&[], 1).await;
    feed.send(batch(2, [added(2, "held-up", 5)])).await;
    feed.reached(2).await;
    let mut lane = lane(&engine).await;
    lane.send([get(1, "held-up"), get(2, "a"), list(3, "")])
        .await;
    assert_eq!([lane.reply().await.id, lane.reply().await.id], [2, 3]);
    lane.send([get(4, "a")]).await;
    assert_eq!(lane.reply().await.id, 4);
    metric(&engine, "hotpathd_lane_offloaded_total 1").await;
    metric(&engine, "hotpathd_in_flight 1").await;
    release("held-up");
    let reply = lane.reply().await;
    assert_eq!((reply.id, value(&reply)), (1, 5));
    metric(&engine, "hotpathd_in_flight 0").await;
}

#[tokio::test]
async fn a_request_whose_time_is_up_is_not_begun() {
    let (engine, _feed) = Engine::fed(&[], 1).await;
    let mut lane = lane(&engine).await;
    let places = u64::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
    lane.send((1..=places).map(|id| get(id, "held-full"))).await;
    let budget = Duration::from_millis(20);
    let hurried = RequestFrame {
        budget_us: u32::try_from(budget.as_micros()).unwrap(),
        ..get(100, "held-full")
    };
    lane.send([hurried]).await;
    let all = format!("hotpathd_lane_requests_total {}", places + 1);
    metric(&engine, &all).await;
    // The request came before now, so its time is up by then. It was waiting for a place, or nobody had looked at it.
    tokio::time::sleep(budget).await;
    release("held-full");
    let mut codes = HashMap::new();
    for _ in 0..=places {
        let reply = lane.reply().await;
        codes.insert(reply.id, (reply.status, reply.position));
    }
    assert_eq!(codes[&100], (DeadlineExceeded as u32, None));
    assert_eq!(codes[&1], (Code::NotFound as u32, Some(1)));
}

#[tokio::test]
async fn what_is_cancelled_is_replied_to_once_and_frees_its_place() {
    let (engine, mut feed) = Engine::fed(&[], 1).await;
    let mut lane = lane(&engine).await;
    lane.send([get_from(1, "a", 2), get_from(2, "a", 2)]).await;
    metric(&engine, "hotpathd_in_flight 2").await;
    lane.cancel(&[1, 77]).await;
    let reply = lane.reply().await;
    assert_eq!((reply.id, reply.status), (1, Cancelled as u32));
    assert_eq!((reply.position, reply.body.len()), (None, 0));
    metric(&engine, "hotpathd_in_flight 1").await;
    lane.send([get_from(1, "a", 3)]).await;
    lane.cancel(&[1]).await;
    assert_eq!(lane.reply().await.status, Cancelled as u32);
    feed.send(plain(2..=3)).await;
    assert_eq!(lane.reply().await.id, 2);
    feed.reached(3).await;
    lane.cancel(&[2]).await;
    lane.send([get(1, "a")]).await;
    let reply = lane.reply().await;
    assert_eq!((reply.id, value(&reply)), (1, 3), "nothing came in between");
}

#[tokio::test]
async fn a_broken_rule_ends_the_lane_and_nothing_else() {
    let (engine, _feed) = Engine::fed(&[], 1).await;
    let channel = engine.channel().await;
    let in_flight = "requests.id: must not be in flight on this lane";
    let frames: Vec<(Vec<RequestFrame>, Code, &str)> = vec![
        (vec![get(1, "a"), get(1, "a")], InvalidArgument, in_flight),
        (
            vec![get_from(1, "a", 9), get(1, "a")],
            InvalidArgument,
            in_flight,
        ),
        (
            vec![get(0, "a")],
            InvalidArgument,
            "requests.id: must not be 0",
        ),
        (
            vec![frame(1, 2, Vec::new())],
            InvalidArgument,
            "requests.method: must be the index of an accepted method",
        ),
        (
            vec![RequestFrame {
                budget_us: 0,
                ..get(1, "a")
            }],
            InvalidArgument,
            "requests.budget_us: must be 1-60000000",
        ),
        (
            vec![frame(1, GET, vec![0; 65_537])],
            ResourceExhausted,
            "requests.body: must be at most 65536 bytes, not 65537",
        ),
        (
            (1..=1_025).map(|id| get(id, "a")).collect(),
            ResourceExhausted,
            "requests: must be at most 1024 in flight",
        ),
        (
            (1..=17).map(|id| frame(id, GET, vec![0; 65_000])).collect(),
            ResourceExhausted,
            "ExchangeRequest: must be at most 1048576 bytes, not 1105374",
        ),
    ];
    for (frames, code, text) in frames {
        let mut lane = Lane::open(channel.clone()).await.unwrap();
        lane.send(frames).await;
        assert_eq!(lane.refusal().await, (code, text.to_owned()));
        let mut client = crate::counter::proto::counter_service_client::CounterServiceClient::new(
            channel.clone(),
        );
        client.get(get_unary("a", &[])).await.expect("an answer");
    }
    metric(&engine, "hotpathd_lane_errors_total{reason=\"ARGUMENT\"} 5").await;
    metric(&engine, "hotpathd_lane_errors_total{reason=\"TOO_LONG\"} 2").await;
    metric(
        &engine,
        "hotpathd_lane_errors_total{reason=\"OVERLOADED\"} 1",
    )
    .await;
    metric(&engine, "hotpathd_in_flight 0").await;
}

#[tokio::test]
async fn an_id_that_waits_may_not_come_again_in_another_message() {
    let (engine, _feed) = Engine::fed(&[], 1).await;
    let mut lane = lane(&engine).await;
    lane.send([get_from(5, "a", 9)]).await;
    lane.send([get(6, "a"), get(5, "a")]).await;
    let (code, text) = lane.refusal().await;
    assert_eq!(code, InvalidArgument);
    assert_eq!(text, "requests.id: must not be in flight on this lane");
    metric(&engine, "hotpathd_in_flight 0").await;
}

#[tokio::test]
async fn all_that_is_in_flight_may_wait_and_no_more() {
    let (engine, _feed) = Engine::fed(&[], 1).await;
    let mut lane = lane(&engine).await;
    let waiting = (1..=1_023).map(|id| get_from(id, "a", 9));
    lane.send(waiting.chain([get(1_024, "a")])).await;
    assert_eq!(lane.reply().await.id, 1_024);
    metric(&engine, "hotpathd_in_flight 1023").await;
    lane.send([get(1_024, "a")]).await;
    assert_eq!(lane.reply().await.id, 1_024);
    lane.send([get(1_024, "a"), get(1_025, "a")]).await;
    let text = "requests: must be at most 1024 in flight".to_owned();
    assert_eq!(lane.refusal().await, (ResourceExhausted, text));
}

#[tokio::test]
async fn garbage_ends_the_lane_and_nothing_else() {
    let (engine, _feed) = Engine::fed(&[], 1).await;
    let mut channel = engine.channel().await;
    for (bytes, code) in [
        (&b"\0\0\0\0\x02\xff\xff"[..], InvalidArgument),
        (b"\0\0\0\0\x02\x0a\x05", InvalidArgument),
        (b"\0\0\0\0\x02\x08\x05", InvalidArgument),
        (b"\0\0\0\0\x09", InvalidArgument),
        (b"\0\0", InvalidArgument),
        (b"\x01\0\0\0\0", Unimplemented),
        (b"\0\xff\xff\xff\xff", ResourceExhausted),
    ] {
        let status = raw(&mut channel, bytes).await;
        assert_eq!(status.code(), code, "{bytes:?}: {status:?}");
        let answer = unary(&mut channel, &get(1, "a")).await;
        assert_eq!(value(&answer), 1);
    }
    assert_eq!(raw(&mut channel, b"").await.code(), Code::Ok);
    assert_eq!(raw(&mut channel, b"\0\0\0\0\0").await.code(), Code::Ok);
}

#[tokio::test]
async fn a_half_closed_lane_answers_what_it_was_asked() {
    let (engine, mut feed) = Engine::fed(&[], 1).await;
    let mut lane = lane(&engine).await;
    lane.send([get(1, "a"), get_from(2, "a", 2)]).await;
    lane.half_close();
    assert_eq!(lane.reply().await.id, 1);
    feed.send(plain(2..=2)).await;
    assert_eq!(lane.reply().await.id, 2);
    assert_eq!(lane.next().await.unwrap(), None, "an end that is OK");
    metric(&engine, "hotpathd_lanes 0").await;
}

#[tokio::test]
async fn requests_in_flight_are_limited_as_for_unary_calls() {
    let (engine, mut feed) = Engine::fed(&["--max-in-flight", "1"], 1).await;
    let mut lane = lane(&engine).await;
    lane.send([get_from(1, "a", 2), get(2, "a")]).await;
    let full = lane.reply().await;
    assert_eq!((full.id, full.status), (2, ResourceExhausted as u32));
    assert_eq!(full.status_message, "more than 1 requests in flight");
    assert_eq!(full.position, None);
    feed.send(plain(2..=2)).await;
    assert_eq!(lane.reply().await.id, 1);
    lane.send([get(3, "a"), get(4, "a")]).await;
    assert_eq!(value(&lane.reply().await), 2);
    assert_eq!(value(&lane.reply().await), 2);
}

#[tokio::test]
async fn a_lane_that_vanishes_takes_its_requests_along() {
    let (engine, _feed) = Engine::fed(&["--max-wait-ms", "600000"], 1).await;
    let mut lane = lane(&engine).await;
    lane.send([get_from(1, "a", 9), get_from(2, "a", 9)]).await;
    metric(&engine, "hotpathd_in_flight 2").await;
    drop(lane);
    metric(&engine, "hotpathd_in_flight 0").await;
    metric(&engine, "hotpathd_lanes 0").await;
}

#[tokio::test]
async fn lanes_beyond_the_limit_are_refused() {
    let (engine, _feed) = Engine::fed(&[], 1).await;
    let channel = engine.channel().await;
    let mut lanes = Vec::new();
    for _ in 0..64 {
        lanes.push(Lane::open(channel.clone()).await.expect("a lane"));
    }
    let refused = Lane::open(channel.clone()).await.err().expect("refused");
    assert_eq!(
        (refused.code(), refused.message()),
        (ResourceExhausted, "more than 64 lanes")
    );
    lanes.pop();
    until("its place is free", || async {
        Lane::open(channel.clone()).await.ok()
    })
    .await;
}

#[tokio::test]
async fn direct_callers_have_no_lanes() {
    let (engine, _feed) = Engine::fed(&["--listen", "127.0.0.1:0"], 1).await;
    let uri = format!("http://{}", engine.running.addresses.listen.unwrap());
    let channel = Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
    let refused = Lane::open(channel).await.err().expect("refused");
    assert_eq!(refused.code(), Unimplemented);
}

#[tokio::test]
async fn draining_is_not_held_up_by_an_idle_lane() {
    let (engine, _feed) = Engine::fed(&["--drain-ms", "600000"], 1).await;
    let mut lane = lane(&engine).await;
    lane.send([get(1, "a")]).await;
    assert_eq!(lane.reply().await.id, 1);
    engine.stop().await;
    let expected = (Unavailable, "the sidecar is draining".to_owned());
    assert_eq!(lane.refusal().await, expected);
}

#[tokio::test]
async fn draining_lets_what_is_in_flight_finish() {
    let (engine, mut feed) = Engine::fed(&["--drain-ms", "600000"], 1).await;
    let mut lane = lane(&engine).await;
    lane.send([get_from(1, "a", 2), get(2, "held-drain")]).await;
    metric(&engine, "hotpathd_in_flight 2").await;
    engine.running.stop();
    until("the socket is closed", || async {
        tokio::net::UnixStream::connect(engine.socket()).await.err()
    })
    .await;
    feed.send(plain(2..=2)).await;
    assert_eq!(value(&lane.reply().await), 2);
    release("held-drain");
    assert_eq!(lane.reply().await.id, 2);
    assert_eq!(lane.refusal().await.0, Unavailable);
    let ended = tokio::time::timeout(SOON, engine.running.ended());
    ended.await.expect("an end");
}
