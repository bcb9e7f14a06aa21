//! A long history, kept in every way: scanned, indexed at once, and indexed with merges that take their time. All give
//! the same bytes, at the newest version and at old ones, and now and then the oracle is asked, too.

use hotpath::model::{Chore, Finish, Model};
use hotpath_wallet::Wallet;
use hotpath_wallet::ledger::{Keeping, Ledger, Merging};
use hotpath_wallet::proto as p;
use prost::Message;

use crate::oracle::{MAX_TIME, MIN_TIME, Oracle};
use crate::questions::{Question, answer};

const DAY: i64 = 86_400_000_000;
const TRANSACTIONS: u64 = 900;
const LARGEST: u64 = 1_000_000_000_000_000;

/// A SplitMix64 generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// A number below `n`. Low numbers are more frequent.
    fn skewed(&mut self, n: u64) -> u64 {
        let most = 1 + self.below(n);
        self.below(most)
    }

    fn time(&mut self, position: u64) -> i64 {
        let day = position as i64 / 3 - self.below(2) as i64 * self.below(90) as i64;
        match self.below(4) {
            0 => day * DAY,
            1 => day * DAY + self.below(DAY as u64) as i64,
            _ => day * DAY + self.below(24) as i64 * 3_600_000_000,
        }
    }
}

/// Entries of "ann", most of them posted. Releases undo holds that were made before.
fn transaction(
    position: u64,
    largest: u64,
    held: &mut [u64; 2],
    random: &mut Random,
) -> p::Transaction {
    let occurred_at_us = random.time(position);
    let entries = (0..1 + random.below(44)).map(|_| {
        let (side, size) = (
            random.below(3).min(1) as usize,
            1 + random.next() % (1 + random.below(largest)),
        );
        let (phase, size) = match random.below(12) {
            0 => {
                held[side] += size;
                (2, size)
            }
            1 if held[side] > 0 => {
                let size = size.min(held[side]);
                held[side] -= size;
                (3, size)
            }
            _ => (1, size),
        };
        let party = random.skewed(2_000);
        p::Entry {
            account_id: "ann".into(),
            asset: "GBP".into(),
            amount: if side == 0 {
                -(size as i64)
            } else {
                size as i64
            },
            phase,
            kind: String::new(),
            counterparty: if party == 0 {
                String::new()
            } else {
                format!("shop-{party}")
            },
        }
    });
    p::Transaction {
        position,
        transaction_id: "t".into(),
        occurred_at_us,
        external: true,
        entries: entries.collect(),
    }
}

fn question(edges: &[i64], random: &mut Random) -> Question {
    let mut edge = || edges[random.below(edges.len() as u64) as usize] + random.below(3) as i64 - 1;
    let (a, b) = (edge(), edge());
    let (from_us, to_us) = (a.min(b), a.max(b) + 1);
    let (account_id, asset) = ("ann".to_owned(), "GBP".to_owned());
    match random.below(4) {
        0 => Question::Balance(p::GetBalanceRequest {
            account_id,
            asset: None,
            as_of_us: Some(from_us),
        }),
        1 => Question::Top(p::GetTopCounterpartiesRequest {
            account_id,
            asset,
            from_us,
            to_us,
            limit: 1 + random.below(100) as u32,
        }),
        2 => Question::Series(p::GetTimeSeriesRequest {
            account_id,
            asset,
            from_us,
            to_us,
            step: 1 + random.below(4) as i32,
        }),
        _ => {
            let mut percentiles: Vec<u32> = (0..random.below(7))
                .map(|_| 1 + random.below(10_000) as u32)
                .collect();
            percentiles.sort_unstable();
            percentiles.dedup();
            Question::Statistics(p::GetStatisticsRequest {
                account_id,
                asset,
                from_us,
                to_us,
                percentiles,
            })
        }
    }
}

fn bytes(question: &Question) -> (usize, Vec<u8>) {
    match question {
        Question::Balance(q) => (0, q.encode_to_vec()),
        Question::Batch(q) => (1, q.encode_to_vec()),
        Question::Statistics(q) => (2, q.encode_to_vec()),
        Question::Top(q) => (3, q.encode_to_vec()),
        Question::Series(q) => (4, q.encode_to_vec()),
    }
}

/// The ledger in every keeping, and work that is under way on the last.
struct Kept {
    ledgers: [Ledger; 3],
    chores: Vec<Chore<Ledger>>,
    finishes: Vec<Finish<Ledger>>,
    finished: usize,
}

impl Kept {
    fn apply(&mut self, transaction: &p::Transaction, random: &mut Random) {
        let event = Wallet::decode_event(&transaction.encode_to_vec()).expect("a good event");
        for ledger in &mut self.ledgers {
            Wallet::apply(ledger, &event).expect("a good transaction");
        }
        let deferred = &mut self.ledgers[2];
        self.chores.extend(Wallet::chores(deferred));
        match random.below(12) {
            0 => self.finishes.extend(self.chores.pop().map(|chore| chore())),
            1 => {
                for finish in self.finishes.drain(..) {
                    finish(deferred);
                    self.finished += 1;
                }
            }
            _ => {}
        }
    }
}

fn agree(ledgers: &[Ledger], question: &Question) {
    let (method, request) = bytes(question);
    let answers: Vec<_> = ledgers
        .iter()
        .map(|ledger| answer(ledger, method, &request))
        .collect();
    for other in &answers[1..] {
        assert_eq!(*other, answers[0], "{question:?}");
    }
}

fn check(seed: u64, largest: u64) {
    let mut random = Random(seed);
    let mut oracle = Oracle::default();
    let keepings = [
        Keeping::Scan,
        Keeping::Index(Merging::InPlace),
        Keeping::Index(Merging::Deferred),
    ];
    let mut kept = Kept {
        ledgers: keepings.map(Ledger::keeping),
        chores: Vec::new(),
        finishes: Vec::new(),
        finished: 0,
    };
    let mut versions = Vec::new();
    let (mut edges, mut held) = (vec![MIN_TIME + 1, 0, MAX_TIME - 2], [0, 0]);
    for position in 1..=TRANSACTIONS {
        let transaction = transaction(position, largest, &mut held, &mut random);
        edges.push(transaction.occurred_at_us);
        kept.apply(&transaction, &mut random);
        oracle.transactions.push(transaction);
        if position % 100 == 50 || position == TRANSACTIONS {
            for n in 0..20 {
                let question = question(&edges, &mut random);
                agree(&kept.ledgers, &question);
                if n % 10 == 0 {
                    let [expected, given] = question.ask(&oracle, position, &kept.ledgers[1]);
                    assert_eq!(given, expected, "{question:?}");
                }
            }
            versions.push(kept.ledgers.clone());
        }
    }
    assert!(kept.finished > 0, "no merge was finished");
    for ledgers in &versions {
        ledgers
            .iter()
            .for_each(|ledger| ledger.audit().expect("a sound ledger"));
        for _ in 0..10 {
            let question = question(&edges, &mut random);
            agree(ledgers, &question);
        }
    }
}

#[test]
fn a_long_history_answers_alike_however_it_is_kept() {
    for seed in [1, 2] {
        eprintln!("seed {seed}");
        check(seed, 100_000);
    }
}

#[test]
fn figures_out_of_range_are_refused_alike_however_they_are_kept() {
    check(4, LARGEST);
}
