//! Places: where the functions that are under way stand in their source.

use super::Frame;
use crate::lua::ffi;
use crate::lua::machine::Host;

/// Where a function is.
#[derive(Clone, Debug)]
pub struct Place {
    /// Whether it is no Lua code.
    pub is_native: bool,
    /// The chunk's name as given, `@` or `=` first.
    pub source: Vec<u8>,
    /// The chunk's name as in messages.
    pub short_source: Vec<u8>,
    /// The line that runs; -1 where there is none.
    pub line: i32,
}

impl<H: Host> Frame<'_, H> {
    /// `name:line: ` of the Lua function `level` calls up, empty for a native one.
    pub fn position(&self, level: i32) -> Vec<u8> {
        match self.place(level) {
            Some(place) if place.line > 0 => {
                let mut text = place.short_source;
                text.extend_from_slice(format!(":{}: ", place.line).as_bytes());
                text
            }
            _ => Vec::new(),
        }
    }

    /// Where the function `level` calls up is; 0 is the one that runs.
    pub fn place(&self, level: i32) -> Option<Place> {
        // SAFETY: `lua_Debug` is plain data; Lua fills what "Sl" names with strings that end in 0 and live as long as the
        // function; they are copied at once.
        unsafe {
            let mut info: ffi::lua_Debug = std::mem::zeroed();
            if ffi::lua_getstack(self.state, level, &mut info) == 0 {
                return None;
            }
            ffi::lua_getinfo(self.state, c"Sl".as_ptr(), &mut info);
            Some(Place {
                is_native: std::ffi::CStr::from_ptr(info.what) == c"C",
                source: std::ffi::CStr::from_ptr(info.source).to_bytes().to_vec(),
                short_source: std::ffi::CStr::from_ptr(info.short_src.as_ptr())
                    .to_bytes()
                    .to_vec(),
                line: info.currentline,
            })
        }
    }
}
