//! Carries out the commands.

mod break_even;
mod measure;

use crate::{
    capture,
    cli::{self, Command},
    error::{Error, Kind, Result},
    record, report,
    run::parts::find,
    scenario::parse,
};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};
use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

/// The exit code that shells report for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// The program. Results go to standard output, everything else to standard error.
#[must_use]
pub fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let words = args.iter().map(|word| word.to_string_lossy().into_owned());
    let command: Vec<String> = ["loadtest".to_owned()].into_iter().chain(words).collect();
    match cli::parse(args).and_then(|asked| carry_out(asked, command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If this fails, there is no way to report it.
            let _ = writeln!(std::io::stderr(), "loadtest: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn carry_out(asked: Command, command: Vec<String>) -> Result<()> {
    match asked {
        Command::Print(text) => print(&text),
        Command::Run(run) => measure::measure(&run, command),
        Command::BreakEven(asked) => break_even::measure(&asked, command),
        Command::Record(asked) => {
            let recorded = record::run(asked.options(), &stop_flag()?)?;
            print(&recorded.to_string())
        }
        Command::Inspect(path) => print(&capture::summary(&path)?.to_string()),
        Command::Check(asked) => check(&asked),
        Command::Scenarios(asked) => scenarios(&asked.scenarios),
        Command::Report(asked) => rerender(&asked),
    }
}

/// Returns a flag that the first Ctrl-C (or SIGTERM) sets. The second ends the program at once; servers that it started
/// notice that, and end too.
fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let failed = |error| Error::caused(Kind::Internal, "cannot listen to signals", error);
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the shutdown acts if an earlier signal has set the flag.
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&stop))
            .map_err(failed)?;
        flag::register(signal, Arc::clone(&stop)).map_err(failed)?;
    }
    Ok(stop)
}

fn check(asked: &cli::Check) -> Result<()> {
    let mut mistakes = Vec::new();
    for path in &asked.paths {
        let name = path.to_string_lossy();
        match find(&name, &asked.shipped.scenarios).and_then(|path| parse::read(&path)) {
            Ok(scenario) => print(&format!("{name}: {}\n", scenario.title))?,
            Err(error) => mistakes.push(error.to_string()),
        }
    }
    all_well(&mistakes)
}

fn scenarios(folder: &Path) -> Result<()> {
    let mut mistakes = Vec::new();
    for path in scenario_files(folder)? {
        match parse::read(&path) {
            Ok(scenario) => print(&format!("{:<14} {}\n", scenario.name, scenario.title))?,
            Err(error) => mistakes.push(error.to_string()),
        }
    }
    all_well(&mistakes)
}

fn all_well(mistakes: &[String]) -> Result<()> {
    if mistakes.is_empty() {
        return Ok(());
    }
    Err(Error::new(Kind::Input, mistakes.join("\n")))
}

fn scenario_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| {
        let text = format!(
            "cannot list the scenarios in {} (--scenarios)",
            folder.display()
        );
        Error::caused(Kind::Input, text, error)
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    paths.sort();
    Ok(paths)
}

fn rerender(asked: &cli::Rerender) -> Result<()> {
    if let (Some(readme), [_, _, ..]) = (&asked.readme, asked.folders.as_slice()) {
        return report::update_loads(readme, &asked.folders, asked.check);
    }
    let mut folders = asked.folders.iter();
    folders.try_for_each(|folder| rerender_one(asked, folder))
}

fn rerender_one(asked: &cli::Rerender, folder: &Path) -> Result<()> {
    if let Some(report) = report::break_even::read(folder)? {
        let told = |readme: &PathBuf| {
            report::break_even::update_readme(readme, &report, folder, asked.check)
        };
        asked.readme.as_ref().map_or(Ok(()), told)?;
        if asked.check {
            return Ok(());
        }
        report::break_even::write(&report, folder)?;
        return print(&report::break_even::summary(&report));
    }
    let report = report::read(folder)?;
    let folder = report.folder.clone().unwrap_or_else(|| folder.to_owned());
    match &asked.readme {
        Some(readme) if asked.check => report::update_readme(readme, &report, true),
        readme => {
            report::write(&report, &folder)?;
            let readme = readme.as_deref();
            readme.map_or(Ok(()), |readme| {
                report::update_readme(readme, &report, false)
            })?;
            print(&report::summary(&report))
        }
    }
}

/// Prints to standard output. Nothing else does.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    unless_closed(written)
        .map_err(|error| Error::caused(Kind::Output, "standard output failed", error))
}

/// Ignores a closed pipe: a reader such as `head` may leave when it has seen enough.
fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_listed_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.toml", "a.toml", "notes.md"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let files = scenario_files(folder.path()).unwrap();
        let names: Vec<_> = files.iter().filter_map(|path| path.file_stem()).collect();
        assert_eq!(names, ["a", "b"]);
        let absent = scenario_files(Path::new("no/such/folder")).unwrap_err();
        assert_eq!(absent.kind(), Kind::Input);
    }

    #[test]
    fn a_reader_that_leaves_is_no_failure() {
        let failed = |kind: io::ErrorKind| unless_closed(Err(kind.into()));
        assert!(failed(io::ErrorKind::BrokenPipe).is_ok());
        assert!(failed(io::ErrorKind::StorageFull).is_err());
    }

    #[test]
    fn all_bad_scenarios_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.toml", "b.toml"].map(|name| folder.path().join(name));
        for path in &paths {
            fs::write(path, "nonsense = 1\n").unwrap();
        }
        let asked = cli::Check {
            paths: paths.to_vec(),
            shipped: cli::Shipped {
                scenarios: folder.path().to_owned(),
            },
        };
        let error = check(&asked).unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        let text = error.to_string();
        assert!(text.contains("a.toml") && text.contains("b.toml"), "{text}");
    }
}
