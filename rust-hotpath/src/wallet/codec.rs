//! Between bytes and messages.

use prost::Message;
use prost::encoding::message;

use crate::model::Refusal;

/// The field of every reply that is a list.
const ROWS_TAG: u32 = 1;

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

/// Appends one row of a reply whose only field is a list: the same bytes as encoding the whole, without building it.
pub(super) fn append_row<M: Message>(row: &M, reply: &mut Vec<u8>) {
    message::encode(ROWS_TAG, row, reply);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wallet::{
        Balance, BatchGetBalancesResponse, GetBalanceResponse, GetStatisticsResponse,
        GetTimeSeriesResponse, GetTopCounterpartiesResponse, Percentile,
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
        for bytes in [&[0xff_u8][..], &[0x0a, 5, b'x'], &[0x0a, 1, 0xff]] {
            let result = decode::<Balance>(bytes);
            assert!(matches!(result, Err(Refusal::Malformed(_))), "{bytes:?}");
        }
    }
}
