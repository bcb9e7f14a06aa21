//! What must hold for any bytes that the exchange is given. libFuzzer looks for bytes for which it does not
//! (`make fuzz`); those in `corpus/` are tried by every `cargo test`.

mod lane;
mod replies;
mod requests;
mod stream;

/// Each target and what it tries: it panics if its bytes break a rule.
pub const TARGETS: [(&str, fn(&[u8])); 4] = [
    ("requests", requests::agree),
    ("stream", stream::splits_alike),
    ("lane", lane::keeps_its_word),
    ("replies", replies::are_read),
];
