//! The headline: ratios with their spread, beside the noise floor.

use super::{
    escape, section as wrap,
    table::{Cell, Table, number, words},
};
use crate::report::{
    chart::{
        marker,
        spread::{self, Group, Row},
    },
    figures,
    format::{closed_loop, headline, range, says_something, spread as spread_words, within_noise},
    model::{Ratio, RatioFigure, Report},
    summary::{compared_targets, floor},
};

pub(super) fn section(report: &Report) -> Option<String> {
    let baseline = report.targets.first()?;
    let ratios = compared_targets(report);
    let itself = report.ratios.iter().find(|_| ratios.is_empty());
    let shown: Vec<&Ratio> = ratios.into_iter().chain(itself).collect();
    if shown.is_empty() {
        return None;
    }
    let chart = spread::svg(&baseline.name, &groups(report, &shown));
    let chart = chart
        .map(|svg| format!("<figure>{svg}</figure>"))
        .unwrap_or_default();
    let body = format!(
        "<div class=\"hero\"><div>{}{}</div>{chart}</div>\n",
        ratio_table(report, &shown).html(),
        explanation(report)
    );
    Some(wrap(
        "headline",
        &format!("Against {}", baseline.name),
        &body,
    ))
}

/// Returns the style of a target's mark, which is its place in the list.
pub(super) fn style_of(report: &Report, target: &str) -> usize {
    let place = report.targets.iter().position(|known| known.name == target);
    place.unwrap_or_default()
}

fn ratio_table(report: &Report, shown: &[&Ratio]) -> Table {
    let heads = shown.iter().map(|ratio| {
        let style = style_of(report, &ratio.target);
        number(Cell::markup(format!(
            "<span class=\"keyed\">{}<span>{}</span></span>",
            key(style),
            // The browser may break a long name there.
            escape(&ratio.target).replace(':', ":<wbr>")
        )))
    });
    let columns = [words("Ratio of")]
        .into_iter()
        .chain(heads)
        .chain([number("Noise floor")]);
    let mut table = Table::new("Ratios over the baseline", columns.collect());
    for (place, (figure, title)) in figures(report).into_iter().enumerate() {
        let more_is_better = place == 0;
        let noise = floor(report, figure);
        let figures: Vec<_> = shown
            .iter()
            .map(|ratio| ratio.figures.get(figure))
            .collect();
        if figures.iter().all(Option::is_none) {
            continue;
        }
        let better = if more_is_better {
            "more is better"
        } else {
            "less is better"
        };
        let title = Cell::markup(format!("{}<small>{better}</small>", escape(title)));
        let cells = figures.into_iter().map(|found| cell(found, more_is_better));
        let noise = noise.map_or_else(
            || Cell::from("–"),
            |(low, high)| Cell::from(range(low, high)),
        );
        table.row(
            "",
            [title].into_iter().chain(cells).chain([noise]).collect(),
        );
    }
    table
}

fn cell(figure: Option<&RatioFigure>, more_is_better: bool) -> Cell {
    let Some(figure) = figure else {
        return Cell::from("–");
    };
    let class = match (
        says_something(figure),
        (figure.ratio > 1.0) == more_is_better,
    ) {
        (false, _) => "noise-words",
        (true, true) => "better",
        (true, false) => "worse",
    };
    let mark = if within_noise(figure) { "~ " } else { "" };
    Cell::markup(format!(
        "<strong class=\"ratio {class}\">{mark}{}</strong><small>{}</small>",
        escape(&headline(figure)),
        escape(&spread_words(figure))
    ))
}

/// Draws a target's mark for a legend.
pub(super) fn key(style: usize) -> String {
    let mark = marker::mark(style, marker::Kind::Held, (6.0, 6.0), "");
    format!("<svg class=\"key\" viewBox=\"0 0 12 12\" aria-hidden=\"true\">{mark}</svg>")
}

fn explanation(report: &Report) -> String {
    let rounds = report
        .ratios
        .iter()
        .flat_map(|ratio| ratio.figures.values());
    let rounds = rounds.map(|figure| figure.rounds).max().unwrap_or(0);
    let floor = match report.targets.iter().any(|target| target.against_itself) {
        true => {
            " The noise floor is the same ratio of the baseline against itself: ~ marks a ratio within it, which says nothing; colour marks one whose whole spread is beyond it."
        }
        false => " The baseline was not measured against itself, so there is no noise floor.",
    };
    let load = match report.closed_in_flight() {
        Some(in_flight) => format!("Full load, a {}", closed_loop(in_flight)),
        None => "Rates: what held over what held; the range is between what held and what broke. All else at equal load".to_owned(),
    };
    format!(
        "<p class=\"hint\">{load}: the median of {rounds} rounds, with the lowest and the highest round.{floor}</p>\n"
    )
}

fn groups<'a>(report: &Report, shown: &[&'a Ratio]) -> Vec<Group<'a>> {
    let group = |(figure, title): (&str, &str)| {
        let rows = shown.iter().filter_map(|ratio| {
            Some(Row {
                name: &ratio.target,
                style: style_of(report, &ratio.target),
                figure: ratio.figures.get(figure)?,
            })
        });
        let rows: Vec<_> = rows.collect();
        (!rows.is_empty()).then(|| Group {
            title: title.to_owned(),
            rows,
            noise: floor(report, figure),
        })
    };
    figures(report).into_iter().filter_map(group).collect()
}
