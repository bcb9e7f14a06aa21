use super::*;
use crate::{
    counter::proto::Added,
    moody::Moody,
    view::{self, View},
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

const SOON: Duration = Duration::from_secs(20);

fn start() -> (Ingest<Moody>, View<Moody>, thread::JoinHandle<()>) {
    let config = view::Config {
        retain_versions: 100,
        retain: SOON,
        retain_events: 1_000,
    };
    let (publisher, view) = view::new(config);
    let publish_interval = Duration::from_millis(1);
    let (ingest, thread) = spawn(&Config { publish_interval }, publisher).expect("a thread");
    (ingest, view, thread)
}

fn event(position: u64, name: &str, delta: i64) -> Added {
    let name = name.to_owned();
    Added {
        position,
        name,
        delta,
    }
}

fn batch(events: Vec<Added>) -> Batch<Moody> {
    Batch {
        first_position: events[0].position,
        encoded: events.iter().map(prost::Message::encode_to_vec).collect(),
        events,
        fault: None,
        goal: Goal::default(),
        arrived: Instant::now(),
    }
}

fn plain(positions: std::ops::RangeInclusive<u64>) -> Batch<Moody> {
    batch(positions.map(|position| event(position, "a", 1)).collect())
}

fn start_at(event: &Added) -> Start {
    Start {
        position: event.position,
        event_sha256: Sha256::digest(event.encode_to_vec()).to_vec(),
    }
}

async fn refusal(line: &mut Line<Moody>, batch: Batch<Moody>) -> (Kind, String) {
    line.send(batch).await.expect("sent");
    let error = tokio::time::timeout(SOON, line.refused())
        .await
        .expect("refused");
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn what_was_sent_is_published() {
    let (ingest, view, thread) = start();
    let (mut line, start) = ingest.open().await.expect("open");
    assert_eq!(start, Start::default());
    line.send(plain(1..=500)).await.expect("sent");
    line.send(plain(501..=501)).await.expect("sent");
    view.reached(501, SOON).await.expect("published");
    assert_eq!(ingest.counts().applied(), 501);
    drop((line, ingest));
    thread.join().expect("the writer ends with its last feed");
}

#[tokio::test]
async fn gaps_repeats_and_lies_are_refused_after_what_was_right() {
    let mut lie = plain(1..=3);
    lie.events[2].position = 4;
    let mut reordered = plain(1..=3);
    reordered.events.swap(1, 2);
    let mut back = plain(1..=3);
    back.events[2].position = 2;
    let cases = [
        (
            plain(2..=3),
            Kind::FeedGap,
            "a position was skipped: 1 is due, 2 came",
            0,
        ),
        (
            plain(0..=1),
            Kind::FeedRepeat,
            "a position came again or out of order: 1 is due, 0 came",
            0,
        ),
        (
            lie,
            Kind::FeedGap,
            "a position was skipped: 3 is due, 4 came",
            2,
        ),
        (
            reordered,
            Kind::FeedGap,
            "a position was skipped: 2 is due, 3 came",
            1,
        ),
        (
            back,
            Kind::FeedRepeat,
            "a position came again or out of order: 3 is due, 2 came",
            2,
        ),
        (
            batch(vec![event(1, "a", 1), event(2, "a", 0)]),
            Kind::FeedBadEvent,
            "position 2: delta: must not be 0",
            1,
        ),
    ];
    for (bad, kind, text, published) in cases {
        let (ingest, view, _thread) = start();
        let (mut line, _) = ingest.open().await.expect("open");
        assert_eq!(refusal(&mut line, bad).await, (kind, text.to_owned()));
        let (_, start) = ingest.open().await.expect("open again");
        let expected = match published {
            0 => Start::default(),
            _ => start_at(&event(published, "a", 1)),
        };
        assert_eq!(start, expected, "{text}");
        assert_eq!(view.position(), published, "{text}");
    }
}

#[tokio::test]
async fn a_panic_discards_what_was_not_published_and_the_writer_lives_on() {
    let (ingest, view, _thread) = start();
    let (mut line, _) = ingest.open().await.expect("open");
    line.send(plain(1..=2)).await.expect("sent");
    view.reached(2, SOON).await.expect("published");
    let (kind, text) = refusal(
        &mut line,
        batch(vec![event(3, "a", 1), event(4, "panic", 1)]),
    )
    .await;
    assert_eq!(
        (kind, text.as_str()),
        (Kind::Panicked, "position 4: the model panicked: bad mood")
    );
    let (mut line, start) = ingest.open().await.expect("open again");
    let from = start.position;
    assert!((2..=3).contains(&from) && from == view.position());
    assert_eq!(start, start_at(&event(from, "a", 1)));
    assert_eq!(view.gauges()[0].2, 1, "half a change is never seen");
    line.send(plain(from + 1..=9)).await.expect("sent");
    view.reached(9, SOON).await.expect("published");
}

/// Waits until this many counters exist.
async fn counters(view: &View<Moody>, count: u64) {
    let counted = async {
        while view.gauges()[0].2 < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(SOON, counted).await.expect("in time");
}

#[tokio::test]
async fn long_work_shows_when_it_is_done_without_another_event() {
    let (ingest, view, _thread) = start();
    let (mut line, _) = ingest.open().await.expect("open");
    let chore = batch(vec![event(1, "a", 1), event(2, "chore", 1)]);
    line.send(chore).await.expect("sent");
    // `a`, `chore`, `chore taken`, `done`.
    counters(&view, 4).await;
    assert_eq!(view.position(), 2);
    assert_eq!(kind_at(&view, 1), None, "history goes on");
    let counts = ingest.counts();
    assert_eq!((counts.chores(), counts.chores_failed()), (1, 0));
    assert_eq!(counts.chores_under_way(), 0);
}

#[tokio::test]
async fn long_work_that_panics_is_left_undone() {
    let (ingest, view, _thread) = start();
    let (mut line, _) = ingest.open().await.expect("open");
    line.send(batch(vec![event(1, "bad chore", 1)]))
        .await
        .expect("sent");
    line.send(batch(vec![event(2, "chore", 1)]))
        .await
        .expect("sent");
    // `bad chore`, `bad chore taken`, `chore`, `chore taken`, `done`.
    counters(&view, 5).await;
    assert_eq!(view.position(), 2);
    let counts = ingest.counts();
    assert_eq!((counts.chores(), counts.chores_failed()), (2, 1));
    assert_eq!(counts.chores_under_way(), 0);
}

#[tokio::test]
async fn a_new_feed_goes_on_where_the_old_one_stopped_and_shuts_it_out() {
    let (ingest, view, _thread) = start();
    let (mut old, _) = ingest.open().await.expect("open");
    for from in (1..1_000).step_by(100) {
        old.send(plain(from..=from + 99)).await.expect("sent");
    }
    let (mut new, start) = ingest.open().await.expect("open again");
    let from = start.position;
    assert_eq!(
        (from, view.position()),
        (1_000, 1_000),
        "all that was sent counts"
    );
    assert!(
        old.send(plain(1_001..=1_001)).await.is_err(),
        "the old feed is over"
    );
    new.send(plain(1_001..=1_001)).await.expect("sent");
    view.reached(1_001, SOON).await.expect("published");
}

#[tokio::test]
async fn no_history_is_kept_from_before_the_first_answer() {
    let (ingest, view, _thread) = start();
    let (mut line, _) = ingest.open().await.expect("open");
    let goal = Goal {
        head: 500,
        unread_before: 500,
    };
    for from in [1, 251] {
        let batch = plain(from..=from + 249);
        line.send(Batch { goal, ..batch }).await.expect("sent");
    }
    view.reached(500, SOON).await.expect("published");
    assert_eq!(kind_at(&view, 499), Some(Kind::NotRetained));
    let batch = plain(501..=502);
    line.send(Batch { goal, ..batch }).await.expect("sent");
    view.reached(502, SOON).await.expect("published");
    assert_eq!([500, 501].map(|at| kind_at(&view, at)), [None, None]);
}

#[tokio::test]
async fn the_time_to_publication_is_counted_once_requests_are_answered() {
    let (ingest, view, _thread) = start();
    let (mut line, _) = ingest.open().await.expect("open");
    let goal = Goal {
        head: 500,
        unread_before: 500,
    };
    let batch = plain(1..=500);
    line.send(Batch { goal, ..batch }).await.expect("sent");
    view.reached(500, SOON).await.expect("published");
    let second = Duration::from_secs(1);
    let arrived = Instant::now().checked_sub(second).expect("a clock");
    let batch = Batch {
        goal,
        arrived,
        ..plain(501..=501)
    };
    line.send(batch).await.expect("sent");
    view.reached(501, SOON).await.expect("published");
    // The writer is asked to open a feed, so that it has counted.
    ingest.open().await.expect("open again");
    let publications = ingest.counts().publications();
    assert_eq!(publications.count(), 1);
    assert!(publications.total >= second);
}

#[tokio::test]
async fn far_behind_progress_shows_and_history_starts_where_it_can_last() {
    let (ingest, view, _thread) = start();
    let (mut line, _) = ingest.open().await.expect("open");
    let goal = Goal {
        head: 1_000_000,
        unread_before: 0,
    };
    let batch = plain(1..=500);
    line.send(Batch { goal, ..batch }).await.expect("sent");
    view.reached(500, SOON).await.expect("published");
    assert_eq!(kind_at(&view, 499), Some(Kind::NotRetained));
    let goal = Goal {
        head: 1_500,
        ..goal
    };
    let batch = plain(501..=1_500);
    line.send(Batch { goal, ..batch }).await.expect("sent");
    view.reached(1_500, SOON).await.expect("published");
    assert_eq!([500, 501].map(|at| kind_at(&view, at)), [None, None]);
}

fn kind_at(view: &View<Moody>, position: u64) -> Option<Kind> {
    view.at(position).err().map(|error| error.kind())
}
