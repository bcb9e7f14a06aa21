//! A sidecar that answers the CPU-heavy reads of a gRPC service from immutable versions of a ledger.

pub mod ledger;
pub mod model;
pub mod proto;
pub mod stats;
pub mod wallet;
