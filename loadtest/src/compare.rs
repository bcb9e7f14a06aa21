//! Compares the answers of two targets to the same reads at the same position.
//!
//! Two answers are compared if both have the same position, or if neither has one and no writes run. A read that was
//! given up, or whose connection was lost, has no answer to compare.

mod samples;
mod text;

use crate::{
    error::Result,
    measure::{Replies, Reply},
    report::model::Comparison,
    traffic::Workload,
};
use std::path::{Path, PathBuf};

/// The status of reads that were given up. The generator also sets it when its own timeout is over.
const DEADLINE_EXCEEDED: u32 = 4;
/// The status of reads whose connection was lost.
const UNAVAILABLE: u32 = 14;
/// The number of mismatches that are saved.
const SAMPLES: usize = 20;

/// The result of comparing a target's window with the baseline's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Pairs at the same position.
    pub compared: u64,
    /// Pairs that can't be compared.
    pub incomparable: u64,
    /// Numbers of the reads that were answered differently.
    pub differing: Vec<u64>,
}

/// The baseline and the target that is compared with it.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// Names of both.
    pub names: [&'a str; 2],
    /// Answers of both.
    pub replies: [&'a Replies; 2],
    /// The seed of the window, from which the requests follow.
    pub seed: u64,
}

/// Counts pairs over a run, and saves the first mismatches.
pub struct Comparer<'a> {
    workload: &'a dyn Workload,
    folder: PathBuf,
    /// Whether writes run beside the reads.
    writes: bool,
    total: Comparison,
}

impl<'a> Comparer<'a> {
    /// `folder` is the report's. Samples go to the folder `mismatches` in it.
    #[must_use]
    pub fn new(workload: &'a dyn Workload, folder: &Path, writes: bool) -> Self {
        Self {
            workload,
            folder: folder.to_owned(),
            writes,
            total: Comparison {
                compared: 0,
                incomparable: 0,
                mismatches: 0,
                samples: Vec::new(),
            },
        }
    }

    /// Compares two windows with the same seed, and returns how many answers differed.
    pub fn compare(&mut self, pair: Pair<'_>) -> Result<u64> {
        let outcome = compare(pair.replies[0], pair.replies[1], self.writes);
        let differing = outcome.differing.len() as u64;
        self.total.compared += outcome.compared;
        self.total.incomparable += outcome.incomparable;
        self.total.mismatches += differing;
        for n in outcome.differing {
            // Each sample has three files.
            if self.total.samples.len() / 3 >= SAMPLES {
                break;
            }
            let number = self.total.samples.len() / 3 + 1;
            let saved = samples::save(&self.folder, number, self.workload, &pair, n)?;
            self.total.samples.extend(saved);
        }
        Ok(differing)
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn total(&self) -> &Comparison {
        &self.total
    }
}

/// Compares the answers read by read.
#[must_use]
pub fn compare(baseline: &Replies, target: &Replies, writes: bool) -> Outcome {
    let mut outcome = Outcome::default();
    let longest = baseline.replies.len().max(target.replies.len());
    for n in 0..longest {
        let pair = answer(baseline, n).zip(answer(target, n));
        match pair.filter(|(one, other)| comparable(one, other, writes)) {
            None => outcome.incomparable += 1,
            Some((one, other)) => {
                outcome.compared += 1;
                if !equal((baseline, one), (target, other)) {
                    outcome.differing.push(n as u64);
                }
            }
        }
    }
    outcome
}

fn answer(replies: &Replies, n: usize) -> Option<&Reply> {
    let reply = replies.replies.get(n)?.as_ref()?;
    (![DEADLINE_EXCEEDED, UNAVAILABLE].contains(&reply.status)).then_some(reply)
}

fn comparable(one: &Reply, other: &Reply, writes: bool) -> bool {
    one.position == other.position && (one.position.is_some() || !writes)
}

fn equal((replies, one): (&Replies, &Reply), (others, other): (&Replies, &Reply)) -> bool {
    one.status == other.status
        && one.status_message == other.status_message
        && one.hash == other.hash
        && match (message(replies, one), message(others, other)) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
}

/// Returns the bytes of a reply, if they were kept.
fn message<'a>(replies: &'a Replies, reply: &Reply) -> Option<&'a [u8]> {
    replies.bytes.get(reply.message.clone()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::{Method, Request};
    use std::fs;

    struct Fixed(Vec<Method>);

    impl Workload for Fixed {
        fn methods(&self) -> &[Method] {
            &self.0
        }
        fn read(&self, _seed: u64, _n: u64) -> Request<'_> {
            // GetBalanceRequest{account_id: "a"}
            let message = b"\x0a\x01a";
            Request { method: 0, message }
        }
        fn write(&self, _k: u64) -> Option<(u16, Vec<u8>)> {
            None
        }
    }

    /// Status, message, position.
    type Short<'a> = Option<(u32, &'a [u8], Option<u64>)>;

    fn replies(each: &[Short<'_>]) -> Replies {
        let mut all = Replies::default();
        for one in each {
            let reply = one.map(|(status, bytes, position)| {
                let start = all.bytes.len();
                all.bytes.extend_from_slice(bytes);
                Reply {
                    status,
                    status_message: String::new(),
                    position,
                    hash: bytes.iter().map(|byte| u64::from(*byte)).sum(),
                    message: Some(start..all.bytes.len()),
                }
            });
            all.replies.push(reply);
        }
        all
    }

    #[test]
    fn pairs_at_equal_position_are_compared_byte_by_byte() {
        let baseline = replies(&[
            Some((0, b"same", Some(7))),
            Some((0, b"ab", Some(7))),
            Some((5, b"", Some(7))),
            Some((0, b"x", Some(7))),
            None,
            Some((4, b"", None)),
        ]);
        let target = replies(&[
            Some((0, b"same", Some(7))),
            // The hashes (here sums) are equal, so only the bytes show that the replies differ.
            Some((0, b"ba", Some(7))),
            Some((0, b"", Some(7))),
            Some((0, b"y", Some(8))),
            Some((0, b"x", Some(7))),
            Some((0, b"", None)),
        ]);
        let outcome = compare(&baseline, &target, false);
        assert_eq!(outcome.differing, [1, 2]);
        assert_eq!((outcome.compared, outcome.incomparable), (3, 3));
    }

    #[test]
    fn without_positions_only_a_ledger_at_rest_can_be_compared() {
        let baseline = replies(&[Some((0, b"x", None))]);
        let target = replies(&[Some((0, b"y", None))]);
        assert_eq!(compare(&baseline, &target, false).differing, [0]);
        assert_eq!(compare(&baseline, &target, true).incomparable, 1);
        let positioned = replies(&[Some((0, b"y", Some(1)))]);
        assert_eq!(compare(&baseline, &positioned, false).incomparable, 1);
    }

    #[test]
    fn hashes_do_once_bytes_were_not_kept() {
        let baseline = replies(&[Some((0, b"ab", Some(1)))]);
        let mut target = replies(&[Some((0, b"ba", Some(1)))]);
        target.replies[0].as_mut().unwrap().message = None;
        assert!(compare(&baseline, &target, false).differing.is_empty());
        target.replies[0].as_mut().unwrap().hash += 1;
        assert_eq!(compare(&baseline, &target, false).differing, [0]);
    }

    #[test]
    fn a_shorter_window_leaves_reads_without_a_partner() {
        let baseline = replies(&[Some((0, b"x", None)), Some((0, b"x", None))]);
        let target = replies(&[Some((0, b"x", None))]);
        let outcome = compare(&baseline, &target, false);
        assert_eq!((outcome.compared, outcome.incomparable), (1, 1));
    }

    #[test]
    fn the_first_mismatches_are_saved_as_bytes_and_as_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = "/wallet.v1.WalletService/GetBalance".to_owned();
        let workload = Fixed(vec![Method { path, hot: true }]);
        let many = vec![Some((0, b"\x0a\x01a".as_slice(), Some(7))); 30];
        let others = vec![Some((0, b"\x0a\x01b".as_slice(), Some(7))); 30];
        let (baseline, target) = (replies(&many), replies(&others));
        let mut comparer = Comparer::new(&workload, folder.path(), false);
        let pair = Pair {
            names: ["legacy", "sidecar"],
            replies: [&baseline, &target],
            seed: 1,
        };
        assert_eq!(comparer.compare(pair).unwrap(), 30);
        let total = comparer.total();
        assert_eq!((total.mismatches, total.samples.len()), (30, 60));
        assert_eq!(total.samples[0], "mismatches/001-baseline.bin");
        let bytes = fs::read(folder.path().join(&total.samples[4])).unwrap();
        assert_eq!(bytes, b"\x0a\x01b");
        let text = fs::read_to_string(folder.path().join(&total.samples[2])).unwrap();
        for part in [
            "GetBalance",
            "0a0161",
            "0a0162",
            "account_id: \"a\"",
            "position 7",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
