//! `hotpathd`: see `hotpath::app`.

#[path = "../examples/counter/model.rs"]
mod model;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    hotpath::app::main::<model::Counter>()
}
