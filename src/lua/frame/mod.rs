//! Native functions: what they see of Lua's stack, how they fail.
//!
//! Lua raises errors with `longjmp`, which runs no destructors. So a native function never raises: it leaves the error
//! value on the stack and returns `Err(Thrown)`; its trampoline, whose frame holds nothing, raises it. And nothing it
//! calls may raise, which is why every method here uses only what in Lua raises for one of four reasons, each excluded:
//!
//! | Lua raises | excluded by |
//! |---|---|
//! | for want of memory | the allocator, which fails no native function (`lua/machine.rs`) |
//! | in a metamethod or finalizer | raw access only; scripts cannot make finalizers |
//! | for a nil or NaN key, a sealed table | checks here |
//! | for a full stack | `lua_checkstack` here, whose answer is looked at |
//!
//! | in this folder | |
//! |---|---|
//! | here | a call's part of the stack: its room, its arguments, moving values about |
//! | `push.rs`, `look.rs`, `table.rs` | making values, looking at them, tables |
//! | `native.rs` | native functions as values, and how Lua calls them |
//! | `error.rs`, `place.rs` | errors in Lua's words, and the places they name |

mod error;
mod kind;
mod look;
mod native;
mod place;
mod push;
mod table;

pub use kind::Kind;
pub use native::Native;
pub(super) use native::hook;
pub use place::Place;

use super::ffi;
use super::machine::{Host, Shared, shared_of};
use std::cell::Cell;
use std::ffi::c_int;
use std::marker::PhantomData;

/// The part of a Lua stack that belongs to one call. Indices are Lua's: from 1 up, or from -1 down.
pub struct Frame<'f, H: Host> {
    state: *mut ffi::lua_State,
    top: c_int,
    /// Arguments: values up to here stay where they are while the frame lives, unless [`Frame::drop_arguments`] takes them off.
    floor: c_int,
    /// The last argument whose bytes were given out for as long as the call lasts; 0 for none.
    lent: Cell<c_int>,
    /// Values that may be pushed without asking Lua.
    room: c_int,
    _life: PhantomData<&'f mut H>,
}

/// An error value lies on top of the stack and is to be raised.
#[derive(Debug)]
#[must_use]
pub struct Thrown(());

/// Room is asked for in steps of so many values.
const ROOM_STEP: c_int = 40;

impl<'f, H: Host> Frame<'f, H> {
    /// # Safety
    /// `state` belongs to a `Machine<H>`, lives for `'f`, and no other frame uses it; `natives` is not 0.
    pub(super) unsafe fn new(state: *mut ffi::lua_State) -> Self {
        Self {
            state,
            // SAFETY: the caller's promise.
            top: unsafe { ffi::lua_gettop(state) },
            floor: 0,
            lent: Cell::new(0),
            room: 0,
            _life: PhantomData,
        }
    }

    fn shared(&self) -> &'f Shared<H> {
        // SAFETY: `new`'s promise.
        unsafe { shared_of::<H>(self.state) }
    }

    /// The data of the thread that runs.
    ///
    /// Panics where none does: on the machine's own stack.
    #[inline]
    pub fn data(&mut self) -> &mut H::Data {
        let core = self.shared().current.get();
        assert!(!core.is_null(), "no thread runs");
        // SAFETY: the core lives while its thread runs; the host reaches the data only through `&mut Thread`, which
        // `resume` holds, and a second borrow here needs this frame again.
        unsafe { &mut *(*core).data.get() }
    }

    /// Gives the host its turn; returns when it resumes the script.
    #[inline]
    pub fn suspend(&mut self) {
        let shared = self.shared();
        let core = shared.current.get();
        assert!(!core.is_null(), "no thread runs");
        let natives = shared.natives.replace(0);
        // SAFETY: the core lives while its thread is current. `suspend` sees that a script is on it; then this code is on
        // that thread's native stack, because the host's own frames are made only while none is.
        unsafe { (*core).suspend() };
        shared.natives.set(natives);
    }

    /// How many values the frame holds.
    #[inline]
    pub fn top(&self) -> usize {
        self.top as usize
    }

    /// Makes room for `count` more values; `false` when Lua's limit of 8,000 is reached.
    pub fn has_room(&mut self, count: usize) -> bool {
        let count = c_int::try_from(count).unwrap_or(c_int::MAX);
        if self.room >= count {
            return true;
        }
        // SAFETY: the state is good; Lua catches what growing raises.
        let is_given = unsafe { ffi::lua_checkstack(self.state, count) } != 0;
        if is_given {
            self.room = count;
        }
        is_given
    }

    #[inline]
    fn pushed(&mut self) {
        self.top += 1;
        self.room -= 1;
    }

    #[inline]
    fn make_room(&mut self) {
        if self.room < 1 {
            let is_given = self.has_room(ROOM_STEP as usize) || self.has_room(1);
            assert!(is_given, "callers that nest look at has_room");
        }
    }

    /// Where the stack is full, what is thrown takes the place of the value on top, which nobody will see.
    #[cold]
    fn make_room_to_throw(&mut self) {
        if !self.has_room(1) && self.top > self.floor {
            self.pop(1);
        }
    }

    #[inline]
    fn check(&self, index: i32) {
        let is_good = index != 0 && index.abs() <= self.top;
        assert!(is_good, "no value at {index}, {} in all", self.top);
    }

    /// The same place, counted from 1.
    #[inline]
    pub fn absolute(&self, index: i32) -> i32 {
        self.check(index);
        if index < 0 {
            self.top + index + 1
        } else {
            index
        }
    }

    /// Takes `count` values off. Arguments can be taken off too, which ends [`Frame::argument`]'s use.
    #[inline]
    pub fn pop(&mut self, count: usize) {
        let left = self.top - count as c_int;
        assert!(left >= self.floor, "arguments stay");
        // SAFETY: the values are there.
        unsafe { ffi::lua_settop(self.state, left) };
        self.room += self.top - left;
        self.top = left;
    }

    /// Takes arguments off until the first `count` are left.
    ///
    /// Panics if bytes of those behind were asked for ([`Frame::argument`]), or values lie above them.
    pub fn drop_arguments(&mut self, count: usize) {
        assert_eq!(self.top, self.floor, "nothing lies above them");
        if self.top() <= count {
            return;
        }
        let count = count as c_int;
        assert!(self.lent.get() <= count, "bytes that were given out stay");
        self.floor = count;
        self.pop((self.top - count) as usize);
    }

    /// Takes everything off.
    pub fn clear(&mut self) {
        assert_eq!(self.floor, 0, "arguments stay");
        self.pop(self.top());
    }

    /// Copies a value to the top.
    #[inline]
    pub fn push_copy(&mut self, index: i32) {
        self.check(index);
        self.make_room();
        // SAFETY: the value is there, and there is room.
        unsafe { ffi::lua_pushvalue(self.state, index) };
        self.pushed();
    }

    /// Takes the value below the top away.
    pub fn remove_below(&mut self) {
        assert!(self.top - 2 >= self.floor, "arguments stay");
        // SAFETY: there are two values above the arguments.
        unsafe { ffi::lua_remove(self.state, -2) };
        self.top -= 1;
        self.room += 1;
    }

    /// Takes the value on top and puts it at `index`, above the arguments: what is there, and above, moves up.
    pub fn insert(&mut self, index: i32) {
        let index = self.absolute(index);
        assert!(index > self.floor, "arguments stay");
        // SAFETY: there is a value at `index`, be it the one on top.
        unsafe { ffi::lua_insert(self.state, index) };
    }

    /// Exchanges the two values on top.
    pub fn swap(&mut self) {
        assert!(self.top - 2 >= self.floor, "arguments stay");
        // SAFETY: there are two values above the arguments.
        unsafe { ffi::lua_insert(self.state, -2) };
    }
}
