//! What the global allocator keeps for later, given back to the system.
//!
//! Promises  nothing that is in use moves.
//! Source    mimalloc, `mi_collect`: a thread's own free pages; those of threads that have ended with them.

/// Gives free pages of this thread back. Does nothing where another allocator is the global one.
///
/// - Cost: looks at every page of the thread's heap.
pub fn give_back_free_pages() {
    // SAFETY: may be called at any time, from any thread; it touches nothing that is handed out.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
