//! Prepares the ledger that targets are filled with, and the ids that requests ask for.

use crate::{
    cli,
    error::{Error, Kind, Result},
    ids::{self, Place},
    run::parts::Parts,
    scenario::Scenario,
    terminal::Terminal,
    topology::{Rig, ledger},
};
use std::{path::PathBuf, sync::atomic::AtomicBool, time::Instant};

/// The ledger and the ids of a run.
#[derive(Default)]
pub(super) struct Filling {
    pub(super) db: Option<PathBuf>,
    pub(super) size: Option<ledger::Size>,
    pub(super) places: Vec<Place>,
}

impl Filling {
    /// Sets the scenario's highest position to that of the ledger in use. A ledger that the user gave may be shorter
    /// than a generated one.
    pub(super) fn fit(&self, scenario: &mut Scenario) {
        if let Some(size) = self.size {
            scenario.ledger.transactions = size.position;
        }
    }
}

/// Whether requests need ids that come from the ledger.
pub(super) fn needs_ids(parts: &Parts) -> bool {
    let Some(scenario) = &parts.scenario else {
        return false;
    };
    let placeholders = scenario
        .mix
        .iter()
        .any(|entry| entry.request.values().any(placeholder));
    scenario.ids.file.is_none() && (placeholders || scenario.writes.wanted())
}

fn placeholder(value: &toml::Value) -> bool {
    match value {
        toml::Value::String(text) => text.starts_with('$'),
        toml::Value::Array(values) => values.iter().any(placeholder),
        toml::Value::Table(table) => table.values().any(placeholder),
        _ => false,
    }
}

pub(super) fn fill(
    run: &cli::Run,
    parts: &Parts,
    rig: &Rig,
    needed: bool,
    terminal: &mut Terminal,
    stop: &AtomicBool,
) -> Result<Filling> {
    let mut filling = Filling::default();
    if let Some(scenario) = &parts.scenario
        && let Some(file) = &scenario.ids.file
    {
        filling.places = ids::read(file, &scenario.ids.fallback)?;
    }
    if !needed {
        return Ok(filling);
    }
    let db = base(run, parts, rig, terminal, stop)?;
    let at_most = parts
        .scenario
        .as_ref()
        .map_or(1, |scenario| scenario.ids.at_most);
    let list = rig.work.join("ids.tsv");
    filling.size = Some(ledger::ids(rig, &db, at_most, &list, stop)?);
    if let Some(scenario) = parts
        .scenario
        .as_ref()
        .filter(|_| filling.places.is_empty())
    {
        filling.places = ids::read(&list, &scenario.ids.fallback)?;
    }
    filling.db = Some(db);
    Ok(filling)
}

/// Returns the ledger that targets get copies of.
fn base(
    run: &cli::Run,
    parts: &Parts,
    rig: &Rig,
    terminal: &mut Terminal,
    stop: &AtomicBool,
) -> Result<PathBuf> {
    if let Some(given) = &run.options.servers.db {
        // Copied, because listing the ids opens it.
        let base = rig.work.join("base").join("ledger.db");
        ledger::copy(given, &base)?;
        return Ok(base);
    }
    let Some(settings) = &parts.ledger else {
        let text = "a capture was made of a ledger: name it with --db, or a scenario that makes it with --like";
        return Err(Error::new(Kind::Usage, text));
    };
    let begun = Instant::now();
    let known = ledger::path(&rig.work, settings).is_file();
    if !known {
        terminal.note(&format!(
            "generating {} transactions",
            settings.transactions
        ));
    }
    let path = ledger::generate(rig, settings, stop)?;
    if !known {
        let seconds = begun.elapsed().as_secs_f64();
        terminal.note(&format!("generated {} in {seconds:.1} s", path.display()));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_ledger_that_was_given() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/mixed.toml");
        let mut scenario = crate::scenario::parse::read(file.as_ref()).unwrap();
        let generated = scenario.ledger.transactions;
        Filling::default().fit(&mut scenario);
        assert_eq!(scenario.ledger.transactions, generated);
        let size = Some(ledger::Size {
            accounts: 2,
            entries: 14,
            position: 7,
        });
        let given = Filling {
            size,
            ..Filling::default()
        };
        given.fit(&mut scenario);
        assert_eq!(scenario.ledger.transactions, 7);
    }

    #[test]
    fn placeholders_are_found_at_any_depth() {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let asks = |text: &str| table(text).values().any(placeholder);
        assert!(asks("a = \"$account\""));
        assert!(asks("a = { b = [{ c = \"$asset\" }] }"));
        assert!(!asks("a = \"x$\"\nb = [1, 2]\nc = { d = true }"));
    }
}
