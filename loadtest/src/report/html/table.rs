//! Tables, which scroll on their own where the page is too narrow.

use super::escape;

/// The content of a cell.
#[derive(Debug, Clone)]
pub(super) struct Cell(String);

impl Cell {
    /// Makes a cell of markup, whose parts must be escaped already.
    pub(super) fn markup(markup: String) -> Self {
        Self(markup)
    }
}

impl<Text: AsRef<str>> From<Text> for Cell {
    fn from(text: Text) -> Self {
        Self(escape(text.as_ref()))
    }
}

/// A column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    title: Cell,
    number: bool,
}

/// A column of numbers.
pub(super) fn number(title: impl Into<Cell>) -> Column {
    Column {
        title: title.into(),
        number: true,
    }
}

/// A column of words.
pub(super) fn words(title: impl Into<Cell>) -> Column {
    Column {
        title: title.into(),
        number: false,
    }
}

/// A table. The first cell of a row is the row's heading.
#[derive(Debug)]
pub(super) struct Table {
    caption: String,
    columns: Vec<Column>,
    rows: Vec<String>,
}

impl Table {
    pub(super) fn new(caption: &str, columns: Vec<Column>) -> Self {
        Self {
            caption: caption.to_owned(),
            columns,
            rows: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn row(&mut self, class: &str, cells: Vec<Cell>) {
        let mut row = format!("<tr class=\"{class}\">");
        for (index, (cell, column)) in cells.into_iter().zip(&self.columns).enumerate() {
            let class = if column.number {
                " class=\"number\""
            } else {
                ""
            };
            row.push_str(&match index {
                0 => format!("<th scope=\"row\"{class}>{}</th>", cell.0),
                _ => format!("<td{class}>{}</td>", cell.0),
            });
        }
        row.push_str("</tr>\n");
        self.rows.push(row);
    }

    pub(super) fn html(&self) -> String {
        let heads = self.columns.iter().map(|column| {
            let class = if column.number {
                " class=\"number\""
            } else {
                ""
            };
            format!("<th scope=\"col\"{class}>{}</th>", column.title.0)
        });
        let caption = escape(&self.caption);
        format!(
            "<div class=\"scroll\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\"><table>\n\
             <caption>{caption}</caption>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
            heads.collect::<String>(),
            self.rows.concat()
        )
    }
}

/// A cell with a figure, or a dash if there is none.
pub(super) fn told(value: Option<f64>, words: fn(f64) -> String) -> Cell {
    value.map_or_else(|| Cell::from("–"), |value| Cell::from(words(value)))
}
