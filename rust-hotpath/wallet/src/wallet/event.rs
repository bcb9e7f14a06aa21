//! Decodes the events of the feed: encoded `wallet.v1.Transaction`s.

use prost::Message;

use crate::ledger::{Draft, DraftEntry, Transaction};
use crate::proto;

pub(super) fn decode(bytes: &[u8]) -> Result<Transaction, String> {
    let transaction = proto::Transaction::decode(bytes)
        .map_err(|error| format!("not a wallet.v1.Transaction: {error}"))?;
    let checked = draft(transaction).check();
    checked.map_err(|refusal| refusal.to_string())
}

fn draft(transaction: proto::Transaction) -> Draft {
    let entries = transaction.entries.into_iter().map(|entry| DraftEntry {
        account_id: entry.account_id,
        asset: entry.asset,
        amount: entry.amount,
        phase: entry.phase,
        kind: entry.kind,
        counterparty: entry.counterparty,
    });
    Draft {
        position: transaction.position,
        transaction_id: transaction.transaction_id,
        occurred_at_us: transaction.occurred_at_us,
        external: transaction.external,
        entries: entries.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction() -> proto::Transaction {
        proto::Transaction {
            position: 7,
            transaction_id: "t".into(),
            external: true,
            entries: vec![proto::Entry {
                account_id: "a".into(),
                asset: "GBP".into(),
                amount: -3,
                phase: 1,
                ..proto::Entry::default()
            }],
            ..proto::Transaction::default()
        }
    }

    #[test]
    fn a_good_event_keeps_its_position() {
        let decoded = decode(&transaction().encode_to_vec()).expect("a good event");
        assert_eq!((decoded.position(), decoded.entry_count()), (7, 1));
    }

    #[test]
    fn a_bad_event_says_what_is_wrong() {
        assert!(decode(&[0xff]).is_err_and(|text| text.starts_with("not a wallet.v1")));
        let mut bad = transaction();
        bad.external = false;
        assert_eq!(
            decode(&bad.encode_to_vec()).expect_err("unbalanced"),
            "entries: must sum to zero per asset and phase unless external (GBP POSTED sums to -3)"
        );
        bad.entries[0].phase = 4;
        assert_eq!(
            decode(&bad.encode_to_vec()).expect_err("no such phase"),
            "entries[0].phase: must be POSTED, HOLD or RELEASE"
        );
    }

    #[test]
    fn a_later_field_replaces_an_earlier_one() {
        let mut bytes = transaction().encode_to_vec();
        bytes.extend([1 << 3, 9]);
        assert_eq!(decode(&bytes).map(|t| t.position()), Ok(9));
    }
}
