//! The chart of ratios: dots with their spread, above a band that is the noise floor.

use super::{
    WIDTH,
    axis::Axis,
    marker::{self, Kind},
    svg::{Anchor, Svg},
};
use crate::report::{
    format::{headline, range, times},
    model::{Open, RatioFigure},
};

const ROW: f64 = 19.0;
const LEFT: f64 = 160.0;
const RIGHT: f64 = WIDTH - 82.0;
const TOP: f64 = 8.0;
/// Longer names are cut. The table beside the chart has the whole name.
const LONGEST_NAME: usize = 20;
const LONGEST_BASELINE: usize = 34;

/// A figure, with the ratio of each target.
#[derive(Debug)]
pub(in crate::report) struct Group<'a> {
    pub(in crate::report) title: String,
    pub(in crate::report) rows: Vec<Row<'a>>,
    pub(in crate::report) noise: Option<(f64, f64)>,
}

/// The ratio of one target.
#[derive(Debug)]
pub(in crate::report) struct Row<'a> {
    pub(in crate::report) name: &'a str,
    pub(in crate::report) style: usize,
    pub(in crate::report) figure: &'a RatioFigure,
}

/// Returns the chart, or `None` without ratios.
pub(in crate::report) fn svg(baseline: &str, groups: &[Group<'_>]) -> Option<String> {
    let figures = || {
        groups
            .iter()
            .flat_map(|group| &group.rows)
            .map(|row| row.figure)
    };
    figures().next()?;
    let noise = groups.iter().filter_map(|group| group.noise);
    let low = figures()
        .map(|figure| figure.low)
        .chain(noise.clone().map(|noise| noise.0));
    let high = figures()
        .map(|figure| figure.high)
        .chain(noise.map(|noise| noise.1));
    let axis = Axis::ratios(low.fold(1.0, f64::min), high.fold(1.0, f64::max), short);
    let rows: usize = groups.iter().map(|group| group.rows.len() + 1).sum();
    let bottom = TOP + f64::from(u32::try_from(rows).ok()?) * ROW + 4.0;
    let mut svg = Svg::default();
    bands(&mut svg, &axis, groups);
    grid(&mut svg, &axis, bottom, baseline);
    let mut y = TOP;
    for group in groups {
        svg.text("group", (0.0, y + 14.0), Anchor::Start, &group.title);
        y += ROW;
        for row in &group.rows {
            draw(&mut svg, &axis, row, y + ROW / 2.0);
            y += ROW;
        }
    }
    let description = "A dot is the median ratio, its bar the spread; the grey band is the noise floor. The table says the same in numbers.";
    Some(svg.finish(
        "ratios",
        bottom + 44.0,
        &format!("Ratios over {baseline}"),
        description,
    ))
}

fn place(axis: &Axis, ratio: f64) -> f64 {
    LEFT + axis.place(ratio) * (RIGHT - LEFT)
}

/// Formats a tick such as `0.5×`, without the trailing zeros that a headline keeps.
fn short(ratio: f64) -> String {
    format!("{}×", crate::report::format::significant(ratio))
}

fn bands(svg: &mut Svg, axis: &Axis, groups: &[Group<'_>]) {
    let mut y = TOP;
    for group in groups {
        let height = f64::from(u32::try_from(group.rows.len()).unwrap_or(0)) * ROW;
        y += ROW;
        if let Some((low, high)) = group.noise {
            let (from, to) = (place(axis, low), place(axis, high));
            svg.open(&format!(
                "<g><title>noise floor {}</title>",
                range(low, high)
            ));
            svg.rect("noise", (from, y), ((to - from).max(1.5), height));
            svg.open("</g>");
        }
        y += height;
    }
}

fn grid(svg: &mut Svg, axis: &Axis, bottom: f64, baseline: &str) {
    for tick in axis.ticks_for(RIGHT - LEFT, Some(1.0)) {
        let x = place(axis, tick.at);
        let one = (tick.at - 1.0).abs() < 1e-9;
        svg.line(if one { "one" } else { "grid" }, (x, TOP), (x, bottom));
        if !tick.label.is_empty() {
            svg.text("tick", (x, bottom + 16.0), Anchor::Middle, &tick.label);
        }
    }
    let baseline = shortened(baseline, LONGEST_BASELINE);
    let label = format!("over {baseline} (1× is the same)");
    svg.text("label", (WIDTH - 2.0, bottom + 37.0), Anchor::End, &label);
}

fn draw(svg: &mut Svg, axis: &Axis, row: &Row<'_>, y: f64) {
    let figure = row.figure;
    let class = marker::class(row.style);
    let (low, high) = (place(axis, figure.low), place(axis, figure.high));
    svg.text(
        "name",
        (12.0, y + 4.5),
        Anchor::Start,
        &shortened(row.name, LONGEST_NAME),
    );
    svg.line(&format!("spread {class}"), (low, y), (high, y));
    for end in [low, high] {
        svg.line(&format!("spread {class}"), (end, y - 3.5), (end, y + 3.5));
    }
    let open = match figure.open {
        Some(Open::AtLeast) => ", or more",
        Some(Open::AtMost) => ", or less",
        None => "",
    };
    let title = format!(
        "{}: {} ({}){open}",
        row.name,
        times(figure.ratio),
        range(figure.low, figure.high)
    );
    svg.open(&marker::mark(
        row.style,
        Kind::Held,
        (place(axis, figure.ratio), y),
        &title,
    ));
    svg.text(
        "value",
        (WIDTH - 2.0, y + 4.5),
        Anchor::End,
        &headline(figure),
    );
}

fn shortened(name: &str, longest: usize) -> String {
    if name.chars().count() <= longest {
        return name.to_owned();
    }
    let kept: String = name.chars().take(longest - 1).collect();
    format!("{kept}…")
}
