//! The first stage: which text was given for which option. The second asks for values, and every mistake of both is kept.

use super::{options, unknown};
use std::{
    collections::BTreeMap, ffi::OsString, ops::RangeInclusive, path::PathBuf, time::Duration,
};

/// Texts by option, the other arguments, and the mistakes so far.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    given: BTreeMap<&'static str, Vec<String>>,
    arguments: Vec<String>,
    mistakes: Vec<String>,
}

/// Records what follows a command's name.
pub(super) fn record(command: &str, args: impl Iterator<Item = OsString>) -> Recorded {
    let mut recorded = Recorded::default();
    let mut parser = lexopt::Parser::from_args(args);
    loop {
        match parser.next() {
            Ok(None) => return recorded,
            Ok(Some(lexopt::Arg::Long(name))) => {
                let name = name.to_owned();
                recorded.flag(command, &name, &mut parser);
            }
            Ok(Some(lexopt::Arg::Short('h'))) => recorded.flag(command, "help", &mut parser),
            Ok(Some(lexopt::Arg::Short(letter))) => {
                recorded.mistake(format!("-{letter}: there are no options of one letter"));
                // `-x=value`: the value belongs to what was just reported.
                let _ = parser.optional_value();
            }
            Ok(Some(lexopt::Arg::Value(value))) => {
                recorded
                    .arguments
                    .push(value.to_string_lossy().into_owned());
            }
            Err(error) => recorded.mistake(error.to_string()),
        }
    }
}

impl Recorded {
    fn flag(&mut self, command: &str, name: &str, parser: &mut lexopt::Parser) {
        let Some(flag) = options::flags(command).find(|flag| flag.name == name) else {
            let _ = parser.optional_value();
            let known = options::flags(command).map(|flag| flag.name);
            let text = unknown("option", name, known).replace("mean ", "mean --");
            return self.mistake(text.replacen("option ", "option --", 1));
        };
        let value = if flag.value.is_empty() {
            match parser.optional_value() {
                Some(_) => return self.mistake(format!("--{name} takes no value")),
                None => Ok(OsString::new()),
            }
        } else {
            parser.value()
        };
        let Ok(value) = value else {
            return self.mistake(format!("--{name} needs a value: --{name} {}", flag.value));
        };
        let values = self.given.entry(flag.name).or_default();
        if !values.is_empty() && !flag.many {
            return self.mistake(format!("--{name} is given more than once"));
        }
        values.push(value.to_string_lossy().into_owned());
    }

    pub(super) fn mistake(&mut self, text: String) {
        self.mistakes.push(text);
    }

    pub(super) fn mistakes(&self) -> &[String] {
        &self.mistakes
    }

    pub(super) fn arguments(&mut self) -> Vec<String> {
        std::mem::take(&mut self.arguments)
    }

    /// The one argument that a command takes.
    pub(super) fn argument(&mut self, what: &str) -> Option<String> {
        let mut arguments = self.arguments().into_iter();
        let first = arguments.next();
        if first.is_none() {
            self.mistake(format!("{what} is missing"));
        }
        for extra in arguments {
            self.mistake(format!("{extra}: {what} is one argument"));
        }
        first
    }

    pub(super) fn no_arguments(&mut self) {
        for extra in self.arguments() {
            self.mistake(format!("{extra}: this command takes options only"));
        }
    }

    pub(super) fn switch(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.given.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.given.get(name)?.first().cloned()
    }

    pub(super) fn path(&self, name: &str, default: &str) -> PathBuf {
        self.text(name).unwrap_or_else(|| default.to_owned()).into()
    }

    /// A value that `parse` understands; its error is the rule that is broken.
    pub(super) fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = parse(&text).map_err(|rule| self.mistake(format!("--{name} {text:?}: {rule}")));
        value.ok()
    }

    /// A whole number.
    pub(super) fn whole<T: TryFrom<u64>>(
        &mut self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Option<T> {
        self.parsed(name, |text| {
            let number = text.parse().ok().filter(|number| range.contains(number));
            let value = number.and_then(|number| T::try_from(number).ok());
            let (low, high) = (range.start(), range.end());
            value.ok_or_else(|| format!("must be a whole number from {low} to {high}"))
        })
    }

    /// A number.
    pub(super) fn number(&mut self, name: &str, range: RangeInclusive<f64>) -> Option<f64> {
        self.parsed(name, |text| number(text, &range))
    }

    /// Seconds.
    pub(super) fn seconds(&mut self, name: &str, range: RangeInclusive<f64>) -> Option<Duration> {
        self.number(name, range).map(Duration::from_secs_f64)
    }

    /// Says that two options contradict each other.
    pub(super) fn excludes(&mut self, name: &str, others: &[&str], why: &str) {
        for other in others {
            if self.switch(name) && self.switch(other) {
                self.mistake(format!("--{name} and --{other}: {why}"));
            }
        }
    }
}

/// A number in a range.
pub(super) fn number(text: &str, range: &RangeInclusive<f64>) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be a number from {} to {}", range.start(), range.end()))
}
