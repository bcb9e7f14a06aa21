//! Finds out whether this program was built with frame pointers. The profiler uses them to find out who called whom.
//! They are a flag of the whole build, so a library cannot turn them on. Only whoever builds the program can.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use std::arch::asm;
use std::{hint::black_box, ptr};

/// Says what is wrong without frame pointers, and which line corrects it.
pub(crate) const MISSING: &str = "profiles lack most functions, because this program was built without frame pointers: \
    put rustflags = [\"-C\", \"force-frame-pointers=yes\"] below [build] in .cargo/config.toml";

/// The number of calls that are made to see whether their frames are linked.
const CALLS: usize = 8;

/// Returns [`MISSING`] if frame pointers are missing.
pub(crate) fn missing() -> Option<&'static str> {
    (!kept()).then_some(MISSING)
}

/// Whether the chain of frames can be followed through calls of this crate. All crates of a program are built with the
/// same flags.
fn kept() -> bool {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return true;
    }
    let above = 0_usize;
    let above = ptr::from_ref(black_box(&above)).addr();
    // One or two calls may be missing in the chain, because a function that calls no other may do without a frame.
    call(CALLS, above) >= CALLS / 2
}

/// Calls itself `times` times, then counts the links of the chain below `above`.
#[inline(never)]
fn call(times: usize, above: usize) -> usize {
    let found = match black_box(times) {
        0 => links(above),
        more => call(more - 1, above),
    };
    // Used after the call, so that the call needs a frame of its own.
    black_box(found)
}

/// The length of the chain of frames between here and `above`, an address further up the stack.
#[inline(never)]
#[allow(unsafe_code)]
fn links(above: usize) -> usize {
    let below = 0_usize;
    let mut last = ptr::from_ref(black_box(&below)).addr();
    let mut frame = frame_pointer();
    let mut links = 0;
    // Without frame pointers the register may hold anything.
    while frame > last && frame < above && frame.is_multiple_of(align_of::<usize>()) {
        last = frame;
        // SAFETY: `frame` is an aligned word between two live variables of this thread. So it is in the stack, which
        // can be read.
        frame = unsafe { ptr::read_volatile(ptr::with_exposed_provenance(frame)) };
        links += 1;
    }
    links
}

/// Returns the register that holds the address of the newest frame if there are frame pointers. Returns 0 on processors
/// where it is not known which register that is.
#[inline(always)]
#[allow(unsafe_code)]
fn frame_pointer() -> usize {
    #[allow(unused_mut)]
    let mut frame = 0;
    // SAFETY: it copies a register and does nothing else.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("mov {}, x29", out(reg) frame, options(nomem, nostack, preserves_flags));
    }
    frame
}
