//! Tests what happens to a request that nobody waits for any longer.

use super::{rig::Rig, *};
use crate::moody::begun;
use std::sync::mpsc;

/// A lane whose read has a place but no thread yet. The sender releases a thread for it.
fn queued(name: &str) -> (Rig, mpsc::Sender<()>) {
    let mut rig = Rig::new();
    let (free, busy) = mpsc::channel();
    // This blocks the only thread.
    rig.runtime.spawn_blocking(move || busy.recv());
    let body = GetRequest {
        name: name.to_owned(),
    };
    rig.send(vec![frame(1, 0, body.encode_to_vec())], Vec::new());
    assert!(rig.poll().replies.is_empty());
    rig.until("it is on its way", |rig| {
        rig.exchange.counts().offloaded() == 1
    });
    (rig, free)
}

fn never_begins(rig: &Rig, free: &mpsc::Sender<()>, name: &str) {
    assert_eq!(rig.in_flight(), 1);
    free.send(()).expect("a thread");
    rig.until("its place is free", |rig| rig.in_flight() == 0);
    assert_eq!(begun(name), 0);
}

#[test]
fn what_is_cancelled_before_it_begins_never_does() {
    let name = "held-cancelled";
    let (mut rig, free) = queued(name);
    rig.send(Vec::new(), vec![1]);
    assert_eq!(rig.poll().replies, [(1, Code::Cancelled as u32)]);
    rig.until("its task is gone", Rig::is_woken);
    never_begins(&rig, &free, name);
}

#[test]
fn what_is_lost_with_its_lane_before_it_begins_never_does() {
    let name = "held-lost";
    let (mut rig, free) = queued(name);
    rig.lane = None;
    // Two rounds: the end of the task is in the queue before the second.
    for _ in 0..2 {
        rig.until("a turn", |_| true);
    }
    never_begins(&rig, &free, name);
}

#[test]
fn what_is_given_up_is_let_go_of() {
    let mut rig = Rig::new();
    for _ in 0..100 {
        let early = generated::RequestFrame {
            min_position: 2,
            ..get(1)
        };
        // A request that is asked and cancelled in one message never waits for anything.
        rig.send(vec![early], vec![1]);
        assert_eq!(rig.poll().replies, [(1, Code::Cancelled as u32)]);
    }
    // One turn takes some sixty of them.
    for _ in 0..20 {
        rig.until("a turn", |_| true);
        rig.poll();
    }
    let late = &rig.lane.as_ref().expect("a lane").lane.late;
    assert_eq!((late.len(), late.held()), (0, 0));
}
