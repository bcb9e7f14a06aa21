//! Converts between bytes and messages.

use prost::Message;
use prost::bytes::Buf as _;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, message,
    skip_field,
};

use hotpath::model::Refusal;

/// The number of the list field, which every reply with rows has.
const ROWS_TAG: u32 = 1;

/// Decodes as Go does: a known field of another wire type is skipped like an unknown field. prost alone refuses it.
pub(super) fn decode<M: Message + Default>(request: &[u8]) -> Result<M, Refusal> {
    M::decode(request).or_else(|error| {
        let malformed = || Refusal::Malformed(error.to_string());
        let kept = without_mistyped::<M>(request).ok_or_else(malformed)?;
        M::decode(&*kept).map_err(|_| malformed())
    })
}

/// Returns the fields of a flat message that have the wire type of their number, or `None` if the bytes are no message.
fn without_mistyped<M: Message + Default>(request: &[u8]) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(request.len());
    let mut rest = request;
    while rest.has_remaining() {
        let from_here = rest;
        let (tag, wire_type) = decode_key(&mut rest).ok()?;
        skip_field(wire_type, tag, &mut rest, DecodeContext::default()).ok()?;
        if takes::<M>(tag, wire_type) {
            kept.extend_from_slice(&from_here[..from_here.len() - rest.len()]);
        }
    }
    Some(kept)
}

/// Whether prost takes this number with this wire type. It is tried with a zero, which is valid for every type.
fn takes<M: Message + Default>(tag: u32, wire_type: WireType) -> bool {
    let mut zero = Vec::with_capacity(16);
    encode_key(tag, wire_type, &mut zero);
    match wire_type {
        WireType::Varint | WireType::LengthDelimited => zero.push(0),
        WireType::ThirtyTwoBit => zero.extend([0; 4]),
        WireType::SixtyFourBit => zero.extend([0; 8]),
        WireType::StartGroup => encode_key(tag, WireType::EndGroup, &mut zero),
        WireType::EndGroup => {}
    }
    M::decode(&*zero).is_ok()
}

/// Reads a text of less than 128 bytes in place. Returns `None` for anything else.
#[inline]
pub(super) fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (&length @ 0..0x80, after) = rest.split_first()? else {
        return None;
    };
    let (text, after) = after.split_at_checked(usize::from(length))?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

#[inline]
pub(super) fn int64(rest: &mut &[u8]) -> Option<i64> {
    decode_varint(rest).ok().map(u64::cast_signed)
}

/// Appends a field whose length is known only once it is written.
pub(super) fn delimited<E>(
    key: u8,
    reply: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    reply.extend_from_slice(&[key, 0]);
    let start = reply.len();
    write(reply)?;
    let length = reply.len() - start;
    match u8::try_from(length) {
        Ok(short @ 0..0x80) => reply[start - 1] = short,
        _ => {
            let mut prefix = Vec::with_capacity(8);
            encode_varint(length as u64, &mut prefix);
            reply.splice(start - 1..start, prefix);
        }
    }
    Ok(())
}

/// Appends the canonical encoding: fields are in tag order, and zeros of fields without presence are left out.
pub(super) fn encode<M: Message>(message: &M, reply: &mut Vec<u8>) -> Result<(), Refusal> {
    // This fails only if memory runs out. Then there is no answer, and the service itself decides.
    message
        .encode(reply)
        .map_err(|error| Refusal::Malformed(error.to_string()))
}

/// Appends one row of a reply whose only field is a list. The bytes are the same as if the whole reply were encoded,
/// but the reply need not be built.
pub(super) fn append_row<M: Message>(row: &M, reply: &mut Vec<u8>) {
    message::encode(ROWS_TAG, row, reply);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{
        Balance, BatchGetBalancesResponse, GetBalanceResponse, GetStatisticsRequest,
        GetStatisticsResponse, GetTimeSeriesResponse, GetTopCounterpartiesResponse, Percentile,
    };

    fn encoded<M: Message>(message: &M) -> Vec<u8> {
        let mut reply = vec![0xff];
        encode(message, &mut reply).expect("room");
        reply.split_off(1)
    }

    #[test]
    fn zeros_are_left_out_but_present_zeros_are_not() {
        assert!(encoded(&Balance::default()).is_empty());
        let balance = Balance {
            last_occurred_at_us: Some(0),
            ..Balance::default()
        };
        assert_eq!(encoded(&balance), [9 << 3, 0]);
        let statistics = GetStatisticsResponse {
            min: Some(0),
            stddev: Some(0),
            percentiles: vec![Percentile::default()],
            first_occurred_at_us: Some(0),
            ..GetStatisticsResponse::default()
        };
        let expected = [6 << 3, 0, 9 << 3, 0, 10 << 3 | 2, 0, 12 << 3, 0];
        assert_eq!(encoded(&statistics), expected);
    }

    #[test]
    fn rows_one_by_one_are_the_bytes_of_the_whole() {
        fn check<M: Message, R: Message + Default>(response: impl Fn(Vec<R>) -> M) {
            let mut reply = Vec::new();
            append_row(&R::default(), &mut reply);
            append_row(&R::default(), &mut reply);
            let whole = response(vec![R::default(), R::default()]);
            assert_eq!(reply, whole.encode_to_vec());
        }
        check(|balances| GetBalanceResponse { balances });
        check(|accounts| BatchGetBalancesResponse { accounts });
        check(|counterparties| GetTopCounterpartiesResponse { counterparties });
        check(|buckets| GetTimeSeriesResponse { buckets });
    }

    #[test]
    fn negative_numbers_take_ten_bytes() {
        let balance = Balance {
            posted: -1,
            ..Balance::default()
        };
        let mut expected = vec![6 << 3];
        expected.extend([0xff; 9]);
        expected.push(1);
        assert_eq!(encoded(&balance), expected);
    }

    #[test]
    fn bytes_that_are_no_message_are_malformed() {
        let bad: [&[u8]; 6] = [
            &[0xff],
            &[0x0a, 5, b'x'],
            &[0x0a, 1, 0xff],
            // After a field of the wrong type, mistakes still count, and so does the field itself if it is cut short.
            &[0x08, 7, 0x0a, 1, 0xff],
            &[0x0b, 0x10, 1],
            &[0x0c],
        ];
        for bytes in bad {
            let result = decode::<Balance>(bytes);
            assert!(matches!(result, Err(Refusal::Malformed(_))), "{bytes:?}");
        }
    }

    #[test]
    fn a_field_of_another_wire_type_is_skipped_as_go_does() {
        let expected = Balance {
            asset: "x".to_owned(),
            credits_posted: 5,
            ..Balance::default()
        };
        let good = expected.encode_to_vec();
        let mistyped: [&[u8]; 5] = [
            &[0x08, 7],
            &[0x0d, 1, 2, 3, 4],
            &[0x09, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0x12, 2, 0xff, 0xff],
            &[0x0b, 0x10, 1, 0x0c],
        ];
        for field in mistyped {
            for bytes in [[field, &good].concat(), [&good, field].concat()] {
                assert_eq!(decode::<Balance>(&bytes), Ok(expected.clone()), "{field:?}");
            }
        }
        let packed = [0x2a, 2, 50, 60, 0x28, 70, 0x2d, 0, 0, 0, 0];
        let request: GetStatisticsRequest = decode(&packed).expect("both ways to list");
        assert_eq!(request.percentiles, [50, 60, 70]);
    }
}
