//! The requests of a scenario, encoded before the first is sent.
//!
//! A request is a TOML table with the fields of the method's message. Texts that begin with `$` stand for what is drawn
//! anew for each request (`$$` begins a text with a dollar sign):
//!
//! | placeholder | of | stands for |
//! |---|---|---|
//! | `$account` | string | a drawn account |
//! | `$asset` | string | its asset |
//! | `$counterparty` | string | another drawn account |
//! | `$accounts:N`, `$accounts:N-M` | repeated string | N (to M) distinct drawn accounts, 1-1,000 |
//! | `$from_us`, `$to_us` | int64 | a random period between the account's first and last entry |
//! | `$from_us:30d`, `$to_us:30d` | int64 | one of that length (s, m, h, d), or the whole span if that is shorter |
//! | `$position`, `$position:N` | int64, uint32, uint64 | 1 to N; without N, to the ledger's transactions |
//!
//! A ledger that was given, not generated, may be shorter than `ledger.transactions`: whoever knows its position sets that
//! to it before [`prepare`].
//!
//! Whatever draws an id does so by the scenario's `[ids]`. All of a request's placeholders are about the same account.

pub(crate) mod draw;
pub(crate) mod placeholder;
pub(crate) mod schema;
pub(crate) mod template;

mod pool;
mod value;
mod writes;

use crate::{
    error::{Error, Kind, Result},
    ids::Place,
    scenario::Scenario,
    traffic::{Method, Request, Workload},
};
use draw::Drawer;
use pool::{Pools, mixed};
use std::sync::Arc;
use writes::Writes;

/// Methods of the service that the sidecar answers.
const HOT: [&str; 5] = [
    "/wallet.v1.WalletService/GetBalance",
    "/wallet.v1.WalletService/BatchGetBalances",
    "/wallet.v1.WalletService/GetStatistics",
    "/wallet.v1.WalletService/GetTopCounterparties",
    "/wallet.v1.WalletService/GetTimeSeries",
];

/// Requests that are ready to be sent.
#[derive(Debug)]
struct Prepared {
    methods: Vec<Method>,
    pools: Pools,
    writes: Option<(u16, Writes)>,
}

impl Workload for Prepared {
    fn methods(&self) -> &[Method] {
        &self.methods
    }

    fn read(&self, seed: u64, n: u64) -> Request<'_> {
        self.pools.pick(mixed(seed, n))
    }

    fn write(&self, k: u64) -> Option<(u16, Vec<u8>)> {
        let (method, writes) = self.writes.as_ref()?;
        Some((*method, writes.encode(k)?))
    }
}

/// Encodes a pool of requests for every entry of the mix. `run_id` makes the ids of writes unique to a run. There are
/// writes only if the scenario asks for some.
pub fn prepare(scenario: &Scenario, places: &[Place], run_id: &str) -> Result<Arc<dyn Workload>> {
    let places = &places[..places.len().min(scenario.ids.at_most)];
    if places.is_empty() {
        return Err(Error::new(Kind::Input, "the list of ids is empty"));
    }
    let mut methods = Methods::default();
    let mut pools = Pools::default();
    for (i, entry) in scenario.mix.iter().enumerate() {
        let method = methods.index(&entry.path);
        let template = template::compile(&entry.path, &entry.request)
            .map_err(|faults| rejected(scenario, entry.line, &faults[0].rule))?;
        let seed = i as u64; // An entry that is added last leaves the requests of those before it as they are.
        let mut drawer = Drawer::new(places, scenario, seed);
        drawer
            .meets(&template.needs)
            .map_err(|rule| rejected(scenario, entry.line, &rule))?;
        pools.begin(method, entry.weight);
        for _ in 0..entry.pool {
            pools
                .push(&template.encode(&mut drawer))
                .map_err(|rule| rejected(scenario, entry.line, &rule))?;
        }
    }
    let writes = if scenario.writes_per_second > 0.0 {
        let writes = Writes::new(Drawer::new(places, scenario, u64::MAX), run_id)?;
        Some((methods.index(writes::PATH), writes))
    } else {
        None
    };
    Ok(Arc::new(Prepared {
        methods: methods.0,
        pools,
        writes,
    }))
}

#[derive(Debug, Default)]
struct Methods(Vec<Method>);

impl Methods {
    fn index(&mut self, path: &str) -> u16 {
        let found = self.0.iter().position(|method| method.path == path);
        let index = found.unwrap_or_else(|| {
            self.0.push(Method {
                path: path.to_owned(),
                hot: HOT.contains(&path),
            });
            self.0.len() - 1
        });
        u16::try_from(index).unwrap_or(u16::MAX)
    }
}

fn rejected(scenario: &Scenario, line: usize, rule: &str) -> Error {
    let message = format!("{}.toml:{line}: mix: {rule}", scenario.name);
    Error::new(Kind::Input, message)
}

#[cfg(test)]
mod tests;
