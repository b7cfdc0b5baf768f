//! The guest's allocator: a pointer that only moves up.
//!
//! Owns all memory above the program's data. An instance serves one login and is then dropped whole, so freeing would
//! be work for nothing; using the memory that is there from the start spares the host a costly growth. It must not be
//! used where an instance lives on: memory that is given back is never handed out again.
#![expect(unsafe_code, reason = "an allocator hands out raw memory")]

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};
use core::cell::Cell;
use core::ptr::{copy_nonoverlapping, null_mut};

/// Bytes of a WebAssembly page.
const PAGE: usize = 65_536;

unsafe extern "C" {
    /// Its address, set by the linker, is where the program's data ends.
    static __heap_base: u8;
}

struct Bump {
    /// First free byte; 0 before the first allocation.
    next: Cell<usize>,
}

// SAFETY: the target has no threads, so nothing is ever shared between two of them.
unsafe impl Sync for Bump {}

#[global_allocator]
static BUMP: Bump = Bump { next: Cell::new(0) };

impl Bump {
    /// First byte that was never handed out.
    fn free_from(&self) -> usize {
        match self.next.get() {
            // Only the address of the symbol is taken.
            0 => (&raw const __heap_base).addr(),
            next => next,
        }
    }

    /// Makes all bytes below `end` usable and taken. `None`: the host grants no more memory.
    fn take_until(&self, end: usize) -> Option<()> {
        let missing = end.saturating_sub(memory_size(0).checked_mul(PAGE)?);
        if missing > 0 && memory_grow(0, missing.div_ceil(PAGE)) == usize::MAX {
            return None;
        }
        self.next.set(end);
        Some(())
    }

    fn allocate(&self, layout: Layout) -> Option<usize> {
        let start = self.free_from().checked_next_multiple_of(layout.align())?;
        self.take_until(start.checked_add(layout.size())?)?;
        Some(start)
    }

    /// Grows or shrinks in place what was handed out last.
    fn resize_last(&self, block: *mut u8, old: usize, new: usize) -> Option<()> {
        let start = block.addr();
        if start.checked_add(old)? != self.next.get() {
            return None;
        }
        self.take_until(start.checked_add(new)?)
    }
}

// SAFETY: every block lies between the end of the program's data and the end of memory, is aligned, and overlaps no
// other, since each starts at or above the end of the one before. Nothing unwinds.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.allocate(layout).map_or(null_mut(), core::ptr::with_exposed_provenance_mut)
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if self.resize_last(block, layout.size(), size).is_some() {
            return block;
        }
        if size <= layout.size() {
            return block;
        }
        // SAFETY: the caller promises that `size` does not overflow when rounded up to this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: `wanted` is not empty, as the caller promises that `size` isn't.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both blocks hold `layout.size()` bytes, and the new one overlaps nothing.
            unsafe { copy_nonoverlapping(block, moved, layout.size()) };
        }
        moved
    }
}
