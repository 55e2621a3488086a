//! Native functions as Lua's values, what they are bound to, and how Lua calls them.
//!
//!     Lua -> trampoline, which holds nothing -> a frame of its own -> the function
//!                     \<- a count of results, or Thrown, which the trampoline raises

use super::{Frame, Thrown};
use crate::lua::ffi;
use crate::lua::machine::{Host, shared_of};
use std::any::TypeId;
use std::ffi::c_int;
use std::ptr;

/// A native function: its arguments are on the stack; it returns how many results it left on top.
pub trait Native<H: Host>: Fn(&mut Frame<'_, H>) -> Result<usize, Thrown> + Copy + 'static {}
impl<H: Host, F> Native<H> for F where
    F: Fn(&mut Frame<'_, H>) -> Result<usize, Thrown> + Copy + 'static
{
}

/// What `push_block` makes.
#[repr(C)]
struct Block<T> {
    tag: TypeId,
    value: T,
}

/// Values that Lua promises room for in every call.
const ROOM_GIVEN: c_int = 20;

impl<H: Host> Frame<'_, H> {
    /// Pushes a native function.
    pub fn push_native<F: Native<H>>(&mut self, function: F) {
        const { assert!(size_of::<F>() == 0, "a native function captures nothing") };
        let _ = function;
        self.make_room();
        // SAFETY: there is room; the trampoline makes the function again out of nothing, which its size allows.
        unsafe { ffi::lua_pushcclosure(self.state, trampoline::<H, F>, 0) };
        self.pushed();
    }

    /// Takes the value on top, and pushes a native function that is bound to it.
    pub fn push_native_bound<F: Native<H>>(&mut self, function: F) {
        const { assert!(size_of::<F>() == 0, "a native function captures nothing") };
        let _ = function;
        assert!(self.top > self.floor);
        // SAFETY: there is a value, which the function takes the place of; otherwise as above.
        unsafe { ffi::lua_pushcclosure(self.state, trampoline::<H, F>, 1) };
    }

    /// Pushes a block of memory that scripts cannot look into, for native functions to be bound to.
    pub fn push_block<T: Copy + 'static>(&mut self, value: T) {
        const {
            assert!(
                align_of::<Block<T>>() <= 8,
                "Lua's memory is aligned to 8 bytes"
            )
        };
        self.make_room();
        // SAFETY: there is room; the block is as large as asked for, and aligned. `T` has no destructor to be missed.
        unsafe {
            let place = ffi::lua_newuserdata(self.state, size_of::<Block<T>>());
            place.cast::<Block<T>>().write(Block {
                tag: TypeId::of::<T>(),
                value,
            });
        }
        self.pushed();
    }

    /// Whether the running function is bound to a block of this type.
    pub fn has_bound_block<T: Copy + 'static>(&self) -> bool {
        // SAFETY: an index of what is not there is looked at as no value. Whatever is userdata was made by `push_block`,
        // for scripts cannot make any, so its tag can be read.
        unsafe {
            ffi::lua_type(self.state, ffi::BOUND_INDEX) == ffi::LUA_TUSERDATA
                && *ffi::lua_touserdata(self.state, ffi::BOUND_INDEX).cast::<TypeId>()
                    == TypeId::of::<T>()
        }
    }

    /// The block that the running function is bound to.
    pub fn bound_block<T: Copy + 'static>(&mut self) -> &mut T {
        assert!(self.has_bound_block::<T>());
        // SAFETY: the tag says what it is; the function keeps it alive, and a second borrow needs this frame again.
        unsafe {
            let place = ffi::lua_touserdata(self.state, ffi::BOUND_INDEX);
            &mut (*place.cast::<Block<T>>()).value
        }
    }

    /// Calls the host's tick after every `instructions` from here on, in the function that runs and what it calls.
    pub fn set_hook(&mut self, instructions: u32) {
        let count = c_int::try_from(instructions).unwrap_or(c_int::MAX);
        // SAFETY: the state is good.
        unsafe { ffi::lua_sethook(self.state, Some(hook::<H>), ffi::LUA_MASKCOUNT, count) };
    }
}

/// Calls `F` for Lua, and raises what it throws. Its own frame holds nothing at that point.
unsafe extern "C-unwind" fn trampoline<H: Host, F: Native<H>>(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: `push_native` put this function into a state of a `Machine<H>` and saw that `F` has no size, so any
    // address that is not null is one; Lua calls with room for 20 values.
    let result = unsafe {
        let shared = shared_of::<H>(state);
        let natives = shared.natives.get();
        shared.natives.set(natives + 1);
        let mut frame = Frame::<H>::new(state);
        frame.floor = frame.top;
        frame.room = ROOM_GIVEN;
        let function = ptr::NonNull::<F>::dangling().as_ref();
        let result = function(&mut frame);
        let result = match result {
            Ok(count) if !shared.is_over() => Ok(count as c_int),
            Ok(_) => {
                ffi::lua_pushlstring(state, c"not enough memory".as_ptr(), 17);
                Err(Thrown(()))
            }
            Err(thrown) => Err(thrown),
        };
        shared.natives.set(natives);
        result
    };
    match result {
        Ok(count) => count,
        // SAFETY: the error value is on top; nothing here has a destructor.
        Err(Thrown(())) => unsafe { ffi::lua_error(state) },
    }
}

/// The count hook: the host's tick, and what it throws is raised.
pub(in crate::lua) unsafe extern "C-unwind" fn hook<H: Host>(
    state: *mut ffi::lua_State,
    _info: *mut ffi::lua_Debug,
) {
    // SAFETY: as in `trampoline`; the hook is only set on states of a `Machine<H>`.
    let result = unsafe {
        let shared = shared_of::<H>(state);
        let natives = shared.natives.get();
        shared.natives.set(natives + 1);
        let mut frame = Frame::<H>::new(state);
        frame.floor = frame.top;
        let result = H::tick(&mut frame);
        shared.natives.set(natives);
        result
    };
    if result.is_err() {
        // SAFETY: the error value is on top; nothing here has a destructor.
        unsafe { ffi::lua_error(state) };
    }
}
