//! Errors that native functions leave for their callers to catch, in Lua's own words.

use super::{Frame, Thrown};
use crate::lua::ffi;
use crate::lua::machine::Host;

impl<H: Host> Frame<'_, H> {
    /// The value on top is to be raised.
    pub fn throw(&mut self) -> Thrown {
        assert!(self.top > 0);
        Thrown(())
    }

    /// Raises a text with the position of the Lua code that called, as Lua's own functions do.
    #[cold]
    pub fn error(&mut self, text: impl AsRef<[u8]>) -> Thrown {
        let mut message = self.position(1);
        message.extend_from_slice(text.as_ref());
        self.make_room_to_throw();
        self.push_bytes(&message);
        Thrown(())
    }

    /// Lua's message for a bad argument of the function that runs.
    #[cold]
    pub fn argument_error(&mut self, argument: usize, what: impl AsRef<[u8]>) -> Thrown {
        let what = what.as_ref();
        let with_what = |text: String| [text.as_bytes(), what, b")"].concat();
        // SAFETY: `lua_Debug` is plain data; level 0 is the function that runs, which a native function always has.
        let (name, is_method) = unsafe {
            let mut info: ffi::lua_Debug = std::mem::zeroed();
            if ffi::lua_getstack(self.state, 0, &mut info) == 0 {
                return self.error(with_what(format!("bad argument #{argument} (")));
            }
            ffi::lua_getinfo(self.state, c"n".as_ptr(), &mut info);
            let is_method =
                !info.namewhat.is_null() && std::ffi::CStr::from_ptr(info.namewhat) == c"method";
            let name = if info.name.is_null() {
                "?".to_string()
            } else {
                std::ffi::CStr::from_ptr(info.name)
                    .to_string_lossy()
                    .into_owned()
            };
            (name, is_method)
        };
        if is_method && argument == 1 {
            return self.error(with_what(format!("calling '{name}' on bad self (")));
        }
        let argument = argument as i64 - i64::from(is_method);
        self.error(with_what(format!("bad argument #{argument} to '{name}' (")))
    }

    /// Lua's message for an argument of another type than the one expected.
    #[cold]
    pub fn type_error(&mut self, argument: usize, expected: &str) -> Thrown {
        let got = self.kind(argument as i32).name();
        self.argument_error(argument, format!("{expected} expected, got {got}"))
    }

    /// The error at the memory limit, if the limit has been passed. For native functions that take memory in a loop.
    #[inline]
    pub fn check_memory(&mut self) -> Result<(), Thrown> {
        if self.shared().is_over() {
            self.make_room_to_throw();
            self.push_bytes(b"not enough memory");
            return Err(Thrown(()));
        }
        Ok(())
    }

    /// The same, with `bytes` counted in that the function holds itself.
    #[inline]
    pub fn check_memory_for(&mut self, bytes: usize) -> Result<(), Thrown> {
        if self.shared().is_over_with(bytes) {
            self.make_room_to_throw();
            self.push_bytes(b"not enough memory");
            return Err(Thrown(()));
        }
        Ok(())
    }
}
