//! The requests of a scenario, encoded before the first is sent.
//!
//! A request is a TOML table with the fields of the method's message. A text that begins with `$` is a placeholder, for
//! which a value is drawn for each request (`$$` begins a text with a dollar sign):
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
//! Ids are drawn as the scenario's `[ids]` say. All placeholders of a request are about the same account.

pub(crate) mod draw;
pub(crate) mod placeholder;
pub(crate) mod schema;
pub(crate) mod template;

mod pool;
mod unknown;
mod value;
mod writes;

pub use draw::Draw;
pub(crate) use unknown::unknown;

use crate::{
    error::Result,
    traffic::{Method, Request, Workload},
};
use draw::Drawer;
use pool::{Pools, mixed};
use template::Template;
use writes::Writes;

/// Methods that the sidecar answers.
const HOT: [&str; 5] = [
    "/wallet.v1.WalletService/GetBalance",
    "/wallet.v1.WalletService/BatchGetBalances",
    "/wallet.v1.WalletService/GetStatistics",
    "/wallet.v1.WalletService/GetTopCounterparties",
    "/wallet.v1.WalletService/GetTimeSeries",
];

/// Requests that are ready to be sent.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    methods: Methods,
    pools: Pools,
    writes: Option<(u16, Writes)>,
}

impl Workload for Prepared {
    fn methods(&self) -> &[Method] {
        &self.methods.0
    }

    fn read(&self, seed: u64, n: u64) -> Request<'_> {
        self.pools.pick(mixed(seed, n))
    }

    fn write(&self, k: u64) -> Option<(u16, Vec<u8>)> {
        let (method, writes) = self.writes.as_ref()?;
        Some((*method, writes.encode(k)?))
    }
}

impl Prepared {
    /// Encodes a pool of requests. Reads take one from it as often as `weight` says, relative to the other entries.
    pub(crate) fn add(
        &mut self,
        path: &str,
        (weight, pool): (u32, usize),
        template: &Template,
        drawer: &mut Drawer<'_>,
    ) -> Result<(), String> {
        drawer.meets(&template.needs)?;
        let method = self.methods.index(path);
        self.pools.begin(method, weight);
        for _ in 0..pool {
            self.pools.push(&template.encode(drawer))?;
        }
        Ok(())
    }

    /// Adds payments beside the reads. `run_id` makes their ids unique to a run.
    pub(crate) fn add_writes(&mut self, drawer: Drawer<'_>, run_id: &str) -> Result<()> {
        let writes = Writes::new(drawer, run_id)?;
        self.writes = Some((self.methods.index(writes::PATH), writes));
        Ok(())
    }
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

#[cfg(test)]
mod tests;
