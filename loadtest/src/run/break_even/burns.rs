//! The workload of the break-even report: requests that ask for some CPU time.

use crate::traffic::{Method, Request, Workload};
use prost::Message;

/// The only method.
const PATH: &str = "/burn.v1.BurnService/Burn";
/// The number of different requests, a power of two.
const POOL: u64 = 256;

/// `burn.v1.BurnRequest`.
#[derive(Clone, PartialEq, Message)]
struct BurnRequest {
    #[prost(uint32, tag = "1")]
    work_ns: u32,
    #[prost(fixed64, tag = "2")]
    ticket: u64,
}

/// The encoded requests.
#[derive(Debug)]
pub(super) struct Burns {
    methods: [Method; 1],
    messages: Vec<Vec<u8>>,
}

impl Burns {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn new(work_us: f64) -> Self {
        // The limits of the command line make sure that it fits.
        let work_ns = (work_us * 1e3).round() as u32;
        let message = |ticket| BurnRequest { work_ns, ticket }.encode_to_vec();
        Self {
            methods: [Method {
                path: PATH.to_owned(),
                hot: true,
            }],
            // Tickets start at 1. A ticket of 0 is not encoded, so its request would be shorter.
            messages: (1..=POOL).map(message).collect(),
        }
    }
}

impl Workload for Burns {
    fn methods(&self) -> &[Method] {
        &self.methods
    }

    fn read(&self, seed: u64, n: u64) -> Request<'_> {
        let index = usize::try_from(seed.wrapping_add(n) % POOL).unwrap_or(0);
        Request {
            method: 0,
            message: &self.messages[index],
        }
    }

    fn write(&self, _k: u64) -> Option<(u16, Vec<u8>)> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_ask_for_the_same_work_and_are_told_apart() {
        let burns = Burns::new(2.5);
        let read = |n| BurnRequest::decode(burns.read(7, n).message).unwrap();
        assert_eq!(read(0).work_ns, 2500);
        assert_ne!(read(0).ticket, read(1).ticket);
        assert_eq!(read(0), read(POOL));
        assert!(burns.write(0).is_none());
    }
}
