//! The command line, read by clap.
//!
//! clap stops at the first mistake. To report all of them at once, `forgive` changes the parser so that it accepts the
//! mistake, and the line is parsed again.

mod asked;
mod contradictions;
mod help;
pub mod target;
#[cfg(test)]
mod tests;
mod value;

pub use asked::{
    BreakEven, Check, Conduct, Equal, Estimate, Objective, Options, Overrides, RecordTraffic,
    Rerender, Run, Search, Servers, Shipped, Source, Traffic,
};

use crate::error::{Error, Kind, Result};
use clap::{
    Arg, ArgAction, ArgMatches, CommandFactory as _, FromArgMatches as _, Parser,
    builder::ValueParser,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::{error::Error as _, ffi::OsString, iter, path::PathBuf};
use target::Target;

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// `run` and `replay`.
    Run(Box<Run>),
    /// `break-even`.
    BreakEven(Box<BreakEven>),
    /// `record`.
    Record(RecordTraffic),
    /// `inspect`.
    Inspect(PathBuf),
    /// `check`.
    Check(Check),
    /// `scenarios`.
    Scenarios(Shipped),
    /// `report`.
    Report(Rerender),
    /// `help`, `--help`, `--version`: a text to print.
    Print(String),
}

#[derive(Parser)]
#[command(name = "loadtest", version, about = help::OVERVIEW, after_help = help::EXITS)]
#[command(arg_required_else_help = false, term_width = 0)]
enum Line {
    /// Measure targets with a scenario
    #[command(after_help = help::RUN)]
    Run {
        /// A file, or the name of one of `loadtest scenarios`
        scenario: String,
        #[command(flatten)]
        options: Box<Options>,
        /// Writes a second beside the reads, 0-100000
        #[arg(long, value_name = "N", value_parser = value::number(0.0..=100_000.0), help_heading = "Traffic")]
        writes: Option<f64>,
    },
    /// Measure targets with captured traffic
    #[command(after_help = help::REPLAY)]
    Replay {
        /// The file
        capture: PathBuf,
        /// Replay at its own times, this many times as fast [1, unless rates are given]
        #[arg(long, value_name = "X", value_parser = value::number(0.001..=1000.0), help_heading = "Capture")]
        speed: Option<f64>,
        /// Send this /package.Service/Method to a target's hot address, if it has one
        #[arg(long, value_name = "METHOD", help_heading = "Capture")]
        hot: Vec<String>,
        /// Use the objective, rates and ledger of this scenario
        #[arg(long, value_name = "SCENARIO", help_heading = "Capture")]
        like: Option<String>,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// Find out from which handler on a sidecar pays
    #[command(after_help = help::BREAK_EVEN)]
    BreakEven(Box<BreakEven>),
    /// Pass traffic on to a server, and capture it
    #[command(after_help = help::RECORD)]
    Record(RecordTraffic),
    /// Say what is in a capture
    Inspect {
        /// The file
        capture: PathBuf,
    },
    /// Check scenarios
    #[command(after_help = help::CHECK)]
    Check(Check),
    /// List the scenarios
    Scenarios(Shipped),
    /// Render a report again, or put its table into a README
    #[command(after_help = help::REPORT)]
    Report(Rerender),
}

/// Parses the arguments after the program's name.
///
/// # Errors
/// [`Kind::Usage`], with all mistakes, one a line.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command> {
    let words = args
        .into_iter()
        .map(|arg| arg.to_string_lossy().into_owned());
    let mut args: Vec<String> = iter::once("loadtest".to_owned()).chain(words).collect();
    let mut reader = Line::command().mut_subcommands(|command| command.mut_args(may_be_negative));
    let name = args.get(1).cloned();
    let name = name.filter(|name| reader.find_subcommand(name).is_some());
    let mut mistakes = Vec::new();
    // Each word is wrong at most once. After that, something may be missing.
    for _ in 0..=args.len() {
        let error = match reader.clone().try_get_matches_from(&args) {
            Ok(matches) => return resolve(&reader, &matches, mistakes),
            Err(error) if !error.use_stderr() => return Ok(Command::Print(error.to_string())),
            Err(error) => error,
        };
        mistakes.push(told(&error));
        let Some(name) = &name else { break };
        let id = mistakes.len().to_string();
        reader = reader.mut_subcommand(name, |command| forgive(command, &mut args, &error, id));
    }
    Err(usage(&mistakes, name.as_deref()))
}

fn resolve(
    reader: &clap::Command,
    matches: &ArgMatches,
    mut mistakes: Vec<String>,
) -> Result<Command> {
    let Some((name, given)) = matches.subcommand() else {
        return Err(usage(&mistakes, None));
    };
    let longs = contradictions::given(reader, name, given);
    mistakes.extend(contradictions::find(&longs, given));
    let targets = targets(given).unwrap_or_else(|wrong| {
        mistakes.extend(wrong);
        Vec::new()
    });
    if !mistakes.is_empty() {
        return Err(usage(&mistakes, Some(name)));
    }
    let line =
        Line::from_arg_matches(matches).map_err(|error| usage(&[told(&error)], Some(name)))?;
    Ok(line.resolve(targets, contradictions::rates(&longs)))
}

impl Line {
    /// Makes a command. `rates`: the options say at which rates a capture is replayed, or that there are none.
    fn resolve(self, targets: Vec<Target>, rates: bool) -> Command {
        let run = |source, mut options: Box<Options>, writes| {
            let search = &mut options.overrides.search;
            let highest = search.until_failure.then_some(*asked::QPS.end());
            search.to = search.to.or(highest);
            options.overrides.traffic.writes_per_second = writes;
            Command::Run(Box::new(Run {
                source,
                targets,
                options: *options,
            }))
        };
        match self {
            Self::Run {
                scenario,
                options,
                writes,
            } => run(Source::Scenario(scenario), options, writes),
            Self::Replay {
                capture: path,
                speed,
                hot,
                like,
                options,
            } => {
                let speed = speed.or((!rates).then_some(1.0));
                run(
                    Source::Capture {
                        path,
                        speed,
                        hot,
                        like,
                    },
                    options,
                    None,
                )
            }
            Self::BreakEven(asked) => Command::BreakEven(asked),
            Self::Record(asked) => Command::Record(asked),
            Self::Inspect { capture } => Command::Inspect(capture),
            Self::Check(asked) => Command::Check(asked),
            Self::Scenarios(asked) => Command::Scenarios(asked),
            Self::Report(asked) => Command::Report(asked),
        }
    }
}

/// Lets clap take a negative number as a value, which is then out of range, and not as an option.
fn may_be_negative(arg: Arg) -> Arg {
    let takes_values = arg.get_long().is_some() && arg.get_action().takes_values();
    arg.allow_negative_numbers(takes_values)
}

fn targets(given: &ArgMatches) -> Result<Vec<Target>, Vec<String>> {
    let texts = given.try_get_many::<String>("target").ok().flatten();
    let texts: Vec<_> = texts.into_iter().flatten().cloned().collect();
    let workers = given.try_get_one("stream_workers").ok().flatten();
    target::parse(&texts, workers.copied().unwrap_or(true))
}

/// Changes the parser so that it accepts a mistake that is already reported. `id` is the id of an argument that may be
/// added for that.
fn forgive(
    command: clap::Command,
    args: &mut Vec<String>,
    error: &clap::Error,
    id: String,
) -> clap::Command {
    let named = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(named)) => named.as_str(),
        _ => "",
    };
    let long = named
        .split(' ')
        .next()
        .and_then(|name| name.strip_prefix("--"));
    match error.kind() {
        ErrorKind::MissingRequiredArgument => command.mut_args(|arg| arg.required(false)),
        ErrorKind::UnknownArgument => match args.iter().position(|word| is_option(word, named)) {
            Some(at) => {
                args.remove(at);
                command
            }
            None => command.arg(Arg::new(id)),
        },
        _ => command.mut_args(|arg| match arg.get_long() == long {
            true => lenient(arg),
            false => arg,
        }),
    }
}

/// Whether a word gives the unknown option that clap names.
fn is_option(word: &str, named: &str) -> bool {
    let short = named.len() > 1 && named.starts_with('-') && !named.starts_with("--");
    let long = named.starts_with("--") && word.split('=').next() == Some(named);
    long || short && word.starts_with(named)
}

/// Lets an argument take any value, and an option also none, any number of times.
fn lenient(arg: Arg) -> Arg {
    let arg = arg.value_parser(ValueParser::string());
    if arg.is_positional() {
        return arg;
    }
    let switch = !arg.get_action().takes_values();
    let arg = arg.action(ArgAction::Append);
    arg.num_args(0..=1).require_equals(switch)
}

/// Returns a mistake on one line: our text if it is about a value, otherwise clap's.
fn told(error: &clap::Error) -> String {
    let part = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    if let (ErrorKind::ValueValidation, Some(rule)) = (error.kind(), error.source()) {
        let (named, value) = (
            part(ContextKind::InvalidArg),
            part(ContextKind::InvalidValue),
        );
        let flag = named.split(' ').next().unwrap_or_default();
        return format!("{flag} {value:?}: {rule}");
    }
    let text = error.to_string();
    let paragraphs = text.trim_start_matches("error: ").split("\n\n");
    let said = paragraphs.take_while(|text| !text.starts_with("Usage") && !text.starts_with("For"));
    let lines = said.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("; ")
}

fn usage(mistakes: &[String], command: Option<&str>) -> Error {
    let hint = match command {
        Some(command) => format!("`loadtest help {command}` explains the options"),
        None => "`loadtest --help` lists the commands".to_owned(),
    };
    Error::new(Kind::Usage, format!("{}\n{hint}", mistakes.join("\n")))
}
