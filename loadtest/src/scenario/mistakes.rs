//! Collects the mistakes of a scenario with their lines, so that all are reported at once. `workload::unknown` finds the
//! known word that is nearest to an unknown one.

use crate::error::{Error, Kind};
use std::collections::HashMap;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The mistakes so far, and the line of each key of the file.
#[derive(Debug)]
pub(super) struct Mistakes {
    file: String,
    lines: HashMap<String, usize>,
    found: Vec<(usize, String)>,
}

impl Mistakes {
    /// Begins with the file `file`, whose content is `text`, and adds the mistakes of the TOML itself.
    pub(super) fn new(file: &str, text: &str) -> Self {
        let mut mistakes = Self {
            file: file.to_owned(),
            lines: HashMap::new(),
            found: Vec::new(),
        };
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let line = error.span().map_or(1, |span| line_at(text, span.start));
            mistakes.at(line, "toml", error.message());
        }
        mistakes.note_table(text, "", document.get_ref());
        mistakes
    }

    /// Adds a mistake at the key with this path, or at the nearest key above it that the file has.
    pub(super) fn add(&mut self, path: &str, rule: &str) {
        self.at(self.line(path), &shown(path), rule);
    }

    /// Adds a mistake at a line.
    pub(super) fn at(&mut self, line: usize, key: &str, rule: &str) {
        let rule: Vec<&str> = rule.lines().map(str::trim).collect();
        let text = format!("{}:{line}: {key}: {}", self.file, rule.join("; "));
        self.found.push((line, text));
    }

    /// Returns the line of the key with this path, or of the nearest key above it that the file has.
    pub(super) fn line(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return 1,
            }
        }
    }

    /// Makes one error of all mistakes, in the order of their lines; `None` if there are none.
    pub(super) fn into_error(mut self) -> Option<Error> {
        self.found.sort();
        self.found.dedup();
        let texts: Vec<String> = self.found.into_iter().map(|(_, text)| text).collect();
        (!texts.is_empty()).then(|| Error::new(Kind::Input, texts.join("\n")))
    }

    /// Whether there are no mistakes.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    fn note_table(&mut self, text: &str, path: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = join(path, key.get_ref());
            self.lines
                .insert(path.clone(), line_at(text, key.span().start));
            self.note_value(text, &path, value);
        }
    }

    fn note_value(&mut self, text: &str, path: &str, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.note_table(text, path, table),
            DeValue::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    let path = format!("{path}[{i}]");
                    self.lines
                        .insert(path.clone(), line_at(text, item.span().start));
                    self.note_value(text, &path, item);
                }
            }
            _ => {}
        }
    }
}

/// Returns the path of a key in the table at `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Returns a path as errors show it. It leaves out the index of the mix's entry, because the line tells which one is
/// meant.
fn shown(path: &str) -> String {
    match path.split_once(']') {
        Some((index, rest)) if index.starts_with("mix[") => format!("mix{rest}"),
        _ => path.to_owned(),
    }
}

/// Returns the line of the byte at `offset`, counted from 1.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}
