//! What is concluded from one window: whether the objective broke, and whether the window counts at all.

use crate::{measure::Observed, scenario::Objective};
use std::time::Duration;

/// Share of its core from which on the generator is taken to be at its end, if it also lags.
const BUSY: f64 = 0.98;

/// Why a window does not count, in words.
///
/// The one place that decides it: the generator came to its planned sends too late (p99 of the lag over `max_lag`), or
/// used all of its core and was on the way there (p99 over half of it). Requests that the *target* did not take in time
/// are not its lag. A window in which nothing was due says nothing either.
#[must_use]
pub(super) fn void(observed: &Observed, max_lag: Duration) -> Option<String> {
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
    let busy = observed.generator.cpu_fraction;
    (busy >= BUSY && lag > max_lag / 2).then(|| {
        format!(
            "the generator used {:.0}% of its core and lags by {} (p99)",
            busy * 100.0,
            millis(lag)
        )
    })
}

/// The first rule of the objective that a window of this length broke, in words.
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
    // Of what was due in fact: by chance that is a little more or less than the rate says.
    let achieved = observed.achieved_qps * duration.as_secs_f64() / planned;
    (achieved < objective.min_achieved).then(|| {
        format!(
            "achieved {} of the planned rate, under {}",
            percent(achieved),
            percent(objective.min_achieved)
        )
    })
}

/// The rules, one a line.
#[must_use]
pub(super) fn rules(objective: &Objective) -> Vec<String> {
    let latencies = limits(objective);
    let mut rules: Vec<_> = latencies
        .map(|(name, _, limit)| format!("{name} from planned send at most {}", millis(limit)))
        .collect();
    rules.push(format!(
        "errors at most {}",
        percent(objective.max_error_rate)
    ));
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
        assert_eq!(void(&observed, Duration::from_millis(1)), None);
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
        let words = void(&observed, Duration::from_millis(1)).unwrap();
        assert!(words.contains("lag p99 is 2"), "{words}");
        assert_eq!(void(&observed, Duration::from_millis(3)), None);
        observed.generator.cpu_fraction = 0.99;
        assert!(void(&observed, Duration::from_millis(3)).is_some());
    }

    #[test]
    fn nothing_due_is_void() {
        let observed = sample::observed(0, Duration::from_millis(1));
        assert!(void(&observed, Duration::from_millis(1)).is_some());
    }

    #[test]
    fn the_rules_are_told() {
        let rules = rules(&objective());
        assert_eq!(rules[0], "p99 from planned send at most 10 ms");
        assert_eq!(rules.len(), 5);
    }
}
