//! Tests the real `hotpathd`. What these tests check of a process does not depend on the model.
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
