//! Prepares a run from a command line: targets that are ready for windows.
//!
//! The steps: read the scenario or capture, generate or copy the ledger, list its ids, encode the requests, start the
//! servers, pin this thread, open all connections.

mod filling;

use super::{
    Job, again,
    live::Target,
    machine, objective,
    parts::{self, Parts},
};
use crate::{
    capture::{self, Replay},
    cli::{
        self, Source,
        target::{Running, What},
    },
    error::{Error, Kind, Result},
    generator::{Endpoints, Generator, Options},
    ids::Place,
    process::{Meter, Watched, metrics},
    report::{
        input::{SearchOutcome, TargetInput},
        model,
    },
    terminal::Terminal,
    topology::{self, Rig, Server, Spec, cores, ledger},
    traffic::{Spread, Workload},
};
use filling::{fill, needs_ids};
use std::{
    collections::BTreeMap,
    fs::File,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

/// The bytes of replies that a window may keep.
const REPLY_BUDGET_BYTES: usize = 64 << 20;
/// The part of the time budget that is kept for the report, and again for each server to drain.
const CLOSING: Duration = Duration::from_secs(2);

/// Everything that a run needs.
pub struct Prepared {
    /// The windows to run.
    pub job: Job,
    /// The targets, ready for windows.
    pub targets: Vec<Target>,
    /// The requests.
    pub workload: Arc<dyn Workload>,
    /// The scenario or capture, with what the command line changes.
    pub parts: Parts,
    /// The report's first part. The start time, the duration and the command line are still to be filled in.
    pub run: model::Run,
    /// The lock of the work folder. While it is open, no other run uses the folder.
    pub lock: Option<File>,
}

/// Starts, fills and connects everything. `run_id` makes the ids of writes unique to the run.
pub fn prepare(
    run: &cli::Run,
    run_id: &str,
    terminal: &mut Terminal,
    stop: &AtomicBool,
) -> Result<Prepared> {
    let begun = Instant::now();
    let mut parts = parts::read(&run.source, &run.options.shipped.scenarios)?;
    parts.apply(&run.options.overrides)?;
    let cores = cores_of(&run.options.conduct)?;
    let rig = Rig {
        walletd: run.options.servers.walletd.clone(),
        hotpathd: run.options.servers.hotpathd.clone(),
        work: run.options.conduct.work.clone(),
        server_cores: cores.servers.clone(),
    };
    let specs = specs(run);
    let needs_ledger = !specs.is_empty() || needs_ids(&parts);
    if needs_ledger {
        let why = "the ids that the scenario asks for are those of its ledger, which walletd makes; or set ids.file in it";
        rig.check(&specs).map_err(|error| match specs.is_empty() {
            true => Error::caused(error.kind(), why, error),
            false => error,
        })?;
    }
    let lock = needs_ledger.then(|| ledger::lock(&rig.work)).transpose()?;
    let filling = fill(run, &parts, &rig, needs_ledger, terminal, stop)?;
    if let Some(scenario) = &mut parts.scenario {
        filling.fit(scenario);
    }
    let workload = workload(run, &parts, &filling.places, run_id)?;
    let mut servers = start(run, &rig, filling.db.as_deref(), terminal, stop)?;
    cores::pin(&cores.generator)?;
    let options = options(run, &parts);
    let mut targets = Vec::new();
    for (target, server) in run.targets.iter().zip(servers.drain(..)) {
        targets.push(connect(target, server, &workload, &options)?);
    }
    let mut job = job(run, &parts);
    let closing = CLOSING * u32::try_from(1 + specs.len()).unwrap_or(u32::MAX);
    job.plan.budget = run
        .options
        .conduct
        .budget
        .map(|budget| budget.saturating_sub(begun.elapsed() + closing));
    Ok(Prepared {
        run: described(&parts, &rig, &specs, &cores, filling.size),
        job,
        targets,
        workload,
        parts,
        lock,
    })
}

/// Returns the targets as the report names them, the baseline's second pass included.
#[must_use]
pub fn told(
    run: &cli::Run,
    searches: &[Option<SearchOutcome>],
    noise_floor: bool,
) -> Vec<TargetInput> {
    let each = run
        .targets
        .iter()
        .enumerate()
        .map(|(index, target)| TargetInput {
            name: target.name.clone(),
            about: about(target),
            against_itself: false,
            search: searches.get(index).cloned().flatten(),
        });
    let mut all: Vec<_> = each.collect();
    if let Some(baseline) = run.targets.first().filter(|_| noise_floor) {
        all.push(TargetInput {
            name: again(&baseline.name),
            about: format!("{} a second time: the noise floor", baseline.name),
            against_itself: true,
            search: searches.get(run.targets.len()).cloned().flatten(),
        });
    }
    all
}

fn about(target: &cli::target::Target) -> String {
    match &target.what {
        What::Topology(spec) => spec.about(),
        What::Running(running) => {
            let Endpoints { front, hot } = &running.endpoints;
            let hot = hot.as_ref().map(|hot| format!(", hot reads at {}", hot));
            let hot = hot.unwrap_or_default();
            format!("a server that ran already, at {}{hot}", front)
        }
    }
}

/// Returns the cores of the servers and of the generator.
pub(super) fn cores_of(conduct: &cli::Conduct) -> Result<cores::Cores> {
    if conduct.no_pin {
        return Ok(cores::Cores::default());
    }
    let asked = conduct.server_cores.as_deref();
    cores::choose(asked, conduct.generator_core, &cores::allowed())
}

fn specs(run: &cli::Run) -> Vec<Spec> {
    let specs = run.targets.iter().filter_map(|target| match &target.what {
        What::Topology(spec) => Some(spec.clone()),
        What::Running(_) => None,
    });
    specs.collect()
}

fn workload(
    run: &cli::Run,
    parts: &Parts,
    places: &[Place],
    run_id: &str,
) -> Result<Arc<dyn Workload>> {
    if let Source::Capture {
        path, speed, hot, ..
    } = &run.source
    {
        return capture::open(path, replay(*speed), hot);
    }
    let scenario = parts.scenario.as_ref();
    let scenario =
        scenario.ok_or_else(|| Error::new(Kind::Internal, "a run without a scenario"))?;
    if places.is_empty() {
        // Nothing in the scenario asks for ids, so a made-up place will do.
        let none = Place {
            account: "none".to_owned(),
            asset: "NONE".to_owned(),
            span_us: (0, 0),
        };
        return scenario.requests(&[none], run_id);
    }
    scenario.requests(places, run_id)
}

fn replay(speed: Option<f64>) -> Replay {
    speed.map_or(Replay::Rate, Replay::Speed)
}

fn start(
    run: &cli::Run,
    rig: &Rig,
    db: Option<&std::path::Path>,
    terminal: &mut Terminal,
    stop: &AtomicBool,
) -> Result<Vec<Option<Server>>> {
    let each = run.targets.iter().map(|target| {
        let (What::Topology(spec), Some(db)) = (&target.what, db) else {
            return Ok(None);
        };
        let begun = Instant::now();
        let server = Server::start(rig, spec, db, stop)?;
        let seconds = begun.elapsed().as_secs_f64();
        terminal.note(&format!("{}: ready after {seconds:.1} s", target.name));
        Ok(Some(server))
    });
    each.collect()
}

fn options(run: &cli::Run, parts: &Parts) -> Options {
    let load = &parts.load;
    Options {
        connections: load.connections,
        idle_connections: load.idle_connections,
        max_in_flight: load.max_in_flight,
        timeout: load.timeout,
        writes_per_second: parts.writes().per_second,
        writes_per_read: parts.writes().per_read,
        writes_at_once: parts.writes().at_once,
        reply_budget_bytes: if run.options.overrides.objective.compare {
            REPLY_BUDGET_BYTES
        } else {
            0
        },
    }
}

fn connect(
    target: &cli::target::Target,
    server: Option<Server>,
    workload: &Arc<dyn Workload>,
    options: &Options,
) -> Result<Target> {
    let (endpoints, watched) = match (&server, &target.what) {
        (Some(server), _) => (server.endpoints().clone(), server.watched().to_vec()),
        (None, What::Running(running)) => {
            tells_metrics(&target.name, running)?;
            (running.endpoints.clone(), watched(running))
        }
        (None, What::Topology(_)) => {
            return Err(Error::new(
                Kind::Internal,
                "a topology that was not started",
            ));
        }
    };
    let named = |error: Error| {
        let text = format!("target {} ({})", target.name, endpoints.front);
        Error::caused(error.kind(), text, error)
    };
    let generator = Generator::connect(&endpoints, Arc::clone(workload), options.clone());
    Ok(Target {
        generator: generator.map_err(named)?,
        next_write: 0,
        meter: Meter::new(watched)?,
        server,
    })
}

/// Asks the admin address once. The user wants its figures in the report, so the run must not begin if they can't be
/// had.
fn tells_metrics(name: &str, running: &Running) -> Result<()> {
    let asked = running.admin.as_deref().map(metrics::scrape);
    asked.transpose().map(|_| ()).map_err(|cause| {
        let text = format!("target {name}: no metrics from its admin address: {cause}");
        Error::new(Kind::Target, text)
    })
}

/// Returns the processes to watch. The admin address belongs to the first.
fn watched(running: &Running) -> Vec<Watched> {
    let each = running.processes.iter().enumerate();
    let each = each.map(|(index, (name, pid))| Watched {
        name: name.clone(),
        pid: *pid,
        admin: running.admin.clone().filter(|_| index == 0),
        log: None,
    });
    each.collect()
}

fn job(run: &cli::Run, parts: &Parts) -> Job {
    let replay = match &run.source {
        Source::Capture { speed, .. } => Some(replay(*speed)),
        Source::Scenario(_) => None,
    };
    let own_times = matches!(replay, Some(Replay::Speed(_)));
    let mut plan = parts.plan(
        run.targets.len(),
        &run.options.overrides,
        run.options.conduct.seed,
        own_times,
    );
    // A server that reads its database holds so little that at its rate the others would be all but idle.
    let in_memory = |index: &usize| match run.targets.get(*index).map(|target| &target.what) {
        Some(What::Topology(spec)) => spec.kind != topology::Kind::Store,
        _ => true,
    };
    plan.leaders.retain(in_memory);
    Job {
        names: run
            .targets
            .iter()
            .map(|target| target.name.clone())
            .collect(),
        plan,
        replay,
        spread: parts.load.spread,
        max_in_flight: parts.load.max_in_flight,
        objective: parts.objective.clone(),
        max_lag: run.options.conduct.max_lag,
    }
}

fn described(
    parts: &Parts,
    rig: &Rig,
    specs: &[Spec],
    cores: &cores::Cores,
    size: Option<ledger::Size>,
) -> model::Run {
    let mut versions = BTreeMap::from([("loadtest".to_owned(), machine::version())]);
    if !specs.is_empty() {
        let programs = [
            ("walletd", &rig.walletd, "version"),
            ("hotpathd", &rig.hotpathd, "--version"),
        ];
        for (name, path, argument) in programs {
            let version = Rig::version(path, argument);
            versions.extend(version.map(|version| (name.to_owned(), version)));
        }
    }
    model::Run {
        started_at: String::new(),
        duration_s: 0.0,
        command: Vec::new(),
        scenario: parts.name.clone(),
        title: parts.title.clone(),
        about: parts.about.clone(),
        scenario_text: parts.text.clone(),
        versions,
        machine: machine::this(),
        server_cores: cores.servers.clone(),
        generator_cores: cores.generator.clone(),
        ledger: size
            .filter(|_| !specs.is_empty())
            .map(|size| model::Ledger {
                accounts: size.accounts,
                entries: size.entries,
                position: size.position,
            }),
        objective: match parts.load.spread {
            Spread::Closed => objective::rules_of_closed_loop(&parts.objective),
            _ => objective::rules(&parts.objective),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> cli::Run {
        let words = line.split_whitespace().map(std::ffi::OsString::from);
        match cli::parse(words) {
            Ok(cli::Command::Run(run)) => *run,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_baselines_second_pass_is_told_last() {
        let run = asked("run x --target legacy --target a=127.0.0.1:1,hot=127.0.0.1:2");
        let told = told(&run, &[None, None], true);
        let names: Vec<_> = told.iter().map(|target| target.name.as_str()).collect();
        assert_eq!(names, ["legacy", "a", "legacy again"]);
        assert_eq!(
            told.iter().filter(|target| target.against_itself).count(),
            1
        );
        assert!(
            told[1].about.contains("hot reads at 127.0.0.1:2"),
            "{}",
            told[1].about
        );
    }

    #[test]
    fn the_first_process_is_the_one_with_a_collector() {
        let run = asked("run x --target a=127.0.0.1:1,pid=p:7,pid=q:8,admin=127.0.0.1:9");
        let What::Running(running) = &run.targets[0].what else {
            panic!()
        };
        let watched = watched(running);
        assert_eq!(watched[0].admin.as_deref(), Some("127.0.0.1:9"));
        assert_eq!((watched[1].pid, watched[1].admin.as_deref()), (8, None));
    }

    #[test]
    fn an_admin_address_that_tells_nothing_is_an_error() {
        // Nobody listens on port 1, and no system gives it to who asks for a free port.
        let admin = "127.0.0.1:1";
        let run = asked(&format!(
            "run x --target a=127.0.0.1:1,pid=p:7,admin={admin}"
        ));
        let What::Running(running) = &run.targets[0].what else {
            panic!()
        };
        let error = tells_metrics("a", running).unwrap_err();
        assert_eq!(error.kind(), Kind::Target);
        assert!(
            error.to_string().starts_with("target a: no metrics"),
            "{error}"
        );
    }

    #[test]
    fn nothing_is_pinned_if_so_asked() {
        let run = asked("run x --no-pin");
        assert_eq!(
            cores_of(&run.options.conduct).unwrap(),
            cores::Cores::default()
        );
        let run = asked("run x --server-cores 1023");
        assert_eq!(
            cores_of(&run.options.conduct).unwrap_err().kind(),
            Kind::Usage
        );
    }
}
