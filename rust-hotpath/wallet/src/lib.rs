//! The first model of the `hotpath` engine: balances and statistics of a double-entry wallet.
//!
//! [`wallet`] implements the engine's [`Model`](hotpath::model::Model), with one file per method. The modules below it
//! know no requests and replies: [`ledger`] holds the accounts and applies transactions, [`history`] holds and indexes
//! the entries of one account, and [`stats`] computes exact figures over one version. The program `hotpathd` serves this
//! model; with the command `verify` it audits one that runs, by questions that [`draw`] makes.

pub mod draw;
pub mod history;
pub mod ledger;
pub mod proto;
pub mod stats;
pub mod verify;
pub mod wallet;

pub use wallet::Wallet;
