//! Facts about the run, the meaning of the words, and how to run it again.

use super::{escape, section as wrap};
use crate::report::{
    format::{bytes, closed_loop, count, duration_us},
    model::Report,
    summary::{generator, real},
};

/// Returns the top of the page: the title, and what a reader must know before reading on.
pub(super) fn header(report: &Report) -> String {
    let run = &report.run;
    format!(
        "<header>\n<p class=\"kicker\">loadtest, scenario {}</p>\n<h1>{}</h1>\n<p class=\"about\">{}</p>\n{}</header>",
        escape(&run.scenario),
        escape(&run.title),
        escape(&run.about),
        banners(report),
    )
}

pub(super) fn run(report: &Report) -> Option<String> {
    let run = &report.run;
    let machine = &run.machine;
    let ledger = run.ledger.as_ref().map(|ledger| {
        format!(
            "{} accounts, {} entries, position {}",
            count(real(ledger.accounts)),
            count(real(ledger.entries)),
            count(real(ledger.position))
        )
    });
    let facts = [
        (
            "When",
            format!("{}, {}", run.started_at, duration_us(run.duration_s * 1e6)),
        ),
        (
            "Where",
            format!(
                "{}, {} cores, {}, Linux {}",
                machine.cpu,
                machine.cores,
                bytes(real(machine.memory_bytes)),
                machine.kernel
            ),
        ),
        (
            "Cores",
            format!(
                "servers {}, generator {}",
                list(&run.server_cores),
                list(&run.generator_cores)
            ),
        ),
        (
            "Ledger",
            ledger.unwrap_or_else(|| "of targets that were already running".to_owned()),
        ),
        ("Generator", generator(report)),
    ];
    let load = report.closed_in_flight();
    let load = load.map(|in_flight| ("Load", format!("{} at each target", closed_loop(in_flight))));
    let facts = facts
        .iter()
        .chain(&load)
        .map(|(name, text)| format!("<div><dt>{name}</dt><dd>{}</dd></div>\n", escape(text)));
    let objective = run
        .objective
        .iter()
        .map(|rule| format!("<li>{}</li>", escape(rule)));
    let objective: String = objective.collect();
    let objective = match objective.is_empty() {
        true => String::new(),
        false => format!("<div><dt>Objective</dt><dd><ul>{objective}</ul></dd></div>\n"),
    };
    let body = format!("<dl>\n{}{objective}</dl>\n", facts.collect::<String>());
    Some(wrap("run", "The run", &body))
}

fn list(cores: &[usize]) -> String {
    let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
    if cores.is_empty() {
        "any".to_owned()
    } else {
        cores.join(", ")
    }
}

fn banners(report: &Report) -> String {
    let mut banners = String::new();
    if report.void {
        let reason = report
            .void_reason
            .as_deref()
            .unwrap_or("too many windows do not count");
        banners.push_str(&format!(
            "<p class=\"banner void-banner\" role=\"alert\"><strong>Void.</strong> Don’t quote these numbers: {}.</p>\n",
            escape(reason)
        ));
    }
    if report.interrupted {
        banners.push_str(
            "<p class=\"banner\" role=\"status\"><strong>Interrupted.</strong> What is here was measured, but not all that was planned.</p>\n",
        );
    }
    let notes = report
        .notes
        .iter()
        .map(|note| format!("<li>{}</li>", escape(note)));
    let notes: String = notes.collect();
    if !notes.is_empty() {
        banners.push_str(&format!(
            "<ul class=\"notes\" aria-label=\"Notes\">{notes}</ul>\n"
        ));
    }
    banners
}

pub(super) fn comparison(report: &Report) -> Option<String> {
    let found = report.comparison.as_ref()?;
    let samples = found
        .samples
        .iter()
        .map(|sample| format!("<li><code>{}</code></li>", escape(sample)));
    let samples: String = samples.collect();
    let samples = if samples.is_empty() {
        samples
    } else {
        format!("<p>The first that differ:</p>\n<ul>{samples}</ul>\n")
    };
    let body = format!(
        "<p><strong>{}</strong> pairs of answers to the same read at the same position, <strong>{}</strong> differ. \
         {} pairs could not be compared: a write came between, or one had no answer.</p>\n{samples}",
        count(real(found.compared)),
        count(real(found.mismatches)),
        count(real(found.incomparable)),
    );
    Some(wrap("comparison", "The same answers?", &body))
}

pub(super) fn words(report: &Report) -> Option<String> {
    let of_the_load = match report.closed_in_flight() {
        Some(_) => CLOSED_WORDS,
        None => OPEN_WORDS,
    };
    let words = of_the_load.iter().chain(WORDS);
    let words =
        words.map(|(word, meaning)| format!("<div><dt>{word}</dt><dd>{meaning}</dd></div>\n"));
    Some(wrap(
        "words",
        "What the words mean",
        &format!("<dl>\n{}</dl>\n", words.collect::<String>()),
    ))
}

type Words = &'static [(&'static str, &'static str)];

const OPEN_WORDS: Words = &[
    (
        "Planned send",
        "when a read was due, by a schedule that does not wait for answers. Latencies count from there, so that a server that stalls is charged with everybody it kept waiting.",
    ),
    (
        "Lag",
        "how late the generator itself came to a planned send. Its own fault, never the target’s.",
    ),
    (
        "Void",
        "a window in which the generator fell behind. It is listed, and nothing is concluded from it.",
    ),
    ("Held, broke", "whether the objective was met in a window."),
    (
        "Equal load",
        "the same rate for all targets, in turns: A B C, then C B A, so that the machine’s drift hits all alike.",
    ),
];

const CLOSED_WORDS: Words = &[
    (
        "Closed loop",
        "the next read is sent when an answer has come, so that always as many are in flight. No read is planned, none is late, and the rate is what the target makes of it.",
    ),
    (
        "Full load",
        "a closed loop at every target, in turns: A B C, then C B A, so that the machine’s drift hits all alike.",
    ),
    (
        "Coordinated omission",
        "a server that stalls is asked nothing meanwhile, and charged with nobody who would have come. Latencies of a closed loop are those of a queue that is always full, near reads in flight over QPS.",
    ),
    (
        "Void",
        "a window in which the generator used up its core, so that the target was not at full load. It is listed, and nothing is concluded from it.",
    ),
    (
        "Broke",
        "there were more errors in a window than the objective allows.",
    ),
];

const WORDS: Words = &[
    (
        "Noise floor",
        "the ratio of the baseline to itself, measured in the same turns. A ratio within it says nothing.",
    ),
    (
        "CPU per read",
        "user and system time of all processes of a target over answered reads; writes are in it as well.",
    ),
];

pub(super) fn rerun(report: &Report) -> Option<String> {
    let run = &report.run;
    let command: Vec<String> = run
        .command
        .iter()
        .map(|argument| quoted(argument))
        .collect();
    let versions = run.versions.iter().map(|(name, version)| {
        format!(
            "<div><dt>{}</dt><dd>{}</dd></div>\n",
            escape(name),
            escape(version)
        )
    });
    let versions: String = versions.collect();
    let scenario = match run.scenario_text.is_empty() {
        true => String::new(),
        false => format!(
            "<details><summary>The scenario</summary><pre>{}</pre></details>\n",
            escape(&run.scenario_text)
        ),
    };
    let body = format!(
        "<pre>{}</pre>\n<dl>\n{versions}</dl>\n{scenario}",
        escape(&command.join(" "))
    );
    Some(wrap("rerun", "Do it again", &body))
}

/// Quotes an argument for a shell.
fn quoted(argument: &str) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "-_./:=,@%+".contains(character);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}
