#![allow(clippy::unwrap_used)]

use super::*;
use crate::report::fixture;
use indicatif::{InMemoryTerm, TermLike as _};

const LOOK: Look = Look {
    quiet: false,
    colours: false,
};

fn now() -> Now {
    Now {
        target: "sidecar".into(),
        phase: "escalate, step 4".into(),
        asked: Asked::Qps(12_000.0),
        duration: Duration::from_secs(5),
        done: Some(0.35),
    }
}

fn progress() -> Progress {
    let progress = Progress::default();
    progress.ok.store(11_000, Ordering::Relaxed);
    progress.p99_us.store(1_234, Ordering::Relaxed);
    progress.in_flight.store(42, Ordering::Relaxed);
    progress
}

fn window() -> Window {
    fixture::measured(0, "sidecar", 0, 400.0).window
}

/// A terminal in memory. In contrast to the kernel's, it does not treat a line feed as a new line.
#[derive(Clone)]
struct Screen(InMemoryTerm);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = std::str::from_utf8(bytes).unwrap();
        self.0.write_str(&text.replace('\n', "\r\n"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn lines(width: u16, with: impl FnOnce(&mut View<Screen>)) -> Vec<String> {
    let screen = Screen(InMemoryTerm::new(30, width));
    let target = ProgressDrawTarget::term_like(Box::new(screen.0.clone()));
    with(&mut View::new(screen.clone(), target, LOOK));
    screen.0.contents().lines().map(str::to_owned).collect()
}

fn plain(look: Look, with: impl FnOnce(&mut View<&mut Vec<u8>>)) -> String {
    let mut out = Vec::new();
    with(&mut View::new(&mut out, ProgressDrawTarget::hidden(), look));
    String::from_utf8(out).unwrap()
}

#[test]
fn live_lines_are_repainted_in_place() {
    lines(100, |view| {
        view.begin(&now(), Some(100));
        view.progress(&progress(), Duration::from_millis(500), None, Some(100));
        view.progress(&progress(), Duration::from_secs(1), Some(0.82), Some(100));
        let shown = [
            "sidecar: escalate, step 4, 12,000 reads/s offered",
            "█████░░░░░░░░░░░░░░░░░░░ 1.0 of 5.0 s   run ████████░░░░░░░░░░░░░░░░ 35%",
            "answered 11,000/s   p99 1.23 ms   errors 0   lag 0 µs   in flight 42   CPU 0.82 cores",
        ];
        assert_eq!(view.out.0.contents(), shown.join("\n"));
    });
}

#[test]
fn a_closed_loop_has_neither_rate_nor_lag() {
    let closed = Now {
        asked: Asked::InFlight(128),
        phase: "full load, round 1 of 2".into(),
        ..now()
    };
    lines(100, |view| {
        view.begin(&closed, Some(100));
        view.progress(&progress(), Duration::from_secs(1), None, Some(100));
        let shown = view.out.0.contents();
        let (head, figures) = (shown.lines().next().unwrap(), shown.lines().last().unwrap());
        assert_eq!(
            head,
            "sidecar: full load, round 1 of 2, closed loop, 128 in flight"
        );
        assert_eq!(
            figures,
            "answered 11,000/s   p99 1.23 ms   errors 0   in flight 42"
        );
    });
}

#[test]
fn a_finished_window_takes_the_place_of_the_live_lines() {
    let lines = lines(100, |view| {
        view.begin(&now(), Some(100));
        view.progress(&progress(), Duration::from_secs(1), None, Some(100));
        view.note("caught up");
        assert_eq!(view.out.0.contents().lines().count(), 4);
        view.end(&window(), Some(100));
    });
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0], "caught up");
    assert!(
        lines[1].starts_with("target") && lines[2].starts_with("sidecar"),
        "{lines:?}"
    );
}

#[test]
fn a_run_that_ends_within_a_window_leaves_no_live_lines() {
    let lines = lines(100, |view| view.begin(&now(), Some(100)));
    assert!(lines.is_empty(), "{lines:?}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut broken = window();
    broken.broke = Some("p99 1,234 ms is over 10 ms".into());
    for width in [10, 40, 80, 120] {
        let some = Some(usize::from(width));
        lines(width, |view| {
            view.end(&broken, some);
            view.begin(&now(), some);
            view.progress(&progress(), Duration::from_secs(1), Some(0.5), some);
            // No line was wrapped.
            assert_eq!(view.out.0.contents().lines().count(), 5, "{width}");
        });
    }
}

#[test]
fn without_a_terminal_there_is_a_plain_line_a_window_and_a_header_now_and_then() {
    let text = plain(LOOK, |view| {
        for _ in 0..=LINES_PER_HEADER {
            view.begin(&now(), None);
            view.progress(&progress(), Duration::from_secs(1), None, None);
            view.end(&window(), None);
        }
    });
    assert!(!text.contains('\x1b'));
    assert_eq!(text.lines().count(), LINES_PER_HEADER + 3);
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("target"))
            .count(),
        2
    );
}

#[test]
fn void_and_broken_windows_are_marked_in_colour_and_in_words() {
    let colours = Look {
        colours: true,
        ..LOOK
    };
    let mut marked = window();
    marked.broke = Some("p99 over 10 ms".into());
    let broke = plain(colours, |view| view.end(&marked, Some(200)));
    assert!(
        broke.contains("\x1b[31m") && broke.contains("broke: p99 over 10 ms"),
        "{broke}"
    );
    marked.void = Some("the generator was late".into());
    let void = plain(colours, |view| view.end(&marked, Some(200)));
    assert!(
        void.contains("\x1b[33m") && void.contains("VOID: the generator was late"),
        "{void}"
    );
    let without = plain(LOOK, |view| view.end(&marked, Some(200)));
    assert!(
        !without.contains("\x1b") && without.contains("VOID: "),
        "{without}"
    );
}

#[test]
fn quiet_leaves_the_notes() {
    let quiet = Look {
        quiet: true,
        ..LOOK
    };
    let text = plain(quiet, |view| {
        view.note("a note");
        view.begin(&now(), None);
        view.end(&window(), None);
    });
    assert_eq!(text, "a note\n");
}
