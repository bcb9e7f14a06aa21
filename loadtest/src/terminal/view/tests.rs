#![allow(clippy::unwrap_used)]

use super::*;
use crate::report::fixture;

const LIVE: Look = Look {
    quiet: false,
    live: true,
    colours: true,
};
const PLAIN: Look = Look {
    quiet: false,
    live: false,
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

fn written(look: Look, with: impl FnOnce(&mut View<&mut Vec<u8>>)) -> String {
    let mut out = Vec::new();
    with(&mut View::new(&mut out, look));
    String::from_utf8(out).unwrap()
}

/// What a terminal shows after it has been sent `text`: its lines, and whether the cursor can be seen.
fn screen(text: &str) -> (Vec<String>, bool) {
    let (mut lines, mut cursor) = (vec![String::new()], true);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some(escape) = rest.strip_prefix("\x1b[") {
            let end = escape
                .find(|character: char| character.is_ascii_alphabetic())
                .unwrap();
            match (&escape[..end], &escape[end..=end]) {
                (up, "A") => lines.truncate(lines.len() - up.parse::<usize>().unwrap()),
                ("?25", "l") => cursor = false,
                ("?25", "h") => cursor = true,
                ("", "J") => lines.last_mut().unwrap().clear(),
                _ => {}
            }
            rest = &escape[end + 1..];
            continue;
        }
        match character {
            '\n' => lines.push(String::new()),
            '\r' => {}
            other => lines.last_mut().unwrap().push(other),
        }
        rest = &rest[character.len_utf8()..];
    }
    (lines, cursor)
}

#[test]
fn live_lines_are_repainted_in_place() {
    let text = written(LIVE, |view| {
        view.begin(&now(), Some(100));
        view.progress(&progress(), Duration::from_millis(500), None, Some(100));
        view.progress(&progress(), Duration::from_secs(1), Some(0.82), Some(100));
        view.now = None;
    });
    let (lines, cursor) = screen(&text);
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(
        lines[0],
        "sidecar: escalate, step 4, 12,000 reads/s offered"
    );
    assert_eq!(
        lines[1],
        "█████░░░░░░░░░░░░░░░░░░░ 1.0 of 5.0 s   run ████████░░░░░░░░░░░░░░░░ 35%"
    );
    assert_eq!(
        lines[2],
        "answered 11,000/s   p99 1.23 ms   errors 0   lag 0 µs   in flight 42   CPU 0.82 cores"
    );
    assert!(!cursor);
}

#[test]
fn a_closed_loop_has_neither_rate_nor_lag() {
    let closed = Now {
        asked: Asked::InFlight(128),
        phase: "full load, round 1 of 2".into(),
        ..now()
    };
    let text = written(LIVE, |view| {
        view.begin(&closed, Some(100));
        view.progress(&progress(), Duration::from_secs(1), None, Some(100));
        view.now = None;
    });
    let (lines, _) = screen(&text);
    assert_eq!(
        lines[0],
        "sidecar: full load, round 1 of 2, closed loop, 128 in flight"
    );
    assert_eq!(
        lines[2],
        "answered 11,000/s   p99 1.23 ms   errors 0   in flight 42"
    );
}

#[test]
fn a_finished_window_takes_the_place_of_the_live_lines() {
    let text = written(LIVE, |view| {
        view.begin(&now(), Some(100));
        view.progress(&progress(), Duration::from_secs(1), None, Some(100));
        view.note("caught up", Some(100));
        view.end(&window(), Some(100));
    });
    let (lines, cursor) = screen(&text);
    assert!(cursor);
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(lines[0], "caught up");
    assert!(
        lines[1].starts_with("target") && lines[2].starts_with("sidecar"),
        "{lines:?}"
    );
}

#[test]
fn the_cursor_comes_back_when_a_run_ends_within_a_window() {
    let text = written(LIVE, |view| view.begin(&now(), Some(100)));
    assert_eq!(screen(&text), (vec![String::new()], true));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut broken = window();
    broken.broke = Some("p99 1,234 ms is over 10 ms".into());
    for width in [10, 40, 80, 120] {
        let text = written(LIVE, |view| {
            view.begin(&now(), Some(width));
            view.progress(&progress(), Duration::from_secs(1), Some(0.5), Some(width));
            view.end(&broken, Some(width));
            view.begin(&now(), Some(width));
            view.progress(&progress(), Duration::from_secs(1), Some(0.5), Some(width));
            view.now = None;
        });
        for line in screen(&text).0 {
            assert!(line.chars().count() < width, "{width}: {line}");
        }
    }
}

#[test]
fn without_a_terminal_there_is_a_plain_line_a_window_and_a_header_now_and_then() {
    let text = written(PLAIN, |view| {
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
    let mut marked = window();
    marked.broke = Some("p99 over 10 ms".into());
    let broke = written(LIVE, |view| view.end(&marked, Some(200)));
    assert!(
        broke.contains("\x1b[31m") && broke.contains("broke: p99 over 10 ms"),
        "{broke}"
    );
    marked.void = Some("the generator was late".into());
    let void = written(LIVE, |view| view.end(&marked, Some(200)));
    assert!(
        void.contains("\x1b[33m") && void.contains("VOID: the generator was late"),
        "{void}"
    );
    let colourless = Look {
        colours: false,
        ..LIVE
    };
    let plain = written(colourless, |view| view.end(&marked, Some(200)));
    assert!(
        !plain.contains("\x1b[33m") && plain.contains("VOID: "),
        "{plain}"
    );
}

#[test]
fn quiet_leaves_the_notes() {
    let look = Look {
        quiet: true,
        ..PLAIN
    };
    let text = written(look, |view| {
        view.note("a note", None);
        view.begin(&now(), None);
        view.end(&window(), None);
    });
    assert_eq!(text, "a note\n");
}
