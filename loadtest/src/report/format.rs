//! Formats numbers for people: three significant digits, with a unit.

use super::model::{Open, RatioFigure};

/// Rounds to a whole number: `12,345`.
pub(crate) fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits.as_str()),
    };
    let mut grouped = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Formats with three significant digits; from 100 on without decimals, and always without trailing zeros.
pub(crate) fn significant(value: f64) -> String {
    let digits = match value.abs() {
        small if small >= 99.95 => return count(value),
        small if small >= 9.995 => 1,
        small if small >= 0.9995 => 2,
        0.0 => 0,
        _ => 3,
    };
    trimmed(format!("{value:.digits$}"))
}

fn trimmed(number: String) -> String {
    if !number.contains('.') {
        return number;
    }
    number
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

/// Describes a closed loop.
pub(crate) fn closed_loop(in_flight: u64) -> String {
    format!("closed loop, {in_flight} in flight")
}

/// Formats reads a second.
pub(crate) fn rate(qps: f64) -> String {
    significant(qps)
}

/// Formats a duration: `850 µs`, `1.23 ms`, `2 s`.
pub(crate) fn duration_us(micros: f64) -> String {
    match micros {
        short if short < 999.5 => format!("{} µs", significant(micros)),
        middle if middle < 999_500.0 => format!("{} ms", significant(micros / 1e3)),
        _ => format!("{} s", significant(micros / 1e6)),
    }
}

/// Formats a size in powers of ten: `312 MB`.
pub(crate) fn bytes(bytes: f64) -> String {
    match bytes {
        small if small < 999.5 => format!("{} B", significant(bytes)),
        small if small < 999_500.0 => format!("{} kB", significant(bytes / 1e3)),
        middle if middle < 999_500_000.0 => format!("{} MB", significant(bytes / 1e6)),
        _ => format!("{} GB", significant(bytes / 1e9)),
    }
}

/// Formats a share of 1: `12.3%`.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{}%", significant(fraction * 100.0))
}

/// Formats a ratio: `0.61×`. Ratios keep trailing zeros, because 2.00 says more than 2.
pub(crate) fn times(ratio: f64) -> String {
    match ratio {
        large if large >= 99.95 => format!("{}×", count(ratio)),
        large if large >= 9.995 => format!("{ratio:.1}×"),
        small if small < 0.0995 => format!("{ratio:.3}×"),
        _ => format!("{ratio:.2}×"),
    }
}

/// Returns the ratio. If it has no bound on one side, returns the bound on the other.
pub(crate) fn headline(figure: &RatioFigure) -> String {
    match figure.open {
        None => times(figure.ratio),
        Some(Open::AtLeast) => format!("≥ {}", times(figure.low)),
        Some(Open::AtMost) => format!("≤ {}", times(figure.high)),
    }
}

/// Returns the spread, such as `0.58–0.66`. It is empty if one side has no bound, because [`headline`] then has the
/// other bound.
pub(crate) fn spread(figure: &RatioFigure) -> String {
    if figure.open.is_some() {
        return String::new();
    }
    range(figure.low, figure.high)
}

/// Formats a range: `0.97–1.04`.
pub(crate) fn range(low: f64, high: f64) -> String {
    let without_unit = |ratio| times(ratio).trim_end_matches('×').to_owned();
    format!("{}–{}", without_unit(low), without_unit(high))
}

/// Says why a search ended. The rule of an objective is in words already.
pub(crate) fn ended_by(limited_by: &str) -> &str {
    match limited_by {
        "generator" => "the generator, which could send no more in time",
        "backlog" => "the target, which did not get done with reads that were given up",
        "limit" => "the highest rate that was asked for",
        "budget" => "the time that the run may take",
        "interrupted" => "the end of the run: Ctrl-C, or a target that failed",
        rule => rule,
    }
}

/// Whether the ratio lies within the noise floor.
pub(crate) fn within_noise(figure: &RatioFigure) -> bool {
    match (figure.noise_low, figure.noise_high) {
        (Some(low), Some(high)) => (low..=high).contains(&figure.ratio),
        _ => false,
    }
}

/// Whether all of the spread lies beyond both the noise floor and 1. Only then is a ratio called better or worse.
pub(crate) fn says_something(figure: &RatioFigure) -> bool {
    let apart = |low: f64, high: f64| figure.high < low || figure.low > high;
    let noise = figure.noise_low.zip(figure.noise_high);
    apart(1.0, 1.0) && noise.is_none_or(|(low, high)| apart(low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits_and_their_unit() {
        assert_eq!(count(1_234_567.4), "1,234,567");
        assert_eq!(count(-1000.0), "-1,000");
        assert_eq!(count(0.0), "0");
        assert_eq!(significant(0.123_45), "0.123");
        assert_eq!(significant(99.96), "100");
        assert_eq!(significant(12.0), "12");
        assert_eq!(duration_us(999.9), "1 ms");
        assert_eq!(duration_us(1_234.0), "1.23 ms");
        assert_eq!(duration_us(2_000_000.0), "2 s");
        assert_eq!(bytes(312_400_000.0), "312 MB");
        assert_eq!(bytes(0.0), "0 B");
        assert_eq!(percent(0.1234), "12.3%");
        assert_eq!(times(0.614), "0.61×");
        assert_eq!(times(12.34), "12.3×");
        assert_eq!(times(0.0123), "0.012×");
    }

    #[test]
    fn an_open_ratio_tells_the_end_that_is_known() {
        let mut figure = RatioFigure {
            ratio: 3.0,
            low: 2.5,
            high: 3.5,
            rounds: 1,
            noise_low: Some(0.9),
            noise_high: Some(1.1),
            open: Some(Open::AtLeast),
        };
        assert_eq!(headline(&figure), "≥ 2.50×");
        assert_eq!(spread(&figure), "");
        figure.open = Some(Open::AtMost);
        assert_eq!(headline(&figure), "≤ 3.50×");
        figure.open = None;
        assert_eq!(
            (headline(&figure), spread(&figure)),
            ("3.00×".into(), "2.50–3.50".into())
        );
        assert!(!within_noise(&figure) && says_something(&figure));
        figure.ratio = 1.05;
        assert!(within_noise(&figure));
        figure.low = 1.09;
        assert!(!says_something(&figure));
        (figure.noise_low, figure.noise_high) = (None, None);
        assert!(says_something(&figure));
        figure.low = 0.99;
        assert!(!says_something(&figure));
    }
}
