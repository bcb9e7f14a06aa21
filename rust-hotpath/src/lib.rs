//! A sidecar that answers the CPU-heavy reads of a gRPC service from immutable versions of a ledger.
//!
//! Start at [`model`]: a team implements it to have its own reads served. [`app`] runs the model as a program of the
//! team's own. These two, [`allocator`], [`config`], [`error`] and [`schema`] are the public API. The crate's README says what goes
//! into `Cargo.toml`.
//!
//! Behind them, [`app`] composes the engine:
//!
//! ```text
//!  shim ── events ──> feed ──> ingest (the only writer) ──> view (versions)
//!                                                              │
//!  callers ── requests ──> serve (one by one) <────────────────┤
//!  shim ───── requests ──> exchange (many at a time) <─────────┘
//! ```
//!
//! `listen` accepts the connections of callers and of the shim, and `front` may answer some calls before hyper sees them.
//! `control` is the handshake with the shim, `health` is gRPC health and reflection, and `admin` is for operators.
//! `runtime` has the threads and the log, `settings` reads flags, environment and file, and `limits` has every limit.
//! Modules that the documentation does not list
//! can be reached only by the benches, fuzz targets and tests of the engine's own repository. They may change with any
//! version.

#[cfg(test)]
extern crate self as hotpath;

#[doc(hidden)]
pub mod admin;
pub mod allocator;
pub mod app;
pub mod config;
#[doc(hidden)]
pub mod control;
pub mod error;
#[doc(hidden)]
pub mod exchange;
#[doc(hidden)]
pub mod feed;
mod frame_pointers;
#[doc(hidden)]
pub mod front;
#[doc(hidden)]
pub mod health;
#[doc(hidden)]
pub mod histogram;
#[doc(hidden)]
pub mod ingest;
mod json;
#[doc(hidden)]
pub mod limits;
#[doc(hidden)]
pub mod listen;
pub mod model;
mod program;
#[doc(hidden)]
pub mod proto;
#[doc(hidden)]
pub mod readiness;
#[doc(hidden)]
pub mod ready_file;
#[doc(hidden)]
pub mod runtime;
pub mod schema;
#[doc(hidden)]
pub mod serve;
#[doc(hidden)]
pub mod settings;
#[doc(hidden)]
pub mod shutdown;
#[doc(hidden)]
pub mod socket;
#[doc(hidden)]
pub mod view;

/// The tutorial's model. The engine's unit tests serve it.
#[cfg(test)]
#[path = "../examples/counter/src/model.rs"]
mod counter;

#[cfg(test)]
#[path = "../tests/it/moody.rs"]
mod moody;
