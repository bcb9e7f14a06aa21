//! Measures the break-even report: the same requests, answered in five ways, at each cost of the handler.
//!
//! After warm-up there are passes over all costs. At each cost all answers have a window, and then again in reverse
//! order (a visit). The costs take turns too, so that the machine's drift does not hit one of them alone.

mod burns;
mod pace;

use super::{
    Job, clock::Moment, execute, live, machine, objective, parts::CLOSED_IN_FLIGHT, setup,
};
use crate::{
    cli,
    error::{Error, Kind, Result},
    generator::{Generator, Options},
    plan,
    process::Meter,
    report::{
        break_even::{
            input::{Finished, IDLE, Measured},
            model::{Answer as Told, Load},
        },
        model,
    },
    scenario::Objective,
    terminal::Terminal,
    topology::{
        burn::{Answer, Rig, Server},
        cores, ledger,
    },
    traffic::Spread,
};
use burns::Burns;
use pace::Pace;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Connections from the load generator to each answer.
const CONNECTIONS: usize = 4;
/// `Load::OneInFlight` is an even rate with long gaps, not a limit. If an answer is slow, further requests must still
/// be sent, so that the waiting shows.
const MAX_IN_FLIGHT: usize = 4096;
const TIMEOUT: Duration = Duration::from_secs(2);
/// The default time budget of the whole run.
const BUDGET: Duration = Duration::from_secs(225);

/// Rounds of one visit to a cost: there and back.
const VISIT: u32 = 2;

/// The windows of one load and one cost of the handler.
#[derive(Debug, Clone, Copy)]
struct Visit {
    load: Load,
    work_us: f64,
    qps: f64,
    window: Duration,
    pass: u32,
}

struct Bench<'a> {
    asked: &'a cli::BreakEven,
    budget: Duration,
    servers: Vec<Server>,
    terminal: &'a mut Terminal,
    stop: &'a AtomicBool,
    begun: Instant,
    windows: Vec<Measured>,
    interrupted: bool,
    /// Requests that the spliced front door left to grpc-go until the end of warm-up. The first ones open it.
    handed_over_before: u64,
}

/// Starts the servers, measures, and stops them. `started` is when the program started.
pub fn measure(
    asked: &cli::BreakEven,
    started: &Moment,
    terminal: &mut Terminal,
    stop: &AtomicBool,
) -> Result<Finished> {
    let begun = Instant::now();
    let cores = setup::cores_of(&asked.conduct)?;
    let budget = asked.conduct.budget.unwrap_or(BUDGET);
    let rig = Rig {
        burnd: asked.burnd.clone(),
        sidecar: asked.sidecar.clone(),
        heap_mib: asked.heap_mib,
        work: asked.conduct.work.clone(),
        server_cores: cores.servers.clone(),
    };
    rig.check()?;
    pace::fits(&asked.works_us, budget)?;
    let _lock = ledger::lock(&rig.work)?;
    let servers = Answer::ALL.map(|answer| Server::start(&rig, answer, stop));
    let servers = servers.into_iter().collect::<Result<Vec<_>>>()?;
    cores::pin(&cores.generator)?;
    let mut bench = Bench {
        asked,
        budget,
        servers,
        terminal,
        stop,
        begun,
        windows: Vec::new(),
        interrupted: false,
        handed_over_before: 0,
    };
    let notes = bench.all()?;
    let fallbacks: Result<u64> = bench.servers.iter().map(Server::fallbacks).sum();
    let handed_over = bench.handed_over()? - bench.handed_over_before;
    let run = described(&bench, &cores, started);
    Ok(Finished {
        run,
        service_heap_mib: asked.heap_mib,
        answers: Answer::ALL.map(told).to_vec(),
        again: super::again(Answer::Local.name()),
        works_us: asked.works_us.clone(),
        fallbacks: fallbacks?,
        handed_over,
        interrupted: bench.interrupted,
        max_void_share: asked.conduct.max_void_share,
        windows: bench.windows,
        notes,
    })
}

fn told(answer: Answer) -> Told {
    Told {
        name: answer.name().to_owned(),
        about: answer.about().to_owned(),
    }
}

impl Bench<'_> {
    /// Runs all windows. Returns what was left out, in words.
    fn all(&mut self) -> Result<Vec<String>> {
        for pass in 0..pace::WARM_UPS {
            self.visit(Visit {
                load: Load::WarmUp,
                work_us: 0.0,
                qps: pace::NO_RATE,
                window: pace::warm_up(self.budget),
                pass,
            })?;
        }
        self.handed_over_before = self.handed_over()?;
        let works = &self.asked.works_us;
        let left = self.budget.saturating_sub(self.begun.elapsed());
        let pace = Pace::new(works, left);
        let mut notes = self.passes(&pace)?;
        let broken = self.windows.iter().filter(|measured| {
            measured.load == Load::Full && measured.measured.window.broke.is_some()
        });
        let broken: Vec<_> = broken.map(|measured| &measured.measured.window).collect();
        if let Some(first) = broken.first() {
            notes.push(format!(
                "{} windows had requests that failed; the first is window {}, {}: {}",
                broken.len(),
                first.index,
                first.target,
                first.broke.as_deref().unwrap_or_default()
            ));
        }
        Ok(notes)
    }

    fn handed_over(&self) -> Result<u64> {
        self.servers.iter().map(Server::handed_over).sum()
    }

    fn passes(&mut self, pace: &Pace) -> Result<Vec<String>> {
        for pass in 0..pace.passes {
            for visit in pace.visits(pass) {
                if self.stop.load(Ordering::Relaxed) {
                    self.interrupted = true;
                    return Ok(Vec::new());
                }
                if self.begun.elapsed() + pace.cost(&visit) > self.budget {
                    return Ok(vec![format!(
                        "the time budget ended the run in pass {} of {}, at a handler of {} µs",
                        pass + 1,
                        pace.passes,
                        visit.work_us
                    )]);
                }
                self.visit(visit)?;
            }
        }
        Ok(Vec::new())
    }

    /// Runs windows against all answers, there and back, at one cost.
    fn visit(&mut self, visit: Visit) -> Result<()> {
        let names = self.names(&visit);
        let targets = self.targets(&names, &visit)?;
        let before = self.begun.elapsed().as_secs_f64();
        let job = self.job(&visit, names);
        let mut live = live::Live::new(targets, self.terminal, self.stop);
        let (done, _) = execute(&job, &mut live, None, self.stop);
        drop(live);
        for mut measured in done.windows {
            let window = &mut measured.window;
            window.index = u32::try_from(self.windows.len()).unwrap_or(u32::MAX);
            window.round += visit.pass * VISIT;
            window.at_s += before;
            self.windows.push(Measured {
                load: visit.load,
                work_us: visit.work_us,
                measured,
            });
        }
        self.interrupted |= done.interrupted;
        done.failure.map_or(Ok(()), Err)
    }

    /// Besides the answers, the Go handler without work is a target, which shows the cost of the work itself.
    fn names(&self, visit: &Visit) -> Vec<String> {
        let answers = Answer::ALL.map(|answer| answer.name().to_owned());
        let idle = visit.load == Load::Full && visit.work_us > 0.0;
        answers
            .into_iter()
            .chain(idle.then(|| IDLE.to_owned()))
            .collect()
    }

    fn targets(&self, names: &[String], visit: &Visit) -> Result<Vec<live::Target>> {
        let each = names.iter().enumerate().map(|(index, name)| {
            // The target after the answers is the first server again, asked for no work.
            let server = &self.servers[index % self.servers.len()];
            let work_us = if name == IDLE { 0.0 } else { visit.work_us };
            let options = Options {
                connections: CONNECTIONS,
                idle_connections: 0,
                max_in_flight: max_in_flight(visit.load),
                timeout: TIMEOUT,
                writes_per_second: 0.0,
                writes_per_read: 0.0,
                writes_at_once: 1,
                reply_budget_bytes: 0,
            };
            let workload = Arc::new(Burns::new(work_us));
            Ok(live::Target {
                generator: Generator::connect(server.endpoints(), workload, options)?,
                next_write: 0,
                meter: Meter::new(server.watched().to_vec())?,
                server: None,
            })
        });
        each.collect()
    }

    fn job(&self, visit: &Visit, names: Vec<String>) -> Job {
        let warm_up = visit.load == Load::WarmUp;
        let seed = self.asked.conduct.seed.wrapping_mul(1 << 20);
        let seed = seed + u64::from(visit.pass) * 1000 + visit.work_us.to_bits() % 997;
        Job {
            plan: plan::Settings {
                targets: names.len(),
                noise_floor: !warm_up,
                seeds: plan::Seeds::Hashed(seed),
                warm_up: warm_up.then_some((visit.qps, visit.window)),
                search: None,
                equal: (!warm_up).then_some(plan::Equal {
                    load: plan::Load::Qps(visit.qps),
                    rounds: VISIT,
                    window: visit.window,
                }),
                full: None,
                leaders: vec![0],
                budget: None,
            },
            names,
            replay: None,
            spread: match visit.load {
                Load::OneInFlight => Spread::Constant,
                Load::WarmUp | Load::Full => Spread::Closed,
            },
            max_in_flight: max_in_flight(visit.load),
            objective: rules(),
            max_lag: self.asked.conduct.max_lag,
        }
    }
}

fn max_in_flight(load: Load) -> usize {
    match load {
        Load::OneInFlight => MAX_IN_FLIGHT,
        Load::WarmUp | Load::Full => CLOSED_IN_FLIGHT,
    }
}

/// The objective: it only reports windows in which requests failed. At full load there is no rate to achieve.
fn rules() -> Objective {
    Objective {
        p50: None,
        p99: None,
        p999: None,
        max_error_rate: 0.001,
        min_achieved: 0.0,
        windows: 1,
    }
}

fn described(bench: &Bench<'_>, cores: &cores::Cores, started: &Moment) -> model::Run {
    let versions = BTreeMap::from([("loadtest".to_owned(), machine::version())]);
    model::Run {
        started_at: started.rfc3339(),
        duration_s: bench.begun.elapsed().as_secs_f64(),
        command: Vec::new(),
        scenario: "break-even".to_owned(),
        title: "From which handler on a sidecar pays".to_owned(),
        about: "A handler that burns a known CPU time, answered five ways: by Go itself, by a Rust sidecar over a gRPC call each, \
                by the same sidecar over the exchange, by that through the shim's spliced front door, and by Rust inside the Go process."
            .to_owned(),
        scenario_text: String::new(),
        versions,
        machine: machine::this(),
        server_cores: cores.servers.clone(),
        generator_cores: cores.generator.clone(),
        ledger: Some(model::Ledger {
            accounts: 0,
            entries: 0,
            position: 0,
        }),
        objective: objective::rules_of_closed_loop(&rules()),
    }
}

/// Returns the error of a command line that leaves no time to measure.
fn too_short(least: Duration) -> Error {
    let text = format!(
        "--budget: is too short for so many --work-us; give at least {:.0} seconds, or fewer of them",
        least.as_secs_f64().ceil()
    );
    Error::new(Kind::Usage, text)
}
