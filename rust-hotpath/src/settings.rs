//! Settings in two stages: first the text of each is recorded with where it came from, then modules read theirs.
//! Every mistake of both stages is kept, so that one message can name them all before anything is bound.

mod record;

use std::{collections::HashMap, fmt, net::SocketAddr, ops::RangeInclusive};

/// One thing that can be set.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Flag without dashes; environment and file derive their names from it.
    pub name: &'static str,
    /// Placeholder of its value in the help; a switch has none.
    pub value: &'static str,
    /// Empty if there is none.
    pub default: &'static str,
    /// One line.
    pub help: &'static str,
    /// What its value is held to, said in the help too.
    pub limit: Limit,
}

/// What a value is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Nothing, or rules of its own.
    None,
    /// A whole number, from one to the other.
    Numbers(u64, u64),
    /// So many bytes at most.
    Bytes(usize),
}

/// Settings of one module.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Heading in the help.
    pub title: &'static str,
    /// In the order of the help.
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
    /// Nowhere in particular.
    Missing,
}

/// Something that must be mended before the process can start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub source: Source,
    /// What, and what would be right.
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

    /// The same, as a whole number in `range`.
    #[must_use]
    pub const fn within(self, range: &RangeInclusive<u64>) -> Self {
        let limit = Limit::Numbers(*range.start(), *range.end());
        Self { limit, ..self }
    }

    /// The same, of `most` bytes at most.
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

    /// Its variable.
    #[must_use]
    pub fn env(&self) -> String {
        format!("{}{}", record::ENV_PREFIX, self.key().to_uppercase())
    }

    /// Whether there is such a variable; without one there is no key in the file either.
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
    /// Text as given or its default; `None` if neither.
    pub fn text(&self, name: &str) -> Option<String> {
        let given = self.given.get(name).map(|(text, _)| text.as_str());
        let default = self.setting(name).map_or("", |setting| setting.default);
        let text = given.unwrap_or(default);
        (given.is_some() || !text.is_empty()).then(|| text.to_owned())
    }

    /// A whole number within its limit.
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

    /// The same, as a size.
    pub fn size(&mut self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(usize::MAX)
    }

    /// The same, of 32 bits.
    pub fn small(&mut self, name: &str) -> u32 {
        u32::try_from(self.number(name)).unwrap_or(u32::MAX)
    }

    /// `IP:PORT`, or `localhost:PORT`.
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

    /// On or off.
    pub fn switch(&mut self, name: &str) -> bool {
        let on = self.parsed(name, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be true or false".to_owned()),
        });
        on.unwrap_or(false)
    }

    /// A value that `parse` understands; its error is the rule that is broken.
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
