//! Judges a window: whether it broke the objective, and whether it counts at all.

use crate::{measure::Observed, scenario::Objective};
use std::time::Duration;

/// If the generator uses this share of its core and also lags, it is taken to be overloaded.
const BUSY: f64 = 0.98;
/// A window may miss its rate by this many reads, whatever share of the rate that is: at low rates, one read is some
/// percent.
const BY_CHANCE: f64 = 3.0;
/// Why a window that began too early does not count.
pub(super) const BACKLOG: &str = "the target was not done with reads of an earlier window that were given up, and would be charged twice for them";

/// Returns why a window does not count, in words; `None` if it counts. No other code decides that. A window is void if
///
/// * nothing was due in it;
/// * the generator sent too late: the p99 of its lag is over `max_lag`;
/// * a latency broke its limit, and the generator's lag at the same quantile is over half of that limit. The lag is
///   part of the latency, so the target may not be at fault. (p99.9 may be all lag while p99 is fine.)
/// * the generator used all of its core, and the p99 of its lag is over half of `max_lag`.
///
/// A request that the *target* did not take in time is no lag.
#[must_use]
pub(super) fn void(
    observed: &Observed,
    max_lag: Duration,
    objective: &Objective,
) -> Option<String> {
    if observed.planned == 0 {
        return Some("nothing was due: the rate is too low for the window".to_owned());
    }
    let lag = Duration::from_nanos(observed.generator.lag.value_at_quantile(0.99));
    if lag > max_lag {
        return Some(format!(
            "the generator's lag p99 is {}, over {}",
            millis(lag),
            millis(max_lag)
        ));
    }
    let own = limits(objective).find_map(|(name, quantile, limit)| {
        let lag = Duration::from_nanos(observed.generator.lag.value_at_quantile(quantile));
        let waited = Duration::from_nanos(observed.from_planned.value_at_quantile(quantile));
        (waited > limit && lag > limit / 2).then(|| {
            format!(
                "{name} {} over {}, of which the generator's lag {name} is {}",
                millis(waited),
                millis(limit),
                millis(lag)
            )
        })
    });
    if own.is_some() {
        return own;
    }
    let busy = observed.generator.cpu_fraction;
    (busy >= BUSY && lag > max_lag / 2).then(|| {
        format!(
            "the generator used {:.0}% of its core and lags by {} (p99)",
            busy * 100.0,
            millis(lag)
        )
    })
}

/// Returns why a window of a closed loop does not count; `None` if it counts. Nothing is planned there, so nothing
/// lags. But a generator whose core is used up keeps fewer reads in flight than it should.
#[must_use]
pub(super) fn void_of_closed_loop(observed: &Observed) -> Option<String> {
    if observed.planned == 0 {
        return Some("nothing was sent".to_owned());
    }
    let busy = observed.generator.cpu_fraction;
    (busy >= BUSY).then(|| {
        format!(
            "the generator used {:.0}% of its core: it, not the target, was at full load",
            busy * 100.0
        )
    })
}

/// Returns what is left of an objective in a closed loop: the rate of errors. There is no planned rate to achieve, and
/// no planned send to count latencies from.
#[must_use]
pub(super) fn of_closed_loop(objective: &Objective) -> Objective {
    Objective {
        p50: None,
        p99: None,
        p999: None,
        max_error_rate: objective.max_error_rate,
        min_achieved: 0.0,
        windows: 1,
    }
}

/// Returns the first rule of the objective that a window broke, in words.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub(super) fn broke(
    objective: &Objective,
    observed: &Observed,
    duration: Duration,
) -> Option<String> {
    let planned = observed.planned.max(1) as f64;
    let errors = observed.planned.saturating_sub(observed.ok) as f64 / planned;
    if errors > objective.max_error_rate {
        return Some(format!(
            "errors {} over {}",
            percent(errors),
            percent(objective.max_error_rate)
        ));
    }
    for (name, quantile, limit) in limits(objective) {
        let value = Duration::from_nanos(observed.from_planned.value_at_quantile(quantile));
        if value > limit {
            return Some(format!("{name} {} over {}", millis(value), millis(limit)));
        }
    }
    // The achieved share of the reads that were due. By chance these are a little more or less than the rate says.
    let kept_up_with = observed.achieved_qps * duration.as_secs_f64();
    let achieved = kept_up_with / planned;
    (achieved < objective.min_achieved && planned - kept_up_with > BY_CHANCE).then(|| {
        format!(
            "achieved {} of the planned rate, under {}",
            percent(achieved),
            percent(objective.min_achieved)
        )
    })
}

/// Returns the rules in words, one an entry.
#[must_use]
pub(super) fn rules(objective: &Objective) -> Vec<String> {
    let latencies = limits(objective);
    let mut rules: Vec<_> = latencies
        .map(|(name, _, limit)| format!("{name} from planned send at most {}", millis(limit)))
        .collect();
    rules.extend(rules_of_closed_loop(objective));
    rules.push(format!(
        "achieved rate at least {} of the planned one",
        percent(objective.min_achieved)
    ));
    rules.push(format!(
        "a rate is too high once {} windows in a row broke a rule",
        objective.windows
    ));
    rules
}

/// Returns the only rule of a closed loop, in words.
#[must_use]
pub(super) fn rules_of_closed_loop(objective: &Objective) -> Vec<String> {
    vec![format!(
        "errors at most {}",
        percent(objective.max_error_rate)
    )]
}

fn limits(objective: &Objective) -> impl Iterator<Item = (&'static str, f64, Duration)> {
    let all = [
        ("p50", 0.5, objective.p50),
        ("p99", 0.99, objective.p99),
        ("p99.9", 0.999, objective.p999),
    ];
    all.into_iter()
        .filter_map(|(name, quantile, limit)| Some((name, quantile, limit?)))
}

fn millis(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms >= 100.0 || ms.fract() == 0.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{ms:.2} ms")
    }
}

fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::sample;

    fn objective() -> Objective {
        Objective {
            p50: None,
            p99: Some(Duration::from_millis(10)),
            p999: Some(Duration::from_millis(50)),
            max_error_rate: 0.01,
            min_achieved: 0.99,
            windows: 2,
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_good_window_holds_and_counts() {
        let observed = sample::observed(1000, Duration::from_millis(1));
        assert_eq!(broke(&objective(), &observed, SECOND), None);
        assert_eq!(
            void(&observed, Duration::from_millis(1), &objective()),
            None
        );
    }

    #[test]
    fn each_rule_breaks_in_words() {
        let slow = sample::observed(1000, Duration::from_micros(12_300));
        let words = broke(&objective(), &slow, SECOND).unwrap();
        assert!(words.starts_with("p99 12.3"), "{words}");
        assert!(words.ends_with("ms over 10 ms"), "{words}");

        let mut errs = sample::observed(1000, Duration::from_millis(1));
        errs.ok = 980;
        let words = broke(&objective(), &errs, SECOND).unwrap();
        assert_eq!(words, "errors 2% over 1%");

        let mut late = sample::observed(1000, Duration::from_millis(1));
        late.achieved_qps = 910.0;
        let words = broke(&objective(), &late, SECOND).unwrap();
        assert_eq!(words, "achieved 91% of the planned rate, under 99%");
    }

    #[test]
    fn errors_at_the_limit_are_allowed() {
        let mut observed = sample::observed(1000, Duration::from_millis(1));
        observed.ok = 990;
        assert_eq!(broke(&objective(), &observed, SECOND), None);
    }

    #[test]
    fn a_lagging_generator_voids_its_window() {
        let mut observed = sample::observed(1000, Duration::from_millis(1));
        for _ in 0..20 {
            observed.generator.lag.saturating_record(2_000_000);
        }
        let words = void(&observed, Duration::from_millis(1), &objective()).unwrap();
        assert!(words.contains("lag p99 is 2"), "{words}");
        assert_eq!(
            void(&observed, Duration::from_millis(3), &objective()),
            None
        );
        observed.generator.cpu_fraction = 0.99;
        assert!(void(&observed, Duration::from_millis(3), &objective()).is_some());
    }

    #[test]
    fn a_latency_that_is_mostly_lag_voids_its_window() {
        let mut observed = sample::observed(10_000, Duration::from_millis(1));
        for _ in 0..50 {
            observed.from_planned.saturating_record(60_000_000);
        }
        assert_eq!(
            void(&observed, Duration::from_millis(1), &objective()),
            None
        );
        for _ in 0..50 {
            observed.generator.lag.saturating_record(30_000_000);
        }
        let words = void(&observed, Duration::from_millis(1), &objective()).unwrap();
        assert!(words.starts_with("p99.9 60"), "{words}");
        let mut nobody_asks = objective();
        nobody_asks.p999 = None;
        assert_eq!(
            void(&observed, Duration::from_millis(1), &nobody_asks),
            None
        );
    }

    #[test]
    fn a_few_reads_too_few_break_nothing() {
        let mut observed = sample::observed(30, Duration::from_millis(1));
        observed.achieved_qps = 27.0;
        assert_eq!(broke(&objective(), &observed, SECOND), None);
        observed.achieved_qps = 26.0;
        assert!(broke(&objective(), &observed, SECOND).is_some());
    }

    #[test]
    fn nothing_due_is_void() {
        let observed = sample::observed(0, Duration::from_millis(1));
        assert!(void(&observed, Duration::from_millis(1), &objective()).is_some());
    }

    #[test]
    fn the_rules_are_told() {
        let rules = rules(&objective());
        assert_eq!(rules[0], "p99 from planned send at most 10 ms");
        assert_eq!(rules.len(), 5);
        assert_eq!(rules_of_closed_loop(&objective()), ["errors at most 1%"]);
    }

    #[test]
    fn a_closed_loop_is_judged_by_its_errors_and_the_generators_core() {
        let left = of_closed_loop(&objective());
        let mut observed = sample::observed(1000, Duration::from_secs(5));
        observed.achieved_qps = 10.0;
        assert_eq!(broke(&left, &observed, SECOND), None);
        observed.ok = 900;
        let words = broke(&left, &observed, SECOND).unwrap();
        assert_eq!(words, "errors 10% over 1%");
        assert_eq!(void_of_closed_loop(&observed), None);
        observed.generator.cpu_fraction = 0.99;
        let words = void_of_closed_loop(&observed).unwrap();
        assert!(words.starts_with("the generator used 99%"), "{words}");
        assert!(void_of_closed_loop(&sample::observed(0, SECOND)).is_some());
    }
}
