//! A read on another thread may end before, after or between all other things that can happen to its lane. These tests
//! try every order, each with and without a poll in between, and compare the outcome with the contract.

use super::{
    rig::{Polled, Rig},
    *,
};
use crate::moody::{begun, release};
use std::rc::Rc;
use tokio::runtime::Runtime;

/// What can happen while the read of id 1 runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Finish,
    Cancel,
    /// The peer asks with id 2, which is answered at once.
    Ask,
    HalfClose,
    Drain,
    Poll,
    /// The connection is lost.
    Lose,
}

const ONCE: [Step; 5] = [
    Step::Finish,
    Step::Cancel,
    Step::Ask,
    Step::HalfClose,
    Step::Drain,
];

/// The contract: what the lane says, and when.
#[derive(Default)]
struct Expected {
    finished: bool,
    drained: bool,
    half_closed: bool,
    queue: VecDeque<Step>,
    closed: Option<&'static str>,
    settled: bool,
    over: bool,
}

impl Expected {
    /// The lane first gives an answer that is there. A drain stops the reading before the lane reads anything more.
    fn poll(&mut self) -> Polled {
        let mut polled = Polled::default();
        if self.over {
            return polled;
        }
        if self.finished {
            self.settle(Code::NotFound, &mut polled);
        }
        if self.drained {
            self.closed.get_or_insert("14");
        }
        while self.closed.is_none()
            && let Some(step) = self.queue.pop_front()
        {
            match step {
                Step::Cancel => self.settle(Code::Cancelled, &mut polled),
                _ => polled.replies.push((2, Code::NotFound as u32)),
            }
        }
        if self.half_closed {
            self.closed.get_or_insert("0");
        }
        if self.settled
            && let Some(code) = self.closed
        {
            polled.end = Some(code.to_owned());
            self.over = true;
        }
        polled
    }

    fn settle(&mut self, code: Code, polled: &mut Polled) {
        if !self.settled {
            self.settled = true;
            polled.replies.push((1, code as u32));
        }
    }
}

fn step(step: Step, name: &str, rig: &mut Rig, expected: &mut Expected) {
    match step {
        Step::Finish => {
            rig.sleep();
            release(name);
            expected.finished = true;
            // The test would wait in vain for a lost wake-up.
            if expected.settled {
                rig.until("the read ends", |rig| rig.in_flight() == 0);
            } else {
                rig.until("the lane is woken", Rig::is_woken);
                rig.until("the answer is there", |rig| {
                    rig.lane
                        .as_ref()
                        .is_some_and(|stream| stream.lane.late.is_ready())
                });
            }
        }
        Step::Cancel => rig.send(Vec::new(), vec![1]),
        Step::Ask => rig.send(vec![get(2)], Vec::new()),
        Step::HalfClose => {
            rig.pipe.end();
            expected.half_closed = true;
        }
        Step::Drain => {
            rig.shutdown.drain();
            assert!(
                rig.is_woken() || expected.closed.is_some(),
                "not woken by a drain"
            );
            expected.drained = true;
        }
        Step::Poll => assert_eq!(rig.poll(), expected.poll()),
        Step::Lose => rig.lane = None,
    }
    if matches!(step, Step::Cancel | Step::Ask) {
        expected.queue.push_back(step);
    }
}

/// Runs one order of steps to its end.
fn run(runtime: &Rc<Runtime>, steps: &[Step], number: usize) {
    let name = format!("held-{number}");
    let (mut rig, mut expected) = (Rig::on(runtime), Expected::default());
    let body = GetRequest { name: name.clone() }.encode_to_vec();
    rig.send(vec![frame(1, 0, body)], Vec::new());
    assert_eq!(rig.poll(), Polled::default());
    for one in steps {
        step(*one, &name, &mut rig, &mut expected);
    }
    if steps.last() != Some(&Step::Lose) {
        for last in [Step::HalfClose, Step::Poll, Step::Finish, Step::Poll] {
            let is_over = last == Step::Finish && expected.finished;
            if !is_over {
                step(last, &name, &mut rig, &mut expected);
            }
        }
        assert!(expected.over);
        rig.lane = None;
    }
    release(&name);
    rig.until("all places are free", |rig| rig.in_flight() == 0);
    assert!(begun(&name) <= 1);
    assert_eq!(rig.exchange.counts().lanes(), 0);
}

/// Tries all orders of some of `left`, after `steps`, each with and without polls.
fn each_order(left: &[Step], steps: &mut Vec<Step>, visit: &mut impl FnMut(&[Step])) {
    visit(steps);
    for next in left {
        let left: Vec<Step> = left.iter().copied().filter(|step| step != next).collect();
        for polls in [false, true] {
            let length = steps.len();
            steps.push(*next);
            steps.extend(polls.then_some(Step::Poll));
            each_order(&left, steps, visit);
            steps.truncate(length);
        }
    }
}

#[test]
fn every_order_ends_with_one_reply_each() {
    let runtime = Rc::clone(&Rig::new().runtime);
    let mut tried = 0;
    each_order(&ONCE, &mut Vec::new(), &mut |steps| {
        for end in [None, Some(Step::Lose)] {
            let steps: Vec<Step> = steps.iter().copied().chain(end).collect();
            tried += 1;
            let run = std::panic::AssertUnwindSafe(|| run(&runtime, &steps, tried));
            if let Err(panic) = std::panic::catch_unwind(run) {
                eprintln!("the order was {steps:?}");
                std::panic::resume_unwind(panic);
            }
        }
    });
    assert!(tried > 10_000, "{tried} orders");
}
