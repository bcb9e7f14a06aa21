//! Axes: they map numbers to places, and choose the ticks.

/// The width of a character in a tick's label, and the least gap between two labels.
const CHARACTER: f64 = 7.2;
const GAP: f64 = 12.0;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    Linear,
    Log,
    /// `log(1 + x)`: begins at zero, and still keeps small values apart.
    FromZero,
    /// For quantiles: `log(1 / (1 - q))`, on which each further nine takes the same room.
    Nines,
}

/// A labelled place on an axis.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Tick {
    pub(in crate::report) at: f64,
    /// An empty label leaves a line without words.
    pub(in crate::report) label: String,
}

/// An axis.
#[derive(Debug, Clone)]
pub(in crate::report) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    pub(in crate::report) label: String,
    pub(in crate::report) words: fn(f64) -> String,
    pub(in crate::report) ticks: Vec<Tick>,
}

impl Axis {
    /// An axis from zero to a round number above `highest`.
    pub(in crate::report) fn linear(highest: f64, label: &str, words: fn(f64) -> String) -> Self {
        Self::around_zero(0.0, highest, label, words)
    }

    /// An axis from zero, or a round number below `lowest` if that is below zero, to a round number above `highest`.
    pub(in crate::report) fn around_zero(
        lowest: f64,
        highest: f64,
        label: &str,
        words: fn(f64) -> String,
    ) -> Self {
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let lowest = lowest.min(0.0);
        let step = round_step((highest - lowest) / 5.0);
        let steps = (highest / step - 1e-9).ceil();
        let first = (lowest / step + 1e-9).floor();
        let mut ticks = Vec::new();
        let mut at = first;
        while at <= steps {
            ticks.push(Tick {
                at: at * step,
                label: words(at * step),
            });
            at += 1.0;
        }
        Self {
            scale: Scale::Linear,
            low: first * step,
            high: steps * step,
            label: label.to_owned(),
            words,
            ticks,
        }
    }

    /// An axis from a round number below `lowest` to one above `highest`. Both must be above zero.
    pub(in crate::report) fn log(
        lowest: f64,
        highest: f64,
        label: &str,
        words: fn(f64) -> String,
    ) -> Self {
        let lowest = if lowest > 0.0 { lowest } else { 1.0 };
        let highest = highest.max(lowest * 1.01);
        let mut marks = marks(lowest, highest);
        let (low, high) = match marks.as_slice() {
            [low, .., high] => (*low, *high),
            _ => (lowest, highest),
        };
        let sparse = high / low > 1001.0;
        let ticks = marks.drain(..).map(|at| Tick {
            at,
            label: if sparse && !is_power(at) {
                String::new()
            } else {
                words(at)
            },
        });
        let ticks = ticks.collect();
        Self {
            scale: Scale::Log,
            low,
            high,
            label: label.to_owned(),
            words,
            ticks,
        }
    }

    /// An axis of ratios around 1, whose ends are not rounded outwards.
    pub(in crate::report) fn ratios(lowest: f64, highest: f64, words: fn(f64) -> String) -> Self {
        let (low, high) = (lowest.min(0.8) / 1.06, highest.max(1.25) * 1.06);
        let inside = |at: &f64| (low..=high).contains(at);
        let ticks = marks(low, high).into_iter().filter(inside);
        let ticks = ticks
            .map(|at| Tick {
                at,
                label: words(at),
            })
            .collect();
        Self {
            scale: Scale::Log,
            low,
            high,
            label: String::new(),
            words,
            ticks,
        }
    }

    /// An axis from zero to the last of these ascending values, with a tick at each.
    pub(in crate::report) fn from_zero(
        values: &[f64],
        label: &str,
        words: fn(f64) -> String,
    ) -> Self {
        let high = values.last().copied().filter(|last| *last > 0.0);
        let tick = |at: &f64| Tick {
            at: *at,
            label: words(*at),
        };
        Self {
            scale: Scale::FromZero,
            low: 0.0,
            high: high.unwrap_or(1.0),
            label: label.to_owned(),
            words,
            ticks: values.iter().map(tick).collect(),
        }
    }

    /// An axis of quantiles up to `highest`, which must be below 1.
    pub(in crate::report) fn nines(highest: f64, label: &str, words: fn(f64) -> String) -> Self {
        let named = [0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999_999];
        let ticks = named.into_iter().filter(|at| *at <= highest + 1e-12);
        Self {
            scale: Scale::Nines,
            low: 0.0,
            high: highest.max(0.9),
            label: label.to_owned(),
            words,
            ticks: ticks
                .map(|at| Tick {
                    at,
                    label: words(at),
                })
                .collect(),
        }
    }

    /// Maps a value to its place: 0 at the low end, 1 at the high end.
    pub(in crate::report) fn place(&self, value: f64) -> f64 {
        let place = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(self.low).ln(),
            Scale::FromZero => value.max(0.0).ln_1p(),
            Scale::Nines => -(1.0 - value.min(self.high)).ln(),
        };
        let (low, high) = (place(self.low), place(self.high));
        ((place(value) - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// Whether this is the zero between values of both signs.
    pub(in crate::report) fn is_zero_between(&self, at: f64) -> bool {
        self.low < 0.0 && at.abs() < 1e-9
    }

    /// Returns the ticks of a horizontal axis of this length. A label that would touch another is dropped, but its line
    /// stays. The label at `first` is always kept.
    pub(in crate::report) fn ticks_for(&self, length: f64, first: Option<f64>) -> Vec<Tick> {
        let is_first = |tick: &Tick| first.is_some_and(|first| (first - tick.at).abs() < 1e-9);
        let room = |tick: &Tick| Room {
            middle: self.place(tick.at) * length,
            half: half_width(&tick.label),
        };
        let mut kept: Vec<Room> = self
            .ticks
            .iter()
            .filter(|tick| is_first(tick))
            .map(room)
            .collect();
        let mut ticks = self.ticks.clone();
        for tick in ticks.iter_mut().filter(|tick| !is_first(tick)) {
            let own = room(tick);
            if kept.iter().any(|other| other.meets(&own)) {
                tick.label.clear();
            } else {
                kept.push(own);
            }
        }
        ticks
    }
}

/// The part of the axis that a label takes.
struct Room {
    middle: f64,
    half: f64,
}

impl Room {
    fn meets(&self, other: &Self) -> bool {
        (self.middle - other.middle).abs() < self.half + other.half + GAP
    }
}

fn half_width(label: &str) -> f64 {
    let characters = u32::try_from(label.chars().count()).unwrap_or(u32::MAX);
    f64::from(characters) * CHARACTER / 2.0
}

/// Returns 1, 2, 2.5 or 5 times a power of ten, at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0]
        .into_iter()
        .find(|factor| factor * power >= least * 0.999);
    factor.unwrap_or(10.0) * power
}

/// Returns the numbers 1, 2 and 5 times powers of ten that enclose the range.
fn marks(lowest: f64, highest: f64) -> Vec<f64> {
    let mut power = 10_f64.powf(lowest.log10().floor());
    let mut all = Vec::new();
    while power <= highest * 10.0 {
        all.extend([1.0, 2.0, 5.0].map(|factor| factor * power));
        power *= 10.0;
    }
    let first = all
        .iter()
        .rposition(|mark| *mark <= lowest * 1.0001)
        .unwrap_or(0);
    let last = all
        .iter()
        .position(|mark| *mark >= highest * 0.9999)
        .unwrap_or(all.len() - 1);
    all[first..=last].to_vec()
}

fn is_power(mark: f64) -> bool {
    let exponent = mark.log10();
    (exponent - exponent.round()).abs() < 1e-6
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp)]

    use super::*;
    use crate::report::format::{count, duration_us};

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn linear_ticks_are_round_numbers_that_enclose_the_data() {
        let axis = Axis::linear(73_258.0, "", count);
        assert_eq!(
            labels(&axis.ticks),
            ["0", "20,000", "40,000", "60,000", "80,000"]
        );
        assert_eq!(axis.place(40_000.0), 0.5);
        assert_eq!(Axis::linear(0.0, "", count).place(0.0), 0.0);
        assert_eq!(
            Axis::linear(1.0, "", count)
                .ticks
                .last()
                .map(|tick| tick.at),
            Some(1.0)
        );
    }

    #[test]
    fn an_axis_goes_below_zero_only_if_values_do() {
        let axis = Axis::around_zero(-7.6, 33.0, "", count);
        assert_eq!(labels(&axis.ticks), ["-10", "0", "10", "20", "30", "40"]);
        assert_eq!(axis.place(-10.0), 0.0);
        assert_eq!(axis.place(15.0), 0.5);
        assert!(axis.is_zero_between(axis.ticks[1].at) && !axis.is_zero_between(10.0));
        let positive = Axis::around_zero(3.0, 33.0, "", count);
        assert_eq!(positive.ticks, Axis::linear(33.0, "", count).ticks);
        assert!(!positive.is_zero_between(0.0));
    }

    #[test]
    fn an_axis_from_zero_shows_small_values_apart() {
        let axis = Axis::from_zero(&[0.0, 1.0, 100.0], "", count);
        assert_eq!(labels(&axis.ticks), ["0", "1", "100"]);
        assert_eq!((axis.place(0.0), axis.place(100.0)), (0.0, 1.0));
        assert!(axis.place(1.0) > 0.1 && axis.place(2.0) > axis.place(1.0));
        assert_eq!(Axis::from_zero(&[0.0], "", count).place(0.0), 0.0);
    }

    #[test]
    fn log_ticks_name_powers_of_ten_when_there_is_much_to_show() {
        let axis = Axis::log(180.0, 2_100_000.0, "", duration_us);
        let named: Vec<_> = labels(&axis.ticks)
            .into_iter()
            .filter(|label| !label.is_empty())
            .collect();
        assert_eq!(named, ["100 µs", "1 ms", "10 ms", "100 ms", "1 s"]);
        assert_eq!(axis.place(100.0), 0.0);
        assert_eq!(axis.place(5_000_000.0), 1.0);
        let short = Axis::log(300.0, 800.0, "", duration_us);
        assert_eq!(labels(&short.ticks), ["200 µs", "500 µs", "1 ms"]);
        // One value only.
        assert!(Axis::log(300.0, 300.0, "", duration_us).ticks.len() >= 2);
    }

    #[test]
    fn each_nine_takes_the_same_room() {
        let axis = Axis::nines(0.9999, "", |at| at.to_string());
        let step = axis.place(0.99) - axis.place(0.9);
        assert!((step - (axis.place(0.9999) - axis.place(0.999))).abs() < 1e-9);
        assert_eq!(axis.ticks.len(), 5);
    }

    #[test]
    fn words_that_would_meet_are_dropped() {
        let axis = Axis::ratios(0.1, 9.0, |at| at.to_string());
        let ticks = axis.ticks_for(200.0, Some(1.0));
        assert_eq!(labels(&ticks), ["0.1", "", "0.5", "1", "2", "5"]);
    }
}
