//! Reads a scenario from TOML. All mistakes are reported at once, as `file:line: key: rule`.

use super::{
    MixEntry, Scenario,
    mistakes::{Mistakes, line_at},
    section::{Section, whole},
    tables::{ids, ledger, load, objective, pace},
};
use crate::{
    error::{Error, Kind, Result},
    workload::template,
};
use std::{fs::File, io::Read as _, path::Path};
use toml::{Table, Value};

/// Larger files are refused, so that a wrong path such as a device is not read for ever.
const MAX_FILE_BYTES: u64 = 1 << 20;
const MAX_TITLE: usize = 100;
const MAX_ABOUT: usize = 2_000;
const MAX_ENTRIES: usize = 64;
/// The most encoded requests of all entries of the mix together.
const MAX_POOL: i64 = 1 << 20;

/// Reads and checks a scenario.
pub fn read(path: &Path) -> Result<Scenario> {
    let text = text_of(path).map_err(|error| {
        let message = format!("can't read scenario {}", path.display());
        Error::caused(Kind::Input, message, error)
    })?;
    parse(path, text)
}

/// Checks the text of a scenario. `path` names the scenario, and the paths in it are relative to that.
pub fn parse(path: &Path, text: String) -> Result<Scenario> {
    let mut mistakes = Mistakes::new(&path.display().to_string(), &text);
    let document = if mistakes.is_empty() {
        document(&text, &mut mistakes)
    } else {
        Table::new()
    };
    if let (false, true) = (mistakes.is_empty(), document.is_empty()) {
        // The file is not TOML, so reporting the missing keys would not help.
        return Err(mistakes.into_error().unwrap_or_else(unreadable));
    }
    let scenario = scenario(path, text, &document, &mut mistakes);
    match mistakes.into_error() {
        Some(error) => Err(error),
        None => Ok(scenario),
    }
}

fn unreadable() -> Error {
    Error::new(Kind::Input, "the scenario can't be read")
}

fn text_of(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(MAX_FILE_BYTES + 1);
    file.read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(std::io::Error::other("must be a file of at most 1 MiB"));
    }
    Ok(text)
}

fn document(text: &str, mistakes: &mut Mistakes) -> Table {
    toml::from_str(text).unwrap_or_else(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_at(text, span.start));
        mistakes.at(line, "toml", error.message());
        Table::new()
    })
}

fn scenario(path: &Path, text: String, document: &Table, mistakes: &mut Mistakes) -> Scenario {
    let mut top = Section::new(document, "");
    let (load, writes) = load(&table(&mut top, "load", mistakes), mistakes);
    let scenario = Scenario {
        name: path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default(),
        title: title(&mut top, mistakes),
        about: about(&mut top, mistakes),
        text,
        mix: mix(&mut top, mistakes),
        ids: ids(path, &table(&mut top, "ids", mistakes), mistakes),
        writes,
        objective: objective(&table(&mut top, "objective", mistakes), &load, mistakes),
        load,
        pace: pace(&table(&mut top, "pace", mistakes), mistakes),
        ledger: ledger(&table(&mut top, "ledger", mistakes), mistakes),
    };
    top.finish(mistakes);
    scenario
}

fn table(top: &mut Section<'_>, key: &'static str, mistakes: &mut Mistakes) -> Table {
    match top.value(key) {
        None => Table::new(),
        Some(Value::Table(table)) => table.clone(),
        Some(other) => {
            let rule = format!("must be a table, not {}", other.type_str());
            mistakes.add(key, &rule);
            Table::new()
        }
    }
}

fn title(top: &mut Section<'_>, mistakes: &mut Mistakes) -> String {
    if top.value("title").is_none() {
        mistakes.add("title", "is missing: one line that says what is sent");
    }
    let title = top.text(mistakes, "title").map(str::trim);
    let fits = |title: &&str| {
        let one_line = !title.chars().any(char::is_control);
        !title.is_empty() && title.chars().count() <= MAX_TITLE && one_line
    };
    if title.is_some_and(|title| !fits(&title)) {
        let rule = format!("must be one line of 1 to {MAX_TITLE} characters");
        mistakes.add("title", &rule);
    }
    title.unwrap_or_default().to_owned()
}

fn about(top: &mut Section<'_>, mistakes: &mut Mistakes) -> String {
    let about = top.text(mistakes, "about").unwrap_or_default().trim();
    if about.chars().count() > MAX_ABOUT {
        let rule = format!("must be at most {MAX_ABOUT} characters");
        mistakes.add("about", &rule);
    }
    about.to_owned()
}

fn mix(top: &mut Section<'_>, mistakes: &mut Mistakes) -> Vec<MixEntry> {
    let rule = format!("must be 1 to {MAX_ENTRIES} tables, each under its own [[mix]]");
    let entries = match top.value("mix") {
        None => {
            mistakes.add("mix", &format!("is missing: {rule}"));
            return Vec::new();
        }
        Some(Value::Array(entries)) if (1..=MAX_ENTRIES).contains(&entries.len()) => entries,
        Some(_) => {
            mistakes.add("mix", &rule);
            return Vec::new();
        }
    };
    let mut mix = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let path = format!("mix[{i}]");
        match entry {
            Value::Table(table) => mix.push(mix_entry(table, &path, mistakes)),
            _ => mistakes.add(&path, &rule),
        }
    }
    let pool: usize = mix.iter().map(|entry| entry.pool).sum();
    if i64::try_from(pool).is_ok_and(|pool| pool > MAX_POOL) {
        let rule = format!("the pools of all entries must not exceed {MAX_POOL} together");
        mistakes.add("mix", &rule);
    }
    mix
}

fn mix_entry(table: &Table, path: &str, mistakes: &mut Mistakes) -> MixEntry {
    let mut section = Section::new(table, path);
    let method = match section.value("method") {
        None => {
            let rule = "is missing: such as \"wallet.v1.WalletService/GetBalance\"";
            mistakes.add(&section.path("method"), rule);
            ""
        }
        Some(_) => section.text(mistakes, "method").unwrap_or_default(),
    };
    let request = match section.value("request") {
        Some(Value::Table(request)) => request.clone(),
        None => Table::new(),
        Some(other) => {
            let rule = format!("must be a table, not {}", other.type_str());
            mistakes.add(&section.path("request"), &rule);
            Table::new()
        }
    };
    let entry = MixEntry {
        path: template::path_of(method),
        weight: whole(section.integer(mistakes, "weight", 1, 1..=1_000_000)),
        pool: section.size(mistakes, "pool", 16_384, 1..=MAX_POOL),
        request,
        line: mistakes.line(path),
    };
    if !method.is_empty() {
        check_request(&entry, &section, mistakes);
    }
    section.finish(mistakes);
    entry
}

fn check_request(entry: &MixEntry, section: &Section<'_>, mistakes: &mut Mistakes) {
    let Err(faults) = template::compile(&entry.path, &entry.request) else {
        return;
    };
    for fault in faults {
        mistakes.add(&section.path(&fault.key), &fault.rule);
    }
}

#[cfg(test)]
mod tests;
