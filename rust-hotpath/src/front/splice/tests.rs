#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod bounds;
mod closed;
mod conversations;
mod lanes;
mod model;
mod noise;
mod peers;
mod rules;
