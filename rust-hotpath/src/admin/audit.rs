//! Audits of the newest version. They take a core for a while, so there is one at a time.

use super::{Reply, Status, text};
use crate::{
    error, limits,
    model::{Audit, Model},
};
use hyper::StatusCode;
use std::{
    fmt::Write as _,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, Relaxed, Release},
        },
    },
    time::Instant,
};
use tokio::task::JoinError;

static RUNNING: AtomicBool = AtomicBool::new(false);

/// The right to audit. Dropping it gives the right back.
struct Claim;

/// Tells the thread of an audit, when it is dropped, that nobody waits any more.
struct Waiting(Arc<AtomicBool>);

#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    seed: u64,
    questions: u64,
}

pub(super) async fn reply<M: Model>(query: &str, status: &Status<M>) -> Reply {
    let wanted = match Wanted::parse(query) {
        Ok(wanted) => wanted,
        Err(rule) => return text(StatusCode::BAD_REQUEST, format!("{rule}\n")),
    };
    let Some(claim) = Claim::take() else {
        let busy = "another audit runs; try again later\n";
        return text(StatusCode::CONFLICT, busy.to_owned());
    };
    let (position, state) = {
        let newest = status.view.newest();
        // The clone keeps no snapshot, so the writer can go on to free what it replaces.
        (newest.position(), newest.state().clone())
    };
    let gone = Arc::new(AtomicBool::new(false));
    let waiting = Waiting(Arc::clone(&gone));
    let Wanted { seed, questions } = wanted;
    let audited = tokio::task::spawn_blocking(move || {
        let _claim = claim;
        let until = Instant::now() + limits::AUDIT_TIME;
        let go_on = || !gone.load(Relaxed) && Instant::now() < until;
        M::audit(&state, seed, questions, &go_on)
    });
    let audited = audited.await;
    drop(waiting);
    match audited {
        Ok(Some(found)) => text(StatusCode::OK, page(position, seed, &found)),
        Ok(None) => {
            let nothing = "this model has nothing to compare\n";
            text(StatusCode::NOT_IMPLEMENTED, nothing.to_owned())
        }
        Err(error) => match panicked(error) {
            Some(found) => text(StatusCode::OK, page(position, seed, &found)),
            None => text(StatusCode::INTERNAL_SERVER_ERROR, "cut short\n".to_owned()),
        },
    }
}

/// An answer that panics is a mistake that the audit has found.
fn panicked(error: JoinError) -> Option<Audit> {
    let payload = error.try_into_panic().ok()?;
    let mistake = format!("a panic: {}", error::panic_text(&*payload));
    Some(Audit {
        wrong: 1,
        mistakes: vec![mistake],
        ..Audit::default()
    })
}

fn page(position: u64, seed: u64, found: &Audit) -> String {
    let mut page = format!(
        "position {position}\nseed {seed}\nasked {}\ncomplete {}\nwrong {}\n",
        found.asked, found.complete, found.wrong
    );
    for note in &found.notes {
        // Writing to a `String` cannot fail.
        let _ = writeln!(page, "note: {note}");
    }
    for mistake in &found.mistakes {
        let _ = writeln!(page, "mistake: {}", mistake.replace('\n', " "));
    }
    page
}

impl Claim {
    fn take() -> Option<Self> {
        (!RUNNING.swap(true, AcqRel)).then(|| Self)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        RUNNING.store(false, Release);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Wanted {
    fn parse(query: &str) -> Result<Self, String> {
        let mut wanted = Self {
            seed: 1,
            questions: 1_000,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "seed" => wanted.seed = number(name, value, 0..=u64::MAX)?,
                "questions" => wanted.questions = number(name, value, limits::AUDIT_QUESTIONS)?,
                _ => return Err(format!("{name}: is unknown; there are seed and questions")),
            }
        }
        Ok(wanted)
    }
}

fn number(name: &str, value: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let number = value.parse().ok().filter(|number| range.contains(number));
    let (low, high) = (range.start(), range.end());
    number.ok_or_else(|| format!("{name}: must be a whole number from {low} to {high}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let parsed = |query| Wanted::parse(query).map(|wanted| (wanted.seed, wanted.questions));
        assert_eq!(parsed(""), Ok((1, 1_000)));
        assert_eq!(parsed("questions=5&seed=0"), Ok((0, 5)));
        assert_eq!(
            parsed("questions=0"),
            Err("questions: must be a whole number from 1 to 1000000".to_owned())
        );
        let text = parsed("seed=x").expect_err("no number");
        assert!(
            text.starts_with("seed: must be a whole number from 0"),
            "{text}"
        );
        assert_eq!(
            parsed("account=a"),
            Err("account: is unknown; there are seed and questions".to_owned())
        );
    }

    #[test]
    fn a_page_has_a_line_for_each_mistake() {
        let found = Audit {
            asked: 5,
            complete: true,
            wrong: 7,
            mistakes: vec!["one\nmistake".to_owned()],
            notes: vec!["a note".to_owned()],
        };
        let expected = "position 3\nseed 2\nasked 5\ncomplete true\nwrong 7\nnote: a note\nmistake: one mistake\n";
        assert_eq!(page(3, 2, &found), expected);
    }

    #[tokio::test]
    async fn a_panic_is_a_mistake() {
        let audited = tokio::task::spawn_blocking(|| panic!("index out of bounds"));
        let found = panicked(audited.await.expect_err("a panic")).expect("what was found");
        assert_eq!(found.mistakes, ["a panic: index out of bounds"]);
        assert_eq!((found.wrong, found.complete), (1, false));
    }

    #[test]
    fn there_is_one_at_a_time() {
        let first = Claim::take();
        assert!(first.is_some() && Claim::take().is_none());
        drop(first);
        assert!(Claim::take().is_some());
    }
}
