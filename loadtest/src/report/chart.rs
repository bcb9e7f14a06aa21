//! Charts as SVG. They use CSS colours, so that the same drawing serves light, dark and paper.
//!
//! Coordinates are those of a view box that is [`WIDTH`] wide. The page scales it to the width of its column.

pub(super) mod axis;
pub(super) mod line;
pub(super) mod marker;
pub(super) mod spread;
mod svg;

/// The width of every view box. At this width, text of 13 units can be read on a phone.
pub(super) const WIDTH: f64 = 460.0;
