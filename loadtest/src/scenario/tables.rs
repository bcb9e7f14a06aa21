//! Reads all tables of a scenario except the mix, with their keys, defaults and limits.

use super::{
    Draw, Ids, Ledger, Load, Objective, Pace, Writes,
    mistakes::Mistakes,
    section::{Section, whole},
};
use crate::{
    ids::{self, Place},
    traffic::Spread,
};
use std::{path::Path, time::Duration};
use toml::Table;

/// Reads `[ids]`.
pub(super) fn ids(path: &Path, table: &Table, mistakes: &mut Mistakes) -> Ids {
    let mut section = Section::new(table, "ids");
    let draw = section.choice(mistakes, "draw", &["zipf", "uniform"]);
    let exponent = section.optional_number(mistakes, "exponent", 0.01..=10.0);
    if draw == "uniform" && exponent.is_some() {
        mistakes.add("ids.exponent", "goes with draw = \"zipf\" only");
    }
    let file = section.text(mistakes, "file");
    if file == Some("") {
        mistakes.add("ids.file", "must not be empty");
    }
    let file = file.map(|file| path.parent().unwrap_or(Path::new("")).join(file));
    let ids = Ids {
        at_most: section.size(mistakes, "at_most", 16_000, 1..=1_000_000),
        fallback: fallback(&mut section, file.is_some(), mistakes),
        file,
        draw: match draw {
            "uniform" => Draw::Uniform,
            _ => Draw::Zipf {
                exponent: exponent.unwrap_or(1.0),
            },
        },
    };
    section.finish(mistakes);
    ids
}

fn fallback(section: &mut Section<'_>, file: bool, mistakes: &mut Mistakes) -> Place {
    let keys = ["asset", "from_us", "to_us"];
    let given: Vec<&str> = keys
        .into_iter()
        .filter(|key| section.value(key).is_some())
        .collect();
    if let Some(first) = given.first() {
        let path = section.path(first);
        if !file {
            mistakes.add(&path, "goes with ids.file only: the ledger's ids have one");
        }
        if given.len() < keys.len() {
            mistakes.add(&path, "asset, from_us and to_us must be given together");
        }
    }
    let asset = section.text(mistakes, "asset").unwrap_or_default();
    if given.contains(&"asset") && !ids::is_asset(asset) {
        mistakes.add("ids.asset", ids::ASSET_RULE);
    }
    let times = ids::FIRST_US..=ids::LAST_US;
    let from_us = section.integer(mistakes, "from_us", 0, times.clone());
    let to_us = section.integer(mistakes, "to_us", from_us, times);
    if to_us < from_us {
        mistakes.add("ids.to_us", "must not be before from_us");
    }
    Place {
        account: String::new(),
        asset: asset.to_owned(),
        span_us: (from_us, to_us),
    }
}

/// Reads `[load]`, and what it says of the writes.
pub(super) fn load(table: &Table, mistakes: &mut Mistakes) -> (Load, Writes) {
    let mut section = Section::new(table, "load");
    let writes = Writes {
        per_second: section.number(mistakes, "writes_per_second", 0.0, 0.0..=100_000.0),
        per_read: section.number(mistakes, "writes_per_read", 0.0, 0.0..=1.0),
        at_once: section.size(mistakes, "writes_at_once", 1, 1..=64),
    };
    let load = Load {
        connections: section.size(mistakes, "connections", 4, 1..=1_000),
        idle_connections: section.size(mistakes, "idle_connections", 0, 0..=50_000),
        max_in_flight: section.size(mistakes, "max_in_flight", 4_096, 1..=65_536),
        timeout: section.millis(mistakes, "timeout_ms", 2_000, 1..=60_000),
        spread: match section.choice(mistakes, "spread", &["poisson", "constant"]) {
            "constant" => Spread::Constant,
            _ => Spread::Poisson,
        },
    };
    section.finish(mistakes);
    (load, writes)
}

/// Reads `[pace]`.
pub(super) fn pace(table: &Table, mistakes: &mut Mistakes) -> Pace {
    let mut section = Section::new(table, "pace");
    let rates = 1.0..=1_000_000.0;
    let windows = 100..=600_000;
    let pace = Pace {
        from_qps: section.number(mistakes, "from_qps", 1_000.0, rates.clone()),
        step_factor: section.number(mistakes, "step_factor", 1.5, 1.01..=10.0),
        to_qps: section.number(mistakes, "to_qps", 400_000.0, rates),
        search_window: section.millis(mistakes, "search_window_ms", 1_500, windows.clone()),
        refinements: whole(section.integer(mistakes, "refinements", 4, 0..=20)),
        equal_share: section.number(mistakes, "equal_share", 0.7, 0.01..=1.0),
        equal_window: section.millis(mistakes, "equal_window_ms", 3_000, windows),
        equal_rounds: whole(section.integer(mistakes, "equal_rounds", 6, 0..=1_000)),
        warm_up: section.millis(mistakes, "warm_up_ms", 2_000, 0..=600_000),
    };
    if pace.to_qps < pace.from_qps {
        let rule = format!("must not be below from_qps, {}", pace.from_qps);
        mistakes.add("pace.to_qps", &rule);
    }
    section.finish(mistakes);
    pace
}

/// Reads `[objective]`.
pub(super) fn objective(table: &Table, load: &Load, mistakes: &mut Mistakes) -> Objective {
    let mut section = Section::new(table, "objective");
    let keys = ["p50_ms", "p99_ms", "p999_ms"];
    let mut limits = keys.map(|key| {
        let millis = section.optional_number(mistakes, key, 0.01..=60_000.0)?;
        Some(Duration::from_secs_f64(millis / 1_000.0))
    });
    check_limits(&keys, &limits, load, mistakes);
    if keys.iter().all(|key| !table.contains_key(*key)) {
        limits[1] = Some(Duration::from_millis(10).min(load.timeout));
    }
    let [p50, p99, p999] = limits;
    let objective = Objective {
        p50,
        p99,
        p999,
        max_error_rate: section.number(mistakes, "max_error_rate", 0.001, 0.0..=1.0),
        min_achieved: section.number(mistakes, "min_achieved", 0.98, 0.0..=1.0),
        windows: whole(section.integer(mistakes, "windows", 2, 1..=10)),
    };
    section.finish(mistakes);
    objective
}

fn check_limits(
    keys: &[&str; 3],
    limits: &[Option<Duration>; 3],
    load: &Load,
    mistakes: &mut Mistakes,
) {
    let mut before: Option<(&str, Duration)> = None;
    for (key, limit) in keys.iter().zip(limits) {
        let Some(limit) = *limit else { continue };
        let path = format!("objective.{key}");
        if let Some((lower, _)) = before.filter(|(_, duration)| *duration > limit) {
            mistakes.add(&path, &format!("must not be below {lower}"));
        }
        if limit > load.timeout {
            let timeout = load.timeout.as_millis();
            let rule = format!("must not be above load.timeout_ms, {timeout}: no answer is later");
            mistakes.add(&path, &rule);
        }
        before = Some((key, limit));
    }
}

/// Reads `[ledger]`.
pub(super) fn ledger(table: &Table, mistakes: &mut Mistakes) -> Ledger {
    let mut section = Section::new(table, "ledger");
    let mut count = |key, default, range| {
        let number = section.integer(mistakes, key, default, range);
        u64::try_from(number).unwrap_or_default()
    };
    let ledger = Ledger {
        seed: count("seed", 1, 0..=i64::MAX),
        accounts: count("accounts", 50_000, 2..=5_000_000),
        transactions: count("transactions", 500_000, 1..=50_000_000),
        shape: section.choice(mistakes, "shape", &["wallet", "spending"]),
    };
    section.finish(mistakes);
    ledger
}
