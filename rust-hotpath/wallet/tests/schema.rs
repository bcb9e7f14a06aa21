//! Tests the canonical text and the hash of methods, which the Go service computes too. The wallet's methods have every
//! kind of field.

#![allow(clippy::expect_used, clippy::panic, missing_docs)]

use hotpath::schema::Schema;
use hotpath_wallet::proto::DESCRIPTORS;
use std::{fs, path::Path};

const GET_BALANCE: &str = "\
method /wallet.v1.WalletService/GetBalance wallet.v1.GetBalanceRequest wallet.v1.GetBalanceResponse
message wallet.v1.Balance
  1 asset string singular
  2 credits_posted int64 singular
  3 debits_posted int64 singular
  4 credits_pending int64 singular
  5 debits_pending int64 singular
  6 posted int64 singular
  7 available int64 singular
  8 entry_count uint64 singular
  9 last_occurred_at_us int64 optional
message wallet.v1.GetBalanceRequest
  1 account_id string singular
  2 asset string optional
  3 as_of_us int64 optional
message wallet.v1.GetBalanceResponse
  1 balances message wallet.v1.Balance repeated
";

fn wallet() -> Schema {
    Schema::decode(DESCRIPTORS).expect("built with the crate")
}

#[test]
fn the_text_of_one_method_in_full() {
    let text = wallet().text("/wallet.v1.WalletService/GetBalance");
    assert_eq!(text.as_deref(), Some(GET_BALANCE));
}

#[test]
fn enums_follow_messages_and_oneofs_are_named() {
    let series = wallet()
        .text("/wallet.v1.WalletService/GetTimeSeries")
        .expect("known");
    assert!(series.ends_with("enum wallet.v1.Step\n  0 STEP_UNSPECIFIED\n  1 STEP_HOUR\n  2 STEP_DAY\n  3 STEP_WEEK\n  4 STEP_MONTH\n"));
    assert!(series.contains("\n  5 step enum wallet.v1.Step singular\n"));
    let transaction = wallet()
        .text("/wallet.v1.WalletService/GetTransaction")
        .expect("known");
    assert!(transaction.contains("\n  2 position uint64 oneof key\n"));
    assert_eq!(wallet().text("/wallet.v1.WalletService/Nothing"), None);
}

#[test]
fn the_committed_hashes_are_right() {
    let hot = [
        "BatchGetBalances",
        "GetBalance",
        "GetStatistics",
        "GetTimeSeries",
        "GetTopCounterparties",
    ];
    let mut lines = String::new();
    for method in hot {
        let full = format!("/wallet.v1.WalletService/{method}");
        let hash = wallet().hash(&full).expect("known");
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        lines.push_str(&format!("{full} {hex}\n"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/golden/schema.txt");
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        committed, lines,
        "proto/golden/schema.txt must say exactly what is on the right"
    );
}
