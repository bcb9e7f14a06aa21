//! What is wrong with a scenario, each with its line, told all at once.

use crate::error::{Error, Kind};
use std::collections::HashMap;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Mistakes so far, and where each key of the file stands.
#[derive(Debug)]
pub(super) struct Mistakes {
    file: String,
    lines: HashMap<String, usize>,
    found: Vec<(usize, String)>,
}

impl Mistakes {
    /// Of `text`, which stands in `file`. Mistakes of the TOML itself are found at once.
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

    /// Records that a rule is broken at the key that stands at `path`, or nearest above it.
    pub(super) fn add(&mut self, path: &str, rule: &str) {
        self.at(self.line(path), &shown(path), rule);
    }

    /// Records a broken rule at a line.
    pub(super) fn at(&mut self, line: usize, key: &str, rule: &str) {
        let rule: Vec<&str> = rule.lines().map(str::trim).collect();
        let text = format!("{}:{line}: {key}: {}", self.file, rule.join("; "));
        self.found.push((line, text));
    }

    /// Where the key at `path`, or the nearest above it, stands.
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

    /// One error of all mistakes, in the order of their lines; `None` if there are none.
    pub(super) fn into_error(mut self) -> Option<Error> {
        self.found.sort();
        self.found.dedup();
        let texts: Vec<String> = self.found.into_iter().map(|(_, text)| text).collect();
        (!texts.is_empty()).then(|| Error::new(Kind::Input, texts.join("\n")))
    }

    /// Whether there are none.
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

/// The path of a key inside the table at `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Which entry of the mix is meant is told by the line.
fn shown(path: &str) -> String {
    match path.split_once(']') {
        Some((index, rest)) if index.starts_with("mix[") => format!("mix{rest}"),
        _ => path.to_owned(),
    }
}

/// The line that holds the byte at `offset`, from 1.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}
