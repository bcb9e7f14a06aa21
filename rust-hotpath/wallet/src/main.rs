//! `hotpathd`, the wallet's sidecar. See `hotpath::app`.

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == "verify") {
        return hotpath_wallet::verify::main(args);
    }
    let program = hotpath::program!().with_commands(hotpath_wallet::verify::SUMMARY);
    hotpath::app::main::<hotpath_wallet::Wallet>(program)
}
