//! One script at a time on a native stack of its own, used again for the next.
//!
//! The coroutine's body is a loop: take a job, `lua_pcall` it, say so, sleep. A native function that needs the host
//! sleeps in the middle of the job instead ([`Frame::suspend`]). So a run costs two switches of stacks and no `mmap`.
//!
//! Sizes: Lua bounds the nesting of C calls (200) and of its parser (200); the largest frames are those of `string.gsub`
//! and `table.concat` with a buffer of 1 KiB, and a pattern may nest 2,000 deep. tests/lua/stack.rs drives all of them to
//! their limits. A guard page lies below the stack; untouched pages cost nothing.

use super::ffi;
use super::frame::Frame;
use super::machine::{Host, Machine};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::cell::{Cell, RefCell, UnsafeCell};
use std::ffi::c_int;
use std::ptr;
use std::rc::Rc;

/// Room for the deepest script, a megabyte more than the tests reach.
const STACK_BYTES: usize = 2 << 20;

/// How a script's call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its results are on the thread's stack.
    Returned,
    /// The error value is on top of the thread's stack.
    Failed,
    /// As `Failed`; the memory limit was the reason.
    OutOfMemory,
}

/// Why [`Thread::resume`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A native function suspended the script.
    Suspended,
    /// The script's call is over.
    Ended(Ended),
}

#[derive(Clone, Copy)]
enum Job {
    Call {
        arguments: c_int,
        results: c_int,
        handler: c_int,
    },
    Leave,
}

/// What a thread's two stacks and its native functions share. Boxed: its address must hold.
pub(super) struct Core<H: Host> {
    state: *mut ffi::lua_State,
    yielder: Cell<*const Yielder<(), ()>>,
    job: Cell<Job>,
    status: Cell<c_int>,
    is_running: Cell<bool>,
    pub(super) data: UnsafeCell<H::Data>,
}

impl<H: Host> Core<H> {
    /// Leaves the script where it stands, until the host resumes it.
    ///
    /// # Safety
    /// Called on this core's own native stack, inside of a job.
    pub(super) unsafe fn suspend(&self) {
        assert!(self.is_running.get(), "no script to suspend");
        // SAFETY: the yielder lives in the coroutine's body, which is below this frame.
        unsafe { (*self.yielder.get()).suspend(()) };
    }
}

/// A Lua thread with its native stack.
pub struct Thread<H: Host> {
    // First, so that the body's borrow of `core` ends before `core` does.
    coroutine: Option<Coroutine<(), (), (), DefaultStack>>,
    core: Box<Core<H>>,
    registered: c_int,
    machine: Rc<Machine<H>>,
}

thread_local! {
    /// Stacks of threads that are gone, for those to come: a stack is three system calls and its pages' first touch.
    static SPARE: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
}

const SPARE_MAX: usize = 16;

impl<H: Host> Thread<H> {
    /// A thread that shares everything but its stacks with the machine's others.
    ///
    /// - Errors: the system gave no memory for a stack.
    pub fn new(machine: &Rc<Machine<H>>) -> std::io::Result<Self> {
        let spare = SPARE.with_borrow_mut(Vec::pop);
        let stack = match spare {
            Some(stack) => stack,
            None => DefaultStack::new(STACK_BYTES)?,
        };
        let main = machine.state();
        let (state, registered) = machine.with(|_| {
            // SAFETY: nothing raises inside of `with`; the registry keeps the new thread from the collector.
            unsafe {
                let state = ffi::lua_newthread(main);
                (state, ffi::luaL_ref(main, ffi::LUA_REGISTRYINDEX))
            }
        });
        let core = Box::new(Core {
            state,
            yielder: Cell::new(ptr::null()),
            job: Cell::new(Job::Leave),
            status: Cell::new(0),
            is_running: Cell::new(false),
            data: UnsafeCell::new(H::Data::default()),
        });
        let shared_core = ptr::from_ref(&*core);
        let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            // SAFETY: the thread drops its coroutine, which means this body has ended, before the box of its core.
            let core = unsafe { &*shared_core };
            core.yielder.set(yielder);
            while let Job::Call {
                arguments,
                results,
                handler,
            } = core.job.get()
            {
                // SAFETY: `start` saw the function and its arguments on the stack of a thread that is not running.
                let status = unsafe { ffi::lua_pcall(core.state, arguments, results, handler) };
                core.status.set(status);
                core.is_running.set(false);
                yielder.suspend(());
            }
        });
        Ok(Self {
            coroutine: Some(coroutine),
            core,
            registered,
            machine: Rc::clone(machine),
        })
    }

    /// The machine it belongs to.
    pub fn machine(&self) -> &Rc<Machine<H>> {
        &self.machine
    }

    /// Whether a script is suspended on it.
    pub fn is_running(&self) -> bool {
        self.core.is_running.get()
    }

    /// The host's data.
    pub fn data(&mut self) -> &mut H::Data {
        self.core.data.get_mut()
    }

    /// The host's data, to look at.
    pub fn data_ref(&self) -> &H::Data {
        // SAFETY: native functions change the data only inside of `resume`, which takes `&mut self`.
        unsafe { &*self.core.data.get() }
    }

    /// Works on the thread's stack while no script is on it: pushing what to call, reading what came of it.
    pub fn with<R>(&mut self, work: impl FnOnce(&mut Frame<'_, H>) -> R) -> R {
        assert!(!self.is_running(), "a suspended script's stack is its own");
        let shared = self.machine.shared();
        let before = shared.current.replace(&raw const *self.core);
        shared.natives.set(shared.natives.get() + 1);
        // SAFETY: the state is good and not running; nothing raises while `natives` is not 0.
        let result = work(&mut unsafe { Frame::new(self.core.state) });
        shared.natives.set(shared.natives.get() - 1);
        shared.current.set(before);
        result
    }

    /// Makes the table on top of the thread's stack its table of globals, and takes it off.
    pub fn set_globals(&mut self) {
        let state = self.core.state;
        self.with(|frame| {
            assert_eq!(frame.kind(-1), super::Kind::Table);
            // SAFETY: a table is on top.
            unsafe { ffi::lua_replace(state, ffi::LUA_GLOBALSINDEX) };
        });
    }

    /// Calls the host's tick after every `instructions` of the scripts to come; 0 for never.
    pub fn set_hook(&mut self, instructions: u32) {
        let count = c_int::try_from(instructions).unwrap_or(c_int::MAX);
        // SAFETY: the state is good; the hook is made for this host.
        unsafe {
            if count == 0 {
                ffi::lua_sethook(self.core.state, None, 0, 0);
            } else {
                let hook = super::frame::hook::<H>;
                ffi::lua_sethook(self.core.state, Some(hook), ffi::LUA_MASKCOUNT, count);
            }
        }
    }

    /// Begins a call: a handler at stack index `handler` (0: none), the function and its `arguments` on top.
    ///
    /// The first [`Thread::resume`] runs it.
    pub fn start(&mut self, arguments: usize, results: usize, handler: i32) {
        assert!(!self.is_running(), "one script at a time");
        // SAFETY: the state is good and not running.
        let top = unsafe { ffi::lua_gettop(self.core.state) };
        assert!(top as usize > arguments && handler <= top);
        self.core.job.set(Job::Call {
            arguments: arguments as c_int,
            results: results as c_int,
            handler,
        });
        self.core.is_running.set(true);
    }

    /// Runs the script until it is over or a native function suspends it.
    pub fn resume(&mut self) -> Outcome {
        assert!(self.is_running(), "nothing to resume");
        let shared = self.machine.shared();
        let before = shared.current.replace(&raw const *self.core);
        let natives = shared.natives.get();
        debug_assert_eq!(natives, 0, "a script inside of a native function");
        let coroutine = self.coroutine.as_mut().expect("there until dropped");
        let result = coroutine.resume(());
        assert!(matches!(result, CoroutineResult::Yield(())));
        shared.natives.set(natives);
        shared.current.set(before);
        if self.is_running() {
            return Outcome::Suspended;
        }
        Outcome::Ended(match self.core.status.get() {
            0 => Ended::Returned,
            ffi::LUA_ERRMEM => Ended::OutOfMemory,
            _ => Ended::Failed,
        })
    }
}

impl<H: Host> Drop for Thread<H> {
    fn drop(&mut self) {
        let Some(mut coroutine) = self.coroutine.take() else {
            return;
        };
        if self.is_running() {
            // Lua frames cannot be unwound from outside; the room above ends its scripts by raising errors in them.
            unreachable!("a suspended script is ended, not dropped");
        }
        if coroutine.started() && !coroutine.done() {
            self.core.job.set(Job::Leave);
            let result = coroutine.resume(());
            debug_assert!(matches!(result, CoroutineResult::Return(())));
        }
        if coroutine.done() {
            let stack = coroutine.into_stack();
            SPARE.with_borrow_mut(|spare| {
                if spare.len() < SPARE_MAX {
                    spare.push(stack);
                }
            });
        }
        let (main, registered) = (self.machine.state(), self.registered);
        self.machine.with(|_| {
            // SAFETY: the state is good; the reference is this thread's own. The collector frees the thread.
            unsafe { ffi::luaL_unref(main, ffi::LUA_REGISTRYINDEX, registered) };
        });
    }
}
