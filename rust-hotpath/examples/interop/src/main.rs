//! A sidecar for gRPC's interop test service, as `google.golang.org/grpc/interop` serves it. The service has no state
//! of its own, it returns statuses of every code, and only the Go service can answer some of its requests.
//! `go-shim/examples/interop` runs grpc-go's interop client against both together.

mod model;

#[global_allocator]
static GLOBAL: hotpath::allocator::Counted<mimalloc::MiMalloc> =
    hotpath::allocator::Counted(mimalloc::MiMalloc);

fn main() -> std::process::ExitCode {
    hotpath::app::main::<model::Interop>(hotpath::program!())
}
