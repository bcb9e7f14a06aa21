//! Feeds a connection with what a peer may send, allowed or not.

use super::{
    Violation,
    connection::Connection,
    frame::{Frame, flag, kind, put_header, put_number},
    hpack::encoder::Fields,
    reply::{Answer, Sink},
};
use proptest::prelude::*;

const PREFACE_BYTES: usize = 24;
/// `:status: 200` and a literal `grpc-status: 0`.
const HEADERS: &[u8] = &[0x88];
const TRAILERS: &[u8] = b"\x00\x0bgrpc-status\x010";

/// Token, status, `grpc-message`, position, message.
type Logged = (u32, u32, Vec<u8>, Option<u64>, Vec<u8>);

/// The answers, in the order in which they came.
#[derive(Debug, Default, PartialEq, Eq)]
struct Log(Vec<Logged>);

impl Sink<u32> for Log {
    fn answered(&mut self, token: u32, answer: &Answer<'_>) {
        let text = answer.status_message.to_vec();
        let message = answer.message.to_vec();
        (self.0).push((token, answer.status, text, answer.position, message));
    }
}

impl Log {
    fn statuses(&self) -> Vec<(u32, u32)> {
        self.0.iter().map(|answer| (answer.0, answer.1)).collect()
    }
}

#[derive(Debug, Default, Clone)]
struct Script(Vec<u8>);

impl Script {
    /// Makes a script that begins with SETTINGS of these values.
    fn greet(settings: &[(u16, u32)]) -> Self {
        let mut payload = Vec::new();
        for (key, value) in settings {
            payload.extend(key.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        Self::default().frame(kind::SETTINGS, 0, 0, &payload)
    }

    fn frame(mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Self {
        put_header(&mut self.0, payload.len(), kind, flags, stream);
        self.0.extend_from_slice(payload);
        self
    }

    fn number(mut self, kind: u8, stream: u32, number: u32) -> Self {
        put_number(&mut self.0, kind, stream, number);
        self
    }

    fn reply(self, stream: u32, message: &[u8]) -> Self {
        let end = flag::END_HEADERS | flag::END_STREAM;
        self.frame(kind::HEADERS, flag::END_HEADERS, stream, HEADERS)
            .frame(kind::DATA, 0, stream, &framed(message))
            .frame(kind::HEADERS, end, stream, TRAILERS)
    }

    fn play(&self, http: &mut Connection<u32>, log: &mut Log) -> Result<(), Violation> {
        let rest = http.receive(&self.0, log)?;
        assert_eq!(rest, b"");
        Ok(())
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = super::message::prefix(u32::try_from(message.len()).unwrap()).to_vec();
    framed.extend_from_slice(message);
    framed
}

fn fields() -> Fields {
    Fields::new("localhost", "1000000u", vec![b"/a.B/C".to_vec()])
}

/// Makes a connection that has got the peer's greeting, has sent `requests` requests of `body` (tokens from 1), and has
/// nothing unsent.
fn opened(settings: &[(u16, u32)], requests: u32, body: &[u8]) -> (Connection<u32>, Log) {
    let (mut http, mut log) = (Connection::new(), Log::default());
    Script::greet(settings).play(&mut http, &mut log).unwrap();
    let unsent = http.unsent().len();
    http.wrote(unsent);
    for token in 1..=requests {
        http.request((&fields(), 0), body, token, (true, true));
    }
    (http, log)
}

/// Takes all frames that wait to be sent: kind, flags, stream, payload.
fn take_sent(http: &mut Connection<u32>) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let sent = http.unsent().to_vec();
    http.wrote(sent.len());
    let mut rest = sent.as_slice();
    let mut frames = Vec::new();
    while let Some((frame, after)) = Frame::split(rest).unwrap() {
        frames.push((
            frame.kind,
            frame.flags,
            frame.stream,
            frame.payload.to_vec(),
        ));
        rest = after;
    }
    assert!(rest.is_empty());
    frames
}

fn data_bytes(frames: &[(u8, u8, u32, Vec<u8>)]) -> Vec<u8> {
    let data = frames.iter().filter(|frame| frame.0 == kind::DATA);
    data.flat_map(|frame| frame.3.clone()).collect()
}

#[test]
fn it_greets_and_waits_for_the_peer_to_greet() {
    let mut http = Connection::<u32>::new();
    assert!(http.unsent().starts_with(b"PRI * HTTP/2.0"));
    assert!(!http.accepts());
    http.wrote(PREFACE_BYTES);
    let kinds: Vec<u8> = take_sent(&mut http).iter().map(|frame| frame.0).collect();
    assert_eq!(kinds, [kind::SETTINGS, kind::WINDOW_UPDATE]);
    Script::greet(&[])
        .play(&mut http, &mut Log::default())
        .unwrap();
    assert!(http.accepts());
    assert_eq!(
        take_sent(&mut http),
        [(kind::SETTINGS, flag::ACK, 0, vec![])]
    );
}

#[test]
fn a_large_request_goes_out_as_the_windows_open() {
    // 100 bytes for each stream, 65535 for the connection.
    let body = vec![7; 70_000];
    let (mut http, mut log) = opened(&[(4, 100)], 1, &body);
    let mut sent = data_bytes(&take_sent(&mut http));
    assert_eq!(sent.len(), 100);
    let play = |script: Script, http: &mut Connection<u32>, log: &mut Log| {
        script.play(http, log).unwrap();
        take_sent(http)
    };
    let more = Script::default().number(kind::WINDOW_UPDATE, 1, 50);
    sent.extend(data_bytes(&play(more, &mut http, &mut log)));
    assert_eq!(sent.len(), 150);
    // The new initial window counts for open streams as well.
    let frames = play(Script::greet(&[(4, 100_000)]), &mut http, &mut log);
    assert!(frames.iter().all(|frame| frame.3.len() <= 16_384));
    sent.extend(data_bytes(&frames));
    assert_eq!(sent.len(), 65_535);
    assert!(!http.accepts());
    let more = Script::default().number(kind::WINDOW_UPDATE, 0, 100_000);
    let frames = play(more, &mut http, &mut log);
    sent.extend(data_bytes(&frames));
    assert_eq!(sent, framed(&body));
    assert_eq!(frames.last().map(|frame| frame.1), Some(flag::END_STREAM));
    assert!(http.accepts());
}

#[test]
fn an_answer_before_the_request_is_out_ends_the_request() {
    let (mut http, mut log) = opened(&[(4, 10)], 1, &[7; 100]);
    take_sent(&mut http);
    let end = flag::END_HEADERS | flag::END_STREAM;
    let script = Script::default().frame(kind::HEADERS, end, 1, b"\x88\x00\x0bgrpc-status\x018");
    script
        .number(kind::WINDOW_UPDATE, 1, 1000)
        .play(&mut http, &mut log)
        .unwrap();
    assert_eq!(log.statuses(), [(1, 8)]);
    let kinds: Vec<u8> = take_sent(&mut http).iter().map(|frame| frame.0).collect();
    assert_eq!(kinds, [kind::RST_STREAM]);
}

#[test]
fn pings_are_answered_and_the_window_is_filled_up() {
    let (mut http, mut log) = opened(&[], 1, b"");
    take_sent(&mut http);
    let script = Script::default().frame(kind::PING, 0, 0, b"12345678");
    script
        .frame(kind::PING, flag::ACK, 0, b"87654321")
        .play(&mut http, &mut log)
        .unwrap();
    assert_eq!(
        take_sent(&mut http),
        [(kind::PING, flag::ACK, 0, b"12345678".to_vec())]
    );
    let mut script = Script::default().frame(kind::HEADERS, flag::END_HEADERS, 1, HEADERS);
    for _ in 0..64 {
        script = script.frame(kind::DATA, 0, 1, &[0; 16_384]);
    }
    script.play(&mut http, &mut log).unwrap();
    let update = (1_u32 << 20).to_be_bytes().to_vec();
    assert_eq!(take_sent(&mut http), [(kind::WINDOW_UPDATE, 0, 0, update)]);
}

#[test]
fn goodbyes_fail_what_they_do_not_cover() {
    let (mut http, mut log) = opened(&[], 3, b"x");
    let payload = [0, 0, 0, 3, 0, 0, 0, 0];
    let away = Script::default().frame(kind::GOAWAY, 0, 0, &payload);
    away.play(&mut http, &mut log).unwrap();
    assert_eq!(log.statuses(), [(3, 14)]);
    assert!(!http.accepts() && !http.finished());
    let rest = Script::default().reply(1, b"a").reply(3, b"b");
    rest.play(&mut http, &mut log).unwrap();
    assert_eq!(log.statuses(), [(3, 14), (1, 0), (2, 0)]);
    assert!(http.finished());
}

#[test]
fn resets_have_a_status() {
    let errors = [(0, 13), (7, 14), (8, 1), (11, 8), (12, 7), (99, 13)];
    let (mut http, mut log) = opened(&[], 6, b"x");
    let mut script = Script::default();
    for (stream, (error, _)) in (1..).step_by(2).zip(errors) {
        script = script.number(kind::RST_STREAM, stream, error);
    }
    script.play(&mut http, &mut log).unwrap();
    let expected: Vec<_> = (1..).zip(errors.map(|(_, status)| status)).collect();
    assert_eq!(log.statuses(), expected);
}

#[test]
fn ends_of_all_kinds_have_a_status() {
    let end = flag::END_HEADERS | flag::END_STREAM;
    for (block, status, text) in [
        // Only trailers.
        (
            &b"\x88\x00\x0bgrpc-status\x015\x00\x0cgrpc-message\x02no"[..],
            5,
            "no",
        ),
        // No gRPC status; no HTTP status either; HTTP's 404; 503 as a literal.
        (b"\x88", 2, ""),
        (b"", 2, ""),
        (b"\x8d", 12, ""),
        (b"\x08\x03503", 14, ""),
        // A status that is not a number; OK without a message.
        (b"\x88\x00\x0bgrpc-status\x01x", 2, ""),
        (b"\x88\x00\x0bgrpc-status\x010", 13, ""),
    ] {
        let (mut http, mut log) = opened(&[], 1, b"x");
        let script = Script::default().frame(kind::HEADERS, end, 1, block);
        script.play(&mut http, &mut log).unwrap();
        assert_eq!(log.0, [(1, status, text.into(), None, vec![])], "{block:?}");
    }
}

#[test]
fn padding_priority_continuation_and_the_unknown_are_taken() {
    let (mut http, mut log) = opened(&[], 1, b"x");
    let early = [&[0x08, 3][..], b"100"].concat();
    let (first, second) = TRAILERS.split_at(4);
    let flags = flag::PADDED | flag::PRIORITY;
    let padded = [&[3, 0, 0, 0, 0, 16][..], HEADERS, &[0; 3]].concat();
    Script::default()
        .frame(kind::HEADERS, flag::END_HEADERS, 1, &early)
        .frame(0xfa, 0xff, 1, b"whatever")
        .frame(kind::HEADERS, flags | flag::END_HEADERS, 1, &padded)
        .frame(
            kind::DATA,
            flag::PADDED,
            1,
            &[&[2][..], &framed(b"hello"), &[0; 2]].concat(),
        )
        .frame(kind::HEADERS, flag::END_STREAM, 1, first)
        .frame(kind::CONTINUATION, 0, 1, b"")
        .frame(kind::CONTINUATION, flag::END_HEADERS, 1, second)
        .play(&mut http, &mut log)
        .unwrap();
    assert_eq!(log.0, [(1, 0, vec![], None, b"hello".to_vec())]);
}

#[test]
fn cancelled_requests_are_told_and_their_late_replies_ignored() {
    let (mut http, mut log) = opened(&[], 2, b"x");
    take_sent(&mut http);
    assert_eq!(http.oldest(), Some(&1));
    assert_eq!(http.cancel_oldest(), Some(1));
    let cancel = 8_u32.to_be_bytes().to_vec();
    assert_eq!(take_sent(&mut http), [(kind::RST_STREAM, 0, 1, cancel)]);
    let late = Script::default().reply(1, b"late").reply(3, b"in time");
    late.play(&mut http, &mut log).unwrap();
    assert_eq!(log.statuses(), [(2, 0)]);
    assert_eq!(http.cancel_oldest(), None);
}

#[test]
fn limits_of_the_peer_are_kept() {
    let (mut http, mut log) = opened(&[(3, 2)], 2, b"x");
    assert!(!http.accepts());
    Script::default()
        .reply(3, b"")
        .play(&mut http, &mut log)
        .unwrap();
    assert!(http.accepts());
}

#[test]
fn violations_end_the_connection() {
    let ping = |length| vec![0; length];
    for (script, what) in [
        (Script::default().frame(kind::PING, 0, 0, &ping(7)), "PING"),
        (
            Script::default().frame(kind::DATA, 0, 4, b""),
            "never opened",
        ),
        (
            Script::default().frame(kind::DATA, 0, 99, b""),
            "never opened",
        ),
        (
            Script::default().frame(kind::DATA, flag::PADDED, 1, &[9, 1]),
            "padding",
        ),
        (
            Script::default().frame(kind::PUSH_PROMISE, 0, 1, b""),
            "push",
        ),
        (
            Script::default().frame(kind::CONTINUATION, 0, 1, b""),
            "CONTINUATION",
        ),
        (
            Script::default()
                .frame(kind::HEADERS, 0, 1, b"")
                .reply(1, b""),
            "go on",
        ),
        (
            Script::default().number(kind::WINDOW_UPDATE, 0, 0),
            "increment",
        ),
        (
            Script::default().number(kind::WINDOW_UPDATE, 0, 0x7fff_ffff),
            "2^31-1",
        ),
        (Script::greet(&[(4, 1 << 31)]), "initial window"),
        (Script::greet(&[(5, 1)]), "largest frame"),
        (
            Script::default().frame(kind::GOAWAY, 0, 0, b"1234567"),
            "GOAWAY",
        ),
        (Script(vec![0, 0x40, 1, 0, 0, 0, 0, 0, 1]), "16384"),
    ] {
        let (mut http, mut log) = opened(&[], 1, b"x");
        let Violation(violation) = script.play(&mut http, &mut log).unwrap_err();
        assert!(violation.contains(what), "{violation}");
    }
    let plain = Script(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    plain
        .play(&mut Connection::new(), &mut Log::default())
        .unwrap_err();
}

#[derive(Debug, Clone)]
struct AnyFrame(u8, u8, u32, Vec<u8>);

fn any_frame() -> impl Strategy<Value = AnyFrame> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(TRAILERS.to_vec()),
        Just(HEADERS.to_vec()),
        Just(vec![0, 0, 0, 5]),
    ];
    (0_u8..11, any::<u8>(), 0_u32..12, payload).prop_map(|(a, b, c, d)| AnyFrame(a, b, c, d))
}

/// Feeds bytes in pieces, and returns the answers, what the connection sends, and whether it goes on.
fn outcome(script: &[u8], cuts: &[usize]) -> (Log, Vec<u8>, bool) {
    let (mut http, mut log) = opened(&[(4, 50)], 5, &[1; 70]);
    let mut held = Vec::new();
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (script.len() + 1)).collect();
    cuts.extend([0, script.len()]);
    cuts.sort_unstable();
    for piece in cuts.windows(2) {
        held.extend_from_slice(&script[piece[0]..piece[1]]);
        match http.receive(&held, &mut log) {
            Ok(rest) => held = rest.to_vec(),
            Err(_) => return (log, http.unsent().to_vec(), false),
        }
    }
    (log, http.unsent().to_vec(), true)
}

proptest! {
    #[test]
    fn any_frames_in_any_pieces_are_the_same_and_never_panic(
        frames in prop::collection::vec(any_frame(), 0..30),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let script = frames.into_iter().fold(Script::default(), |script, AnyFrame(a, b, c, d)| {
            script.frame(a, b, c, &d)
        });
        prop_assert_eq!(outcome(&script.0, &cuts), outcome(&script.0, &[]));
    }

    #[test]
    fn any_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        cuts in prop::collection::vec(any::<usize>(), 0..5),
    ) {
        outcome(&bytes, &cuts);
    }

    #[test]
    fn replies_arrive_whole_in_any_pieces(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 5),
        cuts in prop::collection::vec(any::<usize>(), 0..50),
    ) {
        let replies = (1..).step_by(2).zip(&messages);
        let script = replies.fold(Script::default(), |script, (id, message)| script.reply(id, message));
        let (log, _, goes_on) = outcome(&script.0, &cuts);
        prop_assert!(goes_on);
        let expected: Vec<_> = (1..).zip(messages).map(|(token, message)| (token, 0, vec![], None, message)).collect();
        prop_assert_eq!(log.0, expected);
    }
}

#[test]
fn a_flood_of_pings_does_not_fill_the_memory() {
    let (mut http, mut log) = (Connection::<u32>::new(), Log::default());
    Script::greet(&[]).play(&mut http, &mut log).unwrap();
    let ping = Script::default().frame(kind::PING, 0, 0, &[7; 8]);
    let settings = Script::greet(&[]);
    for _ in 0..30_000 {
        ping.play(&mut http, &mut log).unwrap();
        settings.play(&mut http, &mut log).unwrap();
        let taken = http.unsent().len();
        http.wrote(taken);
    }
    let refused = |script: &Script| {
        let mut http = Connection::<u32>::new();
        let mut log = Log::default();
        Script::greet(&[]).play(&mut http, &mut log).unwrap();
        (0..30_000).any(|_| script.play(&mut http, &mut log).is_err())
    };
    assert!(refused(&ping) && refused(&settings));
}
