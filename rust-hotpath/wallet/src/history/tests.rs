//! A history against a list that is filtered for every question.

#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod naive;
mod simulation;

use super::*;
use naive::{Book, Naive, Random, Style};

/// Asks about windows that begin and end at edges: of runs, of blocks, among equal times, and at the ends of time.
fn check_edges(book: &Book, naive: &Naive, random: &mut Random, windows: usize) {
    let mut edges = vec![i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX];
    for run in book.history.runs(Phase::Posted) {
        let last = run.len() - 1;
        let middle = last / 2 / 128 * 128;
        for at in [
            0,
            1,
            127,
            128,
            middle,
            middle + 1,
            last.saturating_sub(1),
            last,
        ] {
            let time = run.time(at.min(last));
            edges.extend([time.saturating_sub(1), time, time.saturating_add(1)]);
        }
    }
    edges.extend(book.tail.iter().map(|row| row.occurred_at_us));
    for _ in 0..windows {
        let [a, b] = [(); 2].map(|()| edges[random.below(edges.len())]);
        naive.check(book, a.min(b), a.max(b), random);
    }
    naive.check(book, i64::MIN, i64::MAX, random);
}

fn fill(style: Style, count: usize, seed: u64) -> (Book, Naive, Random) {
    let mut random = Random(seed);
    let (mut book, mut naive) = (Book::default(), Naive::default());
    for _ in 0..count {
        let row = style.row(naive.rows.len(), &mut random);
        book.push(row, Merging::InPlace);
        naive.rows.push(row);
    }
    (book, naive, random)
}

#[test]
fn windows_that_hit_every_edge_are_exact() {
    for (count, windows) in [
        (1, 4),
        (62, 9),
        (63, 9),
        (64, 9),
        (700, 30),
        (3_000, 20),
        (20_000, 8),
    ] {
        for (seed, style) in (1..).zip(Style::ALL) {
            let (book, naive, mut random) = fill(style, count, seed * 1_000 + count as u64);
            check_edges(&book, &naive, &mut random, windows);
        }
    }
}

#[test]
fn every_single_entry_can_be_asked_for() {
    for style in Style::ALL {
        let (book, naive, mut random) = fill(style, 1_500, 5);
        for row in naive.rows.iter().step_by(19) {
            let at = row.occurred_at_us;
            naive.check(&book, at, at.saturating_add(1), &mut random);
        }
    }
}

#[test]
fn an_entry_far_in_the_past_is_found_whatever_was_sealed_since() {
    let (mut book, mut naive, mut random) = fill(Style::Steady, 10_000, 3);
    for at in [
        i64::MIN,
        -5,
        naive.rows[4_000].occurred_at_us,
        naive.rows[0].occurred_at_us,
    ] {
        let row = Logged::new(at, -77, Some(123_456), Phase::Posted);
        book.push(row, Merging::InPlace);
        naive.rows.push(row);
        naive.check(&book, at, at + 1, &mut random);
        naive.check(&book, i64::MIN, i64::MAX, &mut random);
    }
}

#[test]
fn sums_that_pass_64_bits_are_exact() {
    let (mut book, mut naive, mut random) = (Book::default(), Naive::default(), Random(1));
    for n in 0..40_000 {
        let side = if n % 3 == 0 { -1 } else { 1 };
        let row = Logged::new(
            n / 9,
            side * 1_000_000_000_000_000,
            Some(n as u32 % 5),
            Phase::Posted,
        );
        book.push(row, Merging::InPlace);
        naive.rows.push(row);
    }
    check_edges(&book, &naive, &mut random, 40);
}

#[test]
fn runs_share_what_they_have_in_common_and_stay_as_they_are() {
    let mut random = Random(8);
    let (mut book, mut naive) = (Book::default(), Naive::default());
    let mut versions = Vec::new();
    for n in 0..9_000 {
        let row = Style::Late.row(n, &mut random);
        book.push(row, Merging::InPlace);
        naive.rows.push(row);
        if n % 500 == 77 {
            let rows: Vec<Logged> = book.history.entries().collect();
            versions.push((n + 1, book.clone(), format!("{:?}", book.history), rows));
        }
    }
    for (len, old, printed, rows) in &versions {
        assert_eq!(format!("{:?}", old.history), *printed, "bit by bit");
        assert!(old.history.entries().eq(rows.iter().copied()));
        let before = Naive {
            rows: naive.rows[..*len].to_vec(),
        };
        check_edges(old, &before, &mut random, 3);
    }
}

#[test]
fn a_merge_of_runs_that_are_gone_is_dropped() {
    let (mut book, mut naive, mut random) = (Book::default(), Naive::default(), Random(4));
    let mut old = book.clone();
    for n in 0..17_000 {
        let row = Style::Steady.row(n, &mut random);
        book.push(row, Merging::Deferred);
        naive.rows.push(row);
        if n + 1 == 15_000 {
            old = book.clone();
        }
    }
    let merged = book.history.take().expect("a long merge").run();
    assert!(book.history.take().is_none(), "one at a time");
    naive.rows.truncate(15_000);
    let before = format!("{:?}", old.history);
    old.history.swap(&merged);
    assert_eq!(format!("{:?}", old.history), before);
    check_edges(&old, &naive, &mut random, 5);
}

#[test]
fn entries_come_back_whatever_their_phase() {
    let (book, naive, _) = fill(Style::Held, 5_000, 2);
    let key = |row: &Logged| (row.occurred_at_us, row.amount, row.phase);
    let mut got: Vec<_> = book
        .history
        .entries()
        .chain(book.tail.iter().copied())
        .collect();
    let mut expected = naive.rows;
    got.sort_by_key(key);
    expected.sort_by_key(key);
    let parties = |rows: &[Logged]| -> Vec<Option<Slot>> {
        let mut of_posted: Vec<_> = rows
            .iter()
            .filter(|row| row.phase == Phase::Posted)
            .map(Logged::counterparty)
            .collect();
        of_posted.sort_unstable();
        of_posted
    };
    assert!(got.iter().map(key).eq(expected.iter().map(key)));
    assert_eq!(parties(&got), parties(&expected));
}
