//! A sidecar for another model, as another team would write it. The model is in `counter/model.rs`.
//!
//! ```text
//! cargo run --example counter -- --socket /tmp/counter.sock
//! ```
//!
//! Everything else (feed, versions, history, health, metrics, profiles, drain) comes with `app::main`.

#[path = "counter/model.rs"]
mod model;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    hotpath::app::main::<model::Counter>()
}
