//! A sidecar that answers the CPU-heavy reads of a gRPC service from immutable versions of a ledger.
//!
//! Start at [`model`]: it is all that a team writes to have its own reads served. [`app`] composes the rest:
//! events come in through [`feed`], are applied by the single writer in [`ingest`], published in [`view`], and read
//! by [`serve`], one by one, or many at a time through [`exchange`]. [`control`] is the handshake with the shim, [`admin`] is for operators.

#[cfg(test)]
extern crate self as hotpath;

pub mod admin;
pub mod app;
pub mod config;
pub mod control;
pub mod error;
pub mod exchange;
pub mod feed;
pub mod health;
pub mod ingest;
pub mod ledger;
pub mod limits;
pub mod listen;
pub mod model;
pub mod proto;
pub mod readiness;
pub mod runtime;
pub mod schema;
pub mod serve;
pub mod settings;
pub mod shutdown;
pub mod socket;
pub mod stats;
pub mod view;
pub mod wallet;

/// The tutorial's model, so that the engine's unit tests have something to serve.
#[cfg(test)]
#[path = "../examples/counter/model.rs"]
mod counter;

#[cfg(test)]
#[path = "../tests/it/moody.rs"]
mod moody;
