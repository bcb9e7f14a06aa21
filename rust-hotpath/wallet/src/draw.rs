//! Draws questions about accounts whose entries are known, for audits. A seed gives the same questions every time.
//!
//! An index goes wrong at edges. So most windows begin and end at the time of an entry of their account, or a
//! microsecond before or after it.

use crate::proto as p;
use prost::Message;

/// Positions of the methods in `Model::METHODS`.
const BALANCE: usize = 0;
const BATCH: usize = 1;
const STATISTICS: usize = 2;
const TOP: usize = 3;

const DAY_US: i64 = 86_400_000_000;
/// Series have at most this many buckets.
const BUCKETS: i64 = 10_000;
/// Most accounts in a question about many.
const BATCH_ACCOUNTS: u64 = 40;

/// The generator `SplitMix64`.
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

/// An account, one of its assets, and times of entries there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The account.
    pub account_id: String,
    /// The asset.
    pub asset: String,
    /// Times of some of the entries, in microseconds since the epoch. There need not be any.
    pub times: Vec<i64>,
}

impl Random {
    /// The generator of question `number`. So a question does not depend on those before it.
    #[must_use]
    pub fn of(seed: u64, number: u64) -> Self {
        let mut random = Self(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        random.draw();
        random
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, or 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.draw().checked_rem(n).unwrap_or(0)
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let at = self.below(from.len() as u64);
        from.get(usize::try_from(at).unwrap_or(0))
    }

    fn pick_of<T: Copy + Default>(&mut self, from: &[T]) -> T {
        self.pick(from).copied().unwrap_or_default()
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Draws a request of `METHODS[method]` about `place`. Questions about many accounts take the others from `places`. A
/// few in a hundred questions are about an unknown account or asset, or break a rule.
#[must_use]
pub fn question(random: &mut Random, method: usize, place: &Place, places: &[Place]) -> Vec<u8> {
    let (account_id, asset) = named(random, place);
    match method {
        BALANCE => p::GetBalanceRequest {
            account_id,
            asset: random.one_in(2).then_some(asset),
            as_of_us: (!random.one_in(3)).then(|| edge(random, place)),
        }
        .encode_to_vec(),
        BATCH => batch(random, account_id, asset, places).encode_to_vec(),
        STATISTICS => {
            let (from_us, to_us) = window(random, place);
            p::GetStatisticsRequest {
                account_id,
                asset,
                from_us,
                to_us,
                percentiles: percentiles(random),
            }
            .encode_to_vec()
        }
        TOP => {
            let (from_us, to_us) = window(random, place);
            p::GetTopCounterpartiesRequest {
                account_id,
                asset,
                from_us,
                to_us,
                limit: random.pick_of(&[1, 2, 3, 5, 10, 10, 10, 20, 50, 100, 100, 0, 101]),
            }
            .encode_to_vec()
        }
        _ => series(random, account_id, asset, place).encode_to_vec(),
    }
}

fn named(random: &mut Random, place: &Place) -> (String, String) {
    let (mut account_id, mut asset) = (place.account_id.clone(), place.asset.clone());
    match random.below(100) {
        0 | 1 => account_id = format!("nobody-{}", random.below(1_000)),
        2 => "NONE".clone_into(&mut asset),
        3 => account_id = random.pick_of(&["", "two words", "tab\tbed"]).to_owned(),
        4 => {
            asset = random
                .pick_of(&["", "A SPACE", "LONGER-THAN-16-BYTES"])
                .to_owned()
        }
        _ => {}
    }
    (account_id, asset)
}

fn batch(
    random: &mut Random,
    account_id: String,
    asset: String,
    places: &[Place],
) -> p::BatchGetBalancesRequest {
    let mut account_ids = vec![account_id];
    for _ in 0..random.below(BATCH_ACCOUNTS) {
        let Some(other) = random.pick(places) else {
            break;
        };
        if !account_ids.contains(&other.account_id) {
            account_ids.push(other.account_id.clone());
        }
    }
    p::BatchGetBalancesRequest {
        account_ids,
        asset: random.one_in(4).then_some(asset),
    }
}

/// The step is one of those that give few enough buckets, but for a few questions.
fn series(
    random: &mut Random,
    account_id: String,
    asset: String,
    place: &Place,
) -> p::GetTimeSeriesRequest {
    let (from_us, to_us) = window(random, place);
    let steps = [
        (p::Step::Month, 28 * DAY_US),
        (p::Step::Week, 7 * DAY_US),
        (p::Step::Day, DAY_US),
        (p::Step::Hour, DAY_US / 24),
    ];
    let span = to_us.saturating_sub(from_us);
    let any = random.one_in(50);
    let fitting = steps
        .iter()
        .filter(|(_, width)| any || span / width < BUCKETS - 2);
    let fitting: Vec<p::Step> = fitting.map(|(step, _)| *step).collect();
    let step = random.pick(&fitting).copied().unwrap_or(p::Step::Month);
    p::GetTimeSeriesRequest {
        account_id,
        asset,
        from_us,
        to_us,
        step: step.into(),
    }
}

fn percentiles(random: &mut Random) -> Vec<u32> {
    let sets: [&[u32]; 8] = [
        &[],
        &[5_000],
        &[5_000, 9_500, 9_900],
        &[500, 2_500, 5_000, 9_000, 9_900],
        &[10_000, 1],
        &[9_990, 1, 5_000, 10_000],
        &[5_000, 5_000],
        &[0],
    ];
    // The last two break a rule.
    let of = if random.one_in(20) {
        &sets[..]
    } else {
        &sets[..6]
    };
    let mut percentiles = random.pick(of).map_or(Vec::new(), |set| set.to_vec());
    if random.one_in(4) {
        let other = u32::try_from(1 + random.below(10_000)).unwrap_or(1);
        if !percentiles.contains(&other) {
            percentiles.push(other);
        }
    }
    percentiles
}

/// A window whose ends are edges. One in fifty has no time in it, which is against the rules.
fn window(random: &mut Random, place: &Place) -> (i64, i64) {
    let (one, other) = (edge(random, place), edge(random, place));
    if random.one_in(50) {
        return (one.max(other), one.min(other));
    }
    (one.min(other), one.max(other).max(one.min(other) + 1))
}

/// The time of an entry or a microsecond from it, the beginning or the end of what is known, or any time in between.
fn edge(random: &mut Random, place: &Place) -> i64 {
    let (first, last) = (place.times.iter().min(), place.times.iter().max());
    let (Some(&first), Some(&last)) = (first, last) else {
        return random.pick_of(&[0, 1, DAY_US]);
    };
    let at = random.pick(&place.times).copied().unwrap_or(first);
    match random.below(10) {
        0..3 => at,
        3 | 4 => at - 1,
        5 | 6 => at + 1,
        7 => random.pick_of(&[first - 1, first]),
        8 => random.pick_of(&[last, last + 1]),
        _ => {
            let span = u64::try_from(last.saturating_sub(first)).unwrap_or(0);
            let into = i64::try_from(random.below(span.saturating_add(1))).unwrap_or(0);
            first.saturating_add(into)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::Wallet;
    use hotpath::model::{Model as _, Refusal, VerdictCode};
    use std::collections::BTreeSet;

    fn places() -> Vec<Place> {
        let place = |n: i64| Place {
            account_id: format!("account-{n}"),
            asset: "GBP".to_owned(),
            times: (1..=n).map(|t| t * 1_000).collect(),
        };
        (0..30).map(place).collect()
    }

    fn drawn(seed: u64, method: usize) -> Vec<Vec<u8>> {
        let places = places();
        (0..400)
            .map(|number| {
                let mut random = Random::of(seed, number);
                let place = random.pick(&places).expect("a place").clone();
                question(&mut random, method, &place, &places)
            })
            .collect()
    }

    #[test]
    fn a_seed_gives_the_same_questions_and_another_gives_others() {
        for method in 0..Wallet::METHODS.len() {
            assert_eq!(drawn(1, method), drawn(1, method));
            assert_ne!(drawn(1, method), drawn(2, method));
        }
    }

    #[test]
    fn most_questions_can_be_answered_and_some_break_a_rule() {
        for method in 0..Wallet::METHODS.len() {
            let mut refused = 0;
            for request in drawn(3, method) {
                match Wallet::parse(method, &request) {
                    Ok(_) => {}
                    Err(Refusal::Verdict {
                        code: VerdictCode::InvalidArgument,
                        ..
                    }) => refused += 1,
                    Err(other) => panic!("{other:?}"),
                }
            }
            assert!((1..120).contains(&refused), "{method}: {refused} of 400");
        }
    }

    #[test]
    fn windows_begin_and_end_on_both_sides_of_entries() {
        let place = &places()[5];
        let mut seen = BTreeSet::new();
        for number in 0..2_000 {
            let (from, to) = window(&mut Random::of(9, number), place);
            seen.extend([from, to]);
        }
        for time in &place.times {
            for edge in [time - 1, *time, time + 1] {
                assert!(seen.contains(&edge), "{edge} is in no window");
            }
        }
        assert!(
            seen.len() > 200,
            "times between entries are asked too: {}",
            seen.len()
        );
    }
}
