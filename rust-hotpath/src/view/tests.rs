use super::*;
use crate::counter::{Counter, proto};
use prost::Message as _;

fn config(retain_versions: usize, retain_ms: u64, retain_events: usize) -> Config {
    Config {
        retain_versions,
        retain: Duration::from_millis(retain_ms),
        retain_events,
    }
}

/// Publishes positions up to `to` as one version; each adds 1 to `a`.
fn grow(publisher: &mut Publisher<Counter>, to: u64, now: Instant) {
    let (mut state, from) = {
        let newest = publisher.newest();
        (newest.state().clone(), newest.position())
    };
    let added = |position| proto::Added {
        position,
        name: "a".to_owned(),
        delta: 1,
    };
    let events: Vec<_> = (from + 1..=to).map(added).collect();
    for event in &events {
        Counter::apply(&mut state, event).expect("a legal event");
    }
    publisher.publish(to, state, events, now);
}

fn value(resolved: &Resolved<Counter>) -> i64 {
    let request = proto::GetRequest {
        name: "a".to_owned(),
    }
    .encode_to_vec();
    let query = Counter::parse(0, &request).expect("a legal request");
    let mut reply = Vec::new();
    match Counter::answer(resolved.state(), &query, &mut reply) {
        Ok(()) => {
            proto::GetResponse::decode(&reply[..])
                .expect("a reply")
                .value
        }
        Err(_) => 0,
    }
}

fn kind(view: &View<Counter>, position: u64) -> Kind {
    match view.at(position) {
        Ok(resolved) => panic!("{} answered", resolved.position()),
        Err(error) => error.kind(),
    }
}

#[test]
fn every_position_between_retained_versions_is_exact() {
    let (mut publisher, view) = new::<Counter>(config(100, 60_000, 1_000));
    for to in [1, 4, 5, 20] {
        grow(&mut publisher, to, Instant::now());
    }
    for position in 0..=20 {
        let resolved = view.at(position).expect("retained");
        assert_eq!(resolved.position(), position);
        assert_eq!(
            value(&resolved),
            i64::try_from(position).expect("small"),
            "at {position}"
        );
    }
    let ahead = view.at(21).err().expect("ahead");
    assert_eq!(ahead.kind(), Kind::NotReached);
    assert_eq!(
        ahead.to_string(),
        "position 21 is not reached: the ledger is at 20"
    );
}

#[test]
fn rebuilding_a_position_ends_once_it_is_not_wanted() {
    let (mut publisher, view) = new::<Counter>(config(100, 60_000, 10_000));
    for to in [1, 5_000] {
        grow(&mut publisher, to, Instant::now());
    }
    let mut asked = 0;
    let gone = view.at_while(4_999, || {
        asked += 1;
        match asked {
            ..3 => Ok(()),
            _ => Err(Error::new(Kind::Cancelled, "gone")),
        }
    });
    assert_eq!(gone.err().expect("given up").kind(), Kind::Cancelled);
    assert_eq!(asked, 3);
}

#[test]
fn old_versions_go_by_number_but_position_0_never() {
    let (mut publisher, view) = new::<Counter>(config(2, 60_000, 1_000));
    for to in [10, 20, 30] {
        grow(&mut publisher, to, Instant::now());
    }
    assert_eq!(kind(&view, 19), Kind::NotRetained);
    assert_eq!(
        view.at(19).err().expect("gone").to_string(),
        "position 19 is no longer retained"
    );
    assert_eq!(value(&view.at(20).expect("retained")), 20);
    assert_eq!(value(&view.at(25).expect("rebuilt")), 25);
    assert_eq!(value(&view.at(0).expect("always")), 0);
}

#[test]
fn old_versions_go_by_time_since_they_were_replaced() {
    let (mut publisher, view) = new::<Counter>(config(100, 1_000, 1_000));
    let start = Instant::now();
    let after = |ms| start + Duration::from_millis(ms);
    grow(&mut publisher, 10, after(0));
    grow(&mut publisher, 20, after(5_000));
    assert_eq!(value(&view.at(10).expect("just replaced")), 10);
    assert_eq!(
        publisher.collect(after(5_999)),
        Some(Duration::from_millis(10))
    );
    assert_eq!(value(&view.at(10).expect("still retained")), 10);
    assert_eq!(publisher.collect(after(6_000)), None);
    assert_eq!(kind(&view, 10), Kind::NotRetained);
    assert_eq!(value(&view.at(20).expect("the newest")), 20);
}

#[test]
fn retained_events_are_bounded() {
    let (mut publisher, view) = new::<Counter>(config(1_000, 60_000, 50));
    for to in (10..=1_000).step_by(10) {
        grow(&mut publisher, to, Instant::now());
    }
    let sizes = view.sizes();
    assert!(sizes.retained_events <= 50, "{sizes:?}");
    assert_eq!(value(&view.at(995).expect("rebuilt")), 995);
    grow(&mut publisher, 5_000, Instant::now());
    assert_eq!(
        view.sizes().retained_versions,
        1,
        "one version may exceed the bound alone"
    );
}

#[test]
fn the_writer_frees_what_a_reader_held_once_it_lets_go() {
    let (mut publisher, view) = new::<Counter>(config(1, 0, 1_000));
    grow(&mut publisher, 1, Instant::now());
    let held = view.newest();
    let Resolved::Newest(guard) = &held else {
        panic!("not the newest")
    };
    let weak = Arc::downgrade(&guard.newest);
    for to in 2..10 {
        grow(&mut publisher, to, Instant::now());
    }
    assert_eq!(
        (value(&held), view.sizes().retired_waiting),
        (1, 1),
        "only the one in use waits"
    );
    assert_eq!(
        publisher.collect(Instant::now()),
        Some(Duration::from_millis(10)),
        "the writer looks again"
    );
    drop(held);
    assert!(weak.upgrade().is_some(), "a reader frees nothing");
    assert_eq!(publisher.collect(Instant::now()), None);
    assert!(weak.upgrade().is_none(), "the writer does");
    assert_eq!(view.sizes().retired_waiting, 0);
}

#[tokio::test]
async fn waiting_ends_with_the_position_or_the_budget() {
    let (mut publisher, view) = new::<Counter>(config(10, 60_000, 1_000));
    let waiting = tokio::spawn({
        let view = view.clone();
        async move { view.reached(2, Duration::from_secs(60)).await }
    });
    grow(&mut publisher, 1, Instant::now());
    let error = view
        .reached(2, Duration::from_millis(1))
        .await
        .expect_err("too early");
    assert_eq!(
        error.to_string(),
        "position 2 is not reached: the ledger is at 1"
    );
    grow(&mut publisher, 2, Instant::now());
    waiting.await.expect("no panic").expect("reached");
}
