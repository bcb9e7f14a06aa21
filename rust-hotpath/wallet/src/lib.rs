//! The first model of the `hotpath` engine: balances and statistics of a double-entry wallet.
//!
//! [`wallet`] implements the engine's [`Model`](hotpath::model::Model) with one file per method. Below it there is no
//! request and no reply: [`ledger`] holds the accounts and applies transactions, [`stats`] computes exact figures over
//! one version. The program `hotpathd` serves it.

pub mod ledger;
pub mod proto;
pub mod stats;
pub mod wallet;

pub use wallet::Wallet;
