//! What must hold for any bytes that the exchange is given. libFuzzer looks for bytes for which it does not
//! (`make fuzz`); those in `corpus/` are tried by every `cargo test`.

// A rule that is broken is a panic.
#![allow(clippy::panic)]

mod lane;
mod replies;
mod requests;
mod stream;

/// Its name, and what it tries: that panics if its bytes break a rule.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 4] = [
    ("requests", requests::agree),
    ("stream", stream::splits_alike),
    ("lane", lane::keeps_its_word),
    ("replies", replies::are_read),
];
