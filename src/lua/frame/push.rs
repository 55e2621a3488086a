//! Pushing values: new ones, chunks, and those that the machine keeps.

use super::{Frame, Kind, Thrown};
use crate::lua::ffi;
use crate::lua::machine::{Host, Reference};
use std::ffi::{c_char, c_int};
use std::ptr;

impl<H: Host> Frame<'_, H> {
    /// Pushes `nil`.
    #[inline]
    pub fn push_nil(&mut self) {
        self.make_room();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnil(self.state) };
        self.pushed();
    }

    /// Pushes a number.
    #[inline]
    pub fn push_number(&mut self, number: f64) {
        self.make_room();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnumber(self.state, number) };
        self.pushed();
    }

    /// Pushes `true` or `false`.
    #[inline]
    pub fn push_boolean(&mut self, value: bool) {
        self.make_room();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushboolean(self.state, c_int::from(value)) };
        self.pushed();
    }

    /// Pushes the pointer to nothing, which stands for JSON's null.
    pub fn push_null_pointer(&mut self) {
        self.make_room();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushlightuserdata(self.state, ptr::null_mut()) };
        self.pushed();
    }

    /// Pushes a string of any bytes.
    #[inline]
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        self.make_room();
        // SAFETY: there is room; Lua copies the bytes.
        unsafe { ffi::lua_pushlstring(self.state, bytes.as_ptr().cast(), bytes.len()) };
        self.pushed();
    }

    /// Pushes a new table with room for `array` elements and `record` fields.
    #[inline]
    pub fn push_table(&mut self, array: usize, record: usize) {
        const ROOM_MAX: usize = 1 << 20;
        self.make_room();
        let (array, record) = (array.min(ROOM_MAX), record.min(ROOM_MAX));
        // SAFETY: there is room; sizes this small do not raise.
        unsafe { ffi::lua_createtable(self.state, array as c_int, record as c_int) };
        self.pushed();
    }

    /// Pushes the table of globals of this frame's thread.
    pub fn push_globals(&mut self) {
        self.make_room();
        // SAFETY: there is room; every thread has one.
        unsafe { ffi::lua_pushvalue(self.state, ffi::LUA_GLOBALSINDEX) };
        self.pushed();
    }

    /// Compiles a chunk, pushes its main function; `Err` with the compiler's message in its place.
    pub fn load(&mut self, text: &[u8], name: &std::ffi::CStr) -> Result<(), Thrown> {
        self.make_room();
        let bytes = text.as_ptr().cast::<c_char>();
        // SAFETY: there is room for one value; the parser runs protected.
        let status = unsafe { ffi::luaL_loadbuffer(self.state, bytes, text.len(), name.as_ptr()) };
        self.pushed();
        if status == 0 { Ok(()) } else { Err(Thrown(())) }
    }

    /// Pushes the main function at `index` once more, with this thread's globals as its environment.
    #[inline]
    pub fn push_clone_of_chunk(&mut self, index: i32) {
        assert_eq!(self.kind(index), Kind::Function);
        self.make_room();
        // SAFETY: there is room. That it is a main function is the caller's word, checked by Lua in debug builds;
        // only `load` makes functions the rooms above keep.
        unsafe { ffi::lua_cloneclosure(self.state, index) };
        self.pushed();
    }

    /// Pushes a value that was kept.
    #[inline]
    pub fn push_kept(&mut self, kept: &Reference) {
        self.make_room();
        // SAFETY: there is room; an unknown number gives nil.
        unsafe { ffi::lua_rawgeti(self.state, ffi::LUA_REGISTRYINDEX, kept.0) };
        self.pushed();
    }

    /// Takes the value on top and keeps it.
    pub fn keep(&mut self) -> Reference {
        assert!(self.top > self.floor);
        self.make_room();
        // SAFETY: there is a value, and room for the number of its place.
        let number = unsafe { ffi::luaL_ref(self.state, ffi::LUA_REGISTRYINDEX) };
        self.top -= 1;
        self.room += 1;
        Reference(number)
    }

    /// Forgets a value that was kept.
    pub fn release(&mut self, kept: Reference) {
        assert!(self.has_room(4));
        // SAFETY: the reference came from `keep`; there is room for what `luaL_unref` pushes.
        unsafe { ffi::luaL_unref(self.state, ffi::LUA_REGISTRYINDEX, kept.0) };
    }
}
