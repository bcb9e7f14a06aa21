//! States the results in sentences.

use super::model::{BreakEven, Figures, Point, Report};
use crate::report::{
    format::{count, duration_us, significant},
    readme::origin,
    text_table::TextTable,
};
use std::{fmt::Write as _, path::Path};

/// Returns the report as text for a terminal.
#[must_use]
pub fn summary(report: &Report) -> String {
    let mut text = String::new();
    if report.void {
        let reason = report.void_reason.as_deref().unwrap_or_default();
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "VOID: {reason}\n");
    }
    for note in &report.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text.push_str(&table(report).text());
    text.push('\n');
    for sentence in where_it_pays(report) {
        let _ = writeln!(text, "{sentence}");
    }
    text
}

/// Returns the report for a README: the picture, the table, where it pays, and when not to use a sidecar.
pub(super) fn markdown(report: &Report, picture: &Path, folder: &Path) -> String {
    let void = report.void.then(|| {
        let reason = report.void_reason.as_deref().unwrap_or_default();
        format!("**Void, not to be quoted: {reason}.**\n\n")
    });
    let list =
        |items: Vec<String>| -> String { items.iter().map(|text| format!("* {text}\n")).collect() };
    format!(
        "{}![{}]({})\n\n{}\nCPU per request of all server processes at full load, 128 requests in flight{}. {}\n\n{}\nWhen not to use a sidecar:\n\n{}",
        void.unwrap_or_default(),
        report.run.title,
        picture.display(),
        table(report).markdown(),
        heap(report).map_or_else(String::new, |heap| format!("; {heap}")),
        origin(&report.run, Some(folder)),
        list(where_it_pays(report)),
        list(when_not(report)),
    )
}

/// Describes what the Go service kept in memory, if anything.
pub(crate) fn heap(report: &Report) -> Option<String> {
    let kept = report.service_heap_mib.filter(|mib| *mib > 0)?;
    Some(format!(
        "the Go service keeps {kept} MiB of small objects, as one with state does"
    ))
}

/// Returns a table of CPU per request, with one row for each work.
fn table(report: &Report) -> TextTable {
    let mut table = TextTable::default();
    let names = report.answers.iter().map(|answer| answer.name.clone());
    let heads = ["handler", "measured", "local qps"].map(str::to_owned);
    table.row(heads.into_iter().chain(names));
    for point in &report.points {
        let figures = report.answers.iter().map(|answer| {
            let found = figures(point, &answer.name);
            found.map_or_else(|| "-".to_owned(), |found| duration_us(found.cpu_us))
        });
        let measured = point
            .measured_work_us
            .map_or_else(|| "-".to_owned(), duration_us);
        let first = [duration_us(point.work_us), measured, count(point.qps)];
        table.row(first.into_iter().chain(figures));
    }
    table
}

/// Returns the figures of an answer at a point.
pub(crate) fn figures<'a>(point: &'a Point, answer: &str) -> Option<&'a Figures> {
    point.figures.iter().find(|found| found.answer == answer)
}

/// Returns a sentence for each answer except the baseline.
pub(crate) fn where_it_pays(report: &Report) -> Vec<String> {
    let others = report.answers.iter().skip(1);
    let sentences = others.filter_map(|answer| {
        let rows = report.break_even.iter();
        let rows: Vec<_> = rows.filter(|row| row.answer == answer.name).collect();
        let nothing = |row: &&BreakEven| row.handler_us.is_some_and(|from| from <= 0.0);
        if !rows.is_empty() && rows.iter().all(nothing) {
            if let Some((own, local)) = cheaper(report, &answer.name) {
                return Some(format!(
                    "{} pays for any handler: a request without work costs {} with it, and {} if Go answers it behind grpc-go.",
                    answer.name,
                    duration_us(own),
                    duration_us(local)
                ));
            }
            return Some(format!(
                "{} pays for any handler: what it adds is not more than noise.",
                answer.name
            ));
        }
        let each: Option<Vec<String>> = rows.iter().map(|row| one(row)).collect();
        let each = each.filter(|each| !each.is_empty())?;
        Some(format!(
            "{} pays for handlers from {}.",
            answer.name,
            each.join(", ")
        ))
    });
    sentences.collect()
}

/// Returns the CPU of a request without work, with this answer and with the baseline, if the answer was cheaper in every
/// round.
fn cheaper(report: &Report, answer: &str) -> Option<(f64, f64)> {
    let least = report.points.first()?;
    let own = figures(least, answer).filter(|found| found.overhead_high_us < 0.0)?;
    Some((own.cpu_us, least.figures.first()?.cpu_us))
}

fn one(row: &BreakEven) -> Option<String> {
    let from = duration_us(row.handler_us?);
    let faster = significant(row.faster);
    Some(format!("{from} on if Rust is {faster} times as fast"))
}

/// Returns when not to use a sidecar, with measured figures where there are some.
pub(crate) fn when_not(report: &Report) -> Vec<String> {
    [cheap(report), Some(pure(report)), few(report)]
        .into_iter()
        .flatten()
        .chain([SECOND_COPY.to_owned()])
        .collect()
}

const SECOND_COPY: &str = "The handler's state is large, or its answers depend on more than a ledger of events. The \
    sidecar keeps a second copy of the state in memory, fed from the first, and it can only answer what follows from it.";

fn cheap(report: &Report) -> Option<String> {
    let least = |answer: &str| {
        let rows = report.break_even.iter().filter(|row| row.answer == answer);
        rows.filter_map(|row| row.handler_us).reduce(f64::min)
    };
    let batched = duration_us(least("batched")?);
    let Some(spliced) = least("spliced") else {
        return Some(format!(
            "The handler is cheap. Below {batched} of CPU no sidecar pays on this machine, even at full load and even if Rust is ten \
             times as fast, because the hop costs more than there is to save."
        ));
    };
    let from = match spliced {
        any if any <= 0.0 => "for any handler".to_owned(),
        some => format!("from {} on", duration_us(some)),
    };
    Some(format!(
        "The handler is cheap, and every call must go through grpc-go, because interceptors or stats handlers have to see it. Below \
         {batched} of CPU no sidecar pays behind grpc-go on this machine, even at full load and even if Rust is ten times as fast, \
         because the hop costs more than there is to save. Behind the spliced front door a sidecar pays {from}."
    ))
}

fn pure(report: &Report) -> String {
    let cost = |answer: &str| {
        let least = report.points.first();
        least.and_then(|point| figures(point, answer).map(|found| found.overhead_us))
    };
    let measured = cost("cgo").zip(cost("batched")).map(|(cgo, batched)| {
        let spliced = cost("spliced").map(|spliced| match spliced {
            less if less < 0.0 => {
                format!("; the spliced front door takes {} off", duration_us(-less))
            }
            more => format!("; the spliced front door adds {}", duration_us(more)),
        });
        format!(
            " It adds {} to a request here, and the batched hop adds {}{}.",
            duration_us(cgo.max(0.0)),
            duration_us(batched),
            spliced.unwrap_or_default()
        )
    });
    // Behind the spliced front door a sidecar may cost less than a call of cgo, because grpc-go is left out.
    let praise = match cost("spliced") {
        None => "is cheaper",
        Some(_) => "needs no second process",
    };
    format!(
        "The work is a function of its arguments and needs little state. Then Rust in the Go process, by cgo, {praise}.{} \
         It has other costs. A crash of the Rust code crashes the service. A call keeps its thread until it returns, so long \
         calls make Go start more threads. Go's collector does not see the memory of the Rust code, and nothing limits it \
         separately. The Rust code has no profile, rollout or restart of its own, and no other handler to fall back to. Every \
         build needs a C toolchain for every platform.",
        measured.unwrap_or_default()
    )
}

fn few(report: &Report) -> Option<String> {
    let alone = figures(report.one_in_flight.as_ref()?, "batched")?;
    let local = figures(report.one_in_flight.as_ref()?, "local")?;
    let loaded = figures(report.points.first()?, "batched")?;
    let spliced = figures(report.one_in_flight.as_ref()?, "spliced").map(|spliced| {
        format!(
            " Through the spliced front door a request then takes {} of CPU, where Go alone takes {}.",
            duration_us(spliced.cpu_us),
            duration_us(local.cpu_us)
        )
    });
    Some(format!(
        "Few requests are in flight at once, and CPU is short. With one request in flight the batched hop costs {} of CPU and \
         adds {} of latency, because no other request shares its messages and wake-ups. At full load it costs {} of CPU.{}",
        duration_us(alone.overhead_us),
        duration_us((alone.p50_us - local.p50_us).max(0.0)),
        duration_us(loaded.overhead_us),
        spliced.unwrap_or_default(),
    ))
}
