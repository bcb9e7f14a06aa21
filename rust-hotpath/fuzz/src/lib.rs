//! Properties that must hold for any bytes that the exchange receives. `make fuzz` runs them under libFuzzer, which
//! looks for bytes that break one. Every `cargo test` tries the bytes in `corpus/`.

// A broken rule is a panic.
#![allow(clippy::panic)]

mod front;
mod lane;
mod replies;
mod requests;
mod stream;

/// A target: its name, and a function that panics if the bytes break a rule.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 5] = [
    ("requests", requests::agree),
    ("stream", stream::splits_alike),
    ("lane", lane::keeps_its_word),
    ("front", front::serves_each_lane),
    ("replies", replies::are_read),
];
