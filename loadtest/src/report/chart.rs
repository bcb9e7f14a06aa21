//! Charts as SVG, drawn in CSS colours so that one drawing serves light, dark and paper.
//!
//! Coordinates are those of a view box of [`WIDTH`]; the page scales it to its column.

pub(super) mod axis;
pub(super) mod line;
pub(super) mod marker;
pub(super) mod spread;
mod svg;

/// Width of every view box: with its type of 13 units it can still be read on a phone.
pub(super) const WIDTH: f64 = 460.0;
