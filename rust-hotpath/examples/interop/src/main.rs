//! A sidecar for gRPC's interop test service, as `google.golang.org/grpc/interop` serves it: a service without state of its
//! own, statuses of every code, and requests that only the Go service can answer.
//! `go-shim/examples/interop` runs grpc-go's interop client against both together.

mod model;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    hotpath::app::main::<model::Interop>(hotpath::program!())
}
