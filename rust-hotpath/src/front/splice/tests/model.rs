//! Random conversations against a client and a hyper that see to the rules. Whatever comes between, each call that nobody
//! reset gets its own message back, whole and in order, and so does each lane.

use super::peers::{COLD, Client, EchoLane, HOT, Hyper, LANE, answer, message, splice_of};
use crate::{
    front::{
        frame::{self, PAYLOAD, flag, kind},
        splice::{Event, Opening, Splice},
    },
    limits,
};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    task::{Context, Waker},
};

#[derive(Clone, Debug)]
enum Step {
    /// A call: hot or not, and how long its message is.
    Call(bool, usize),
    Lane,
    /// So many bytes on a lane, by its number.
    Say(usize, usize),
    /// The client ends its side of a lane.
    EndLane(usize),
    /// So many bytes of what the client has to say arrive.
    Arrive(usize),
    /// The client reads so many bytes.
    Read(usize),
    OpenConnection(u32),
    /// The stream of a call, by its number.
    OpenStream(usize, u32),
    SetInitial(u32),
    Reset(usize),
    /// Hyper reads, and says so much of each echo.
    Hyper(usize),
    /// Hyper resets one of the streams that the client has not ended.
    GiveUp(usize),
    /// What waits for its message has waited long enough.
    Late,
    /// Hot calls and lanes are passed to hyper from now on, or calls are answered so many times over.
    Manner(Option<usize>),
}

struct Run {
    splice: Splice<(), EchoLane>,
    client: Client,
    hyper: Hyper,
    /// What the client has to say.
    due: Vec<u8>,
    next: u32,
    /// What each call must get, by its stream.
    sent: Vec<(u32, Vec<u8>)>,
    /// Whether the client has ended its side of each lane.
    lanes: BTreeMap<u32, bool>,
    manner: Option<usize>,
}

impl Run {
    fn new() -> Self {
        let client = Client::new();
        Self {
            splice: splice_of(),
            due: client.greeting(),
            client,
            hyper: Hyper::new(),
            next: 1,
            sent: Vec::new(),
            lanes: BTreeMap::new(),
            manner: Some(1),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Call(hot, bytes) => self.call(hot, bytes),
            Step::Lane => {
                let call = self.client.call(self.next, LANE);
                self.due.extend(call);
                self.sent.push((self.next, Vec::new()));
                self.lanes.insert(self.next, false);
                self.next += 2;
            }
            Step::Say(lane, bytes) => self.say(lane, bytes),
            Step::EndLane(lane) => {
                if let Some(stream) = self.pick_lane(lane) {
                    self.end_lane(stream);
                }
            }
            Step::Arrive(bytes) => self.arrive(bytes),
            Step::Read(bytes) => self.client.read(&mut self.splice.out, bytes),
            Step::OpenConnection(by) => {
                if self.client.window + i64::from(by) < 1 << 30 {
                    let bytes = self.client.open(0, by);
                    self.due.extend(bytes);
                }
            }
            Step::OpenStream(call, by) => {
                if let Some((stream, _)) = self.pick(call) {
                    let bytes = self.client.open(stream, by);
                    self.due.extend(bytes);
                }
            }
            Step::SetInitial(bytes) => {
                let bytes = self.client.set_initial(bytes);
                self.due.extend(bytes);
            }
            Step::Reset(call) => {
                if let Some((stream, _)) = self.pick(call) {
                    let bytes = self.client.reset(stream);
                    self.due.extend(bytes);
                }
            }
            Step::Hyper(most) => self.hyper(most),
            Step::GiveUp(one) => self.hyper.give_up(one),
            Step::Late => self.splice.pass_gathered(),
            Step::Manner(manner) => self.manner = manner,
        }
        self.splice.pump();
        self.serve();
    }

    fn call(&mut self, hot: bool, bytes: usize) {
        let stream = self.next;
        self.next += 2;
        let path = if hot { HOT } else { COLD };
        let call = self.client.call(stream, path);
        self.due.extend(call);
        let message = message(stream, bytes);
        // In two frames, if it is long enough.
        let (first, second) = message.split_at(message.len().min(9_000));
        let last = u8::from(second.is_empty());
        frame::whole(&mut self.due, kind::DATA, last, stream, first);
        if !second.is_empty() {
            frame::whole(&mut self.due, kind::DATA, flag::END_STREAM, stream, second);
        }
        self.sent.push((stream, message));
    }

    /// Says as much on a lane as its window allows.
    fn say(&mut self, lane: usize, bytes: usize) {
        let Some(stream) = self.pick_lane(lane) else {
            return;
        };
        let credited = self.client.credited.get(&stream).copied();
        let window = limits::STREAM_WINDOW_BYTES as usize + credited.unwrap_or(0);
        let said = self.sent.iter_mut().find(|(of, _)| *of == stream);
        let said = &mut said.unwrap().1;
        let begin = said.len();
        let end = window.min(begin + bytes);
        said.extend((begin..end).map(|at| (at as u32 * 7 + stream) as u8));
        for piece in said[begin..].chunks(PAYLOAD) {
            frame::whole(&mut self.due, kind::DATA, 0, stream, piece);
        }
    }

    fn end_lane(&mut self, stream: u32) {
        self.lanes.insert(stream, true);
        frame::whole(&mut self.due, kind::DATA, flag::END_STREAM, stream, &[]);
    }

    /// A lane that may still be spoken on.
    fn pick_lane(&self, lane: usize) -> Option<u32> {
        let (stream, ended) = self.lanes.iter().nth(lane.checked_rem(self.lanes.len())?)?;
        let reset = self.client.streams[stream].reset;
        (!ended && !reset).then_some(*stream)
    }

    fn open_lane(&mut self, opening: Opening) {
        match self.manner {
            Some(times) => {
                self.splice.open_lane(opening, EchoLane::new(times * 700));
            }
            None => self.splice.pass_lane(opening),
        }
    }

    /// Lets each lane say a message, if there is room. Returns whether any did.
    fn serve(&mut self) -> bool {
        let (mut cx, mut spoke) = (Context::from_waker(Waker::noop()), false);
        for _ in 0..self.splice.lanes() {
            if self.splice.out.len() < limits::OUTBOX_BYTES {
                spoke |= self.splice.serve_lane(&mut cx);
            }
        }
        spoke
    }

    fn pick(&self, call: usize) -> Option<(u32, Vec<u8>)> {
        self.sent.get(call.checked_rem(self.sent.len())?).cloned()
    }

    fn arrive(&mut self, bytes: usize) {
        let mut bytes = bytes.min(self.due.len());
        loop {
            let input = self.due[..bytes].to_vec();
            let (used, event) = self.splice.client(&input).expect("no rule is broken");
            self.due.drain(..used);
            bytes -= used;
            let call = match event {
                None => return,
                Some(Event::Call(call)) => call,
                Some(Event::Lane(opening)) => {
                    self.open_lane(opening);
                    continue;
                }
            };
            assert_eq!(call.method, 0);
            match self.manner {
                Some(times) => {
                    let sent = self
                        .sent
                        .iter_mut()
                        .find(|(stream, _)| *stream == call.stream);
                    let wanted = &mut sent.unwrap().1;
                    assert_eq!(*wanted, *call.body);
                    *wanted = wanted.repeat(times);
                    answer(&mut self.splice, call, times);
                }
                None => self.splice.pass(call),
            }
        }
    }

    fn hyper(&mut self, most: usize) {
        self.hyper.read(&mut self.splice.greeting);
        self.hyper.read(&mut self.splice.to_hyper);
        self.hyper.speak(most);
        let used = self.splice.hyper(&self.hyper.says);
        self.hyper.says.drain(..used);
    }

    /// Lets all that is under way end.
    fn finish(mut self) {
        for (stream, _) in self.sent.clone() {
            let bytes = self.client.open(stream, 10 << 20);
            self.due.extend(bytes);
        }
        let bytes = self.client.open(0, 1 << 30);
        self.due.extend(bytes);
        for lane in 0..self.lanes.len() {
            if let Some(stream) = self.pick_lane(lane) {
                self.end_lane(stream);
            }
        }
        for _ in 0..200 {
            self.arrive(usize::MAX);
            self.splice.pass_gathered();
            self.hyper(usize::MAX);
            self.splice.pump();
            self.client.read(&mut self.splice.out, usize::MAX);
            while self.serve() {
                self.splice.pump();
                self.client.read(&mut self.splice.out, usize::MAX);
            }
        }
        assert!(self.due.is_empty() && self.splice.out.is_empty());
        assert!(!self.splice.is_holding());
        let returned = self.splice.windows.take_returned() as i64;
        let hypers = self.hyper.window + returned;
        assert_eq!(hypers, 65_535, "hyper's window came back");
        for (stream, wanted) in &self.sent {
            let got = &self.client.streams[stream];
            if got.reset {
                assert!(wanted.starts_with(&got.body) || got.body.len() > wanted.len());
                continue;
            }
            assert!(got.ended, "{stream} has not ended");
            assert!(got.body == *wanted, "{stream}");
            assert_eq!(got.blocks.len(), 2);
            assert_eq!(got.blocks[0], ":status=200 content-type=application/grpc");
            assert_eq!(got.blocks[1], "grpc-status=0");
        }
        assert!(self.splice.passed.is_empty() && self.splice.gathered.is_empty());
        assert_eq!(self.splice.lanes(), 0);
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = || prop_oneof![4 => 0..40_usize, 2 => 0..3_000_usize, 1 => 0..20_000_usize];
    let by = || prop_oneof![1..100_u32, 1..70_000_u32];
    let some = || prop_oneof![2 => 1..20_usize, 2 => 1..500_usize, 3 => 1..70_000_usize];
    let step = prop_oneof![
        6 => (any::<bool>(), bytes()).prop_map(|(hot, bytes)| Step::Call(hot, bytes)),
        2 => Just(Step::Lane),
        5 => (any::<usize>(), bytes()).prop_map(|(lane, bytes)| Step::Say(lane, bytes)),
        1 => any::<usize>().prop_map(Step::EndLane),
        8 => some().prop_map(Step::Arrive),
        4 => some().prop_map(Step::Read),
        2 => by().prop_map(Step::OpenConnection),
        2 => (any::<usize>(), by()).prop_map(|(call, by)| Step::OpenStream(call, by)),
        1 => (0..100_000_u32).prop_map(Step::SetInitial),
        1 => any::<usize>().prop_map(Step::Reset),
        5 => some().prop_map(Step::Hyper),
        1 => any::<usize>().prop_map(Step::GiveUp),
        1 => Just(Step::Late),
        1 => proptest::option::weighted(0.7, 1..30_usize).prop_map(Step::Manner),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #[test]
    fn each_call_gets_its_own_message_back(steps in steps()) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step);
        }
        run.finish();
    }
}

/// The same conversation in one piece, and byte by byte.
#[test]
fn one_byte_at_a_time() {
    let script = [
        Step::Call(true, 10),
        Step::Call(false, 100),
        Step::Call(true, 8_500),
        Step::OpenStream(0, 5),
        Step::Call(true, 30),
        Step::Reset(1),
        Step::Call(false, 17_000),
        Step::SetInitial(10),
        Step::Call(true, 300),
        Step::Lane,
        Step::Say(0, 3),
        Step::Lane,
        Step::Say(0, 20_000),
        Step::Say(1, 500),
        Step::EndLane(1),
        Step::Say(0, 100),
    ];
    for piece in [1, 2, 7, usize::MAX] {
        let mut run = Run::new();
        for step in &script {
            run.step(step);
        }
        while !run.due.is_empty() {
            let before = run.due.len();
            // A frame is followed once it is whole.
            let mut have = piece.min(before);
            while run.due.len() == before && have < before {
                run.step(&Step::Arrive(have));
                have += piece.min(before - have);
            }
            run.step(&Step::Arrive(have));
            run.step(&Step::Hyper(piece));
            run.step(&Step::Read(piece));
        }
        run.finish();
    }
}
