//! The page of a break-even report, and its picture.

mod charts;

use super::{
    STYLE, escape, facts, section as wrap,
    table::{Cell, Table, number, told, words},
    windows,
};
use crate::report::{
    break_even::{
        model::{BreakEven, Point, Report},
        words::{figures, heap, when_not, where_it_pays},
    },
    format::{count, duration_us, significant},
    model::{self, Limits},
};

pub(in crate::report) use charts::standalone;

/// Returns the whole page.
pub(in crate::report) fn page(report: &Report) -> String {
    let plain = plain(report);
    let sections = [
        Some(pays(report)),
        facts::run(&plain),
        charts::section(report),
        points(report),
        alone(report),
        Some(list("not", "When not to use a sidecar", &when_not(report))),
        Some(list("how", "How this is measured", &how(report))),
        windows::section(&plain),
        facts::rerun(&plain),
    ];
    super::document(
        &format!("break-even: {}", report.run.title),
        &facts::header(&plain),
        &sections.into_iter().flatten().collect::<String>(),
    )
}

/// Converts the report to one of the usual kind, for the sections that both kinds share.
fn plain(report: &Report) -> model::Report {
    let windows = report.windows.iter().map(|row| model::Window {
        target: match row.window.phase {
            model::Phase::WarmUp => row.window.target.clone(),
            _ => format!("{}, {}", row.window.target, duration_us(row.work_us)),
        },
        ..row.window.clone()
    });
    model::Report {
        schema: model::SCHEMA,
        void: report.void,
        void_reason: report.void_reason.clone(),
        interrupted: report.interrupted,
        notes: report.notes.clone(),
        limits: Limits::default(),
        run: report.run.clone(),
        targets: Vec::new(),
        ratios: Vec::new(),
        mismatches: None,
        comparison: None,
        generator: report.generator.clone(),
        windows: windows.collect(),
        estimate: None,
        folder: None,
    }
}

fn pays(report: &Report) -> String {
    let answers = report.answers.iter();
    let answers = answers.map(|answer| (answer.name.as_str(), answer.about.as_str()));
    let answers: String = answers
        .map(|(name, about)| {
            format!(
                "<div><dt>{}</dt><dd>{}</dd></div>\n",
                escape(name),
                escape(about)
            )
        })
        .collect();
    let sentences = where_it_pays(report);
    let sentences = sentences
        .iter()
        .map(|text| format!("<p>{}</p>\n", escape(text)));
    let body = format!(
        "{}<dl>\n{answers}</dl>\n{}",
        sentences.collect::<String>(),
        break_even(report).html()
    );
    wrap("pays", "From which handler on it pays", &body)
}

fn break_even(report: &Report) -> Table {
    let rows = |name: &str| {
        let rows = report.break_even.iter();
        rows.filter(|row| row.answer == name).collect::<Vec<_>>()
    };
    let others: Vec<&str> = report
        .answers
        .iter()
        .skip(1)
        .map(|answer| answer.name.as_str())
        .collect();
    let heads = others.first().map(|name| rows(name)).unwrap_or_default();
    let heads = heads
        .iter()
        .map(|row| number(format!("Rust {}× as fast", significant(row.faster))));
    let mut table = Table::new(
        "Break-even",
        [words("Answer")].into_iter().chain(heads).collect(),
    );
    for name in others {
        let cells = rows(name).into_iter().map(from);
        table.row("", [Cell::from(name)].into_iter().chain(cells).collect());
    }
    table
}

/// The cell of an answer: the handler from which on it pays, and below it the same for requests that come alone.
fn from(row: &BreakEven) -> Cell {
    let beyond = if row.extrapolated {
        "<small>beyond what was measured</small>"
    } else {
        ""
    };
    let from = row.handler_us.map_or_else(|| "–".to_owned(), duration_us);
    let alone = row.one_in_flight_us.map(|from| {
        format!(
            "<small>one in flight: {}</small>",
            escape(&duration_us(from))
        )
    });
    Cell::markup(format!(
        "<strong>{}</strong>{beyond}{}",
        escape(&from),
        alone.unwrap_or_default()
    ))
}

fn points(report: &Report) -> Option<String> {
    let mut table = Table::new("At each cost of the handler", columns(report));
    for point in &report.points {
        table.row("", cells(report, point));
    }
    let hint = "<p class=\"hint\">CPU per request of all server processes at full load, over all windows; below it what it is over local, \
                with the lowest and the highest round, and p99. The noise floor is local against itself.</p>\n";
    let body = format!("{hint}{}", table.html());
    (!report.points.is_empty()).then(|| wrap("points", "CPU per request", &body))
}

fn columns(report: &Report) -> Vec<super::table::Column> {
    let heads = report.answers.iter().map(|answer| number(&answer.name));
    let first = [
        words("Handler"),
        number("Measured"),
        number("local, requests/s"),
    ];
    first
        .into_iter()
        .chain(heads)
        .chain([number("Noise floor")])
        .collect()
}

fn cells(report: &Report, point: &Point) -> Vec<Cell> {
    let baseline = report.answers.first().map(|answer| answer.name.as_str());
    let figures = report.answers.iter().map(|answer| {
        let Some(found) = figures(point, &answer.name) else {
            return Cell::from("–");
        };
        let over = match Some(answer.name.as_str()) == baseline {
            true => String::new(),
            false => format!(
                "<small>{} ({})</small>",
                escape(&signed(found.overhead_us)),
                escape(&range(found.overhead_low_us, found.overhead_high_us))
            ),
        };
        Cell::markup(format!(
            "<strong>{}</strong>{over}<small>p99 {}</small>",
            escape(&duration_us(found.cpu_us)),
            escape(&duration_us(found.p99_us))
        ))
    });
    let noise = point.noise_us.map(|(low, high)| range(low, high));
    let first = [
        Cell::from(duration_us(point.work_us)),
        told(point.measured_work_us, duration_us),
        Cell::from(count(point.qps)),
    ];
    let noise = Cell::from(noise.unwrap_or_else(|| "–".to_owned()));
    first.into_iter().chain(figures).chain([noise]).collect()
}

fn signed(micros: f64) -> String {
    let sign = if micros < 0.0 { "−" } else { "+" };
    format!("{sign}{}", duration_us(micros.abs()))
}

fn range(low: f64, high: f64) -> String {
    format!("{} to {}", signed(low), signed(high))
}

fn alone(report: &Report) -> Option<String> {
    let point = report.one_in_flight.as_ref()?;
    let columns = vec![
        words("Answer"),
        number("CPU per request"),
        number("p50"),
        number("Added latency (p50)"),
        number("p99"),
    ];
    let mut table = Table::new("One request in flight", columns);
    let first = point.figures.first()?.p50_us;
    for figures in &point.figures {
        let cells = vec![
            Cell::from(&figures.answer),
            Cell::from(duration_us(figures.cpu_us)),
            Cell::from(duration_us(figures.p50_us)),
            Cell::from(signed(figures.p50_us - first)),
            Cell::from(duration_us(figures.p99_us)),
        ];
        table.row("", cells);
    }
    let hint = format!(
        "<p class=\"hint\">{} requests a second at even gaps, without work: each finds an idle machine, and pays for all wake-ups alone.</p>\n",
        count(point.qps)
    );
    Some(wrap(
        "alone",
        "One request in flight",
        &format!("{hint}{}", table.html()),
    ))
}

fn list(id: &str, title: &str, items: &[String]) -> String {
    let items = items
        .iter()
        .map(|text| format!("<li>{}</li>\n", escape(text)));
    wrap(
        id,
        title,
        &format!("<ul>\n{}</ul>\n", items.collect::<String>()),
    )
}

fn how(report: &Report) -> Vec<String> {
    let memory = match heap(report) {
        Some(heap) => format!("At each load {heap}: without, Go's collector would come every few hundred requests, and look each time at the stacks of all that wait for a sidecar."),
        None => "The Go service keeps nothing in memory: Go's collector comes every few hundred requests, and looks each time at the stacks of all that wait for a sidecar.".to_owned(),
    };
    [
        "The handler burns CPU by arithmetic that can't be shortened. Go and Rust run the same loop, and each process times it when it starts, so that both use the same time for the same request.",
        "“Measured” is the CPU per request of the Go handler with its work, less that of the same handler without work: it shows whether the burner is right.",
        "At full load each answer always has 128 requests in flight, over 4 connections, and goes as fast as it can: CPU per request is then what a core's capacity is divided by. The answers take turns: there, back, and there again. Latencies are those of a full queue; quote them as ratios.",
        &memory,
        "Below full load every request costs more, with every answer, because fewer share a wake-up; the table of one request in flight is the other end. What lies between depends on the load: `loadtest run hop` shows it.",
        "Overhead is CPU per request over that of the local handler with the same work. An answer that does the work k times as fast pays once work × (1 − 1/k) is at least its overhead; between two measured handlers the overhead is taken to lie on the line through them.",
        "The exchange moves work of more than about 100 µs to another thread, so that it holds up nobody; that is in the figures.",
    ]
    .map(str::to_owned)
    .to_vec()
}
