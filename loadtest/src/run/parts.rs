//! Reads a scenario or a capture, and applies what the command line says.

use super::objective;
use crate::{
    cli::{Overrides, Source, Traffic},
    error::{Error, Kind, Result},
    plan::{self, Step},
    scenario::{self, Scenario},
    traffic::Spread,
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Reads in flight in a closed loop by default: enough to keep servers with a few cores busy, and so few that no read
/// queues for long.
pub(super) const CLOSED_IN_FLIGHT: usize = 128;

/// Rounds of full load after those of equal load.
const FULL_ROUNDS: u32 = 3;

/// The parts of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// The name, for titles and folders.
    pub name: String,
    /// The title: one line.
    pub title: String,
    /// What the run shows.
    pub about: String,
    /// The text of the scenario's file.
    pub text: String,
    /// The scenario whose requests are sent; `None` for a capture, which has its own.
    pub scenario: Option<Scenario>,
    /// How requests are sent.
    pub load: scenario::Load,
    /// Rates and windows.
    pub pace: scenario::Pace,
    /// What must hold.
    pub objective: scenario::Objective,
    /// The ledger to generate; `None` for a capture without `--like`.
    pub ledger: Option<scenario::Ledger>,
}

/// Reads what `source` names.
pub fn read(source: &Source, scenarios: &Path) -> Result<Parts> {
    match source {
        Source::Scenario(name) => {
            let scenario = scenario::parse::read(&find(name, scenarios)?)?;
            Ok(Parts {
                scenario: Some(scenario.clone()),
                ..of(scenario)
            })
        }
        Source::Capture { path, like, .. } => {
            let like = like
                .as_deref()
                .map(|like| find(like, scenarios))
                .transpose()?;
            let base = like.map(|like| scenario::parse::read(&like)).transpose()?;
            let name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            Ok(Parts {
                title: format!("Replay of {name}"),
                about: "What real callers asked, replayed.".to_owned(),
                name,
                ..base.map_or_else(plain, of)
            })
        }
    }
}

/// Finds a scenario by its path, or by the name of one that is shipped.
pub(crate) fn find(name: &str, scenarios: &Path) -> Result<PathBuf> {
    let path = PathBuf::from(name);
    if path.is_file() {
        return Ok(path);
    }
    let shipped = scenarios.join(format!("{name}.toml"));
    if shipped.is_file() {
        return Ok(shipped);
    }
    let text = format!(
        "there is no scenario {name}: neither a file of this name nor {}; `loadtest scenarios` lists them",
        shipped.display()
    );
    Err(Error::new(Kind::Input, text))
}

fn of(scenario: Scenario) -> Parts {
    Parts {
        name: scenario.name,
        title: scenario.title,
        about: scenario.about,
        text: scenario.text,
        scenario: None,
        load: scenario.load,
        pace: scenario.pace,
        objective: scenario.objective,
        ledger: Some(scenario.ledger),
    }
}

/// The parts of a scenario that sets nothing; captures use them.
pub(crate) fn plain() -> Parts {
    Parts {
        name: String::new(),
        title: String::new(),
        about: String::new(),
        text: String::new(),
        scenario: None,
        load: scenario::Load {
            connections: 4,
            idle_connections: 0,
            max_in_flight: 4096,
            timeout: Duration::from_secs(2),
            spread: Spread::Poisson,
        },
        pace: scenario::Pace {
            from_qps: 1000.0,
            step_factor: 1.5,
            to_qps: 400_000.0,
            search_window: Duration::from_millis(1500),
            refinements: 4,
            equal_share: 0.7,
            equal_window: Duration::from_secs(3),
            equal_rounds: 6,
            warm_up: Duration::from_secs(2),
        },
        objective: scenario::Objective {
            p50: None,
            p99: Some(Duration::from_millis(10)),
            p999: None,
            max_error_rate: 0.001,
            min_achieved: 0.98,
            windows: 2,
        },
        ledger: None,
    }
}

impl Parts {
    /// Applies what the command line says.
    pub fn apply(&mut self, overrides: &Overrides) -> Result<()> {
        let search = &overrides.search;
        let pace = &mut self.pace;
        set(&mut pace.from_qps, search.from);
        set(&mut pace.to_qps, search.to);
        set(&mut pace.search_window, search.every);
        set(&mut pace.refinements, search.refine);
        set(&mut pace.equal_share, overrides.equal.equal_share);
        set(&mut pace.equal_window, overrides.equal.window);
        set(&mut pace.equal_rounds, overrides.equal.rounds);
        set(&mut pace.warm_up, overrides.traffic.warm_up);
        if pace.from_qps > pace.to_qps {
            let text = format!(
                "the first rate, {}, is over the highest, {}: --from, --to or the scenario must change",
                pace.from_qps, pace.to_qps
            );
            return Err(Error::new(Kind::Usage, text));
        }
        let objective = &mut self.objective;
        let asked = &overrides.objective;
        let limit = |latency: Duration| (latency > Duration::ZERO).then_some(latency);
        set(&mut objective.p50, asked.p50.map(limit));
        set(&mut objective.p99, asked.p99.map(limit));
        set(&mut objective.p999, asked.p999.map(limit));
        set(&mut objective.max_error_rate, asked.max_error_rate);
        set(&mut objective.min_achieved, asked.min_achieved);
        set(&mut objective.windows, search.failing_windows);
        self.apply_traffic(&overrides.traffic);
        if overrides.objective.compare && self.writes().at_once > 1 {
            let text = "--compare: with load.writes_at_once over 1 targets book in different orders, so that answers at \
                 one position differ";
            return Err(Error::new(Kind::Usage, text));
        }
        if overrides.equal.closed {
            let asked = overrides.traffic.max_in_flight;
            self.load.max_in_flight = asked.unwrap_or(CLOSED_IN_FLIGHT);
            self.load.spread = Spread::Closed;
            self.objective = objective::of_closed_loop(&self.objective);
        }
        Ok(())
    }

    fn apply_traffic(&mut self, traffic: &Traffic) {
        let load = &mut self.load;
        set(&mut load.connections, traffic.connections);
        set(&mut load.idle_connections, traffic.idle_connections);
        set(&mut load.max_in_flight, traffic.max_in_flight);
        set(&mut load.timeout, traffic.timeout);
        set(&mut load.spread, traffic.spread);
        if let Some(scenario) = &mut self.scenario {
            let asked = traffic.writes_per_second;
            let asked = asked.map(|per_second| scenario::Writes {
                per_second,
                ..scenario::Writes::NONE
            });
            set(&mut scenario.writes, asked);
        }
    }

    /// The writes beside the reads.
    #[must_use]
    pub fn writes(&self) -> scenario::Writes {
        self.scenario
            .as_ref()
            .map_or(scenario::Writes::NONE, |scenario| scenario.writes)
    }

    /// Returns the plan of a run over so many targets. `own_times` says that a capture is replayed at its own times, so
    /// there are no rates.
    #[must_use]
    pub fn plan(
        &self,
        targets: usize,
        overrides: &Overrides,
        seed: u64,
        own_times: bool,
    ) -> plan::Settings {
        let pace = &self.pace;
        let no_rate = own_times || overrides.equal.closed;
        let fixed = if no_rate {
            Some(0.0)
        } else {
            overrides.equal.qps
        };
        let search = plan::Search {
            from_qps: pace.from_qps,
            step: overrides
                .search
                .step
                .unwrap_or(Step::Times(pace.step_factor)),
            to_qps: pace.to_qps,
            ramp: overrides.search.ramp,
            refinements: pace.refinements,
            failing_windows: self.objective.windows,
            window: pace.search_window,
        };
        let equal = plan::Equal {
            load: fixed.map_or(plan::Load::Share(pace.equal_share), plan::Load::Qps),
            rounds: pace.equal_rounds,
            window: pace.equal_window,
        };
        let warm_up = (pace.warm_up > Duration::ZERO)
            .then_some((fixed.unwrap_or(pace.from_qps), pace.warm_up));
        plan::Settings {
            targets,
            noise_floor: !overrides.equal.no_noise_floor,
            seeds: if own_times {
                plan::Seeds::Passes
            } else {
                plan::Seeds::Hashed(seed)
            },
            warm_up,
            search: fixed.is_none().then_some(search),
            equal: (!overrides.equal.no_equal).then_some(equal),
            full: (fixed.is_none() && !overrides.equal.no_equal).then(|| plan::Full {
                in_flight: CLOSED_IN_FLIGHT,
                rounds: overrides.equal.full_rounds.unwrap_or(FULL_ROUNDS),
                window: pace.equal_window,
            }),
            leaders: (0..targets).collect(),
            budget: None,
        }
    }
}

fn set<T>(value: &mut T, wanted: Option<T>) {
    if let Some(wanted) = wanted {
        *value = wanted;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp)]

    use super::*;

    #[test]
    fn the_command_line_wins() {
        let mut parts = plain();
        let mut overrides = Overrides::default();
        overrides.search.from = Some(50.0);
        overrides.search.failing_windows = Some(5);
        overrides.objective.p99 = Some(Duration::ZERO);
        overrides.objective.p999 = Some(Duration::from_millis(7));
        overrides.traffic.connections = Some(9);
        parts.apply(&overrides).unwrap();
        assert_eq!(parts.objective.p99, None);
        assert_eq!(parts.objective.p999, Some(Duration::from_millis(7)));
        assert_eq!(parts.load.connections, 9);
        let plan = parts.plan(3, &overrides, 1, false);
        assert!(plan.noise_floor);
        let search = plan.search.unwrap();
        assert_eq!((search.from_qps, search.failing_windows), (50.0, 5));
        assert_eq!(search.step, Step::Times(1.5));
    }

    #[test]
    fn a_range_of_rates_that_is_empty_is_refused() {
        let mut overrides = Overrides::default();
        overrides.search.from = Some(1e6);
        let error = plain().apply(&overrides).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
    }

    #[test]
    fn a_fixed_rate_needs_no_search_and_a_capture_no_rate() {
        let mut overrides = Overrides::default();
        overrides.equal.qps = Some(300.0);
        let plan = plain().plan(2, &overrides, 1, false);
        assert_eq!(plan.search, None);
        assert_eq!(plan.equal.unwrap().load, plan::Load::Qps(300.0));
        assert_eq!(plan.warm_up, Some((300.0, Duration::from_secs(2))));
        let plan = plain().plan(2, &Overrides::default(), 1, true);
        assert_eq!(plan.seeds, plan::Seeds::Passes);
        assert_eq!(plan.equal.unwrap().load, plan::Load::Qps(0.0));
    }

    #[test]
    fn a_closed_loop_has_no_rate_and_no_limit_of_latency() {
        let mut overrides = Overrides::default();
        overrides.equal.closed = true;
        overrides.objective.max_error_rate = Some(0.05);
        let mut parts = plain();
        parts.apply(&overrides).unwrap();
        assert_eq!(parts.load.spread, Spread::Closed);
        assert_eq!(parts.load.max_in_flight, 128);
        let objective = &parts.objective;
        assert_eq!((objective.p99, objective.min_achieved), (None, 0.0));
        assert_eq!(objective.max_error_rate, 0.05);
        let plan = parts.plan(2, &overrides, 1, false);
        assert_eq!((plan.search, plan.noise_floor), (None, true));
        assert_eq!(plan.equal.unwrap().load, plan::Load::Qps(0.0));
        assert_eq!(plan.warm_up, Some((0.0, Duration::from_secs(2))));
        assert_eq!(plan.seeds, plan::Seeds::Hashed(1));
        overrides.traffic.max_in_flight = Some(7);
        parts.apply(&overrides).unwrap();
        assert_eq!(parts.load.max_in_flight, 7);
    }

    #[test]
    fn answers_are_not_compared_if_targets_book_in_different_orders() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let mut overrides = Overrides::default();
        overrides.objective.compare = true;
        for (name, refused) in [("mixed", false), ("live", true)] {
            let mut parts = read(&Source::Scenario(name.into()), &shipped).unwrap();
            let error = parts.apply(&overrides).err().map(|error| error.kind());
            assert_eq!(error, refused.then_some(Kind::Usage), "{name}");
        }
        overrides.traffic.writes_per_second = Some(5.0);
        let mut parts = read(&Source::Scenario("live".into()), &shipped).unwrap();
        parts.apply(&overrides).unwrap();
    }

    #[test]
    fn a_scenario_that_is_not_there_is_named_with_where_it_was_looked_for() {
        let source = Source::Scenario("absent".into());
        let error = read(&source, Path::new("some/where")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("some/where/absent.toml"), "{text}");
        assert_eq!(error.kind(), Kind::Input);
    }

    #[test]
    fn a_capture_without_a_scenario_has_plain_rules() {
        let source = Source::Capture {
            path: "x/day.capture".into(),
            speed: None,
            hot: Vec::new(),
            like: None,
        };
        let parts = read(&source, Path::new(".")).unwrap();
        assert_eq!((parts.name.as_str(), parts.ledger.as_ref()), ("day", None));
        assert_eq!(parts.objective.p99, Some(Duration::from_millis(10)));
    }
}
