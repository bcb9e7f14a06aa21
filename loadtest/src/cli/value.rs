//! Parses the values of options. Errors are the rule that is broken.

use super::asked::QPS;
use crate::{plan::Step, traffic::Spread};
use clap::builder::TypedValueParser;
use std::{ops::RangeInclusive, time::Duration};

/// The most costs of handlers, and the highest cost in microseconds.
const MOST_WORKS: usize = 20;
const HIGHEST_WORK_US: f64 = 10_000.0;

/// Parses a number in a range.
pub(super) fn number(
    range: RangeInclusive<f64>,
) -> impl Fn(&str) -> Result<f64, String> + Clone + Send + Sync {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("must be a number from {} to {}", range.start(), range.end()))
    }
}

/// Parses a whole number in a range.
pub(super) fn whole<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        let value = number.and_then(|number| T::try_from(number).ok());
        let (low, high) = (range.start(), range.end());
        value.ok_or_else(|| format!("must be a whole number from {low} to {high}"))
    }
}

/// Parses seconds in a range.
pub(super) fn seconds(range: RangeInclusive<f64>) -> impl TypedValueParser<Value = Duration> {
    number(range).map(Duration::from_secs_f64)
}

pub(super) fn step(text: &str) -> Result<Step, String> {
    match text.strip_prefix('x') {
        Some(factor) => number(1.01..=10.0)(factor).map(Step::Times),
        None => number(QPS)(text).map(Step::Add),
    }
    .map_err(|rule| format!("{rule}; xFACTOR multiplies, a plain number adds"))
}

pub(super) fn spread(text: &str) -> Result<Spread, String> {
    match text {
        "poisson" => Ok(Spread::Poisson),
        "constant" => Ok(Spread::Constant),
        _ => Err("must be poisson or constant".to_owned()),
    }
}

pub(super) fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be on or off".to_owned()),
    }
}

pub(super) fn cores(text: &str) -> Result<Vec<usize>, String> {
    let each = text
        .split(',')
        .map(|core| core.parse().ok().filter(|core| *core < 1024));
    let all: Option<Vec<usize>> = each.collect();
    all.ok_or_else(|| "must be numbers of cores with commas between, such as 0,1".to_owned())
}

pub(super) fn works(text: &str) -> Result<Vec<f64>, String> {
    let each = text.split(',').map(|work| work.trim().parse::<f64>().ok());
    let works: Option<Vec<f64>> = each.collect();
    let good = |works: &Vec<f64>| {
        works.is_sorted_by(|one, other| one < other)
            && works.first() == Some(&0.0)
            && works.iter().all(|work| *work <= HIGHEST_WORK_US)
            && (2..=MOST_WORKS).contains(&works.len())
    };
    works.filter(good).ok_or_else(|| {
        format!(
            "must be 2 to {MOST_WORKS} ascending numbers from 0 to {HIGHEST_WORK_US} with commas between, the first of them 0"
        )
    })
}

/// Whether the text is `/package.Service/Method`.
pub(super) fn is_method(text: &str) -> bool {
    let parts = text.strip_prefix('/').and_then(|rest| rest.split_once('/'));
    parts.is_some_and(|(service, name)| !service.is_empty() && !name.is_empty())
}
