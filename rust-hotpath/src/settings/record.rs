//! The first stage: records the text of each setting. Flags win over the environment, and the environment over the
//! file.

use super::{Mistake, Setting, Settings, Source};
use std::{ffi::OsString, fs, ops::Range, path::Path};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

pub(super) const ENV_PREFIX: &str = "HOTPATHD_";
const CONFIG: &str = "config";
/// Settings that only a command line can give.
pub(crate) const FLAG_ONLY: [&str; 2] = ["help", "version"];

impl Settings {
    /// Records flags first, then variables, then the file. A later source does not replace what an earlier one gave.
    pub fn record(
        known: Vec<Setting>,
        args: impl IntoIterator<Item = OsString>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let mut settings = Self {
            known,
            ..Self::default()
        };
        settings.record_args(args);
        settings.record_env(env);
        if let Some((path, source)) = settings.given.get(CONFIG).cloned() {
            settings.record_file(&path, source);
        }
        settings
    }

    fn record_args(&mut self, args: impl IntoIterator<Item = OsString>) {
        let mut parser = lexopt::Parser::from_args(args);
        loop {
            match parser.next() {
                Ok(None) => return,
                Ok(Some(lexopt::Arg::Long(name))) => {
                    let name = name.to_owned();
                    self.record_flag(&name, &mut parser);
                }
                Ok(Some(lexopt::Arg::Short('h'))) => self.record_flag("help", &mut parser),
                Ok(Some(lexopt::Arg::Short('V'))) => self.record_flag("version", &mut parser),
                Ok(Some(lexopt::Arg::Short(letter))) => {
                    self.bad(Source::Flag(format!("-{letter}")), "is unknown".to_owned());
                    // `-x=value`: the value belongs to the flag that was just reported.
                    let _ = parser.optional_value();
                }
                Ok(Some(lexopt::Arg::Value(value))) => {
                    let text = value.to_string_lossy().into_owned();
                    self.bad(
                        Source::Flag(text),
                        "is no flag; there are no other arguments".to_owned(),
                    );
                }
                Err(error) => {
                    self.bad(Source::Flag(String::from("?")), error.to_string());
                }
            }
        }
    }

    fn record_flag(&mut self, name: &str, parser: &mut lexopt::Parser) {
        let source = Source::Flag(format!("--{name}"));
        let Some(setting) = self.setting(name) else {
            let _ = parser.optional_value();
            let text = self.unknown(name, |setting| format!("--{}", setting.name));
            return self.bad(source, text);
        };
        let value = if setting.value.is_empty() {
            Ok(parser.optional_value().unwrap_or_else(|| "true".into()))
        } else {
            parser.value()
        };
        match value {
            Err(_) => self.bad(source, format!("needs a value: --{name} {}", setting.value)),
            Ok(_) if self.given.contains_key(setting.name) => {
                self.bad(source, "is given more than once".to_owned());
            }
            Ok(value) => self.keep(setting, value, source),
        }
    }

    fn record_env(&mut self, env: impl IntoIterator<Item = (OsString, OsString)>) {
        let ours = env.into_iter().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let key = name.strip_prefix(ENV_PREFIX)?;
            (!of_a_kubernetes_service(key)).then_some((name, value))
        });
        let mut ours: Vec<_> = ours.collect();
        ours.sort();
        for (name, value) in ours {
            let source = Source::Env(name.clone());
            match self
                .known
                .iter()
                .find(|setting| setting.has_env() && setting.env() == name)
                .copied()
            {
                Some(setting) if self.given.contains_key(setting.name) => {}
                Some(setting) => self.keep(setting, value, source),
                None => {
                    let text = self.unknown(&name, Setting::env);
                    self.bad(source, text);
                }
            }
        }
    }

    fn record_file(&mut self, path: &str, named_by: Source) {
        let text = match fs::read_to_string(Path::new(path)) {
            Ok(text) => text,
            Err(error) => {
                let source = Source::File(path.to_owned(), 0);
                let by = Mistake {
                    source: named_by,
                    text: String::new(),
                }
                .to_string();
                return self.bad(
                    source,
                    format!("cannot be read ({}): {error}", by.trim_end_matches(": ")),
                );
            }
        };
        let (table, errors) = DeTable::parse_recoverable(&text);
        let mut broken_lines = Vec::new();
        for error in errors {
            let line = line_of(&text, error.span().unwrap_or(0..0));
            broken_lines.push(line);
            self.bad(
                Source::File(path.to_owned(), line),
                format!("is no TOML: {}", error.message()),
            );
        }
        let mut entries: Vec<_> = table.get_ref().iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let line = line_of(&text, key.span());
            // The parser only guesses the entries of a broken line. A second mistake would mislead.
            if !broken_lines.contains(&line) {
                let source = Source::File(path.to_owned(), line);
                self.record_entry(key.get_ref(), value, source);
            }
        }
    }

    fn record_entry(&mut self, key: &str, value: &Spanned<DeValue<'_>>, source: Source) {
        let mut in_file = self
            .known
            .iter()
            .filter(|setting| setting.has_env() && setting.name != CONFIG);
        let Some(setting) = in_file.find(|setting| setting.key() == key).copied() else {
            let text = format!("key {key}: {}", self.unknown(key, Setting::key));
            return self.bad(source, text);
        };
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            DeValue::Boolean(on) => on.to_string(),
            other => {
                let kind = other.type_str();
                return self.bad(
                    source,
                    format!("key {key}: must be a string, a whole number or a boolean, not {kind}"),
                );
            }
        };
        if !self.given.contains_key(setting.name) {
            self.keep(setting, text.into(), source);
        }
    }

    fn keep(&mut self, setting: Setting, value: OsString, source: Source) {
        match value.into_string() {
            Ok(text) => {
                self.given.insert(setting.name, (text, source));
            }
            Err(_) => self.bad(source, "must be UTF-8".to_owned()),
        }
    }

    fn bad(&mut self, source: Source, text: String) {
        self.mistakes.push(Mistake { source, text });
    }

    fn unknown(&self, name: &str, spell: impl Fn(&Setting) -> String) -> String {
        let near = self.known.iter().map(spell).filter(|other| other != name);
        let near = near.map(|other| (distance(name, other.trim_start_matches('-')), other));
        match near.min() {
            Some((steps, other)) if steps <= 3 => format!("is unknown; did you mean {other}?"),
            _ => "is unknown".to_owned(),
        }
    }
}

/// Whether Kubernetes may have set this variable. It sets such variables in every pod beside a service called hotpathd.
fn of_a_kubernetes_service(key: &str) -> bool {
    key == "PORT" || key.starts_with("PORT_") || key.starts_with("SERVICE_")
}

fn line_of(text: &str, span: Range<usize>) -> usize {
    let before = &text.as_bytes()[..span.start.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The Levenshtein distance, over bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
