#![allow(clippy::unwrap_used, clippy::panic)]

mod requests;

use super::*;
use crate::{scenario::Writes, traffic::Spread, workload::Draw};
use std::{fs, time::Duration};

const MIX: &str = "\n[[mix]]\nmethod = \"wallet.v1.WalletService/GetBalance\"\nrequest = { account_id = \"$account\" }\n";

fn parsed(text: &str) -> Result<Scenario> {
    parse(Path::new("folder/some.toml"), text.to_owned())
}

fn minimal() -> String {
    format!("title = \"Some\"{MIX}")
}

/// Returns the mistakes of a scenario that begins with a title and ends with a mix, without the file's name.
fn mistakes_of(middle: &str) -> Vec<String> {
    mistakes(&format!("title = \"Some\"\n{middle}{MIX}"))
}

fn mistakes(text: &str) -> Vec<String> {
    let error = parsed(text).unwrap_err();
    assert_eq!(error.kind(), Kind::Input);
    let lines = error.to_string();
    let lines = lines
        .lines()
        .map(|line| line.strip_prefix("folder/some.toml:").unwrap().to_owned());
    lines.collect()
}

#[test]
fn what_is_not_given_has_a_default() {
    let scenario = parsed(&minimal()).unwrap();
    assert_eq!((&*scenario.name, &*scenario.title), ("some", "Some"));
    assert_eq!(scenario.mix[0].path, "/wallet.v1.WalletService/GetBalance");
    assert_eq!(scenario.mix[0].line, 2);
    assert_eq!((scenario.mix[0].weight, scenario.mix[0].pool), (1, 16_384));
    assert_eq!(scenario.ids.draw, Draw::Zipf { exponent: 1.0 });
    assert_eq!((scenario.ids.at_most, &scenario.ids.file), (16_000, &None));
    assert_eq!(scenario.load.timeout, Duration::from_secs(2));
    assert_eq!(scenario.objective.p99, Some(Duration::from_millis(10)));
    assert_eq!(
        (scenario.objective.p50, scenario.objective.p999),
        (None, None)
    );
    assert_eq!(scenario.pace.search_window, Duration::from_millis(1_500));
    assert_eq!(scenario.ledger.transactions, 500_000);
    assert_eq!(scenario.text, minimal());
}

#[test]
fn what_is_given_is_taken() {
    let text = "title = \"Some\"\nabout = \"\"\"Lines.\nMore.\"\"\"\n\
        [ids]\ndraw = \"uniform\"\nfile = \"ids.txt\"\nasset = \"GBP\"\nfrom_us = 1\nto_us = 2\n\
        [load]\nspread = \"constant\"\nwrites_per_second = 2.5\nwrites_per_read = 0.1\nwrites_at_once = 8\n\
        [objective]\np50_ms = 0.25\np999_ms = 100\n\
        [ledger]\nseed = 7\nshape = \"spending\"\n";
    let scenario = parsed(&format!("{text}{MIX}weight = 9\npool = 3\n")).unwrap();
    assert_eq!(scenario.about, "Lines.\nMore.");
    assert_eq!(scenario.ids.draw, Draw::Uniform);
    assert_eq!(scenario.ids.file.unwrap(), Path::new("folder/ids.txt"));
    assert_eq!(scenario.ids.fallback.asset, "GBP");
    assert_eq!(scenario.ids.fallback.span_us, (1, 2));
    assert_eq!(scenario.load.spread, Spread::Constant);
    let writes = Writes {
        per_second: 2.5,
        per_read: 0.1,
        at_once: 8,
    };
    assert_eq!(scenario.writes, writes);
    assert_eq!(scenario.objective.p50, Some(Duration::from_micros(250)));
    assert_eq!(scenario.objective.p99, None);
    assert_eq!(scenario.ledger.seed, 7);
    assert_eq!(scenario.ledger.shape, "spending");
    assert_eq!((scenario.mix[0].weight, scenario.mix[0].pool), (9, 3));
}

#[test]
fn every_shipped_scenario_is_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut names = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let scenario = read(&file.unwrap().path()).unwrap();
        assert!(!scenario.about.is_empty(), "{} lacks about", scenario.name);
        names.push(scenario.name);
    }
    names.sort();
    let shipped = [
        "balances",
        "cold-only",
        "connections",
        "hop",
        "large",
        "live",
        "mixed",
        "statistics",
    ];
    assert_eq!(names, shipped);
}

#[test]
fn all_mistakes_are_told_in_the_order_of_the_lines() {
    let text = "titel = \"x\"\n[load]\nconnections = 0\nidle = 3\n[pace]\nfrom_qps = \"many\"\n[[mix]]\nweight = 0\n";
    assert_eq!(
        mistakes(text),
        [
            "1: titel: unknown key; did you mean \"title\"?",
            "1: title: is missing: one line that says what is sent",
            "3: load.connections: must be a whole number from 1 to 1000, not 0",
            "4: load.idle: unknown key; known are: writes_per_second, writes_per_read, writes_at_once, connections, idle_connections, max_in_flight, timeout_ms, spread",
            "6: pace.from_qps: must be a number from 1 to 1000000, not string",
            "7: mix.method: is missing: such as \"wallet.v1.WalletService/GetBalance\"",
            "8: mix.weight: must be a whole number from 1 to 1000000, not 0",
        ]
    );
}

#[test]
fn what_is_no_toml_says_where() {
    let told = mistakes("title = \"x\"\nweight = = 2\n[load\n");
    assert!(told[0].starts_with("2: toml: "), "{told:?}");
    assert!(
        told.iter().any(|line| line.starts_with("3: toml: ")),
        "{told:?}"
    );
    let told = mistakes("title = \"x\"\nn = 99999999999999999999\n");
    assert!(told[0].starts_with("2: toml: "), "{told:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = read(Path::new("nowhere.toml")).unwrap_err().to_string();
    assert!(
        error.starts_with("can't read scenario nowhere.toml: "),
        "{error}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.toml");
    fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
    let error = read(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("must be a file of at most 1 MiB"),
        "{error}"
    );
}

#[test]
fn texts_have_limits() {
    let long = "x".repeat(101);
    let told = mistakes(&format!("title = \"{long}\"\nabout = 1{MIX}"));
    assert_eq!(told[0], "1: title: must be one line of 1 to 100 characters");
    assert_eq!(told[1], "2: about: must be a string, not integer");
    let told = mistakes_of(&format!("about = \"{}\"", "x".repeat(2_001)));
    assert_eq!(told, ["2: about: must be at most 2000 characters"]);
}

#[test]
fn ids_have_rules() {
    let cases = [
        (
            "draw = \"normal\"",
            "3: ids.draw: must be one of zipf, uniform, not \"normal\"",
        ),
        (
            "exponent = 0",
            "3: ids.exponent: must be a number from 0.01 to 10, not 0",
        ),
        (
            "exponent = nan",
            "3: ids.exponent: must be a number from 0.01 to 10, not NaN",
        ),
        (
            "draw = \"uniform\"\nexponent = 1",
            "4: ids.exponent: goes with draw = \"zipf\" only",
        ),
        (
            "at_most = 0",
            "3: ids.at_most: must be a whole number from 1 to 1000000, not 0",
        ),
        ("file = \"\"", "3: ids.file: must not be empty"),
        (
            "file = \"x\"\nasset = \"GBP\"",
            "4: ids.asset: asset, from_us and to_us must be given together",
        ),
        (
            "asset = \"GBP\"\nfrom_us = 1\nto_us = 2",
            "3: ids.asset: goes with ids.file only: the ledger's ids have one",
        ),
        (
            "file = \"x\"\nasset = \"G P\"\nfrom_us = 1\nto_us = 2",
            "4: ids.asset: asset must be 1-16 bytes of printable ASCII without spaces",
        ),
        (
            "file = \"x\"\nasset = \"GBP\"\nfrom_us = 3\nto_us = 2",
            "6: ids.to_us: must not be before from_us",
        ),
    ];
    for (keys, told) in cases {
        assert_eq!(mistakes_of(&format!("[ids]\n{keys}\n")), [told]);
    }
}

#[test]
fn rates_and_limits_must_make_sense_together() {
    let cases = [
        (
            "[pace]\nfrom_qps = 500\nto_qps = 400",
            "4: pace.to_qps: must not be below from_qps, 500",
        ),
        (
            "[pace]\nstep_factor = 1",
            "3: pace.step_factor: must be a number from 1.01 to 10, not 1",
        ),
        (
            "[objective]\np50_ms = 5\np999_ms = 4.5",
            "4: objective.p999_ms: must not be below p50_ms",
        ),
        (
            "[objective]\np99_ms = 2001",
            "3: objective.p99_ms: must not be above load.timeout_ms, 2000: no answer is later",
        ),
        ("load = 3", "2: load: must be a table, not integer"),
        (
            "[ledger]\naccounts = 1",
            "3: ledger.accounts: must be a whole number from 2 to 5000000, not 1",
        ),
        (
            "[load]\nspread = \"even\"",
            "3: load.spread: must be one of poisson, constant, not \"even\"",
        ),
    ];
    for (keys, told) in cases {
        assert_eq!(mistakes_of(&format!("{keys}\n")), [told]);
    }
}

#[test]
fn a_mix_is_a_list_of_tables() {
    let rule = "must be 1 to 64 tables, each under its own [[mix]]";
    assert_eq!(
        mistakes("title = \"x\""),
        [format!("1: mix: is missing: {rule}")]
    );
    assert_eq!(
        mistakes("title = \"x\"\nmix = []"),
        [format!("2: mix: {rule}")]
    );
    assert_eq!(
        mistakes("title = \"x\"\nmix = [1]"),
        [format!("2: mix: {rule}")]
    );
    let many = MIX.repeat(65);
    assert_eq!(
        mistakes(&format!("title = \"x\"{many}")),
        [format!("2: mix: {rule}")]
    );
    let large = format!("{MIX}pool = 1048576\n").repeat(2);
    let told = mistakes(&format!("title = \"x\"{large}"));
    let rule = "the pools of all entries must not exceed 1048576 together";
    assert_eq!(told, [format!("2: mix: {rule}")]);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(title = \"x\"\n|\\[\\[mix\\]\\]\n|method = |\"[$a-z:]{0,9}\"|\\[|\\]|\\{|=|1|\n){0,12}") {
        match parsed(&text) {
            Ok(scenario) => assert!(!scenario.mix.is_empty()),
            Err(error) => assert!(error.to_string().starts_with("folder/some.toml:")),
        }
    }
}
