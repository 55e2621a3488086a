//! One Lua state: its memory, its libraries, what it keeps for its host.
//!
//! Memory: Lua asks `allocate` for every byte and tells the size of what it gives back, so the account is exact. At the
//! limit Lua's own code gets "not enough memory", an error that ends the script; a native function, which must not be
//! left in the middle, gets its memory nevertheless and the error once it returns.

use super::ffi;
use super::frame::{Frame, Thrown};
use super::thread::Core;
use std::alloc::Layout;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::rc::Rc;

/// What the room above puts into a machine.
pub trait Host: Sized + 'static {
    /// Kept for each thread, at hand in every native function.
    type Data: Default;

    /// Called in the middle of a script after so many instructions ([`super::Thread::set_hook`]).
    ///
    /// - Errors: raised in the script, where it stands.
    fn tick(frame: &mut Frame<'_, Self>) -> Result<(), Thrown>;
}

/// The account of a machine's memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Held by the machine now.
    pub used: usize,
    /// What it may hold.
    pub max: usize,
}

/// What the allocator, the native functions and the host share.
pub(super) struct Shared<H: Host> {
    used: Cell<usize>,
    max: Cell<usize>,
    /// Native functions (and the host itself) under way: while there are any, no allocation fails.
    pub(super) natives: Cell<u32>,
    /// The thread that runs.
    pub(super) current: Cell<*const Core<H>>,
}

impl<H: Host> Shared<H> {
    pub(super) fn is_over(&self) -> bool {
        self.used.get() > self.max.get()
    }

    pub(super) fn is_over_with(&self, bytes: usize) -> bool {
        self.used.get().saturating_add(bytes) > self.max.get()
    }
}

/// A value kept in the machine's registry until it is released.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference(pub(super) c_int);

/// A Lua state and what belongs to it. Not `Send`: it stays on its core.
pub struct Machine<H: Host> {
    state: *mut ffi::lua_State,
    shared: Box<Shared<H>>,
    _host: PhantomData<H>,
}

impl<H: Host> Machine<H> {
    /// A machine with Lua's base, table, string and math libraries, `memory_max` bytes at most.
    ///
    /// What reads files is taken away; everything else that a sandbox must not have is the host's to remove.
    pub fn new(memory_max: usize) -> Rc<Self> {
        let shared = Box::new(Shared {
            used: Cell::new(0),
            max: Cell::new(memory_max),
            natives: Cell::new(1),
            current: Cell::new(ptr::null()),
        });
        let data = ptr::from_ref(&*shared).cast_mut().cast::<c_void>();
        // SAFETY: `shared` is boxed, so its address holds while the machine lives, and `allocate::<H>` expects it.
        let state = unsafe { ffi::lua_newstate(allocate::<H>, data) };
        assert!(!state.is_null(), "no memory for a Lua state");
        let machine = Self {
            state,
            shared,
            _host: PhantomData,
        };
        let libraries: [ffi::lua_CFunction; 4] = [
            open_base,
            ffi::luaopen_table,
            ffi::luaopen_string,
            ffi::luaopen_math,
        ];
        for open in libraries {
            // SAFETY: the state is good, and `lua_pcall` catches whatever opening a library raises.
            let status = unsafe {
                ffi::lua_pushcclosure(state, open, 0);
                ffi::lua_pcall(state, 0, 0, 0)
            };
            assert_eq!(status, 0, "a Lua library cannot be opened");
        }
        machine.shared.natives.set(0);
        Rc::new(machine)
    }

    /// Works on the machine's own stack while no script runs: loading, making tables.
    pub fn with<R>(&self, work: impl FnOnce(&mut Frame<'_, H>) -> R) -> R {
        self.shared.natives.set(self.shared.natives.get() + 1);
        // SAFETY: the state is good; nothing raises while `natives` is not 0 (header of `lua/frame/mod.rs`).
        let result = unsafe {
            let top = ffi::lua_gettop(self.state);
            let result = work(&mut Frame::new(self.state));
            ffi::lua_settop(self.state, top);
            result
        };
        self.shared.natives.set(self.shared.natives.get() - 1);
        result
    }

    /// The account of its memory.
    pub fn memory(&self) -> Memory {
        Memory {
            used: self.shared.used.get(),
            max: self.shared.max.get(),
        }
    }

    /// Sets another limit, which holds from the next allocation on.
    pub fn set_memory_max(&self, bytes: usize) {
        self.shared.max.set(bytes);
    }

    /// A full collection.
    pub fn collect(&self) {
        self.gc(ffi::LUA_GCCOLLECT, 0);
    }

    /// A step of the incremental collector, in its own measure.
    pub fn collect_step(&self, size: i32) {
        self.gc(ffi::LUA_GCSTEP, size);
    }

    fn gc(&self, what: c_int, data: c_int) {
        self.with(|_| {
            // SAFETY: the state is good, and scripts cannot give a value a finalizer, so nothing is called or raised.
            unsafe { ffi::lua_gc(self.state, what, data) };
        });
    }

    pub(super) fn state(&self) -> *mut ffi::lua_State {
        self.state
    }

    pub(super) fn shared(&self) -> &Shared<H> {
        &self.shared
    }
}

impl<H: Host> Drop for Machine<H> {
    fn drop(&mut self) {
        // SAFETY: threads keep their machine alive, so none is left that could use the state.
        unsafe { ffi::lua_close(self.state) };
    }
}

/// What the native functions of a state share.
///
/// # Safety
/// `state` belongs to a `Machine<H>` that lives as long as the result is used.
pub(super) unsafe fn shared_of<'a, H: Host>(state: *mut ffi::lua_State) -> &'a Shared<H> {
    let mut data = ptr::null_mut();
    // SAFETY: the caller's promise; `Machine::new` gave a `Shared<H>` as the allocator's data.
    unsafe {
        ffi::lua_getallocf(state, &mut data);
        &*data.cast::<Shared<H>>()
    }
}

/// Lua's base library without what reads files, writes to the terminal or looks behind the sandbox.
unsafe extern "C-unwind" fn open_base(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this with a good state; the frame holds nothing that has a destructor.
    unsafe { ffi::luaopen_base(state) }
}

/// Lua's allocations. Every block is aligned for doubles and pointers, which is all Lua keeps.
unsafe extern "C" fn allocate<H: Host>(
    data: *mut c_void,
    block: *mut c_void,
    old_bytes: usize,
    new_bytes: usize,
) -> *mut c_void {
    const ALIGN: usize = 8;
    // SAFETY: `Machine::new` gave a `Shared<H>` that lives as long as the state.
    let shared = unsafe { &*data.cast::<Shared<H>>() };
    let others = shared.used.get() - old_bytes;
    if new_bytes == 0 {
        if !block.is_null() {
            // SAFETY: Lua gives back what it got from here, with its size.
            unsafe {
                let layout = Layout::from_size_align_unchecked(old_bytes, ALIGN);
                std::alloc::dealloc(block.cast(), layout);
            }
        }
        shared.used.set(others);
        return ptr::null_mut();
    }
    // Shrinking must not fail.
    let is_over = others.saturating_add(new_bytes) > shared.max.get();
    if is_over && new_bytes > old_bytes && shared.natives.get() == 0 {
        return ptr::null_mut();
    }
    let Ok(new_layout) = Layout::from_size_align(new_bytes, ALIGN) else {
        return ptr::null_mut();
    };
    // SAFETY: as above, and `new_bytes` is not 0.
    let moved = unsafe {
        if block.is_null() {
            std::alloc::alloc(new_layout)
        } else {
            let layout = Layout::from_size_align_unchecked(old_bytes, ALIGN);
            std::alloc::realloc(block.cast(), layout, new_bytes)
        }
    };
    if moved.is_null() {
        // Outside of a native function Lua can say so to the script; inside of one, nobody could.
        if shared.natives.get() > 0 {
            std::alloc::handle_alloc_error(new_layout);
        }
        return ptr::null_mut();
    }
    shared.used.set(others + new_bytes);
    moved.cast()
}
