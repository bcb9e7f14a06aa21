//! Compares the parser with the generated types: both accept the same bytes and read the same from them.

use super::*;
use crate::proto::hotpath as generated;
use proptest::{collection::vec, option, prelude::*};
use prost::Message as _;

/// The items of a message, as the generated types read them.
fn parsed(message: &[u8]) -> Result<generated::ExchangeRequest, Error> {
    let mut all = generated::ExchangeRequest::default();
    let mut cursor = Cursor::default();
    while let Some(item) = cursor.next(message)? {
        match item {
            Item::Cancelled(id) => all.cancelled.push(id),
            Item::Request(frame) => all.requests.push(generated::RequestFrame {
                id: frame.id,
                method: frame.method,
                budget_us: frame.budget_us,
                min_position: frame.min_position,
                at_position: frame.at_position,
                body: frame.body.to_vec(),
                traceparent: frame.traceparent.to_owned(),
                tracestate: frame.tracestate.to_owned(),
            }),
        }
    }
    Ok(all)
}

fn agree(message: &[u8]) -> Result<(), TestCaseError> {
    match (parsed(message), generated::ExchangeRequest::decode(message)) {
        (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
        (Err(ours), Err(_)) => prop_assert_eq!(ours.kind(), Kind::Argument),
        (ours, theirs) => prop_assert!(false, "{ours:?} is not {theirs:?} of {message:?}"),
    }
    Ok(())
}

prop_compose! {
    fn frame()(
        id in any::<u64>(),
        method in prop_oneof![0..9_u32, any::<u32>()],
        budget_us in any::<u32>(),
        min_position in prop_oneof![0..200_u64, any::<u64>()],
        at_position in option::of(any::<u64>()),
        body in vec(any::<u8>(), 0..200),
        traceparent in ".{0,60}",
        tracestate in ".{0,9}",
    ) -> generated::RequestFrame {
        generated::RequestFrame {
            id, method, budget_us, min_position, at_position, body, traceparent, tracestate,
        }
    }
}

prop_compose! {
    fn request()(
        requests in vec(frame(), 0..12),
        cancelled in vec(any::<u64>(), 0..9),
    ) -> generated::ExchangeRequest {
        generated::ExchangeRequest { requests, cancelled }
    }
}

/// Bytes that are nearly a message: keys of all numbers and wire types, short lengths, text.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let key = (0..20_u8, 0..8_u8).prop_map(|(number, wire_type)| vec![number << 3 | wire_type]);
    let short = (0..12_u8).prop_map(|length| vec![length]);
    let frame = frame().prop_map(|frame| {
        let length = u8::try_from(frame.encoded_len()).ok().filter(|n| *n < 128);
        let mut bytes = length.map_or_else(Vec::new, |length| vec![0x0a, length]);
        frame.encode(&mut bytes).expect("room");
        bytes
    });
    let noise = vec(any::<u8>(), 0..9);
    let parts = vec(
        prop_oneof![4 => key, 3 => short, 1 => frame, 2 => noise],
        0..12,
    );
    parts.prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn what_the_generated_type_writes_is_read(request in request()) {
        let message = request.encode_to_vec();
        prop_assert_eq!(parsed(&message).expect("a message"), request);
    }

    #[test]
    fn arbitrary_bytes_are_taken_or_refused_as_by_the_generated_type(
        bytes in prop_oneof![vec(any::<u8>(), 0..60), nearly()]
    ) {
        agree(&bytes)?;
    }

    #[test]
    fn damage_is_taken_or_refused_as_by_the_generated_type(
        request in request(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
    ) {
        let mut message = request.encode_to_vec();
        if !message.is_empty() {
            for (at, byte) in damage {
                let at = at.index(message.len());
                message[at] = byte;
            }
            message.truncate(end.index(message.len() + 1));
        }
        agree(&message)?;
    }
}

/// Tries every single-byte change and every cut of one message. The cases are the same on every run.
#[test]
fn every_byte_of_a_message_may_be_wrong() {
    let frame = generated::RequestFrame {
        id: 1 << 32 | 7,
        method: 1,
        budget_us: 25_000,
        min_position: 300,
        at_position: Some(0),
        body: b"\x0a\x03abc".to_vec(),
        traceparent: "00-é".to_owned(),
        tracestate: "a=b".to_owned(),
    };
    let message = generated::ExchangeRequest {
        requests: vec![frame.clone(), frame],
        cancelled: vec![1, 2],
    };
    let message = message.encode_to_vec();
    for at in 0..message.len() {
        agree(&message[..at]).expect("agreement");
        for byte in 0..=u8::MAX {
            let mut changed = message.clone();
            changed[at] = byte;
            agree(&changed).expect("agreement");
        }
    }
}

#[test]
fn ids_come_packed_or_one_by_one_and_unknown_fields_are_skipped() {
    let id = |id: u64| id.to_le_bytes();
    let packed = [&[0x12, 16][..], &id(1), &id(2), &[0x12, 0]].concat();
    let single = [&[0x11][..], &id(3), &[0x78, 5, 0x7a, 1, 9]].concat();
    let all = parsed(&[packed, single].concat()).expect("a message");
    assert_eq!(all.cancelled, [1, 2, 3]);
}

#[test]
fn what_is_read_lies_in_the_message() {
    let frame = generated::RequestFrame {
        body: vec![7; 5],
        ..generated::RequestFrame::default()
    };
    let message = generated::ExchangeRequest {
        requests: vec![frame],
        cancelled: Vec::new(),
    };
    let message = message.encode_to_vec();
    let Some(Item::Request(frame)) = Cursor::default().next(&message).expect("good") else {
        panic!("a request")
    };
    assert!(message.as_ptr_range().contains(&frame.body.as_ptr()));
}

#[test]
fn each_rule_names_its_field() {
    let (long, trace) = (vec![0; limits::EXCHANGE_BODY_BYTES + 1], "x".repeat(513));
    let good = RequestFrame {
        id: 1,
        method: 4,
        budget_us: 60_000_000,
        body: &long[1..],
        traceparent: &trace[1..],
        tracestate: &trace[1..],
        ..RequestFrame::default()
    };
    good.check(5).expect("good at the limits");
    let bad = |change: fn(&mut RequestFrame<'_>)| {
        let mut frame = good.clone();
        change(&mut frame);
        let error = frame.check(5).expect_err("a broken rule");
        (error.kind(), error.to_string())
    };
    let argument = |text: &str| (Kind::Argument, text.to_owned());
    assert_eq!(bad(|f| f.id = 0), argument("requests.id: must not be 0"));
    let index = "requests.method: must be the index of an accepted method";
    assert_eq!(bad(|f| f.method = 5), argument(index));
    let budget = argument("requests.budget_us: must be 1-60000000");
    assert_eq!(bad(|f| f.budget_us = 0), budget);
    assert_eq!(bad(|f| f.budget_us = 60_000_001), budget);
    let too_long = |frame: RequestFrame<'_>| {
        let error = frame.check(5).expect_err("too long");
        assert_eq!(error.kind(), Kind::TooLong);
        error.to_string()
    };
    let (body, trace) = (&long[..], &trace[..]);
    let text = too_long(RequestFrame {
        body,
        ..good.clone()
    });
    assert_eq!(
        text,
        "requests.body: must be at most 65536 bytes, not 65537"
    );
    let text = too_long(RequestFrame {
        traceparent: trace,
        ..good.clone()
    });
    assert_eq!(
        text,
        "requests.traceparent: must be at most 512 bytes, not 513"
    );
    let text = too_long(RequestFrame {
        tracestate: trace,
        ..good.clone()
    });
    assert_eq!(
        text,
        "requests.tracestate: must be at most 512 bytes, not 513"
    );
}
