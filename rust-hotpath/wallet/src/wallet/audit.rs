//! Compares an index with a scan of the same version. Both ways are in this process, so no Go service is needed.

use super::Wallet;
use crate::draw::{self, Place, Random};
use crate::ledger::Ledger;
use hotpath::model::{Audit, Model as _, Refusal};

/// Questions about one account in a row. A copy of its history is made for them, whose entries are then scanned.
const ABOUT_ONE: u64 = 40;
/// Times of entries at which windows begin and end.
const TIMES: usize = 500;
/// Mistakes that are kept as text, and the length of each.
const SHOWN: usize = 20;
const SHOWN_CHARS: usize = 1_000;
/// The methods whose answers are not computed from counters alone.
const SCANNED: [usize; 4] = [0, 2, 3, 4];

type Answered = Result<Vec<u8>, Refusal>;

/// Audits one version. `go_on` is asked now and then whether to.
pub(super) fn audit(ledger: &Ledger, seed: u64, questions: u64, go_on: &dyn Fn() -> bool) -> Audit {
    let mut found = Audit::default();
    if let Err(mistake) = ledger.audit() {
        wrong(&mut found, &format!("stored figures: {mistake}"));
    }
    found.notes.push(format!(
        "stored figures of {} accounts were recounted",
        ledger.account_count()
    ));
    let places: Vec<(&str, &str)> = ledger.indexed().collect();
    found
        .notes
        .push(format!("{} histories have an index", places.len()));
    let mut block = 0;
    while found.asked < questions && !places.is_empty() && go_on() {
        let mut random = Random::of(seed, block);
        if let Some((account_id, asset)) = random.pick(&places) {
            let place = place(ledger, account_id, asset);
            let scanned = ledger.scanned(account_id);
            let count = ABOUT_ONE.min(questions - found.asked);
            compare((ledger, &scanned), &place, (&mut random, count), &mut found);
        }
        block += 1;
    }
    found.complete = found.asked == questions || places.is_empty();
    found
}

/// Asks both versions `count` questions about `place`.
fn compare(
    (indexed, scanned): (&Ledger, &Ledger),
    place: &Place,
    (random, count): (&mut Random, u64),
    found: &mut Audit,
) {
    for _ in 0..count {
        let method = random.pick(&SCANNED).copied().unwrap_or_default();
        let request = draw::question(random, method, place, &[]);
        let [one, other] = [indexed, scanned].map(|ledger| answer(ledger, method, &request));
        found.asked += 1;
        if one != other {
            let name = Wallet::METHODS.get(method).copied().unwrap_or_default();
            let query = Wallet::parse(method, &request);
            wrong(
                found,
                &format!("{name} {query:?}: by index {one:?}, by scan {other:?}"),
            );
        }
    }
}

fn answer(ledger: &Ledger, method: usize, request: &[u8]) -> Answered {
    let query = Wallet::parse(method, request)?;
    let mut reply = Vec::new();
    Wallet::answer(ledger, &query, &mut reply)?;
    Ok(reply)
}

fn wrong(found: &mut Audit, text: &str) {
    found.wrong += 1;
    if found.mistakes.len() < SHOWN {
        found
            .mistakes
            .push(text.chars().take(SHOWN_CHARS).collect());
    }
}

fn place(ledger: &Ledger, account_id: &str, asset: &str) -> Place {
    let log = ledger.log(account_id, asset);
    let step = log.map_or(1, |log| log.len() / TIMES + 1);
    let entries = log.into_iter().flat_map(|log| log.entries());
    Place {
        account_id: account_id.to_owned(),
        asset: asset.to_owned(),
        times: entries
            .step_by(step)
            .map(|entry| entry.occurred_at_us)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Draft, DraftEntry, Keeping, Merging};

    fn booked(keeping: Keeping, entries: u64, amount: i64) -> Ledger {
        let mut ledger = Ledger::keeping(keeping);
        for position in 1..=entries {
            let draft = Draft {
                position,
                transaction_id: "t".into(),
                occurred_at_us: (position * 7_919 % 1_009).cast_signed(),
                external: true,
                entries: vec![DraftEntry {
                    account_id: "a".into(),
                    asset: "GBP".into(),
                    amount: amount + (position % 90).cast_signed(),
                    phase: 1,
                    counterparty: format!("c{}", position % 50),
                    ..DraftEntry::default()
                }],
            };
            let transaction = draft.check().expect("a good transaction");
            ledger.apply(&transaction).expect("a good transaction");
        }
        ledger
    }

    const INDEX: Keeping = Keeping::Index(Merging::InPlace);

    #[test]
    fn an_index_that_is_right_passes() {
        let found = audit(&booked(INDEX, 3_000, 1), 1, 300, &|| true);
        assert_eq!((found.asked, found.wrong), (300, 0), "{found:?}");
        assert!(
            found
                .notes
                .iter()
                .any(|note| note == "1 histories have an index"),
            "{found:?}"
        );
    }

    #[test]
    fn an_index_that_is_wrong_is_noticed() {
        let (one, other) = (booked(INDEX, 300, 1), booked(Keeping::Scan, 300, 2));
        let place = place(&one, "a", "GBP");
        assert!(place.times.len() == 300);
        let mut found = Audit::default();
        compare(
            (&one, &other),
            &place,
            (&mut Random::of(1, 1), 200),
            &mut found,
        );
        assert!((50..=200).contains(&found.wrong), "{found:?}");
        assert_eq!(found.mistakes.len(), SHOWN);
        assert!(
            found
                .mistakes
                .iter()
                .any(|text| text.contains("GetStatistics")),
            "{found:?}"
        );
    }

    #[test]
    fn a_copy_that_is_scanned_has_no_index_and_the_same_entries() {
        let ledger = booked(INDEX, 1_000, 1);
        let scanned = ledger.scanned("a");
        assert_eq!(
            (ledger.indexed().count(), scanned.indexed().count()),
            (1, 0)
        );
        let sum = |ledger: &Ledger| {
            let log = ledger.log("a", "GBP").expect("a log");
            log.entries().map(|entry| entry.amount).sum::<i64>()
        };
        assert_eq!(sum(&ledger), sum(&scanned));
        assert_eq!(ledger.scanned("nobody").indexed().count(), 1);
    }

    #[test]
    fn it_ends_when_it_is_told_to_and_without_an_index() {
        let ledger = booked(INDEX, 1_000, 1);
        let stopped = audit(&ledger, 1, 1_000, &|| false);
        assert_eq!((stopped.asked, stopped.complete), (0, false));
        let nothing = audit(&booked(Keeping::Scan, 1_000, 1), 1, 1_000, &|| true);
        assert_eq!((nothing.asked, nothing.complete), (0, true));
    }
}
