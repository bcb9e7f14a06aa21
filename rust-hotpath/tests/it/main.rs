//! Tests the engine over real sockets, with the tutorial's model. Tests of the process are among the wallet's.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod admin;
mod backlog;
mod client;
mod cores;
mod decline;
mod draining;
mod edges;
mod exchange;
mod feed;
mod front;
mod front_bounds;
mod front_lanes;
mod front_rules;
mod gzip;
mod harness;
mod health;
mod lane;
mod long;
mod models;
mod moody;
mod opening;
mod positions;
mod requests;
mod wire;

#[path = "../../examples/counter/src/model.rs"]
mod counter;
