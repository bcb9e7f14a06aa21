//! The wallet's model with a fault in it.

use hotpath::model::{Audit, Choice, Chore, Model, Refusal};
use hotpath_wallet::Wallet;
use std::marker::PhantomData;

/// What is wrong. By default nothing is.
pub(crate) trait Fault: Send + Sync + 'static {
    const DESCRIPTORS: &'static [u8] = Wallet::DESCRIPTORS;

    /// How many positions an event claims to skip.
    fn skips() -> u64 {
        0
    }

    /// Comes before each event is applied.
    fn applies() {}

    /// Comes after each answer.
    fn answered(_method: usize, _reply: &mut Vec<u8>) {}
}

/// The wallet with a fault.
#[derive(Debug)]
pub(crate) struct Faulty<F>(PhantomData<F>);

type State = <Wallet as Model>::State;

impl<F: Fault> Model for Faulty<F> {
    const SERVICE: &'static str = Wallet::SERVICE;
    const METHODS: &'static [&'static str] = Wallet::METHODS;
    const DECLINES: &'static [&'static str] = Wallet::DECLINES;
    const DESCRIPTORS: &'static [u8] = F::DESCRIPTORS;
    const CHOICES: &'static [Choice] = Wallet::CHOICES;

    type State = State;
    type Event = (<Wallet as Model>::Event, u64);
    type Query<'a> = (usize, <Wallet as Model>::Query<'a>);

    fn decode_event(bytes: &[u8]) -> Result<Self::Event, String> {
        Ok((Wallet::decode_event(bytes)?, F::skips()))
    }

    fn position((event, skips): &Self::Event) -> u64 {
        Wallet::position(event) + skips
    }

    fn apply(state: &mut State, (event, _): &Self::Event) -> Result<(), String> {
        F::applies();
        Wallet::apply(state, event)
    }

    fn begin(chosen: &[&'static str]) -> State {
        Wallet::begin(chosen)
    }

    fn chores(state: &mut State) -> Vec<Chore<State>> {
        Wallet::chores(state)
    }

    fn parse(method: usize, request: &[u8]) -> Result<Self::Query<'_>, Refusal> {
        Ok((method, Wallet::parse(method, request)?))
    }

    fn answer(
        state: &State,
        (method, query): &Self::Query<'_>,
        reply: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let before = reply.len();
        Wallet::answer(state, query, reply)?;
        let mut own = reply.split_off(before);
        F::answered(*method, &mut own);
        reply.append(&mut own);
        Ok(())
    }

    fn cost(state: &State, (_, query): &Self::Query<'_>) -> usize {
        Wallet::cost(state, query)
    }

    fn audit(state: &State, seed: u64, questions: u64, go_on: &dyn Fn() -> bool) -> Option<Audit> {
        Wallet::audit(state, seed, questions, go_on)
    }

    fn gauges(state: &State) -> Vec<(&'static str, &'static str, u64)> {
        Wallet::gauges(state)
    }
}
