//! Finds accounts and times to ask about, by Go's own reads of its store. So no list of accounts is needed, and each
//! account is found as often as it is used.

use super::peer::{At, Peer};
use crate::{
    draw::{Place, Random},
    proto as p,
    wallet::Wallet,
};
use hotpath::model::Model as _;
use prost::Message;
use std::collections::HashMap;
use tonic::{Code, codegen::http::uri::PathAndQuery};

/// Most transactions that are read.
const TRANSACTIONS: u64 = 2_000;
/// Pages of entries that are read of a single account, and entries on each.
const PAGES: usize = 20;
const PAGE: u32 = 1_000;
/// Times that are kept of an account. With more, drawing the edge of a window would take long.
const TIMES: usize = 4_000;

/// What can be asked about.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Each account and asset once.
    pub(super) places: Vec<Place>,
    /// For each entry that was found, its place. So busy places are drawn more often.
    entries: Vec<usize>,
    known: HashMap<(String, String), usize>,
}

impl Survey {
    /// Reads transactions at positions drawn by `seed`, up to `head`; or the entries of one account.
    pub(super) async fn of(
        go: &Peer,
        head: u64,
        (seed, questions): (u64, u64),
        account: Option<&str>,
    ) -> Result<Self, String> {
        let mut survey = Self::default();
        match account {
            Some(account) => survey.read_account(go, account).await?,
            None => {
                let mut random = Random::of(seed, u64::MAX);
                for _ in 0..questions.clamp(100, TRANSACTIONS).min(head) {
                    let position = 1 + random.below(head);
                    survey.read_transaction(go, position).await?;
                }
            }
        }
        if survey.places.is_empty() {
            return Err("Go has no entry to ask about: the ledger is empty".to_owned());
        }
        Ok(survey)
    }

    /// Draws a place. In half of the cases busy ones are more likely, in the others all are equally likely.
    pub(super) fn place(&self, random: &mut Random) -> Option<&Place> {
        if random.below(2) == 0 {
            return random.pick(&self.places);
        }
        let at = random.pick(&self.entries)?;
        self.places.get(*at)
    }

    async fn read_transaction(&mut self, go: &Peer, position: u64) -> Result<(), String> {
        let request = p::GetTransactionRequest {
            key: Some(p::get_transaction_request::Key::Position(position)),
        };
        let reply: p::GetTransactionResponse = call(go, "GetTransaction", &request).await?;
        let transaction = reply.transaction.unwrap_or_default();
        for entry in transaction.entries {
            self.add(entry, transaction.occurred_at_us);
        }
        Ok(())
    }

    async fn read_account(&mut self, go: &Peer, account: &str) -> Result<(), String> {
        let mut page_token = String::new();
        for _ in 0..PAGES {
            let request = p::ListEntriesRequest {
                account_id: account.to_owned(),
                asset: None,
                page_size: PAGE,
                page_token,
            };
            let reply: p::ListEntriesResponse = call(go, "ListEntries", &request).await?;
            for listed in reply.entries {
                self.add(listed.entry.unwrap_or_default(), listed.occurred_at_us);
            }
            page_token = reply.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn add(&mut self, entry: p::Entry, occurred_at_us: i64) {
        let key = (entry.account_id, entry.asset);
        let at = *self.known.entry(key.clone()).or_insert_with(|| {
            let (account_id, asset) = key;
            self.places.push(Place {
                account_id,
                asset,
                times: Vec::new(),
            });
            self.places.len() - 1
        });
        self.entries.push(at);
        if let Some(place) = self.places.get_mut(at)
            && place.times.len() < TIMES
        {
            place.times.push(occurred_at_us);
        }
    }
}

/// The path of a method of the wallet.
pub(super) fn path(method: &str) -> Result<PathAndQuery, String> {
    let path = format!("/{}/{method}", Wallet::SERVICE);
    path.parse().map_err(|error| format!("{path}: {error}"))
}

async fn call<R: Message + Default>(
    go: &Peer,
    method: &str,
    request: &impl Message,
) -> Result<R, String> {
    let answer = go
        .ask(path(method)?, request.encode_to_vec(), At::Newest)
        .await;
    if answer.code != Code::Ok {
        return Err(format!(
            "{} does not say what there is to ask about: {method}: {:?} {}",
            go.name, answer.code, answer.message
        ));
    }
    R::decode(&*answer.reply).map_err(|error| format!("{}: {method}: {error}", go.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_places_are_drawn_more_often_and_quiet_ones_too() {
        let mut survey = Survey::default();
        let entry = |account: &str| p::Entry {
            account_id: account.to_owned(),
            asset: "GBP".to_owned(),
            ..p::Entry::default()
        };
        for at in 0..97 {
            survey.add(entry("busy"), at);
        }
        for account in ["a", "b", "c"] {
            survey.add(entry(account), 5);
        }
        assert_eq!((survey.places.len(), survey.places[0].times.len()), (4, 97));
        let drawn = (0..1_000).filter_map(|n| {
            let place = survey.place(&mut Random::of(1, n))?;
            Some(place.account_id.clone())
        });
        let busy = drawn.filter(|account| account == "busy").count();
        assert!((500..750).contains(&busy), "{busy} of 1000");
    }
}
