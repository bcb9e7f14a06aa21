#![allow(clippy::unwrap_used)]

use crate::report::{
    assemble, fixture,
    model::{Comparison, Ledger, Report},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// Members whose keys are data, not names of fields.
const MAPS: [&str; 2] = ["versions", "statuses"];

fn full() -> Report {
    let mut finished = fixture::run();
    finished.comparison = Some(Comparison {
        compared: 1,
        incomparable: 0,
        mismatches: 0,
        samples: Vec::new(),
    });
    finished.run.ledger = Some(Ledger {
        accounts: 1,
        entries: 2,
        position: 3,
    });
    assemble(&finished)
}

fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                found.insert(key.clone());
                if !MAPS.contains(&key.as_str()) {
                    keys(member, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

#[test]
fn the_manual_names_every_field() {
    let manual = include_str!("../../../README.md");
    let mut found = BTreeSet::new();
    keys(&serde_json::to_value(full()).unwrap(), &mut found);
    assert!(found.len() > 90, "{}", found.len());
    let missing: Vec<_> = found
        .into_iter()
        .filter(|key| !manual.contains(&format!("`{key}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn optional_members_of_a_fixture_are_all_there() {
    let report = serde_json::to_value(full()).unwrap();
    for path in [
        "/comparison",
        "/estimate",
        "/run/ledger",
        "/targets/0/processes/0/gc",
    ] {
        assert!(report.pointer(path).is_some_and(Value::is_object), "{path}");
    }
}
