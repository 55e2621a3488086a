//! Lua 5.1's C interface, the part this room uses. Names and types are lua.h's and lauxlib.h's.
//!
//! What may raise a Lua error, which is a `longjmp`, is declared `C-unwind`; the callers see to it that no frame with
//! destructors lies between the raise and the `lua_pcall` that catches it (header of `lua/frame/mod.rs`).
#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_int, c_void};

/// A thread of Lua: its value stack and call stack.
#[repr(C)]
pub struct lua_State {
    _opaque: [u8; 0],
}

/// A function that Lua calls.
pub type lua_CFunction = unsafe extern "C-unwind" fn(*mut lua_State) -> c_int;
/// All of Lua's memory comes and goes through one of these.
pub type lua_Alloc = unsafe extern "C" fn(*mut c_void, *mut c_void, usize, usize) -> *mut c_void;
/// Called after every so many instructions.
pub type lua_Hook = unsafe extern "C-unwind" fn(*mut lua_State, *mut lua_Debug);

/// What `lua_getinfo` tells of a function.
#[repr(C)]
pub struct lua_Debug {
    pub event: c_int,
    pub name: *const c_char,
    pub namewhat: *const c_char,
    pub what: *const c_char,
    pub source: *const c_char,
    pub currentline: c_int,
    pub nups: c_int,
    pub linedefined: c_int,
    pub lastlinedefined: c_int,
    pub short_src: [c_char; 60],
    pub i_ci: c_int,
}

pub const LUA_REGISTRYINDEX: c_int = -10000;
pub const LUA_GLOBALSINDEX: c_int = -10002;
/// What the running function is bound to, the first of it.
pub const BOUND_INDEX: c_int = LUA_GLOBALSINDEX - 1;

pub const LUA_ERRMEM: c_int = 4;

pub const LUA_TNIL: c_int = 0;
pub const LUA_TBOOLEAN: c_int = 1;
pub const LUA_TLIGHTUSERDATA: c_int = 2;
pub const LUA_TNUMBER: c_int = 3;
pub const LUA_TSTRING: c_int = 4;
pub const LUA_TTABLE: c_int = 5;
pub const LUA_TFUNCTION: c_int = 6;
pub const LUA_TUSERDATA: c_int = 7;
pub const LUA_TTHREAD: c_int = 8;

pub const LUA_GCCOLLECT: c_int = 2;
pub const LUA_GCSTEP: c_int = 5;

pub const LUA_MASKCOUNT: c_int = 1 << 3;

unsafe extern "C" {
    pub fn lua_newstate(alloc: lua_Alloc, data: *mut c_void) -> *mut lua_State;
    pub fn lua_close(state: *mut lua_State);
    pub fn lua_getallocf(state: *mut lua_State, data: *mut *mut c_void) -> lua_Alloc;
    pub fn lua_settop(state: *mut lua_State, index: c_int);
    pub fn lua_gettop(state: *mut lua_State) -> c_int;
    pub fn lua_pushvalue(state: *mut lua_State, index: c_int);
    pub fn lua_remove(state: *mut lua_State, index: c_int);
    pub fn lua_insert(state: *mut lua_State, index: c_int);
    pub fn lua_replace(state: *mut lua_State, index: c_int);
    pub fn lua_checkstack(state: *mut lua_State, extra: c_int) -> c_int;
    pub fn lua_type(state: *mut lua_State, index: c_int) -> c_int;
    pub fn lua_rawequal(state: *mut lua_State, first: c_int, second: c_int) -> c_int;
    pub fn lua_tonumber(state: *mut lua_State, index: c_int) -> f64;
    pub fn lua_toboolean(state: *mut lua_State, index: c_int) -> c_int;
    pub fn lua_isnumber(state: *mut lua_State, index: c_int) -> c_int;
    pub fn lua_objlen(state: *mut lua_State, index: c_int) -> usize;
    pub fn lua_touserdata(state: *mut lua_State, index: c_int) -> *mut c_void;
    pub fn lua_topointer(state: *mut lua_State, index: c_int) -> *const c_void;
    pub fn lua_pushnil(state: *mut lua_State);
    pub fn lua_pushnumber(state: *mut lua_State, number: f64);
    pub fn lua_pushboolean(state: *mut lua_State, value: c_int);
    pub fn lua_pushlightuserdata(state: *mut lua_State, pointer: *mut c_void);
    pub fn lua_rawget(state: *mut lua_State, index: c_int);
    pub fn lua_rawgeti(state: *mut lua_State, index: c_int, number: c_int);
    pub fn lua_getmetatable(state: *mut lua_State, index: c_int) -> c_int;
    pub fn lua_getstack(state: *mut lua_State, level: c_int, info: *mut lua_Debug) -> c_int;
    pub fn lua_sethook(
        state: *mut lua_State,
        hook: Option<lua_Hook>,
        mask: c_int,
        count: c_int,
    ) -> c_int;
    pub fn lua_setreadonly(state: *mut lua_State, index: c_int, on: c_int);
    pub fn lua_isreadonly(state: *mut lua_State, index: c_int) -> c_int;
    pub fn lua_isplainarray(state: *mut lua_State, index: c_int) -> c_int;
    pub fn lua_pcall(
        state: *mut lua_State,
        arguments: c_int,
        results: c_int,
        handler: c_int,
    ) -> c_int;
}

unsafe extern "C-unwind" {
    pub fn lua_tolstring(state: *mut lua_State, index: c_int, len: *mut usize) -> *const c_char;
    pub fn lua_pushlstring(state: *mut lua_State, bytes: *const c_char, len: usize);
    pub fn lua_pushcclosure(state: *mut lua_State, function: lua_CFunction, upvalues: c_int);
    pub fn lua_createtable(state: *mut lua_State, array: c_int, record: c_int);
    pub fn lua_newuserdata(state: *mut lua_State, bytes: usize) -> *mut c_void;
    pub fn lua_newthread(state: *mut lua_State) -> *mut lua_State;
    pub fn lua_cloneclosure(state: *mut lua_State, index: c_int);
    pub fn lua_rawset(state: *mut lua_State, index: c_int);
    pub fn lua_rawseti(state: *mut lua_State, index: c_int, number: c_int);
    pub fn lua_setmetatable(state: *mut lua_State, index: c_int) -> c_int;
    pub fn lua_next(state: *mut lua_State, index: c_int) -> c_int;
    pub fn lua_error(state: *mut lua_State) -> !;
    pub fn lua_gc(state: *mut lua_State, what: c_int, data: c_int) -> c_int;
    pub fn lua_getinfo(state: *mut lua_State, what: *const c_char, info: *mut lua_Debug) -> c_int;
    pub fn luaL_ref(state: *mut lua_State, table: c_int) -> c_int;
    pub fn luaL_unref(state: *mut lua_State, table: c_int, reference: c_int);
    pub fn luaL_loadbuffer(
        state: *mut lua_State,
        bytes: *const c_char,
        len: usize,
        name: *const c_char,
    ) -> c_int;

    pub fn luaopen_base(state: *mut lua_State) -> c_int;
    pub fn luaopen_table(state: *mut lua_State) -> c_int;
    pub fn luaopen_string(state: *mut lua_State) -> c_int;
    pub fn luaopen_math(state: *mut lua_State) -> c_int;
}
