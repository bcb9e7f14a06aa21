//! Draws the values of placeholders from a fixed seed.

use super::{placeholder::Length, template::Needs};
use crate::ids::Place;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, Zipf};
use rand_pcg::Pcg64Mcg;
use std::{
    collections::HashSet,
    ops::{Range, RangeInclusive},
};

/// The seed is fixed, so that every run of a scenario with the same ids sends the same requests.
const SEED: u64 = 0x6c6f_6164_7465_7374;
/// So many draws may hit an account that is taken. Then the list is searched from its beginning instead.
const MAX_TRIES: usize = 64;

/// The distribution of ids.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Draw {
    /// All ids are equally likely.
    Uniform,
    /// The id at place `i` (from 1) has the weight `1 / i^exponent`.
    Zipf {
        /// The exponent, above 0.
        exponent: f64,
    },
}

/// A source of ids and periods.
#[derive(Debug)]
pub(crate) struct Drawer<'a> {
    places: &'a [Place],
    zipf: Option<Zipf<f64>>,
    transactions: u64,
    random: Pcg64Mcg,
}

/// The values of one request.
#[derive(Debug)]
pub(crate) struct Drawn<'a> {
    pub(crate) place: &'a Place,
    pub(crate) counterparty: &'a Place,
    pub(crate) period: Range<i64>,
}

impl<'a> Drawer<'a> {
    /// Draws from `places`, which must not be empty. `transactions` is the highest position. Different `seed`s give
    /// independent draws.
    pub(crate) fn new(places: &'a [Place], draw: Draw, transactions: u64, seed: u64) -> Self {
        #[allow(clippy::cast_precision_loss)] // At most a million.
        let zipf = match draw {
            Draw::Uniform => None,
            Draw::Zipf { exponent } => Zipf::new(places.len() as f64, exponent).ok(),
        };
        Self {
            places,
            zipf,
            transactions,
            random: Pcg64Mcg::seed_from_u64(SEED ^ seed),
        }
    }

    /// Checks that the list has as many accounts as requests need.
    pub(crate) fn meets(&self, needs: &Needs) -> Result<(), String> {
        let accounts: HashSet<&str> = self.places.iter().map(|p| p.account.as_str()).collect();
        if needs.accounts <= accounts.len() {
            return Ok(());
        }
        Err(format!(
            "needs {} different accounts, and the list of ids has {}",
            needs.accounts,
            accounts.len()
        ))
    }

    /// Draws the values of the next request.
    pub(crate) fn request(&mut self, needs: &Needs) -> Drawn<'a> {
        let place = self.place();
        let counterparty = if needs.counterparty {
            self.other(&[place.account.as_str()])
        } else {
            place
        };
        Drawn {
            place,
            counterparty,
            period: self.period(place, needs.length.flatten()),
        }
    }

    /// Draws one place of the list.
    pub(crate) fn place(&mut self) -> &'a Place {
        let index = match self.zipf {
            None => self.random.random_range(0..self.places.len()),
            Some(zipf) => {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let rank = zipf.sample(&mut self.random) as usize;
                rank.clamp(1, self.places.len()) - 1
            }
        };
        &self.places[index]
    }

    /// Draws a place whose account is not among `taken`. If there is none, returns any place.
    fn other(&mut self, taken: &[&str]) -> &'a Place {
        for _ in 0..MAX_TRIES {
            let place = self.place();
            if !taken.contains(&place.account.as_str()) {
                return place;
            }
        }
        let mut places = self.places.iter();
        let free = places.find(|place| !taken.contains(&place.account.as_str()));
        free.unwrap_or(&self.places[0])
    }

    /// Returns the time of the latest entry of all places.
    pub(crate) fn newest_us(&self) -> i64 {
        let lasts = self.places.iter().map(|place| place.span_us.1);
        lasts.max().unwrap_or_default()
    }

    /// Draws two places, with different accounts if the list has some.
    pub(crate) fn pair(&mut self) -> (&'a Place, &'a Place) {
        let place = self.place();
        (place, self.other(&[place.account.as_str()]))
    }

    /// Draws different accounts.
    pub(crate) fn accounts(&mut self, count: &RangeInclusive<usize>) -> Vec<&'a str> {
        let count = self.random.random_range(count.clone());
        let mut accounts = Vec::with_capacity(count);
        while accounts.len() < count {
            accounts.push(self.other(&accounts).account.as_str());
        }
        accounts
    }

    /// Draws a position from 1 to `last`.
    pub(crate) fn position(&mut self, last: Option<u64>) -> u64 {
        self.random
            .random_range(1..=last.unwrap_or(self.transactions).max(1))
    }

    /// Draws a period. Its end is exclusive, as in the service's requests.
    fn period(&mut self, place: &Place, length: Length) -> Range<i64> {
        let (first, end) = (place.span_us.0, place.span_us.1 + 1);
        match length {
            None => {
                let from = self.random.random_range(first..end);
                from..self.random.random_range(from + 1..=end)
            }
            Some(length) => {
                let length = length.min(end - first);
                let from = self.random.random_range(first..=end - length);
                from..from + length
            }
        }
    }
}
