//! A sidecar as another team would write it: a crate of its own that uses only the public API of the engine. The model
//! is in `model.rs`.
//!
//! ```text
//! cargo run -p counter -- --socket /tmp/counter.sock
//! ```
//!
//! Everything else (feed, versions, history, health, metrics, profiles, drain) comes with `app::main`.

mod model;

#[global_allocator]
static GLOBAL: hotpath::allocator::Counted<mimalloc::MiMalloc> =
    hotpath::allocator::Counted(mimalloc::MiMalloc);

fn main() -> std::process::ExitCode {
    hotpath::app::main::<model::Counter>(hotpath::program!())
}
