//! Measures what a ledger costs per entry, in resident bytes and booking time, while versions are published all the
//! time.
//!
//! Run `cargo bench -p hotpath-wallet --bench memory`. As a test it uses small ledgers, which only show that it runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    dead_code,
    unreachable_pub
)]

#[path = "fixture/ledger.rs"]
mod fixture;

use std::time::Instant;

use hotpath_wallet::ledger::{Draft, Ledger};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PAGE_BYTES: u64 = 4_096;

fn main() {
    let scale = if fixture::measuring() { 1 } else { 1_000 };
    println!("ledger              accounts    entries   B/entry  B/account  apply ns/entry");
    report(
        "spending",
        fixture::spending(2_060_000 / scale, 25, 44_000 / scale),
    );
    report("wallets, 2 entries", fixture::wallets(1_000_000 / scale, 1));
    report("wallets, 8 entries", fixture::wallets(1_000_000 / scale, 4));
}

fn report(name: &str, drafts: impl Iterator<Item = Draft>) {
    let before = resident_bytes();
    let mut ledger = Ledger::default();
    let mut published = ledger.clone();
    let mut drafts = drafts.peekable();
    let mut busy_ns = 0;
    while drafts.peek().is_some() {
        // Only applying is timed. Making the transactions is not.
        let batch = drafts.by_ref().take(fixture::PUBLISH as usize);
        let batch: Vec<_> = batch.map(fixture::checked).collect();
        let started = Instant::now();
        for transaction in &batch {
            ledger.apply(transaction).expect("a good transaction");
        }
        published = ledger.clone();
        busy_ns += started.elapsed().as_nanos() as u64;
    }
    drop(published);
    let bytes = resident_bytes().saturating_sub(before);
    println!(
        "{name:<18} {:>9}  {:>9}  {:>8.1}  {:>9.0}  {:>14}",
        ledger.account_count(),
        ledger.entry_count(),
        bytes as f64 / ledger.entry_count() as f64,
        bytes as f64 / ledger.account_count() as f64,
        busy_ns / ledger.entry_count(),
    );
    // The ledger is leaked, because memory that it frees would make the next ledger look smaller.
    std::mem::forget(ledger);
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let resident = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    resident.expect("a number of pages") * PAGE_BYTES
}
