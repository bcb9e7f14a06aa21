//! `hotpathd`, the wallet's sidecar. See `hotpath::app`.

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    hotpath::app::main::<hotpath_wallet::Wallet>(hotpath::program!())
}
