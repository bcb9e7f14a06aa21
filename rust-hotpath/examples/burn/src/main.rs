//! The sidecar of the break-even report: its one method uses as much CPU as it is asked to. See `model.rs`, and
//! `go-shim/examples/burn` for the service that it serves.

mod model;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // Calibrates before anybody asks.
    burner::shared();
    hotpath::app::main::<model::Burn>(hotpath::program!())
}
