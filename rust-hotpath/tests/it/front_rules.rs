//! Either front judges in the same way what a client says of a stream that is over, or that depends on itself.

use crate::{
    front::{SPLICED, STOCK, wire},
    harness::Engine,
    wire::{GOAWAY, HEADERS, RST_STREAM, call, cancel, data, frame, head},
};

const PRIORITY: u8 = 2;
const PROTOCOL_ERROR: u8 = 1;
const STREAM_CLOSED: u8 = 5;

struct Case {
    what: &'static str,
    before: Vec<u8>,
    /// The stream whose reply the client waits for before it goes on.
    answered: Option<u32>,
    says: Vec<u8>,
    /// The frame that tells it so, and its code.
    hears: (u8, u8),
}

/// Headers that make a stream depend on this one.
fn dependent(stream: u32, on: u32) -> Vec<u8> {
    let block = &head(stream, "localhost", &[])[9..];
    let payload = [&on.to_be_bytes()[..], &[15], block].concat();
    frame(HEADERS, 0x24, stream, &payload)
}

fn priority(stream: u32, on: u32) -> Vec<u8> {
    let payload = [&on.to_be_bytes()[..], &[15]].concat();
    frame(PRIORITY, 0, stream, &payload)
}

fn cases() -> Vec<Case> {
    let closed = (RST_STREAM, STREAM_CLOSED);
    let reset = (RST_STREAM, PROTOCOL_ERROR);
    let ended = (GOAWAY, PROTOCOL_ERROR);
    let headers = || head(1, "localhost", &[]);
    // What is behind the cancelled call is answered when that is over.
    let cancelled = || [headers(), cancel(1), call(3)].concat();
    let late = || data(1, b"late", true);
    let none = Vec::new;
    let case = |what, before: Vec<u8>, answered, says: Vec<u8>, hears| Case {
        what,
        before,
        answered,
        says,
        hears,
    };
    vec![
        case("DATA behind the end", call(1), Some(1), late(), closed),
        case("DATA behind a reset", cancelled(), Some(3), late(), closed),
        case("headers behind the end", call(1), Some(1), headers(), ended),
        case(
            "headers behind a reset",
            cancelled(),
            Some(3),
            headers(),
            ended,
        ),
        case("a lower stream", call(5), Some(5), headers(), ended),
        case(
            "headers on themselves",
            none(),
            None,
            dependent(1, 1),
            reset,
        ),
        case("a stream on itself", headers(), None, priority(1, 1), reset),
        case(
            "a priority of no stream",
            none(),
            None,
            priority(0, 1),
            ended,
        ),
    ]
}

#[tokio::test]
async fn both_fronts_judge_streams_alike() {
    for front in [STOCK, SPLICED] {
        let (engine, _feed) = Engine::fed(&front, 1).await;
        for case in cases() {
            let mut wire = wire(&engine).await;
            wire.send(&case.before).await;
            while let Some(stream) = case.answered {
                let said = wire.said_of(&[HEADERS]).await.expect(case.what);
                if said.ended && said.stream == stream {
                    break;
                }
            }
            wire.send(&case.says).await;
            let said = wire.said_of(&[RST_STREAM, GOAWAY]).await.expect(case.what);
            let code = said.payload[if said.kind == GOAWAY { 7 } else { 3 }];
            assert_eq!((said.kind, code), case.hears, "{front:?}: {}", case.what);
        }
    }
}
