//! Clients that keep to no rule.

use super::{
    super::{Event, Splice},
    conversations::{frame, greeted},
    peers::{COLD, HOT, LANE, answer, block, message},
};
use crate::front::frame::{Broken, flag, kind};
use proptest::prelude::*;

/// Frames that are likely to mean something, and others.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        Just(block(HOT, &[])),
        Just(block(COLD, &[])),
        Just(block(LANE, &[])),
        Just(block(HOT, &[("x-bin", "!")])),
        (0..20_usize).prop_map(|bytes| message(1, bytes)),
        (0..20_usize).prop_map(|bytes| message(1, bytes)[..bytes.min(3)].to_vec()),
        any::<u32>().prop_map(|number| number.to_be_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..30),
        Just(Vec::new()),
    ];
    let flags = prop_oneof![
        3 => Just(flag::END_HEADERS),
        2 => Just(flag::END_HEADERS | flag::END_STREAM),
        1 => any::<u8>(),
    ];
    let kind = prop_oneof![4 => Just(kind::HEADERS), 4 => Just(kind::DATA), 3 => 0..11_u8];
    let stream = prop_oneof![6 => (0..6_u32).prop_map(|call| 2 * call + 1), 1 => 0..14_u32];
    let parts = (kind, flags, stream, payload);
    let frame =
        parts.prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload));
    proptest::collection::vec(frame, 1..30).prop_map(|frames| frames.concat())
}

/// What the splice says to both, and how it ends, when the bytes come in these pieces.
fn told(bytes: &[u8], pieces: &[usize]) -> (Vec<u8>, Vec<u8>, Option<Broken>) {
    let mut splice: Splice<()> = greeted(&[]);
    let (mut at, mut come, mut pieces) = (0, 0, pieces.iter().cycle());
    while come < bytes.len() {
        come = bytes.len().min(come + pieces.next().unwrap());
        loop {
            match splice.client(&bytes[at..come]) {
                Err(broken) => return (splice.out, splice.to_hyper, Some(broken)),
                Ok((used, event)) => {
                    at += used;
                    match event {
                        None => break,
                        Some(Event::Call(call)) if call.stream.is_multiple_of(3) => {
                            splice.pass(call)
                        }
                        Some(Event::Call(call)) => answer(&mut splice, call, 1),
                        Some(Event::Lane(opening)) if at.is_multiple_of(3) => {
                            splice.pass_lane(opening)
                        }
                        Some(Event::Lane(opening)) => splice.open_lane(opening, ()),
                    }
                }
            }
        }
    }
    (splice.out, splice.to_hyper, None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn it_matters_not_in_which_pieces_bytes_come(
        bytes in frames(),
        pieces in proptest::collection::vec(1..40_usize, 1..10),
    ) {
        let whole = told(&bytes, &[usize::MAX >> 1]);
        prop_assert_eq!(&told(&bytes, &pieces), &whole);
        prop_assert_eq!(&told(&bytes, &[1]), &whole);
    }

    /// And hyper can say what it wants.
    #[test]
    fn no_words_of_hypers_make_it_panic(bytes in frames(), said in frames()) {
        let mut splice: Splice<()> = greeted(&[]);
        let _ = splice.client(&bytes).map(|(used, _)| used);
        splice.drain();
        prop_assert_eq!(splice.hyper(&said), said.len());
        splice.pump();
    }
}
