//! Counts what came of the questions, and says so.

use super::peer::Answer;
use crate::wallet::Wallet;
use hotpath::model::Model as _;
use std::{collections::BTreeMap, fmt::Write as _};

/// Longest text of a status that is shown.
const TEXT_CHARS: usize = 200;

/// What came of one question.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Both answers are the same.
    Equal,
    /// They differ: the lines say how.
    Differs(Vec<String>),
    /// One side gave no answer: why, and its text.
    NotAnswered(String, String),
}

/// How the asking ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    Deadline,
    Interrupted,
}

/// The counts so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    methods: [Counts; Wallet::METHODS.len()],
    /// Questions that were asked again at the newest position.
    again: u64,
    not_answered: BTreeMap<String, (u64, String)>,
    /// The first few differences, in full.
    shown: Vec<String>,
    most_shown: usize,
    /// What the sidecar found in itself.
    own: Option<Own>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    asked: u64,
    equal: u64,
    differ: u64,
}

/// The result of the sidecar's audit of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) asked: u64,
    pub(super) wrong: u64,
    pub(super) complete: bool,
    /// The page that the sidecar gave.
    pub(super) text: String,
}

impl Tally {
    pub(super) fn new(most_shown: usize) -> Self {
        Self {
            most_shown,
            ..Self::default()
        }
    }

    /// Counts a question about `METHODS[method]`. `about` describes it for the report.
    pub(super) fn count(
        &mut self,
        method: usize,
        outcome: Outcome,
        about: impl FnOnce() -> String,
    ) {
        let Some(counts) = self.methods.get_mut(method) else {
            return;
        };
        counts.asked += 1;
        match outcome {
            Outcome::Equal => counts.equal += 1,
            Outcome::Differs(lines) => {
                counts.differ += 1;
                if self.shown.len() < self.most_shown {
                    self.shown
                        .push(format!("{}\n  {}", about(), lines.join("\n  ")));
                }
            }
            Outcome::NotAnswered(why, text) => {
                let (count, _) = self.not_answered.entry(why).or_insert((0, text));
                *count += 1;
            }
        }
    }

    pub(super) fn asked_again(&mut self) {
        self.again += 1;
    }

    pub(super) fn own(&mut self, own: Own) {
        self.own = Some(own);
    }

    fn total(&self) -> Counts {
        self.methods
            .iter()
            .fold(Counts::default(), |sum, of| Counts {
                asked: sum.asked + of.asked,
                equal: sum.equal + of.equal,
                differ: sum.differ + of.differ,
            })
    }

    /// The exit code. `wanted` questions should have been asked; `failed` if something else went wrong.
    pub(super) fn exit_code(&self, wanted: u64, ended: Ended, failed: bool) -> u8 {
        let total = self.total();
        let own_wrong = self.own.as_ref().map_or(0, |own| own.wrong);
        if total.differ > 0 || own_wrong > 0 {
            return 1;
        }
        if ended == Ended::Interrupted {
            return 130;
        }
        let own_complete = self.own.as_ref().is_none_or(|own| own.complete);
        let complete = total.equal == wanted && own_complete && ended == Ended::Done && !failed;
        if complete { 0 } else { 69 }
    }

    /// The report.
    pub(super) fn text(&self, ended: Ended) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        if self.total().asked > 0 {
            let _ = write!(text, "{}", self.table());
        }
        if self.again > 0 {
            let again = self.again;
            let _ = writeln!(
                text,
                "asked again at the newest position, because an older one was not retained: {again}"
            );
        }
        for (why, (count, first)) in &self.not_answered {
            let _ = writeln!(
                text,
                "not answered: {count} by {why}, the first with {first:?}"
            );
        }
        for (number, shown) in (1..).zip(&self.shown) {
            let _ = writeln!(text, "difference {number}: {shown}");
        }
        let hidden = self.total().differ - self.shown.len() as u64;
        if hidden > 0 {
            let _ = writeln!(text, "and {hidden} more differences");
        }
        if let Some(own) = &self.own {
            let _ = writeln!(text, "the sidecar about itself, {} questions:", own.asked);
            for line in own.text.lines() {
                let _ = writeln!(text, "  {line}");
            }
        }
        match ended {
            Ended::Done => {}
            Ended::Deadline => text.push_str("ended by the deadline (--deadline-s)\n"),
            Ended::Interrupted => text.push_str("interrupted\n"),
        }
        text
    }

    fn table(&self) -> String {
        let mut text = String::new();
        let names = Wallet::METHODS.iter().copied().chain(["all"]);
        for (name, counts) in names.zip(self.methods.into_iter().chain([self.total()])) {
            let Counts {
                asked,
                equal,
                differ,
            } = counts;
            let not = asked - equal - differ;
            let _ = writeln!(
                text,
                "{name:<21} {asked:>8} asked {equal:>8} equal {differ:>8} differ {not:>8} not answered"
            );
        }
        text
    }

    /// The last line.
    pub(super) fn verdict(exit_code: u8) -> &'static str {
        match exit_code {
            0 => "verdict: equal\n",
            1 => "verdict: DIFFERENT\n",
            _ => "verdict: incomplete, no difference so far\n",
        }
    }
}

/// The outcome for a side that gave no answer.
pub(super) fn not_answered(who: &str, answer: &Answer) -> Outcome {
    let text = answer.message.chars().take(TEXT_CHARS).collect();
    Outcome::NotAnswered(format!("{who} {}", answer.why()), text)
}

impl Own {
    /// Reads the page of `/debug/audit`.
    pub(super) fn parse(page: &str) -> Option<Self> {
        let number = |name: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse().ok()
        };
        Some(Self {
            asked: number("asked ")?,
            wrong: number("wrong ")?,
            complete: page.lines().any(|line| line == "complete true"),
            text: page.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(outcomes: Vec<Outcome>) -> Tally {
        let mut tally = Tally::new(1);
        for outcome in outcomes {
            tally.count(2, outcome, || "question 1".to_owned());
        }
        tally
    }

    fn unavailable() -> Outcome {
        Outcome::NotAnswered("sidecar Unavailable".to_owned(), "not ready".to_owned())
    }

    #[test]
    fn the_exit_code_says_what_a_cautious_reader_needs() {
        let differs = || Outcome::Differs(vec!["net: sidecar 1, Go 2".to_owned()]);
        let equal = || counted(vec![Outcome::Equal, Outcome::Equal]);
        assert_eq!(equal().exit_code(2, Ended::Done, false), 0);
        assert_eq!(equal().exit_code(2, Ended::Done, true), 69);
        assert_eq!(equal().exit_code(3, Ended::Deadline, false), 69);
        assert_eq!(equal().exit_code(3, Ended::Interrupted, false), 130);
        let silent = counted(vec![Outcome::Equal, unavailable()]);
        assert_eq!(silent.exit_code(2, Ended::Done, false), 69);
        for ended in [Ended::Done, Ended::Deadline, Ended::Interrupted] {
            let found = counted(vec![differs(), unavailable()]);
            assert_eq!(found.exit_code(9, ended, true), 1);
        }
        let mut own = counted(vec![]);
        own.own(Own {
            wrong: 1,
            ..Own::default()
        });
        assert_eq!(own.exit_code(0, Ended::Done, false), 1);
        for (complete, code) in [(true, 0), (false, 69)] {
            let mut own = counted(vec![]);
            own.own(Own {
                complete,
                ..Own::default()
            });
            assert_eq!(own.exit_code(0, Ended::Done, false), code);
        }
    }

    #[test]
    fn the_report_has_counts_reasons_and_the_first_differences() {
        let differs = || Outcome::Differs(vec!["net: sidecar 1, Go 2".to_owned()]);
        let mut tally = counted(vec![
            Outcome::Equal,
            differs(),
            differs(),
            unavailable(),
            unavailable(),
        ]);
        tally.asked_again();
        tally.own(Own::parse("position 7\nasked 5\ncomplete true\nwrong 0\n").expect("a page"));
        let text = tally.text(Ended::Deadline);
        for part in [
            "GetStatistics                5 asked        1 equal        2 differ        2 not answered\n",
            "not answered: 2 by sidecar Unavailable, the first with \"not ready\"\n",
            "difference 1: question 1\n  net: sidecar 1, Go 2\nand 1 more differences\n",
            "not retained: 1\n",
            "  asked 5\n",
            "ended by the deadline",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert_eq!(Own::parse("another page"), None);
    }
}
