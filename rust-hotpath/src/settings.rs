//! Settings are read in two stages. First the text of each is recorded, with where it came from. Then each module reads
//! its own. The mistakes of both stages are collected, so that one message can name them all before anything is bound.

mod record;

use std::{collections::HashMap, fmt, net::SocketAddr, ops::RangeInclusive};

/// One thing that can be set.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The flag without dashes. The names of the variable and of the file's key derive from it.
    pub name: &'static str,
    /// The placeholder of the value in the help. A switch has none.
    pub value: &'static str,
    /// The default. Empty if there is none.
    pub default: &'static str,
    /// The line in the help.
    pub help: &'static str,
    /// The limit of the value, which the help also shows.
    pub limit: Limit,
}

/// The limit of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// No limit. The module may have rules of its own.
    None,
    /// A whole number from the first to the second.
    Numbers(u64, u64),
    /// At most this many bytes.
    Bytes(usize),
}

/// Settings of one module.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The heading in the help.
    pub title: &'static str,
    /// The settings, in the order of the help.
    pub settings: &'static [Setting],
}

/// Where a text came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag(String),
    /// A variable.
    Env(String),
    /// A line of the configuration file.
    File(String, usize),
    /// The setting has no value.
    Missing,
}

/// A mistake that must be corrected before the process can start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it was made.
    pub source: Source,
    /// What is wrong, and what would be right.
    pub text: String,
}

/// Recorded texts and the mistakes so far.
#[derive(Debug, Default)]
pub struct Settings {
    known: Vec<Setting>,
    given: HashMap<&'static str, (String, Source)>,
    mistakes: Vec<Mistake>,
}

impl Setting {
    /// A setting with a value.
    #[must_use]
    pub const fn new(
        name: &'static str,
        value: &'static str,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            name,
            value,
            default,
            help,
            limit: Limit::None,
        }
    }

    /// The same setting, held to whole numbers in `range`.
    #[must_use]
    pub const fn within(self, range: &RangeInclusive<u64>) -> Self {
        let limit = Limit::Numbers(*range.start(), *range.end());
        Self { limit, ..self }
    }

    /// The same setting, held to `most` bytes.
    #[must_use]
    pub const fn at_most_bytes(self, most: usize) -> Self {
        let limit = Limit::Bytes(most);
        Self { limit, ..self }
    }

    /// A setting that is on or off.
    #[must_use]
    pub const fn switch(name: &'static str, help: &'static str) -> Self {
        Self::new(name, "", "", help)
    }

    /// The name of its variable.
    #[must_use]
    pub fn env(&self) -> String {
        format!("{}{}", record::ENV_PREFIX, self.key().to_uppercase())
    }

    /// Whether it has a variable. If not, it has no key in the file either.
    #[must_use]
    pub fn has_env(&self) -> bool {
        !record::FLAG_ONLY.contains(&self.name)
    }

    /// Its key in the file.
    #[must_use]
    pub fn key(&self) -> String {
        self.name.replace('-', "_")
    }
}

impl Settings {
    /// The text as given, or else the default. `None` if there is neither.
    pub fn text(&self, name: &str) -> Option<String> {
        let given = self.given.get(name).map(|(text, _)| text.as_str());
        let default = self.setting(name).map_or("", |setting| setting.default);
        let text = given.unwrap_or(default);
        (given.is_some() || !text.is_empty()).then(|| text.to_owned())
    }

    /// A whole number within the setting's limit.
    pub fn number(&mut self, name: &str) -> u64 {
        let limit = self.setting(name).map(|setting| setting.limit);
        let (low, high) = match limit {
            Some(Limit::Numbers(low, high)) => (low, high),
            _ => (0, u64::MAX),
        };
        let parse = |text: &str| {
            let number = text.parse::<u64>().ok();
            let number = number.filter(|number| (low..=high).contains(number));
            number.ok_or_else(|| format!("must be a whole number from {low} to {high}"))
        };
        self.parsed(name, parse).unwrap_or(low)
    }

    /// Like [`Self::number`], as a size.
    pub fn size(&mut self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(usize::MAX)
    }

    /// Like [`Self::number`], of 32 bits.
    pub fn small(&mut self, name: &str) -> u32 {
        u32::try_from(self.number(name)).unwrap_or(u32::MAX)
    }

    /// An address: `IP:PORT` or `localhost:PORT`.
    pub fn address(&mut self, name: &str, loopback: bool) -> Option<SocketAddr> {
        self.parsed(name, |text| {
            let numeric = match text.strip_prefix("localhost:") {
                Some(port) => format!("127.0.0.1:{port}"),
                None => text.to_owned(),
            };
            let address = numeric.parse::<SocketAddr>();
            let address = address.map_err(|_| "must be IP:PORT, such as 127.0.0.1:0".to_owned())?;
            if loopback && !address.ip().is_loopback() {
                return Err(
                    "must be a loopback address: it shows memory and profiles to anyone".to_owned(),
                );
            }
            Ok(address)
        })
    }

    /// The state of a switch.
    pub fn switch(&mut self, name: &str) -> bool {
        let on = self.parsed(name, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be true or false".to_owned()),
        });
        on.unwrap_or(false)
    }

    /// A value that `parse` understands. The error of `parse` is the rule that the text breaks.
    pub fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(rule) => {
                self.mistake(name, rule);
                None
            }
        }
    }

    /// Records that the value of `name`, or its absence, is a mistake.
    pub fn mistake(&mut self, name: &str, rule: String) {
        let (source, text) = match self.given.get(name) {
            Some((text, source)) => (source.clone(), format!("{text:?} {rule}")),
            None => (Source::Missing, rule),
        };
        self.mistakes.push(Mistake { source, text });
    }

    /// All mistakes so far.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    fn setting(&self, name: &str) -> Option<Setting> {
        self.known
            .iter()
            .copied()
            .find(|setting| setting.name == name)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Numbers(low, high) => write!(f, "{low} to {high}"),
            Self::Bytes(most) => write!(f, "at most {most} bytes"),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Flag(flag) => write!(f, "flag {flag}: {}", self.text),
            Source::Env(name) => write!(f, "env {name}: {}", self.text),
            Source::File(path, 0) => write!(f, "file {path}: {}", self.text),
            Source::File(path, line) => write!(f, "file {path}:{line}: {}", self.text),
            Source::Missing => f.write_str(&self.text),
        }
    }
}
