//! The faults.

use crate::model::Fault;
use hotpath_wallet::proto::GetBalanceResponse;
use prost::Message as _;
use std::{path::PathBuf, sync::OnceLock};

/// A seeded bug.
#[derive(Debug)]
pub(crate) enum WrongBalance {}

/// Another release's schema.
#[derive(Debug)]
pub(crate) enum Schema {}

/// A position that is skipped.
#[derive(Debug)]
pub(crate) enum Gap {}

/// An abort.
#[derive(Debug)]
pub(crate) enum Crash {}

/// The index of `GetBalance`.
const BALANCE: usize = 0;

impl Fault for WrongBalance {
    fn answered(method: usize, reply: &mut Vec<u8>) {
        if method != BALANCE {
            return;
        }
        let Ok(mut balances) = GetBalanceResponse::decode(reply.as_slice()) else {
            return;
        };
        for row in &mut balances.balances {
            if row.posted % 7 == 0 {
                row.posted = row.posted.saturating_add(1);
            }
        }
        *reply = balances.encode_to_vec();
    }
}

impl Fault for Schema {
    const DESCRIPTORS: &'static [u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/changed.descriptors.bin"));
}

impl Fault for Gap {
    fn skips() -> u64 {
        u64::from(is_on())
    }
}

impl Fault for Crash {
    fn applies() {
        if is_on() {
            std::process::abort();
        }
    }
}

/// Whether the fault is on: while the file of `FAULT_WHILE` is there, or always if that names none.
fn is_on() -> bool {
    static WHILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let file = WHILE.get_or_init(|| std::env::var_os("FAULT_WHILE").map(PathBuf::from));
    file.as_ref().is_none_or(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Faulty;
    use hotpath::{model::Model, schema::Schema as Hashes};
    use hotpath_wallet::{Wallet, proto::Balance};

    fn reply(posted: &[i64]) -> Vec<u8> {
        let row = |posted: &i64| Balance {
            asset: "GBP".to_owned(),
            posted: *posted,
            ..Balance::default()
        };
        let balances = posted.iter().map(row).collect();
        GetBalanceResponse { balances }.encode_to_vec()
    }

    #[test]
    fn only_balances_that_are_multiples_of_seven_are_wrong() {
        let mut balance = reply(&[6, 7, -14, 15]);
        WrongBalance::answered(BALANCE, &mut balance);
        assert_eq!(balance, reply(&[6, 8, -13, 15]));
        let mut other = reply(&[7]);
        WrongBalance::answered(BALANCE + 1, &mut other);
        assert_eq!(other, reply(&[7]));
        Schema::answered(BALANCE, &mut other);
        assert_eq!(other, reply(&[7]));
    }

    #[test]
    fn one_method_has_another_schema() {
        let ours = Hashes::decode(Faulty::<Schema>::DESCRIPTORS).expect("built with the crate");
        let theirs = Hashes::decode(Wallet::DESCRIPTORS).expect("built with the crate");
        for name in Wallet::METHODS {
            let method = format!("/{}/{name}", Wallet::SERVICE);
            let same = ours.hash(&method) == theirs.hash(&method);
            assert_eq!(same, *name != "GetStatistics", "{name}");
        }
        assert_eq!(Faulty::<Gap>::DESCRIPTORS, Wallet::DESCRIPTORS);
    }

    #[test]
    fn an_event_claims_the_next_position() {
        assert_eq!((Gap::skips(), Crash::skips()), (1, 0));
    }
}
