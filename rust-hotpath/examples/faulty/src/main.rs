//! The wallet's sidecar with a fault, for `make drills` and tests: everything but the fault is `hotpathd`. `FAULT` in the
//! environment chooses it.
//!
//! | `FAULT` | what is wrong |
//! |---|---|
//! | `wrong-balance` | `GetBalance` says one too much of each balance that is a multiple of seven |
//! | `schema` | the reply of `GetStatistics` has a field that the service does not know |
//! | `gap` | each event claims the position after its own, so one seems to be missing |
//! | `crash` | the process aborts when an event comes |
//!
//! If `FAULT_WHILE` names a file, the last two happen only while it is there.

mod faults;
mod model;

use faults::{Crash, Gap, Schema, WrongBalance};
use std::process::ExitCode;

#[global_allocator]
static GLOBAL: hotpath::allocator::Counted<mimalloc::MiMalloc> =
    hotpath::allocator::Counted(mimalloc::MiMalloc);

/// `EX_USAGE`.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let program = hotpath::program!();
    let fault = std::env::var("FAULT").unwrap_or_default();
    match fault.as_str() {
        "wrong-balance" => hotpath::app::main::<model::Faulty<WrongBalance>>(program),
        "schema" => hotpath::app::main::<model::Faulty<Schema>>(program),
        "gap" => hotpath::app::main::<model::Faulty<Gap>>(program),
        "crash" => hotpath::app::main::<model::Faulty<Crash>>(program),
        other => {
            eprintln!(
                "faulty-sidecar: FAULT {other:?}: must be wrong-balance, schema, gap or crash"
            );
            ExitCode::from(USAGE)
        }
    }
}
