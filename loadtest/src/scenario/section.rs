//! Reads one table of a scenario, key by key. Keys that nothing asked for are unknown.

use super::mistakes::{Mistakes, join};
use crate::workload::unknown;
use std::{fmt::Display, ops::RangeInclusive, time::Duration};
use toml::{Table, Value};

/// One table, and the keys that were asked for.
#[derive(Debug)]
pub(super) struct Section<'a> {
    table: &'a Table,
    path: String,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// Reads the table at `path`.
    pub(super) fn new(table: &'a Table, path: &str) -> Self {
        Self {
            table,
            path: path.to_owned(),
            known: Vec::new(),
        }
    }

    /// Returns the path of one of its keys.
    pub(super) fn path(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Reads a value of any type.
    pub(super) fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.table.get(key)
    }

    /// Reads a text. The caller checks its length.
    pub(super) fn text(&mut self, mistakes: &mut Mistakes, key: &'static str) -> Option<&'a str> {
        match self.value(key)? {
            Value::String(text) => Some(text),
            other => {
                let rule = format!("must be a string, not {}", other.type_str());
                mistakes.add(&self.path(key), &rule);
                None
            }
        }
    }

    /// Reads one of a few words. The first is the default.
    pub(super) fn choice(
        &mut self,
        mistakes: &mut Mistakes,
        key: &'static str,
        words: &[&'static str],
    ) -> &'static str {
        let text = self.text(mistakes, key);
        let found = text.and_then(|text| words.iter().find(|word| **word == text));
        if let (Some(text), None) = (text, found) {
            let rule = format!("must be one of {}, not {text:?}", words.join(", "));
            mistakes.add(&self.path(key), &rule);
        }
        found.or(words.first()).copied().unwrap_or_default()
    }

    /// Reads a whole number.
    pub(super) fn integer(
        &mut self,
        mistakes: &mut Mistakes,
        key: &'static str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> i64 {
        let path = self.path(key);
        let Some(value) = self.value(key) else {
            return default;
        };
        let found = value.as_integer().filter(|number| range.contains(number));
        found.unwrap_or_else(|| {
            mistakes.add(&path, &out_of_range("a whole number", &range, value));
            default
        })
    }

    /// Reads a whole number as a size.
    pub(super) fn size(
        &mut self,
        mistakes: &mut Mistakes,
        key: &'static str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> usize {
        usize::try_from(self.integer(mistakes, key, default, range)).unwrap_or_default()
    }

    /// Reads milliseconds.
    pub(super) fn millis(
        &mut self,
        mistakes: &mut Mistakes,
        key: &'static str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> Duration {
        let millis = self.integer(mistakes, key, default, range);
        Duration::from_millis(u64::try_from(millis).unwrap_or_default())
    }

    /// Reads a number, whole or not, if there is one.
    pub(super) fn optional_number(
        &mut self,
        mistakes: &mut Mistakes,
        key: &'static str,
        range: RangeInclusive<f64>,
    ) -> Option<f64> {
        let path = self.path(key);
        let value = self.value(key)?;
        #[allow(clippy::cast_precision_loss)] // No range ends above 2^53.
        let number = value.as_float().or(value.as_integer().map(|n| n as f64));
        let found = number.filter(|number| range.contains(number));
        if found.is_none() {
            mistakes.add(&path, &out_of_range("a number", &range, value));
        }
        found
    }

    /// Reads a number, whole or not.
    pub(super) fn number(
        &mut self,
        mistakes: &mut Mistakes,
        key: &'static str,
        default: f64,
        range: RangeInclusive<f64>,
    ) -> f64 {
        self.optional_number(mistakes, key, range)
            .unwrap_or(default)
    }

    /// Adds a mistake for each key that nothing asked for.
    pub(super) fn finish(self, mistakes: &mut Mistakes) {
        for key in self.table.keys() {
            if !self.known.contains(&key.as_str()) {
                mistakes.add(&self.path(key), &unknown("key", key, &self.known));
            }
        }
    }
}

/// Converts a number that its range keeps small.
pub(super) fn whole(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn out_of_range<T: Display>(what: &str, range: &RangeInclusive<T>, value: &Value) -> String {
    let (low, high) = (range.start(), range.end());
    let given = match value {
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        other => other.type_str().to_owned(),
    };
    format!("must be {what} from {low} to {high}, not {given}")
}
