//! Scripts that nest as deep as Lua lets them, on the native stacks that scripts get.

use rondo::lua::{Ended, Frame, Host, Kind, Machine, Outcome, Thread, Thrown};

struct Plain;

impl Host for Plain {
    type Data = u32;

    fn tick(_: &mut Frame<'_, Self>) -> Result<(), Thrown> {
        Ok(())
    }
}

const MEGABYTE: usize = 1 << 20;

/// Runs a chunk; its first result or its error as text.
fn run(thread: &mut Thread<Plain>, text: &str) -> (Outcome, String) {
    thread.with(|frame| {
        frame.clear();
        let is_loaded = frame.load(text.as_bytes(), c"@test").is_ok();
        assert!(is_loaded, "{:?}", frame.bytes(-1));
    });
    thread.start(0, 1, 0);
    let outcome = thread.resume();
    let text = thread.with(|frame| {
        let text = frame.with_text(-1, |text| String::from_utf8_lossy(text).into_owned());
        text.unwrap_or_else(|| frame.kind(-1).name().to_string())
    });
    (outcome, text)
}

/// Each script goes on until Lua stops it; none may reach the end of its native stack.
#[test]
fn the_deepest_scripts_end_in_errors() {
    let machine = Machine::<Plain>::new(512 * MEGABYTE);
    let mut thread = Thread::new(&machine).expect("a stack");
    let scripts = [
        // Lua in Lua: no native stack at all.
        (
            "local function f() return 1 + f() end return f()",
            "stack overflow",
        ),
        // Through metamethods, each a call of the interpreter.
        (
            "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k .. 'x'] end return t.a",
            "C stack overflow",
        ),
        // Through gsub, whose frame holds a buffer.
        (
            "local function f(s) return (string.gsub(s, '.', f)) end return f('aa')",
            "C stack overflow",
        ),
        (
            "local function f(a, b) table.sort({3, 2, 1}, f) return a < b end return f(1, 2)",
            "C stack overflow",
        ),
        (
            "local function f() return pcall(f) end return tostring(f())",
            "true",
        ),
        // The parser is recursive, too.
        (
            "return loadstring('return ' .. string.rep('(', 100000) .. '1' .. string.rep(')', 100000)) or 'refused'",
            "refused",
        ),
        // A pattern calls itself for each item.
        (
            "return string.find(string.rep('a', 5000), string.rep('a?', 5000))",
            "pattern too complex",
        ),
        // And all of it together: patterns at the bottom of the deepest gsub.
        (
            "local deep = 0
             local function f(s) deep = deep + 1
               pcall(string.find, string.rep('a', 1990), string.rep('a?', 1990))
               return (string.gsub(s, '.', f)) end
             local ok, message = pcall(f, 'a')
             return deep > 150 and message",
            "C stack overflow",
        ),
        (
            "local function f(n) local c = coroutine.wrap(f) return c(n + 1) end return f(1)",
            "C stack overflow",
        ),
    ];
    for (script, expected) in scripts {
        let (_, text) = run(&mut thread, script);
        assert!(text.contains(expected), "{script}: {text}");
    }
}

/// What is at the limit fails; what comes after has memory again.
#[test]
fn memory_without_end_is_an_error() {
    let machine = Machine::<Plain>::new(8 * MEGABYTE);
    let mut thread = Thread::new(&machine).expect("a stack");
    let greedy = [
        "local t = {} while true do t[#t + 1] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "return string.rep('x', 100000000)",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
    ];
    for script in greedy {
        let (outcome, text) = run(&mut thread, script);
        assert_eq!(outcome, Outcome::Ended(Ended::OutOfMemory), "{script}");
        assert_eq!(text, "not enough memory", "{script}");
        thread.with(|frame| frame.clear());
        machine.collect();
        let memory = machine.memory();
        assert!(memory.used < 2 * MEGABYTE, "{script}: {memory:?}");
    }
    assert_eq!(run(&mut thread, "return 1 + 1").1, "2");
}

/// Two scripts stand in the middle of their calls, and each goes on where it stood.
#[test]
fn scripts_are_left_and_entered_again_in_any_order() {
    fn wait(frame: &mut Frame<'_, Plain>) -> Result<usize, Thrown> {
        frame.suspend();
        let number = *frame.data();
        frame.push_number(f64::from(number));
        Ok(1)
    }
    let machine = Machine::<Plain>::new(64 * MEGABYTE);
    let mut threads: Vec<_> = (0..3)
        .map(|_| Thread::new(&machine).expect("a stack"))
        .collect();
    for thread in &mut threads {
        thread.with(|frame| {
            frame.push_globals();
            frame.push_native(wait);
            frame.set_field(-2, b"wait");
            frame.pop(1);
            // Below a pcall, a metamethod, a sort's order and a coroutine, where Lua's own coroutines cannot yield.
            let text = "
                local sum = 0
                local t = setmetatable({}, {__index = function(t, k) return wait() end})
                sum = sum + select(2, pcall(function() return t.x end))
                table.sort({1, 2}, function(a, b) sum = sum + wait() return a < b end)
                sum = sum + coroutine.wrap(function() return wait() end)()
                return sum";
            let is_loaded = frame.load(text.as_bytes(), c"@test").is_ok();
            assert!(is_loaded);
        });
        thread.start(0, 1, 0);
    }
    let mut round = 0;
    let mut ended = 0;
    while ended < threads.len() {
        round += 1;
        for (index, thread) in threads.iter_mut().enumerate() {
            *thread.data() = index as u32 + 1;
            if thread.is_running() && thread.resume() != Outcome::Suspended {
                ended += 1;
            }
        }
        assert!(round < 100);
    }
    for (index, thread) in threads.iter_mut().enumerate() {
        let sum = thread.with(|frame| {
            assert_eq!(frame.kind(-1), Kind::Number);
            frame.number(-1)
        });
        // Every wait of one script gave its own number.
        let sum = sum.expect("a number") as usize;
        assert!(sum == 3 * (index + 1), "{sum}");
    }
}
