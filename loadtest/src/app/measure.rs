//! The commands `run` and `replay`, from the command line to the report.

use super::{print, stop_flag};
use crate::{
    cli,
    compare::Comparer,
    error::{Error, Kind, Result},
    report::{self, input::Finished, model::Phase},
    run::{
        self, Done,
        clock::Moment,
        live::Live,
        machine,
        setup::{self, Prepared},
    },
    terminal::Terminal,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::AtomicBool,
    time::Duration,
};

/// The folder of reports that are to be committed.
const KEPT: &str = "loadtest/results";

pub(super) fn measure(asked: &cli::Run, command: Vec<String>) -> Result<()> {
    if let Some(out) = &asked.options.conduct.out {
        without_report(out)?;
    }
    let stop = stop_flag()?;
    let started = Moment::now();
    let mut terminal = Terminal::new(asked.options.conduct.quiet);
    let run_id = format!("{}-{}", started.compact(), process::id());
    let prepared = setup::prepare(asked, &run_id, &mut terminal, &stop)?;
    let folder = folder(&asked.options.conduct, &prepared.parts.name, &started)?;
    let (mut finished, notes, failure) = carry_out(prepared, asked, &folder, &mut terminal, &stop);
    finished.run.started_at = started.rfc3339();
    finished.run.command = command;
    if finished.windows.is_empty()
        && let Some(failure) = failure
    {
        return Err(failure);
    }
    let mut report = report::assemble(&finished);
    report.notes.extend(notes);
    report::write(&report, &folder)?;
    report.folder = Some(folder);
    print(&report::summary(&report))?;
    match failure {
        Some(failure) => Err(failure),
        None => conclusion(&report),
    }
}

/// Runs the windows and stops the servers.
fn carry_out(
    prepared: Prepared,
    asked: &cli::Run,
    folder: &Path,
    terminal: &mut Terminal,
    stop: &AtomicBool,
) -> (Finished, Vec<String>, Option<Error>) {
    let workload = prepared.workload;
    let writes = prepared.parts.writes().wanted();
    let comparer = asked
        .options
        .overrides
        .objective
        .compare
        .then(|| Comparer::new(&*workload, folder, writes));
    let mut live = Live::new(prepared.targets, terminal, stop);
    let (done, comparison) = run::execute(&prepared.job, &mut live, comparer, stop);
    let elapsed = live.elapsed();
    drop(live);
    drop(prepared.lock);
    let methods = workload.methods().iter().map(|method| method.path.clone());
    let mut described = prepared.run;
    described.duration_s = span(&done, elapsed).as_secs_f64();
    let finished = Finished {
        run: described,
        targets: setup::told(asked, &done.searches, prepared.job.plan.noise_floor),
        windows: done.windows,
        comparison,
        methods: methods.collect(),
        objective: prepared.job.objective,
        // If a target failed, windows are missing too.
        interrupted: done.interrupted || done.failure.is_some(),
        max_void_share: asked.options.conduct.max_void_share,
        plan: asked.options.estimate.plan(),
    };
    (
        finished,
        notes(done.notes, done.failure.as_ref()),
        done.failure,
    )
}

/// Returns the time from the beginning of the first window to the end of the last.
fn span(done: &Done, elapsed: Duration) -> Duration {
    let first = done
        .windows
        .first()
        .map_or(0.0, |measured| measured.window.at_s);
    elapsed.saturating_sub(Duration::try_from_secs_f64(first).unwrap_or_default())
}

fn notes(mut notes: Vec<String>, failure: Option<&Error>) -> Vec<String> {
    notes.extend(failure.map(|failure| {
        let text = failure.to_string();
        let first = text.lines().next().unwrap_or_default();
        format!("the run ended early: {first}")
    }));
    notes
}

/// Makes the folder of the report. It is made before anything is measured, so that a failure costs no time.
pub(super) fn folder(conduct: &cli::Conduct, name: &str, started: &Moment) -> Result<PathBuf> {
    let folder = match &conduct.out {
        Some(out) => out.clone(),
        None if conduct.keep => kept(Path::new(KEPT), &started.date(), name),
        None => {
            let results = conduct.work.join("results");
            unused(&results, &format!("{}-{name}", started.compact()))
        }
    };
    fs::create_dir_all(&folder).map_err(|error| {
        let text = format!("cannot make the folder {}", folder.display());
        Error::caused(Kind::Output, text, error)
    })?;
    Ok(folder)
}

/// Returns the folder of a report that is to be committed, `<date>-<host kind>/<scenario>`.
fn kept(parent: &Path, date: &str, scenario: &str) -> PathBuf {
    let kind = machine::this().host_kind;
    unused(&parent.join(format!("{date}-{kind}")), scenario)
}

/// Fails if the folder holds a report. A report is never overwritten, because its raw data can't be measured again.
pub(super) fn without_report(out: &Path) -> Result<()> {
    if report::is_in(out) {
        let text = format!(
            "--out {}: there is a report already; name another folder, or remove it",
            out.display()
        );
        return Err(Error::new(Kind::Output, text));
    }
    Ok(())
}

/// Returns a path that does not exist, so that no older report is overwritten.
fn unused(parent: &Path, name: &str) -> PathBuf {
    let numbered = (2..).map(|number| parent.join(format!("{name}-{number}")));
    let mut names = std::iter::once(parent.join(name)).chain(numbered);
    let free = names.find(|path| !path.exists());
    free.unwrap_or_else(|| parent.join(name))
}

/// Returns the error that sets the exit code. Mismatches have priority, because answers differ however busy the machine
/// was. Then follow a void run, and an objective that no target held.
fn conclusion(report: &report::model::Report) -> Result<()> {
    if let Some(mismatches @ 1..) = report.mismatches {
        let text = format!("{mismatches} answers differed from the baseline's");
        return Err(Error::new(Kind::Mismatch, text));
    }
    if report.void {
        let reason = report.void_reason.as_deref().unwrap_or_default();
        return Err(Error::new(Kind::Void, format!("void: {reason}")));
    }
    if !report.interrupted && nobody_held(report) {
        let text = match report.closed_in_flight() {
            Some(_) => "in every window more reads failed than the objective allows",
            None => "no target held the objective, even at the lowest rate",
        };
        return Err(Error::new(Kind::Objective, text));
    }
    Ok(())
}

/// Whether no target held the objective. After a search this means that no rate was sustained; without one, that every
/// window broke.
fn nobody_held(report: &report::model::Report) -> bool {
    let searched = report
        .targets
        .iter()
        .filter(|target| target.limited_by.is_some());
    if searched.clone().count() > 0 {
        let mut rates = searched.map(|target| target.max_qps_within_slo);
        return rates.all(|rate| rate.is_none());
    }
    let counted = report
        .windows
        .iter()
        .filter(|window| window.phase != Phase::WarmUp && window.void.is_none());
    counted.clone().count() > 0 && counted.clone().all(|window| window.broke.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::{
            input::{Plan, SearchOutcome, TargetInput},
            model::Run,
        },
        scenario::Objective,
    };
    use std::collections::BTreeMap;

    #[test]
    fn no_report_is_overwritten() {
        let parent = tempfile::tempdir().unwrap();
        let first = unused(parent.path(), "x");
        assert!(first.ends_with("x"));
        fs::create_dir(&first).unwrap();
        assert!(unused(parent.path(), "x").ends_with("x-2"));
        assert!(without_report(&first).is_ok(), "an empty folder is fine");
        fs::write(first.join("report.json"), "{}").unwrap();
        let error = without_report(&first).unwrap_err();
        assert_eq!(error.kind(), Kind::Output);
        assert!(error.to_string().contains("a report already"), "{error}");
    }

    #[test]
    fn kept_reports_lie_by_day_machine_and_scenario() {
        let parent = tempfile::tempdir().unwrap();
        let day = format!("2026-01-02-{}", machine::this().host_kind);
        let folder = |scenario| kept(parent.path(), "2026-01-02", scenario);
        assert_eq!(folder("mixed"), parent.path().join(&day).join("mixed"));
        fs::create_dir_all(folder("mixed")).unwrap();
        assert_eq!(folder("mixed"), parent.path().join(&day).join("mixed-2"));
        assert_eq!(folder("hop"), parent.path().join(&day).join("hop"));
    }

    #[test]
    fn mismatches_come_before_all_else() {
        let mut report = crate::report::assemble(&nothing());
        assert_eq!(conclusion(&report).unwrap_err().kind(), Kind::Void);
        report.mismatches = Some(3);
        assert_eq!(conclusion(&report).unwrap_err().kind(), Kind::Mismatch);
        report.mismatches = Some(0);
        assert_eq!(conclusion(&report).unwrap_err().kind(), Kind::Void);
        report.void = false;
        assert!(conclusion(&report).is_ok());
    }

    #[test]
    fn an_objective_that_nobody_held_is_told_apart() {
        let mut finished = nothing();
        finished.targets = ["a", "b"].map(searched).to_vec();
        let mut report = crate::report::assemble(&finished);
        report.void = false;
        assert_eq!(conclusion(&report).unwrap_err().kind(), Kind::Objective);
        report.interrupted = true;
        assert!(conclusion(&report).is_ok());
        report.interrupted = false;
        report.targets[1].max_qps_within_slo = Some(1.0);
        assert!(conclusion(&report).is_ok());
    }

    fn searched(name: &str) -> TargetInput {
        TargetInput {
            name: name.to_owned(),
            about: String::new(),
            against_itself: false,
            search: Some(SearchOutcome {
                sustained_qps: None,
                broken_qps: Some(10.0),
                limited_by: "p99".to_owned(),
            }),
        }
    }

    fn nothing() -> Finished {
        Finished {
            run: Run {
                started_at: String::new(),
                duration_s: 0.0,
                command: Vec::new(),
                scenario: String::new(),
                title: String::new(),
                about: String::new(),
                scenario_text: String::new(),
                versions: BTreeMap::new(),
                machine: machine::this(),
                server_cores: Vec::new(),
                generator_cores: Vec::new(),
                ledger: None,
                objective: Vec::new(),
            },
            targets: Vec::new(),
            windows: Vec::new(),
            comparison: None,
            methods: Vec::new(),
            objective: Objective {
                p50: None,
                p99: None,
                p999: None,
                max_error_rate: 0.0,
                min_achieved: 0.0,
                windows: 1,
            },
            interrupted: false,
            max_void_share: 0.1,
            plan: Plan {
                qps: 1.0,
                utilisation: 0.5,
                price_per_core_hour: 0.0,
            },
        }
    }

    #[test]
    fn a_failure_is_noted_by_its_first_line() {
        let failure = Error::new(Kind::Target, "walletd is gone\n  | its log");
        let notes = notes(vec!["one".into()], Some(&failure));
        assert_eq!(notes, ["one", "the run ended early: walletd is gone"]);
    }
}
