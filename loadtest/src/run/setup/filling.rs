//! What targets are filled with, and the ids that are asked for.

use crate::{
    cli,
    error::{Error, Kind, Result},
    ids::{self, Place},
    run::parts::Parts,
    terminal::Terminal,
    topology::{Rig, ledger},
};
use std::{path::PathBuf, time::Instant};

/// Ledger and ids of a run.
#[derive(Default)]
pub(super) struct Filling {
    pub(super) db: Option<PathBuf>,
    pub(super) size: Option<ledger::Size>,
    pub(super) places: Vec<Place>,
}

/// Whether requests name ids that only a ledger can tell.
pub(super) fn needs_ids(parts: &Parts) -> bool {
    let Some(scenario) = &parts.scenario else {
        return false;
    };
    let placeholders = scenario
        .mix
        .iter()
        .any(|entry| entry.request.values().any(placeholder));
    scenario.ids.file.is_none() && (placeholders || scenario.writes_per_second > 0.0)
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
    let db = base(run, parts, rig, terminal)?;
    let at_most = parts
        .scenario
        .as_ref()
        .map_or(1, |scenario| scenario.ids.at_most);
    let list = rig.work.join("ids.tsv");
    filling.size = Some(ledger::ids(rig, &db, at_most, &list)?);
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

/// The ledger that targets get copies of.
fn base(run: &cli::Run, parts: &Parts, rig: &Rig, terminal: &mut Terminal) -> Result<PathBuf> {
    if let Some(given) = &run.servers.db {
        // Of a copy, since listing the ids opens it.
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
    let path = ledger::generate(rig, settings)?;
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
    fn placeholders_are_found_at_any_depth() {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let asks = |text: &str| table(text).values().any(placeholder);
        assert!(asks("a = \"$account\""));
        assert!(asks("a = { b = [{ c = \"$asset\" }] }"));
        assert!(!asks("a = \"x$\"\nb = [1, 2]\nc = { d = true }"));
    }
}
