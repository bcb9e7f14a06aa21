//! `hotpathd`, the wallet's sidecar. See `hotpath::app`.

use std::time::Duration;

#[global_allocator]
static GLOBAL: hotpath::allocator::Counted<mimalloc::MiMalloc> =
    hotpath::allocator::Counted(mimalloc::MiMalloc);

/// How often freed pages are given back to the system. The allocator does so by itself only when threads go on to allocate,
/// and after the ledger was loaded, with all its intermediate versions, the writer may rest for long.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(2);

fn main() -> std::process::ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == "verify") {
        return hotpath_wallet::verify::main(args);
    }
    let giving = std::thread::Builder::new().name("give-back".to_owned());
    if let Err(error) = giving.spawn(give_back) {
        eprintln!(
            "hotpathd: freed memory is given back late, because no thread can be started for it: {error}"
        );
    }
    let program = hotpath::program!().with_commands(hotpath_wallet::verify::SUMMARY);
    hotpath::app::main::<hotpath_wallet::Wallet>(program)
}

fn give_back() {
    loop {
        std::thread::sleep(GIVE_BACK_EVERY);
        #[expect(
            unsafe_code,
            reason = "a call of C that takes no pointers, and may be made by any thread"
        )]
        unsafe {
            libmimalloc_sys::mi_collect(true);
        }
    }
}
