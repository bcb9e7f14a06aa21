//! What a client says, as an input tells it.
//!
//! ```text
//!  a step:  what to do, and on which of four lanes │ a number │ bytes, for some
//! ```

/// Lanes that a script may open.
const LANES: usize = 4;
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const HAS_PRIORITY: u8 = 0x20;
/// What the client says last.
pub(super) const LAST_PING: [u8; 8] = *b"the last";
/// The most that a frame of ours carries without its padding.
const FRAME_BYTES: usize = 16_000;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum State {
    Open,
    Ended,
    Cancelled,
}

/// A lane that the client has opened.
pub(super) struct Lane {
    pub(super) stream: u32,
    pub(super) state: State,
    /// The bytes of its DATA.
    pub(super) said: Vec<u8>,
}

pub(super) struct Script {
    pub(super) frames: Vec<u8>,
    /// In the order of their streams.
    pub(super) lanes: Vec<Lane>,
    /// Whether it has a frame that nobody judges.
    pub(super) breaks_rules: bool,
}

/// What is left of an input. Behind its end all is 0.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self, most: usize) -> &[u8] {
        let (bytes, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

impl Script {
    pub(super) fn read(input: &[u8]) -> Self {
        let mut script = Self {
            frames: PREFACE.to_vec(),
            lanes: Vec::new(),
            breaks_rules: false,
        };
        script.frame(SETTINGS, 0, 0, &[]);
        script.frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
        let mut rest = Rest(input);
        while !rest.0.is_empty() {
            script.step(&mut rest);
        }
        script.finish();
        script
    }

    fn step(&mut self, rest: &mut Rest<'_>) {
        let (what, number) = (rest.byte(), rest.byte());
        let [first, second, third] = [5, 6, 7].map(|bit| what >> bit & 1 == 1);
        let lane = usize::from(what >> 3 & 3);
        match what & 7 {
            0 => self.open(first),
            1..=3 => {
                let most = usize::from(number) << (6 * u8::from(third));
                let bytes = rest.bytes(most.min(FRAME_BYTES)).to_vec();
                self.say(lane, &bytes, first.then_some(number % 9), second);
            }
            4 if first && second => self.cancel(lane),
            4 => self.trailers(lane),
            5 => self.open_window(lane, u32::from(number) + 1),
            6 if first => self.frame(PING, 0, 0, &[number; 8]),
            6 => {
                let setting = [&[0, 4, 0, 0, number, 0][..], &[0, 1, 0, 0, 0, number]];
                self.frame(SETTINGS, 0, 0, &setting[..1 + usize::from(second)].concat());
            }
            _ if first => self.on_another(lane, number),
            _ => {
                let (flags, payload) = (rest.byte(), rest.bytes(16).to_vec());
                let stream = u32::from(flags >> 1 & 8) + 2 * lane_number(lane) + u32::from(second);
                self.frame(number % 11, flags, stream, &payload);
                self.breaks_rules = true;
            }
        }
    }

    fn open(&mut self, has_priority: bool) {
        if self.lanes.len() == LANES {
            return;
        }
        let stream = 2 * lane_number(self.lanes.len()) + 1;
        self.lanes.push(Lane {
            stream,
            state: State::Open,
            said: Vec::new(),
        });
        let mut payload = if has_priority {
            vec![0, 0, 0, 0, 15]
        } else {
            Vec::new()
        };
        payload.extend([0x83, 0x86]);
        for (name, value) in [
            (":path", hotpath::exchange::PATH),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ] {
            payload.push(0);
            for text in [name, value] {
                payload.extend(u8::try_from(text.len()));
                payload.extend(text.as_bytes());
            }
        }
        let flags = END_HEADERS | (u8::from(has_priority) * HAS_PRIORITY);
        self.frame(HEADERS, flags, stream, &payload);
    }

    /// Says this, behind some padding or none.
    fn say(&mut self, lane: usize, bytes: &[u8], padding: Option<u8>, ends: bool) {
        let Some(lane) = self.open_lane(lane) else {
            return;
        };
        lane.said.extend_from_slice(bytes);
        if ends {
            lane.state = State::Ended;
        }
        let (stream, mut payload) = (lane.stream, Vec::new());
        payload.extend(padding);
        payload.extend_from_slice(bytes);
        payload.resize(payload.len() + usize::from(padding.unwrap_or(0)), 0);
        let padded = u8::from(padding.is_some()) * PADDED;
        let last = u8::from(ends) * END_STREAM;
        self.frame(DATA, last | padded, stream, &payload);
    }

    fn cancel(&mut self, lane: usize) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.state = State::Cancelled;
            let stream = lane.stream;
            self.frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        }
    }

    fn trailers(&mut self, lane: usize) {
        if let Some(lane) = self.open_lane(lane) {
            lane.state = State::Ended;
            let stream = lane.stream;
            self.frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\0\x01x\x01y");
        }
    }

    fn open_window(&mut self, lane: usize, by: u32) {
        if let Some(lane) = self.lanes.get(lane) {
            let stream = lane.stream;
            self.frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
        }
    }

    /// Makes a lane's stream depend on another.
    fn on_another(&mut self, lane: usize, weight: u8) {
        let stream = 2 * lane_number(lane) + 1;
        self.frame(PRIORITY, 0, stream, &[0, 0, 0, 99, weight]);
    }

    /// Ends all, opens all windows, and asks for an answer.
    fn finish(&mut self) {
        for lane in 0..self.lanes.len() {
            self.say(lane, &[], None, true);
            self.open_window(lane, 1 << 30);
        }
        self.frame(PING, 0, 0, &LAST_PING);
    }

    fn open_lane(&mut self, lane: usize) -> Option<&mut Lane> {
        let lane = self.lanes.get_mut(lane)?;
        (lane.state == State::Open).then_some(lane)
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap_or(0);
        self.frames.extend(&length.to_be_bytes()[1..]);
        self.frames.extend([kind, flags]);
        self.frames.extend(stream.to_be_bytes());
        self.frames.extend(payload);
    }
}

fn lane_number(lane: usize) -> u32 {
    u32::try_from(lane).unwrap_or(0)
}
