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

use super::ffi;
use super::machine::{Host, Reference, Shared, shared_of};
use std::any::TypeId;
use std::cell::Cell;
use std::ffi::{c_char, c_int};
use std::marker::PhantomData;
use std::ptr;

/// A native function: its arguments are on the stack; it returns how many results it left on top.
pub trait Native<H: Host>: Fn(&mut Frame<'_, H>) -> Result<usize, Thrown> + Copy + 'static {}
impl<H: Host, F> Native<H> for F where
    F: Fn(&mut Frame<'_, H>) -> Result<usize, Thrown> + Copy + 'static
{
}

/// An error value lies on top of the stack and is to be raised.
#[derive(Debug)]
#[must_use]
pub struct Thrown(());

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No value at all: an argument that was not given.
    None,
    /// `nil`.
    Nil,
    /// `true` or `false`.
    Boolean,
    /// A bare pointer, equal to those with the same address.
    Light,
    /// A double.
    Number,
    /// Bytes.
    String,
    /// A table.
    Table,
    /// A function of either kind.
    Function,
    /// A block of memory with a metatable.
    Userdata,
    /// One of Lua's own coroutines.
    Thread,
}

impl Kind {
    /// Lua's word for it, as in its messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "no value",
            Self::Nil => "nil",
            Self::Boolean => "boolean",
            Self::Light | Self::Userdata => "userdata",
            Self::Number => "number",
            Self::String => "string",
            Self::Table => "table",
            Self::Function => "function",
            Self::Thread => "thread",
        }
    }
}

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

/// What `push_block` makes.
#[repr(C)]
struct Block<T> {
    tag: TypeId,
    value: T,
}

/// Values that Lua promises room for in every call.
const ROOM_GIVEN: c_int = 20;
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

    // ---- the stack ----

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

    // ---- pushing ----

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

    /// Pushes the table of globals of this frame's thread.
    pub fn push_globals(&mut self) {
        self.make_room();
        // SAFETY: there is room; every thread has one.
        unsafe { ffi::lua_pushvalue(self.state, ffi::LUA_GLOBALSINDEX) };
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

    // ---- looking ----

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

    // ---- tables ----

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

    // ---- failing ----

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

    /// Calls the host's tick after every `instructions` from here on, in the function that runs and what it calls.
    pub fn set_hook(&mut self, instructions: u32) {
        let count = c_int::try_from(instructions).unwrap_or(c_int::MAX);
        // SAFETY: the state is good.
        unsafe { ffi::lua_sethook(self.state, Some(hook::<H>), ffi::LUA_MASKCOUNT, count) };
    }
}

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
pub(super) unsafe extern "C-unwind" fn hook<H: Host>(
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

/// The text Lua makes of a number: `%.14g`.
pub fn number_text(buffer: &mut [u8; 32], number: f64) -> &[u8] {
    if number.fract() == 0.0 && number.abs() < 1e14 && (number != 0.0 || number.is_sign_positive())
    {
        let mut digits = [0; 20];
        let text = crate::base::number::write_i64(&mut digits, number as i64);
        let len = text.len();
        buffer[..len].copy_from_slice(text);
        return &buffer[..len];
    }
    format_c(buffer, c"%.14g", number)
}

/// `snprintf` of one double with a format of at most 24 characters of output. The locale is "C": nobody sets another.
pub(super) fn format_c<'b>(
    buffer: &'b mut [u8; 32],
    format: &std::ffi::CStr,
    number: f64,
) -> &'b [u8] {
    // SAFETY: the buffer's size is told, and the format takes one double.
    let written = unsafe {
        libc::snprintf(
            buffer.as_mut_ptr().cast::<c_char>(),
            buffer.len(),
            format.as_ptr(),
            number,
        )
    };
    let len = usize::try_from(written).unwrap_or(0).min(buffer.len() - 1);
    &buffer[..len]
}

/// `%.{digits}g` of a number; 1 to 17 digits.
pub fn number_text_digits(buffer: &mut [u8; 32], number: f64, digits: u32) -> &[u8] {
    assert!((1..=17).contains(&digits));
    // SAFETY: the buffer's size is told; the format takes an int and a double.
    let written = unsafe {
        libc::snprintf(
            buffer.as_mut_ptr().cast::<c_char>(),
            buffer.len(),
            c"%.*g".as_ptr(),
            digits as c_int,
            number,
        )
    };
    let len = usize::try_from(written).unwrap_or(0).min(buffer.len() - 1);
    &buffer[..len]
}

/// What `os.clock` tells: seconds of processor time the process has used.
pub fn processor_seconds() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it reads a clock into the place it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    // In microseconds, as C's `clock` counts.
    time.tv_sec as f64 + (time.tv_nsec / 1000) as f64 / 1e6
}

/// The number at the start of a text as C's `strtod` reads it, and its bytes; 0 bytes where there is none.
pub fn number_prefix(text: &[u8]) -> (f64, usize) {
    // What `strtod` might take, white space before it apart.
    let is_part = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'(' | b')' | b'_')
    };
    let len = text.iter().take_while(|byte| is_part(byte)).count();
    let mut short = [0u8; 64];
    let long;
    let copy: &[u8] = if len < short.len() {
        short[..len].copy_from_slice(&text[..len]);
        &short
    } else {
        long = [&text[..len], b"\0"].concat();
        &long
    };
    let start = copy.as_ptr().cast::<c_char>();
    let mut end = ptr::null_mut();
    // SAFETY: the copy ends in a zero byte; `end` is set to a place in it.
    unsafe {
        let number = libc::strtod(start, &mut end);
        (number, end.cast_const().offset_from(start) as usize)
    }
}
