//! Shows a finished window as a line of aligned columns. If there is not enough room, the least important columns are
//! left out.

use crate::report::{
    format::{bytes, count, duration_us, significant},
    model::Window,
};

struct Column {
    title: &'static str,
    width: usize,
    /// Columns with the highest rank are left out first.
    rank: u8,
    cell: fn(&Window) -> String,
}

const GAP: usize = 2;
/// Room for a name such as `sidecar:workers=4096`.
const TARGET: usize = 20;
/// Room to tell which rule broke. The rest is cut off.
const VERDICT: usize = "  broke: p99".len();

const COLUMNS: [Column; 10] = [
    Column {
        title: "phase",
        width: 10,
        rank: 5,
        cell: |window| window.phase.words_at(window.closed_in_flight).to_owned(),
    },
    Column {
        title: "offered/s",
        width: 9,
        rank: 0,
        cell: |window| window.planned_qps().map_or_else(dash, count),
    },
    Column {
        title: "answered/s",
        width: 10,
        rank: 1,
        cell: |window| count(window.achieved_qps),
    },
    Column {
        title: "p50",
        width: 8,
        rank: 4,
        cell: |window| duration_us(window.p50_us),
    },
    Column {
        title: "p99",
        width: 8,
        rank: 0,
        cell: |window| duration_us(window.p99_us),
    },
    Column {
        title: "p99.9",
        width: 8,
        rank: 7,
        cell: |window| duration_us(window.p999_us),
    },
    Column {
        title: "errors",
        width: 7,
        // If there are too many errors, the line says so as a broken rule.
        rank: 3,
        cell: |window| window.errors.to_string(),
    },
    Column {
        title: "CPU/read",
        width: 8,
        rank: 2,
        cell: |window| {
            window
                .cpu_us_per_request
                .map_or_else(dash, |micros| format!("{} µs", significant(micros)))
        },
    },
    Column {
        title: "memory",
        width: 7,
        rank: 6,
        cell: memory,
    },
    Column {
        title: "lag",
        width: 7,
        rank: 8,
        cell: |window| window.lag_us().map_or_else(dash, duration_us),
    },
];

fn dash() -> String {
    "-".to_owned()
}

#[allow(clippy::cast_precision_loss)] // Shown with three digits.
fn memory(window: &Window) -> String {
    window
        .rss_peak_bytes
        .map_or_else(dash, |resident| bytes(resident as f64))
}

/// Returns the columns that fit beside the target's name and the verdict.
fn shown(width: usize) -> Vec<&'static Column> {
    let mut columns: Vec<&Column> = COLUMNS.iter().collect();
    let room = width.saturating_sub(TARGET + VERDICT);
    while columns
        .iter()
        .map(|column| column.width + GAP)
        .sum::<usize>()
        > room
    {
        let Some(least) = columns
            .iter()
            .map(|column| column.rank)
            .max()
            .filter(|rank| *rank > 0)
        else {
            break;
        };
        columns.retain(|column| column.rank < least);
    }
    columns
}

pub(super) fn header(width: usize) -> String {
    let cells = shown(width)
        .into_iter()
        .map(|column| format!("{:>1$}", column.title, column.width + GAP));
    format!("{:TARGET$}{}", "target", cells.collect::<String>())
}

pub(super) fn line(window: &Window, width: usize) -> String {
    let cells = shown(width)
        .into_iter()
        .map(|column| format!("{:>1$}", (column.cell)(window), column.width + GAP));
    let verdict = match (&window.void, &window.broke) {
        (Some(reason), _) => format!("  VOID: {reason}"),
        (None, Some(rule)) => format!("  broke: {rule}"),
        (None, None) => String::new(),
    };
    format!(
        "{:TARGET$}{}{verdict}",
        cut(&window.target, TARGET),
        cells.collect::<String>()
    )
}

/// Cuts a text to `width` characters. The last of them is then an ellipsis.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_line_stands_under_its_header_at_any_width() {
        let window = fixture::measured(0, "legacy", 0, 400.0).window;
        for width in [20, 40, 60, 80, 100, 140] {
            let (header, line) = (header(width), line(&window, width));
            assert_eq!(header.chars().count(), line.chars().count(), "{width}");
            assert!(
                header.contains("offered/s") && header.contains("p99"),
                "{width}: {header}"
            );
            assert!(
                width < 60 || header.chars().count() <= width,
                "{width}: {header}"
            );
        }
        assert!(header(140).contains("lag") && !header(80).contains("lag"));
        assert_eq!(
            line(&window, 80),
            "legacy                       10          10    400 µs     40 µs"
        );
    }

    #[test]
    fn a_closed_loop_offers_no_rate() {
        let mut window = fixture::measured(0, "legacy", 0, 400.0).window;
        window.closed_in_flight = Some(128);
        let words: Vec<_> = header(140).split_whitespace().map(str::to_owned).collect();
        let line = line(&window, 140);
        let cells: Vec<_> = line.split("  ").filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells.len(), words.len(), "{line}");
        assert_eq!((cells[1].trim(), cells[2].trim()), ("full load", "-"));
        assert_eq!(cells.last().map(|cell| cell.trim()), Some("-"));
    }

    #[test]
    fn long_names_are_cut_and_verdicts_kept() {
        let mut window = fixture::measured(0, "a-very-long-name-of-a-target", 0, 400.0).window;
        window.broke = Some("p99 over 10 ms".into());
        assert!(line(&window, 100).starts_with("a-very-long-name-of…"));
        assert!(line(&window, 100).ends_with("  broke: p99 over 10 ms"));
        window.void = Some("late".into());
        assert!(line(&window, 100).ends_with("  VOID: late"));
    }
}
