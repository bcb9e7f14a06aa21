//! Runs one target under libFuzzer. `FUZZ_TARGET` names it.
#![no_main]

use std::{process, sync::OnceLock};

/// The target, which is looked up only once.
static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let asked = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let found = hotpath_fuzz::TARGETS.iter().find(|(name, _)| *name == asked);
        let Some((_, run)) = found else {
            let known = hotpath_fuzz::TARGETS.map(|(name, _)| name).join(", ");
            eprintln!("FUZZ_TARGET: must be one of {known}, not {asked:?}");
            process::exit(64);
        };
        TARGET.get_or_init(|| *run);
    },
    |data: &[u8]| {
        if let Some(run) = TARGET.get() {
            run(data);
        }
    }
);
