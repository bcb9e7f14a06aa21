//! Tests the program against servers whose behaviour is known.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::needless_pass_by_value,
    missing_docs
)]

mod known;
mod rig;
mod stub;
mod trust;
