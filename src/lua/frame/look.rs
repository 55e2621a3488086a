//! Looking at values: their types, numbers, bytes, and what makes two of them the same.

use super::{Frame, Kind, Thrown};
use crate::lua::c_library::number_text;
use crate::lua::ffi;
use crate::lua::machine::Host;
use std::ffi::c_int;

impl<'f, H: Host> Frame<'f, H> {
    /// The type of a value; `Kind::None` for a place above the top.
    #[inline]
    pub fn kind(&self, index: i32) -> Kind {
        if index > self.top {
            return Kind::None;
        }
        self.check(index);
        // SAFETY: the value is there.
        match unsafe { ffi::lua_type(self.state, index) } {
            ffi::LUA_TNIL => Kind::Nil,
            ffi::LUA_TBOOLEAN => Kind::Boolean,
            ffi::LUA_TLIGHTUSERDATA => Kind::Light,
            ffi::LUA_TNUMBER => Kind::Number,
            ffi::LUA_TSTRING => Kind::String,
            ffi::LUA_TTABLE => Kind::Table,
            ffi::LUA_TFUNCTION => Kind::Function,
            ffi::LUA_TUSERDATA => Kind::Userdata,
            ffi::LUA_TTHREAD => Kind::Thread,
            _ => Kind::None,
        }
    }

    /// A number, or a string that reads as one.
    #[inline]
    pub fn number(&self, index: i32) -> Option<f64> {
        if index > self.top {
            return None;
        }
        self.check(index);
        // SAFETY: the value is there. Neither call changes it.
        unsafe {
            let number = ffi::lua_tonumber(self.state, index);
            (number != 0.0 || ffi::lua_isnumber(self.state, index) != 0).then_some(number)
        }
    }

    /// Whether a value counts as true.
    pub fn truth(&self, index: i32) -> bool {
        self.check(index);
        // SAFETY: the value is there.
        unsafe { ffi::lua_toboolean(self.state, index) != 0 }
    }

    /// The bytes of a string; `None` for every other type, numbers included.
    #[inline]
    pub fn bytes(&self, index: i32) -> Option<&[u8]> {
        if self.kind(index) != Kind::String {
            return None;
        }
        // SAFETY: a string is there, so nothing is converted; it stays while `self` is not changed.
        Some(unsafe { self.bytes_at(index) })
    }

    /// The bytes of an argument that is a string, for as long as the call lasts.
    #[inline]
    pub fn argument(&self, index: usize) -> Option<&'f [u8]> {
        let index = index as c_int;
        if index > self.floor || self.kind(index) != Kind::String {
            return None;
        }
        self.lend(index);
        // SAFETY: a string is there, which from now on is not taken off or replaced while the frame lives.
        Some(unsafe { self.bytes_at(index) })
    }

    /// The bytes of an argument that is a string, or of the text of one that is a number, which then is that text.
    ///
    /// - Errors: Lua's for an argument of another type.
    #[inline]
    pub fn check_bytes(&mut self, index: usize) -> Result<&'f [u8], Thrown> {
        if let Some(bytes) = self.argument(index) {
            return Ok(bytes);
        }
        let place = index as c_int;
        if place <= self.floor && self.kind(place) == Kind::Number {
            self.lend(place);
            // SAFETY: a number is there, which nobody has borrowed; the text takes its place and stays.
            return Ok(unsafe { self.bytes_at(place) });
        }
        Err(self.type_error(index, "string"))
    }

    /// From here on the arguments up to `index` stay.
    #[inline]
    fn lend(&self, index: c_int) {
        self.lent.set(self.lent.get().max(index));
    }

    /// # Safety
    /// A string (or a number, which becomes one) is at `index`, and stays on the stack for `'b`.
    #[inline]
    unsafe fn bytes_at<'b>(&self, index: c_int) -> &'b [u8] {
        let mut len = 0;
        // SAFETY: the caller's promise; Lua's strings do not move.
        unsafe {
            let bytes = ffi::lua_tolstring(self.state, index, &mut len);
            std::slice::from_raw_parts(bytes.cast(), len)
        }
    }

    /// Gives `read` the text that Lua makes of a string or number; `None` for other types.
    pub fn with_text<R>(&self, index: i32, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        match self.kind(index) {
            Kind::String => self.bytes(index).map(read),
            Kind::Number => {
                let mut buffer = [0; 32];
                Some(read(number_text(&mut buffer, self.number(index)?)))
            }
            _ => None,
        }
    }

    /// The length of a string, or a table's border.
    #[inline]
    pub fn len(&self, index: i32) -> usize {
        self.check(index);
        // A number would be converted in place.
        assert!(matches!(self.kind(index), Kind::String | Kind::Table));
        // SAFETY: a string or table is there.
        unsafe { ffi::lua_objlen(self.state, index) }
    }

    /// Whether the frame holds no value.
    pub fn is_empty(&self) -> bool {
        self.top == 0
    }

    /// Whether two values are the same, without metamethods.
    pub fn is_same(&self, first: i32, second: i32) -> bool {
        self.check(first);
        self.check(second);
        // SAFETY: both are there.
        unsafe { ffi::lua_rawequal(self.state, first, second) != 0 }
    }

    /// Whether a value is the pointer to nothing.
    pub fn is_null_pointer(&self, index: i32) -> bool {
        // SAFETY: the kind says that a bare pointer is there.
        self.kind(index) == Kind::Light
            && unsafe { ffi::lua_topointer(self.state, index) }.is_null()
    }

    /// What `tostring` makes of a value without a text: its type and address.
    pub fn pointer_text(&self, index: i32, kind: &str) -> Vec<u8> {
        if matches!(self.kind(index), Kind::None | Kind::Nil) {
            return kind.into();
        }
        // SAFETY: the value is there.
        let pointer = unsafe { ffi::lua_topointer(self.state, index) };
        format!("{kind}: {pointer:p}").into()
    }
}
