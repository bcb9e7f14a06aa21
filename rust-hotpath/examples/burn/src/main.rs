//! The sidecar of the break-even report. Its one method uses as much CPU as the request says. The model is in
//! `model.rs`, and the service is in `go-shim/examples/burn`.

mod model;

#[global_allocator]
static GLOBAL: hotpath::allocator::Counted<mimalloc::MiMalloc> =
    hotpath::allocator::Counted(mimalloc::MiMalloc);

fn main() -> std::process::ExitCode {
    // Calibration should be over before the first request.
    burner::shared();
    hotpath::app::main::<model::Burn>(hotpath::program!())
}
