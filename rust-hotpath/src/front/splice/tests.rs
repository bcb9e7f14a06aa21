#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

mod conversations;
mod model;
mod peers;
