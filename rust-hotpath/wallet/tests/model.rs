//! Posts random transactions and asks random questions. The model must agree with a naive oracle byte for byte, at
//! every version.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    unreachable_pub
)]

#[path = "model/edges.rs"]
mod edges;
#[path = "model/long.rs"]
mod long;
#[path = "model/oracle.rs"]
mod oracle;
#[path = "model/questions.rs"]
mod questions;
#[path = "model/verdict.rs"]
mod verdict;

use hotpath::model::{Model, Refusal};
use hotpath_wallet::Wallet;
use hotpath_wallet::proto as p;
use proptest::prelude::*;
use prost::Message;

use oracle::Oracle;
use questions::{Question, question, transaction};

type State = <Wallet as Model>::State;

/// The model and the oracle, side by side. Every version of the model is kept, by its position.
pub struct Pair {
    oracle: Oracle,
    versions: Vec<State>,
}

impl Default for Pair {
    fn default() -> Self {
        Self {
            oracle: Oracle::default(),
            versions: vec![State::default()],
        }
    }
}

impl Pair {
    pub fn state(&self) -> &State {
        &self.versions[self.versions.len() - 1]
    }

    /// Posts a transaction to both. Its `position` is relative to the last one. Returns true if they took it.
    pub fn post(&mut self, mut transaction: p::Transaction) -> bool {
        transaction.position += self.oracle.transactions.len() as u64;
        let mut state = self.state().clone();
        let bytes = transaction.encode_to_vec();
        let applied = Wallet::decode_event(&bytes).and_then(|event| {
            assert_eq!(Wallet::position(&event), transaction.position);
            Wallet::apply(&mut state, &event)
        });
        assert_eq!(applied, self.oracle.post(&transaction));
        // The test goes on with this state in either case, because a refused transaction must not have changed
        // anything.
        state.audit().expect("a sound ledger");
        if applied.is_ok() {
            self.versions.push(state);
        } else {
            let last = self.versions.len() - 1;
            self.versions[last] = state;
        }
        applied.is_ok()
    }

    /// The answer that both give at the newest version.
    pub fn ask(&self, question: &Question) -> Result<Vec<u8>, Refusal> {
        self.ask_at(question, self.versions.len() - 1)
    }

    fn ask_at(&self, question: &Question, position: usize) -> Result<Vec<u8>, Refusal> {
        let state = &self.versions[position];
        let [expected, given] = question.ask(&self.oracle, position as u64, state);
        assert_eq!(given, expected, "at position {position}: {question:?}");
        given
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_version_answers_as_the_oracle_does(
        transactions in prop::collection::vec(transaction(), 1..40),
        questions in prop::collection::vec((question(), any::<prop::sample::Index>()), 1..40),
    ) {
        let mut pair = Pair::default();
        for transaction in transactions {
            pair.post(transaction);
        }
        for (question, position) in &questions {
            let _ = pair.ask(question);
            let _ = pair.ask_at(question, position.index(pair.versions.len()));
        }
    }
}
