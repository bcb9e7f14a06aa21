//! The command line: recorded as text, then resolved, so that every mistake is told at once.

mod asked;
mod break_even;
mod commands;
mod conduct;
mod help;
mod options;
mod record;
pub mod target;
#[cfg(test)]
mod tests;

pub use asked::{
    BreakEven, Check, Conduct, Inspect, List, Overrides, RecordTraffic, Rerender, Run, Search,
    Servers, Source, Traffic,
};
pub use help::help;

use crate::error::{Error, Kind, Result};
use record::Recorded;
use std::ffi::OsString;

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// `run` and `replay`.
    Run(Box<Run>),
    /// `break-even`.
    BreakEven(Box<BreakEven>),
    /// `record`.
    Record(RecordTraffic),
    /// `inspect`.
    Inspect(Inspect),
    /// `check`.
    Check(Check),
    /// `scenarios`.
    Scenarios(List),
    /// `report`.
    Report(Rerender),
    /// `help`, `--help`, `--version`: a text to print.
    Print(String),
}

/// The commands, and what each is for.
pub(crate) const COMMANDS: [(&str, &str); 9] = [
    ("run", "Measure targets with a scenario"),
    ("replay", "Measure targets with captured traffic"),
    (
        "break-even",
        "Find out from which handler on a sidecar pays",
    ),
    ("record", "Pass traffic on to a server, and capture it"),
    ("inspect", "Say what is in a capture"),
    ("check", "Check scenarios"),
    ("scenarios", "List the scenarios"),
    (
        "report",
        "Render a report again, or put its table into a README",
    ),
    ("help", "Explain a command"),
];

/// Reads the arguments that follow the program's name.
///
/// # Errors
/// [`Kind::Usage`], with all mistakes, one a line.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command> {
    let mut args = args.into_iter();
    let Some(first) = args.next() else {
        return Err(usage(&["a command is missing".to_owned()], None));
    };
    let name = first.to_string_lossy().into_owned();
    match name.as_str() {
        "--help" | "-h" => return Ok(Command::Print(help(None))),
        "--version" | "-V" => return Ok(Command::Print(version())),
        "help" => return explain(args.next()),
        _ => {}
    }
    if !COMMANDS.iter().any(|(known, _)| *known == name) {
        let mistake = unknown("command", &name, COMMANDS.iter().map(|(known, _)| *known));
        return Err(usage(&[mistake], None));
    }
    let mut recorded = record::record(&name, args);
    if recorded.switch("help") {
        return Ok(Command::Print(help(Some(&name))));
    }
    let command = resolve(&name, &mut recorded);
    match (command, recorded.mistakes()) {
        (Some(command), []) => Ok(command),
        (_, mistakes) => Err(usage(mistakes, Some(&name))),
    }
}

fn resolve(name: &str, recorded: &mut Recorded) -> Option<Command> {
    match name {
        "run" | "replay" => {
            commands::run(name == "replay", recorded).map(|run| Command::Run(Box::new(run)))
        }
        "break-even" => Some(Command::BreakEven(Box::new(break_even::resolve(recorded)))),
        "record" => commands::record(recorded).map(Command::Record),
        "inspect" => commands::inspect(recorded).map(Command::Inspect),
        "check" => commands::check(recorded).map(Command::Check),
        "scenarios" => Some(Command::Scenarios(commands::scenarios(recorded))),
        _ => commands::report(recorded).map(Command::Report),
    }
}

fn explain(command: Option<OsString>) -> Result<Command> {
    let Some(name) = command.map(|name| name.to_string_lossy().into_owned()) else {
        return Ok(Command::Print(help(None)));
    };
    if COMMANDS.iter().any(|(known, _)| *known == name) {
        return Ok(Command::Print(help(Some(&name))));
    }
    let mistake = unknown("command", &name, COMMANDS.iter().map(|(known, _)| *known));
    Err(usage(&[mistake], None))
}

/// The text of `--version`.
#[must_use]
pub fn version() -> String {
    format!("loadtest {}\n", env!("CARGO_PKG_VERSION"))
}

fn usage(mistakes: &[String], command: Option<&str>) -> Error {
    let hint = match command {
        Some(command) => format!("`loadtest help {command}` explains the options"),
        None => "`loadtest --help` lists the commands".to_owned(),
    };
    Error::new(Kind::Usage, format!("{}\n{hint}", mistakes.join("\n")))
}

/// What there is instead, nearest first.
fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = known.min_by_key(|known| distance(known, name));
    match near.filter(|near| distance(near, name) <= 2) {
        Some(near) => format!("there is no {what} {name}: did you mean {near}?"),
        None => format!("there is no {what} {name}"),
    }
}

/// How many letters differ (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, theirs) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *theirs);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
