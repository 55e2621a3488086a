//! Tables: elements, fields, metatables, and seals against writes.

use super::{Frame, Kind};
use crate::lua::ffi;
use crate::lua::machine::Host;
use std::ffi::c_int;

impl<H: Host> Frame<'_, H> {
    /// Pushes the element of a table at a number.
    #[inline]
    pub fn push_element(&mut self, table: i32, number: i32) {
        assert_eq!(self.kind(table), Kind::Table);
        self.make_room();
        // SAFETY: a table is there, and there is room.
        unsafe { ffi::lua_rawgeti(self.state, table, number) };
        self.pushed();
    }

    /// Takes the value on top and stores it at a number of a table that is not sealed.
    #[inline]
    pub fn set_element(&mut self, table: i32, number: i32) {
        self.check_open(table);
        assert!(self.top > self.floor);
        // SAFETY: an open table is there, and a value.
        unsafe { ffi::lua_rawseti(self.state, table, number) };
        self.top -= 1;
        self.room += 1;
    }

    /// Pushes a field of a table, without metamethods.
    #[inline]
    pub fn push_field(&mut self, table: i32, name: &[u8]) {
        let table = self.absolute(table);
        assert_eq!(self.kind(table), Kind::Table);
        self.push_bytes(name);
        // SAFETY: a table is there, and a key on top, which the value replaces.
        unsafe { ffi::lua_rawget(self.state, table) };
    }

    /// Takes the value on top and stores it in a field of a table that is not sealed.
    pub fn set_field(&mut self, table: i32, name: &[u8]) {
        let table = self.absolute(table);
        self.push_bytes(name);
        self.swap();
        let is_set = self.set(table);
        assert!(is_set, "a name is a good key");
    }

    /// Takes a value and below it its key off, and stores them in a table that is not sealed.
    ///
    /// Returns whether the key was good; nil and NaN are not.
    #[inline]
    pub fn set(&mut self, table: i32) -> bool {
        let table = self.absolute(table);
        self.check_open(table);
        assert!(self.top - 2 >= self.floor);
        let is_good = match self.kind(-2) {
            Kind::Nil => false,
            Kind::Number => self.number(-2).is_some_and(|key| !key.is_nan()),
            _ => true,
        };
        if is_good {
            // SAFETY: an open table is there, a good key and a value on top.
            unsafe { ffi::lua_rawset(self.state, table) };
            self.top -= 2;
            self.room += 2;
        } else {
            self.pop(2);
        }
        is_good
    }

    /// Replaces the key on top with the next key and its value; at the end takes it off and returns `false`.
    ///
    /// The key is nil, or what this function left there; the table has not got new keys since.
    #[inline]
    pub fn next(&mut self, table: i32) -> bool {
        assert_eq!(self.kind(table), Kind::Table);
        assert!(self.top > self.floor);
        self.make_room();
        // SAFETY: a table is there, a key on top, and room for one value more. A key that is in the table does not raise.
        if unsafe { ffi::lua_next(self.state, table) } != 0 {
            self.pushed();
            true
        } else {
            self.top -= 1;
            self.room += 1;
            false
        }
    }

    /// Pushes the metatable of a value, if it has one.
    pub fn push_metatable(&mut self, index: i32) -> bool {
        self.check(index);
        self.make_room();
        // SAFETY: the value is there, and there is room.
        let has_one = unsafe { ffi::lua_getmetatable(self.state, index) } != 0;
        if has_one {
            self.pushed();
        }
        has_one
    }

    /// Takes the table on top and makes it the metatable of another.
    pub fn set_metatable(&mut self, table: i32) {
        self.check_open(table);
        assert_eq!(self.kind(-1), Kind::Table);
        // SAFETY: an open table is there, and one on top.
        unsafe { ffi::lua_setmetatable(self.state, table) };
        self.top -= 1;
        self.room += 1;
    }

    /// Seals a table against every write, or opens it.
    #[inline]
    pub fn set_sealed(&mut self, table: i32, is_sealed: bool) {
        assert_eq!(self.kind(table), Kind::Table);
        // SAFETY: a table is there.
        unsafe { ffi::lua_setreadonly(self.state, table, c_int::from(is_sealed)) };
    }

    /// Whether a table is sealed.
    pub fn is_sealed(&self, table: i32) -> bool {
        assert_eq!(self.kind(table), Kind::Table);
        // SAFETY: a table is there.
        unsafe { ffi::lua_isreadonly(self.state, table) != 0 }
    }

    /// Whether a table surely has no fields, only elements; `false` says nothing.
    #[inline]
    pub fn has_only_elements(&self, table: i32) -> bool {
        assert_eq!(self.kind(table), Kind::Table);
        // SAFETY: a table is there.
        unsafe { ffi::lua_isplainarray(self.state, table) != 0 }
    }

    #[inline]
    fn check_open(&self, table: i32) {
        assert_eq!(self.kind(table), Kind::Table);
        assert!(!self.is_sealed(table), "a sealed table would raise");
    }
}
