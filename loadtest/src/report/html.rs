//! `report.html`: one file that works offline, in light and dark mode, on paper and on a phone. It needs no script.

pub(super) mod break_even;
mod charts;
mod estimate;
mod facts;
mod headline;
mod table;
mod targets;
mod windows;

use super::model::Report;

const STYLE: &str = include_str!("html/style.css");

/// Returns the whole page.
#[must_use]
pub fn page(report: &Report) -> String {
    let sections = [
        headline::section(report),
        facts::run(report),
        targets::section(report),
        charts::section(report),
        targets::methods(report),
        targets::processes(report),
        facts::comparison(report),
        estimate::section(report),
        facts::words(report),
        windows::section(report),
        facts::rerun(report),
    ];
    document(
        &format!("{}: {}", report.run.scenario, report.run.title),
        &facts::header(report),
        &sections.into_iter().flatten().collect::<String>(),
    )
}

/// Returns a whole document. `header` and `main` are HTML.
fn document(title: &str, header: &str, main: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{header}\n<main>\n{main}</main>\n</body>\n</html>\n",
        escape(title),
    )
}

/// Escapes text for use in an element or a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Returns a section with its heading. `body` is HTML.
fn section(id: &str, title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<section aria-labelledby=\"{id}-heading\">\n<h2 id=\"{id}-heading\">{title}</h2>\n{body}</section>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{assemble, fixture, input::Finished};

    const EVIL: &str = "<script>alert(\"1\" & '2')</script>";

    fn evil() -> Finished {
        let mut finished = fixture::run();
        for (old, new) in [("a", format!("a{EVIL}")), ("b", format!("b{EVIL}"))] {
            for target in finished
                .targets
                .iter_mut()
                .filter(|target| target.name == old)
            {
                target.name.clone_from(&new);
                target.about.push_str(EVIL);
            }
            for measured in finished
                .windows
                .iter_mut()
                .filter(|measured| measured.window.target == old)
            {
                measured.window.target.clone_from(&new);
                measured.window.broke = Some(EVIL.into());
                measured.processes[0].name = EVIL.into();
            }
        }
        finished.windows[0].window.void = Some(EVIL.into());
        finished.methods[0] = EVIL.into();
        let run = &mut finished.run;
        for text in [
            &mut run.scenario,
            &mut run.title,
            &mut run.about,
            &mut run.scenario_text,
            &mut run.started_at,
        ] {
            text.push_str(EVIL);
        }
        run.command.push(EVIL.into());
        run.objective.push(EVIL.into());
        run.versions.insert(EVIL.into(), EVIL.into());
        run.machine.cpu.push_str(EVIL);
        run.machine.kernel.push_str(EVIL);
        finished
    }

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let page = page(&assemble(&evil()));
        assert!(
            page.matches("&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;")
                .count()
                > 20
        );
        assert!(!page.contains("<script") && !page.contains("alert(\""));
    }

    #[test]
    fn the_page_loads_nothing() {
        let page = page(&assemble(&fixture::run()));
        for word in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn a_report_of_nothing_is_a_page_as_well() {
        let mut finished = fixture::run();
        finished.targets.clear();
        finished.windows.clear();
        finished.interrupted = true;
        let page = page(&assemble(&finished));
        assert!(page.contains("Void") && page.contains("no window was measured"));
        assert!(page.contains("Interrupted"));
        assert!(!page.contains("NaN") && !page.contains("inf\""));
    }

    #[test]
    fn the_page_of_a_closed_loop_has_no_rates_and_no_lag() {
        let page = page(&assemble(&fixture::closed()));
        for part in [
            "closed loop, 8 in flight at each target",
            "coordinated omission",
            "QPS at full load",
            "Answered, reads/s",
            "Latency percentiles in a closed loop, 8 in flight",
            "Methods at full load",
            "<li>errors at most 0.1%</li>",
        ] {
            assert!(page.contains(part), "{part}");
        }
        for part in [
            "equal load",
            "planned send",
            "Held the objective",
            "lag p99",
            "10 reads a second",
        ] {
            assert!(!page.contains(part), "{part}");
        }
    }

    #[test]
    fn every_window_has_its_row() {
        let report = assemble(&fixture::run());
        let page = page(&report);
        assert_eq!(
            page.matches("<tr class=\"window").count(),
            report.windows.len()
        );
    }
}
