//! The real `hotpathd`: what matters of a process is the same whatever it serves.
#![allow(
    missing_docs,
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

#[path = "../../../tests/it/client.rs"]
mod client;
mod log;
mod process;
