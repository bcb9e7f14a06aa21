//! The engine over real sockets, with the tutorial's model; and the real `hotpathd` where the process matters.
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
mod cores;
mod decline;
mod draining;
mod edges;
mod exchange;
mod feed;
mod gzip;
mod harness;
mod health;
mod lane;
mod log;
mod long;
mod models;
mod moody;
mod opening;
mod positions;
mod process;
mod requests;
mod wire;

#[path = "../../examples/counter/model.rs"]
mod counter;
