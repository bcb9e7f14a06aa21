//! Chosen cases that random ones seldom meet, compared with the same oracle.

use hotpath::model::{Model, Refusal, VerdictCode};
use hotpath_wallet::Wallet;
use hotpath_wallet::proto as p;
use prost::Message;

use crate::Pair;
use crate::oracle::{MAX_TIME, MIN_TIME};
use crate::questions::{Question, answer};

const LARGEST: i64 = 1_000_000_000_000_000;

fn entry(account: &str, asset: &str, amount: i64, phase: i32) -> p::Entry {
    p::Entry {
        account_id: account.into(),
        asset: asset.into(),
        amount,
        phase,
        counterparty: "shop".into(),
        ..p::Entry::default()
    }
}

fn post(pair: &mut Pair, at: i64, entries: Vec<p::Entry>) {
    let transaction = p::Transaction {
        position: 1,
        transaction_id: "t".into(),
        occurred_at_us: at,
        external: true,
        entries,
    };
    assert!(pair.post(transaction), "refused");
}

/// Posts ten thousand of the largest entries. Their sum, 10^19, does not fit `int64`.
fn flood(pair: &mut Pair, account: &str, amount: i64, phase: i32) {
    for _ in 0..10 {
        post(pair, 0, vec![entry(account, "GBP", amount, phase); 1_000]);
    }
}

fn balance(account: &str) -> Question {
    Question::Balance(p::GetBalanceRequest {
        account_id: account.into(),
        ..p::GetBalanceRequest::default()
    })
}

fn statistics(account: &str) -> Question {
    Question::Statistics(p::GetStatisticsRequest {
        account_id: account.into(),
        asset: "GBP".into(),
        from_us: MIN_TIME,
        to_us: MAX_TIME,
        percentiles: vec![1, 10_000],
    })
}

fn top(account: &str) -> Question {
    Question::Top(p::GetTopCounterpartiesRequest {
        account_id: account.into(),
        asset: "GBP".into(),
        from_us: MIN_TIME,
        to_us: MAX_TIME,
        limit: 1,
    })
}

fn series(account: &str, from_us: i64, to_us: i64) -> Question {
    Question::Series(p::GetTimeSeriesRequest {
        account_id: account.into(),
        asset: "GBP".into(),
        from_us,
        to_us,
        step: 2,
    })
}

fn out_of_range(field: &str) -> Result<Vec<u8>, Refusal> {
    let text = format!("{field}: does not fit int64");
    Err(Refusal::verdict(VerdictCode::OutOfRange, text))
}

#[test]
fn the_first_figure_that_does_not_fit_is_named() {
    for (amount, phase, field) in [
        (LARGEST, 1, "credits_posted"),
        (-LARGEST, 1, "debits_posted"),
        (LARGEST, 2, "credits_pending"),
        (-LARGEST, 2, "debits_pending"),
    ] {
        let mut pair = Pair::default();
        flood(&mut pair, "rich", amount, phase);
        assert_eq!(pair.ask(&balance("rich")), out_of_range(field));
        if phase == 1 {
            let side = if amount > 0 {
                "credit_sum"
            } else {
                "debit_sum"
            };
            assert_eq!(pair.ask(&statistics("rich")), out_of_range(side));
            assert_eq!(pair.ask(&top("rich")), out_of_range(side));
            assert_eq!(pair.ask(&series("rich", -1, 1)), out_of_range(side));
            assert_eq!(
                pair.ask(&series("rich", 1, 2)),
                out_of_range("closing_balance")
            );
        }
        // Another account does not help: one figure that does not fit fails the whole batch.
        post(&mut pair, 0, vec![entry("poor", "GBP", 1, 1)]);
        let batch = Question::Batch(p::BatchGetBalancesRequest {
            account_ids: vec!["poor".into(), "rich".into()],
            asset: None,
        });
        assert_eq!(pair.ask(&batch), out_of_range(field));
        assert!(pair.ask(&balance("poor")).is_ok());
    }
}

#[test]
fn sides_that_fit_can_have_a_difference_that_does_not() {
    let mut pair = Pair::default();
    for _ in 0..9 {
        post(&mut pair, 0, vec![entry("a", "GBP", -LARGEST, 1); 1_000]);
    }
    assert!(pair.ask(&balance("a")).is_ok());
    post(&mut pair, 0, vec![entry("a", "GBP", -LARGEST, 2); 1_000]);
    assert_eq!(pair.ask(&balance("a")), out_of_range("available"));
    assert!(pair.ask(&statistics("a")).is_ok());
}

#[test]
fn the_ends_of_int64_fit() {
    let mut pair = Pair::default();
    for _ in 0..9 {
        post(&mut pair, 0, vec![entry("a", "GBP", LARGEST, 1); 1_000]);
    }
    let rest = i64::MAX - 9_000 * LARGEST;
    for part in 0..223 {
        post(&mut pair, part, vec![entry("a", "GBP", LARGEST, 1)]);
    }
    post(
        &mut pair,
        0,
        vec![entry("a", "GBP", rest - 223 * LARGEST, 1)],
    );
    let reply = pair.ask(&balance("a")).expect("just fits");
    let reply = p::GetBalanceResponse::decode(&*reply).expect("a reply");
    assert_eq!(reply.balances[0].posted, i64::MAX);
    post(&mut pair, 0, vec![entry("a", "GBP", 1, 1)]);
    assert_eq!(pair.ask(&balance("a")), out_of_range("credits_posted"));
}

#[test]
fn assets_come_in_byte_order_and_stay_under_as_of() {
    let mut pair = Pair::default();
    for asset in ["b", "B", "~", "a1", "a", "!"] {
        post(&mut pair, 5, vec![entry("a", asset, 1, 1)]);
    }
    let reply = pair.ask(&Question::Balance(p::GetBalanceRequest {
        account_id: "a".into(),
        asset: None,
        as_of_us: Some(5),
    }));
    let reply = p::GetBalanceResponse::decode(&*reply.expect("a reply")).expect("a reply");
    let assets: Vec<&str> = reply.balances.iter().map(|b| &*b.asset).collect();
    assert_eq!(assets, ["!", "B", "a", "a1", "b", "~"]);
    assert!(reply.balances.iter().all(|b| b.entry_count == 0));
}

#[test]
fn the_longest_ids_and_most_accounts_are_answered() {
    let mut pair = Pair::default();
    let id = |n: usize| format!("{n:0>64}");
    let entries = (0..1_000).map(|n| entry(&id(n), "SIXTEEN-LETTERS!", 1, 1));
    post(&mut pair, 0, entries.collect());
    let ids: Vec<String> = (0..1_000).rev().map(id).collect();
    let batch = Question::Batch(p::BatchGetBalancesRequest {
        account_ids: ids.clone(),
        asset: None,
    });
    let reply = pair.ask(&batch).expect("a reply");
    let reply = p::BatchGetBalancesResponse::decode(&*reply).expect("a reply");
    let seen: Vec<String> = reply.accounts.into_iter().map(|a| a.account_id).collect();
    assert_eq!(seen, ids);
}

#[test]
fn ten_thousand_buckets_are_the_most() {
    let mut pair = Pair::default();
    post(&mut pair, 0, vec![entry("a", "GBP", 1, 1)]);
    let day = 86_400_000_000;
    assert!(pair.ask(&series("a", 0, 10_000 * day)).is_ok());
    for (from, to) in [(0, 10_000 * day + 1), (-1, 10_000 * day)] {
        let refused = pair.ask(&series("a", from, to));
        assert_eq!(
            refused,
            Err(Refusal::verdict(
                VerdictCode::InvalidArgument,
                "step: must give at most 10000 buckets"
            ))
        );
    }
}

#[test]
fn arguments_are_checked_before_the_account_is_looked_up() {
    let pair = Pair::default();
    let refused = pair.ask(&series("nobody", 1, 1));
    assert!(matches!(
        refused,
        Err(Refusal::Verdict { code: VerdictCode::InvalidArgument, message, .. }) if message == "from_us: must be before to_us"
    ));
    let refused = pair.ask(&statistics("nobody"));
    assert!(matches!(
        refused,
        Err(Refusal::Verdict { code: VerdictCode::NotFound, message, .. }) if message == "account_id: has no entries"
    ));
}

#[test]
fn bytes_that_are_no_request_are_no_verdict() {
    let pair = Pair::default();
    for method in 0..=Wallet::METHODS.len() {
        let refused = answer(pair.state(), method, &[0xff]);
        assert!(matches!(refused, Err(Refusal::Malformed(_))));
    }
}

#[test]
fn gauges_count_what_there_is() {
    let mut pair = Pair::default();
    post(
        &mut pair,
        0,
        vec![
            entry("a", "GBP", 1, 1),
            entry("b", "EUR", 1, 2),
            entry("a", "EUR", 1, 1),
        ],
    );
    let gauges = Wallet::gauges(pair.state());
    let gauges: Vec<_> = gauges
        .into_iter()
        .map(|(name, _, value)| (name, value))
        .collect();
    let (counts, runs) = gauges.split_at(4);
    let expected = [("accounts", 2), ("assets", 2), ("entries", 3), ("ids", 3)];
    assert_eq!(counts, expected);
    assert!(runs.iter().all(|(_, value)| *value == 0), "{runs:?}");
}
