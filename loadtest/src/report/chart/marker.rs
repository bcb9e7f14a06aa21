//! Marks of targets. Each has a colour and a shape, so that they can be told apart without the colour.

/// The number of different marks. Further targets share the mark of an earlier one.
const STYLES: usize = 7;

/// How a point is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Kind {
    /// The objective held: the mark is filled.
    Held,
    /// The objective broke: the mark is hollow.
    Broken,
    /// The window does not count: the mark is a small cross.
    Void,
}

impl Kind {
    pub(in crate::report) const fn words(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Broken => "broke the objective",
            Self::Void => "void",
        }
    }
}

/// Returns the CSS class with the colour of the target at this place.
pub(in crate::report) fn class(style: usize) -> String {
    format!("s{}", style % STYLES)
}

/// Draws a mark.
pub(in crate::report) fn mark(style: usize, kind: Kind, (x, y): (f64, f64), title: &str) -> String {
    let size = if kind == Kind::Void { 2.6 } else { 4.0 };
    let shape = match (kind, style % STYLES) {
        (Kind::Void, _) => cross(x, y, size),
        (_, 0) => format!(
            "M{:.1} {y:.1}a{size} {size} 0 1 0 {d} 0a{size} {size} 0 1 0 -{d} 0Z",
            x - size,
            d = size * 2.0
        ),
        (_, 1) => polygon(
            x,
            y,
            size * 0.9,
            &[(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)],
        ),
        (_, 2) => polygon(x, y, size * 1.15, &[(0.0, -1.0), (1.0, 0.8), (-1.0, 0.8)]),
        (_, 3) => polygon(
            x,
            y,
            size * 1.2,
            &[(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)],
        ),
        (_, 4) => polygon(x, y, size * 1.15, &[(0.0, 1.0), (1.0, -0.8), (-1.0, -0.8)]),
        (_, 5) => polygon(
            x,
            y,
            size,
            &[(-1.0, -0.6), (1.0, -0.6), (1.0, 0.6), (-1.0, 0.6)],
        ),
        _ => polygon(
            x,
            y,
            size,
            &[(-0.6, -1.0), (0.6, -1.0), (0.6, 1.0), (-0.6, 1.0)],
        ),
    };
    let kind = match kind {
        Kind::Held => "held",
        Kind::Broken => "broken",
        Kind::Void => "void",
    };
    let title = if title.is_empty() {
        String::new()
    } else {
        format!("<title>{}</title>", crate::report::html::escape(title))
    };
    format!(
        r#"<path class="mark {kind} {}" d="{shape}">{title}</path>"#,
        class(style)
    )
}

fn polygon(x: f64, y: f64, size: f64, corners: &[(f64, f64)]) -> String {
    let corners = corners
        .iter()
        .map(|(dx, dy)| format!("{:.1} {:.1}", x + dx * size, y + dy * size));
    format!("M{}Z", corners.collect::<Vec<_>>().join("L"))
}

fn cross(x: f64, y: f64, size: f64) -> String {
    format!(
        "M{:.1} {:.1}l{d:.1} {d:.1}m0 -{d:.1}l-{d:.1} {d:.1}",
        x - size,
        y - size,
        d = size * 2.0
    )
}
