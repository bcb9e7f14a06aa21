//! Between bytes and messages.

use prost::Message;

use crate::model::Refusal;

pub(super) fn decode<M: Message + Default>(request: &[u8]) -> Result<M, Refusal> {
    M::decode(request).map_err(|error| Refusal::Malformed(error.to_string()))
}

/// Appends the canonical encoding: fields in tag order, zeros of fields without presence left out.
pub(super) fn encode<M: Message>(message: &M, reply: &mut Vec<u8>) -> Result<(), Refusal> {
    // Fails only when memory runs out; then it is no answer, and the service itself decides.
    message
        .encode(reply)
        .map_err(|error| Refusal::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wallet::{Balance, GetStatisticsResponse, Percentile};

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
        for bytes in [&[0xff_u8][..], &[0x0a, 5, b'x'], &[0x0a, 1, 0xff]] {
            let result = decode::<Balance>(bytes);
            assert!(matches!(result, Err(Refusal::Malformed(_))), "{bytes:?}");
        }
    }
}
