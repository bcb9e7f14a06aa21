//! Charts with lines and points over two axes.

use super::{
    WIDTH,
    axis::Axis,
    marker::{self, Kind},
    svg::{Anchor, Svg},
};

const HEIGHT: f64 = 320.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = WIDTH - 30.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = HEIGHT - 50.0;

/// One measured point.
#[derive(Debug, Clone)]
pub(in crate::report) struct Point {
    pub(in crate::report) x: f64,
    pub(in crate::report) y: f64,
    pub(in crate::report) kind: Kind,
    /// The text that is shown when the mouse is on it.
    pub(in crate::report) title: String,
}

/// The data of one target.
#[derive(Debug, Clone)]
pub(in crate::report) struct Series {
    pub(in crate::report) name: String,
    pub(in crate::report) style: usize,
    pub(in crate::report) points: Vec<Point>,
    /// The line through the rates that held, in ascending order.
    pub(in crate::report) line: Vec<(f64, f64)>,
    /// The line from the last rate that held through the rates that broke.
    pub(in crate::report) broken: Vec<(f64, f64)>,
    /// Whether this is the baseline's second pass.
    pub(in crate::report) dashed: bool,
}

/// A horizontal line that values must not cross.
#[derive(Debug, Clone)]
pub(in crate::report) struct Limit {
    pub(in crate::report) at: f64,
    pub(in crate::report) label: String,
}

/// A chart.
#[derive(Debug, Clone)]
pub(in crate::report) struct Chart {
    pub(in crate::report) id: &'static str,
    pub(in crate::report) title: String,
    pub(in crate::report) description: String,
    pub(in crate::report) x: Axis,
    pub(in crate::report) y: Axis,
    pub(in crate::report) series: Vec<Series>,
    pub(in crate::report) limit: Option<Limit>,
}

impl Chart {
    pub(in crate::report) fn svg(&self) -> String {
        let mut svg = Svg::default();
        self.grid(&mut svg);
        for series in &self.series {
            self.lines(&mut svg, series);
        }
        for series in &self.series {
            self.points(&mut svg, series);
        }
        self.limit(&mut svg);
        svg.finish(self.id, HEIGHT, &self.title, &self.description)
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (RIGHT - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - self.y.place(value) * (BOTTOM - TOP)
    }

    fn grid(&self, svg: &mut Svg) {
        for tick in &self.y.ticks {
            let y = self.y(tick.at);
            let class = if self.y.is_zero_between(tick.at) {
                "one"
            } else if tick.label.is_empty() {
                "grid minor"
            } else {
                "grid"
            };
            svg.line(class, (LEFT, y), (RIGHT, y));
            if !tick.label.is_empty() {
                svg.text("tick", (LEFT - 7.0, y + 4.0), Anchor::End, &tick.label);
            }
        }
        for tick in self.x.ticks_for(RIGHT - LEFT, None) {
            let x = self.x(tick.at);
            svg.line("grid", (x, TOP), (x, BOTTOM));
            if !tick.label.is_empty() {
                svg.text("tick", (x, BOTTOM + 20.0), Anchor::Middle, &tick.label);
            }
        }
        svg.line("axis", (LEFT, BOTTOM), (RIGHT, BOTTOM));
        svg.text("label", (0.0, 16.0), Anchor::Start, &self.y.label);
        svg.text("label", (RIGHT, HEIGHT - 8.0), Anchor::End, &self.x.label);
    }

    fn lines(&self, svg: &mut Svg, series: &Series) {
        let class = marker::class(series.style);
        let place = |line: &[(f64, f64)]| -> Vec<_> {
            line.iter().map(|(x, y)| (self.x(*x), self.y(*y))).collect()
        };
        let dashed = if series.dashed { " dashed" } else { "" };
        svg.path(&format!("line{dashed} {class}"), &place(&series.line));
        svg.path(&format!("line beyond {class}"), &place(&series.broken));
    }

    fn points(&self, svg: &mut Svg, series: &Series) {
        for point in &series.points {
            let place = (self.x(point.x), self.y(point.y));
            svg.open(&marker::mark(series.style, point.kind, place, &point.title));
        }
    }

    fn limit(&self, svg: &mut Svg) {
        if let Some(limit) = &self.limit {
            let y = self.y(limit.at);
            svg.line("limit", (LEFT, y), (RIGHT, y));
            let above = if y - 16.0 < TOP { y + 15.0 } else { y - 6.0 };
            svg.text(
                "limit-label",
                (RIGHT - 4.0, above),
                Anchor::End,
                &limit.label,
            );
        }
    }
}
