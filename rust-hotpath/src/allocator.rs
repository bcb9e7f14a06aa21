//! Counts what a program has allocated, beside what the system has given it.
//!
//! Resident memory says what the process costs. Allocated memory says how much of that is in use: the difference is what the
//! allocator keeps, and what lies between the pieces.

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    sync::atomic::{
        AtomicI64, AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed},
    },
};

/// Threads that have counts of their own. Those that begin later share one.
const OWN: usize = 63;

/// A global allocator that counts for `/debug/memory` and `/metrics`.
///
/// ```
/// use hotpath::allocator::Counted;
///
/// #[global_allocator]
/// static GLOBAL: Counted<std::alloc::System> = Counted(std::alloc::System);
/// ```
///
/// An allocation costs a nanosecond more: a thread adds to counts that no other thread writes, so nothing is locked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted<A>(pub A);

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocated {
    /// Bytes that are allocated at this moment, as they were asked for.
    pub bytes: u64,
    /// Allocations since the start. A reallocation is one, too.
    pub allocations: u64,
}

/// The counts of one thread. A line of the cache has no other.
#[repr(align(64))]
struct Counts {
    bytes: AtomicI64,
    allocations: AtomicU64,
}

static COUNTS: [Counts; OWN + 1] = [const { Counts::new() }; OWN + 1];
/// How many threads have asked for counts.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The index of this thread's counts. This must need no destructor, because memory is also freed while a thread ends.
    static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// What the program has allocated; `None` if its global allocator is no [`Counted`].
#[must_use]
pub fn allocated() -> Option<Allocated> {
    if THREADS.load(Acquire) == 0 {
        return None;
    }
    let (mut bytes, mut allocations) = (0_i64, 0_u64);
    for counts in &COUNTS {
        // One thread may free what another has allocated, so that only the sum makes sense.
        bytes = bytes.wrapping_add(counts.bytes.load(Relaxed));
        allocations = allocations.wrapping_add(counts.allocations.load(Relaxed));
    }
    Some(Allocated {
        bytes: u64::try_from(bytes).unwrap_or(0),
        allocations,
    })
}

impl Counts {
    const fn new() -> Self {
        Self {
            bytes: AtomicI64::new(0),
            allocations: AtomicU64::new(0),
        }
    }
}

/// Adds to the counts of this thread.
fn count(bytes: i64, allocations: u64) {
    let mut index = MINE.get();
    if index == usize::MAX {
        index = THREADS.fetch_add(1, Relaxed).min(OWN);
        MINE.set(index);
    }
    let counts = &COUNTS[index];
    if index < OWN {
        // Nobody else writes here, and an addition that others may interrupt costs a third of one that they may not.
        let sum = counts.bytes.load(Relaxed).wrapping_add(bytes);
        counts.bytes.store(sum, Relaxed);
        let sum = counts.allocations.load(Relaxed).wrapping_add(allocations);
        counts.allocations.store(sum, Relaxed);
    } else {
        counts.bytes.fetch_add(bytes, Relaxed);
        counts.allocations.fetch_add(allocations, Relaxed);
    }
}

/// No layout is longer than `isize::MAX`.
fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[expect(
    unsafe_code,
    reason = "the trait of global allocators; every call is handed on unchanged"
)]
// SAFETY: `A` keeps the promises of the trait. Counting neither allocates nor panics.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counted<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = unsafe { self.0.alloc(layout) };
        if !start.is_null() {
            count(size(layout.size()), 1);
        }
        start
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let start = unsafe { self.0.alloc_zeroed(layout) };
        if !start.is_null() {
            count(size(layout.size()), 1);
        }
        start
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        unsafe { self.0.dealloc(start, layout) };
        count(-size(layout.size()), 0);
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let moved = unsafe { self.0.realloc(start, layout, bytes) };
        if !moved.is_null() {
            count(size(bytes) - size(layout.size()), 1);
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{alloc::System, sync::Mutex, thread};

    /// The counts belong to the process.
    static ALONE: Mutex<()> = Mutex::new(());

    const KIB: Layout = Layout::new::<[u8; 1024]>();

    fn now() -> Allocated {
        allocated().unwrap_or_default()
    }

    #[expect(unsafe_code, reason = "calls of an allocator")]
    fn get() -> usize {
        let start = unsafe { Counted(System).alloc(KIB) };
        start.expose_provenance()
    }

    #[expect(unsafe_code, reason = "calls of an allocator")]
    fn give_back(address: usize, layout: Layout) {
        unsafe { Counted(System).dealloc(std::ptr::with_exposed_provenance_mut(address), layout) }
    }

    #[test]
    fn what_one_thread_allocates_another_may_free() {
        let _alone = ALONE.lock().expect("no test has panicked");
        let before = now();
        let address = thread::spawn(get).join().expect("a thread");
        let held = now();
        assert_eq!(held.bytes, before.bytes + 1024);
        assert_eq!(held.allocations, before.allocations + 1);
        give_back(address, KIB);
        assert_eq!(now().bytes, before.bytes);
    }

    #[test]
    #[expect(unsafe_code, reason = "calls of an allocator")]
    fn a_reallocation_counts_the_difference() {
        let _alone = ALONE.lock().expect("no test has panicked");
        let before = now();
        let start = unsafe { Counted(System).alloc_zeroed(KIB) };
        let start = unsafe { Counted(System).realloc(start, KIB, 4096) };
        assert_eq!(now().bytes, before.bytes + 4096);
        let start = unsafe { Counted(System).realloc(start, Layout::new::<[u8; 4096]>(), 16) };
        assert_eq!(now().bytes, before.bytes + 16);
        assert_eq!(now().allocations, before.allocations + 3);
        give_back(start.expose_provenance(), Layout::new::<[u8; 16]>());
        assert_eq!(now().bytes, before.bytes);
    }

    #[test]
    fn more_threads_than_have_counts_of_their_own() {
        let _alone = ALONE.lock().expect("no test has panicked");
        let before = now();
        for _ in 0..2 * OWN {
            let address = thread::spawn(get).join().expect("a thread");
            give_back(address, KIB);
        }
        assert_eq!(now().bytes, before.bytes);
        assert_eq!(
            now().allocations,
            before.allocations + 2 * u64::try_from(OWN).expect("few")
        );
    }
}
