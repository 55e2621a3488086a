//! `redis.*`, and the few functions of Lua that Redis replaces.

use super::convert::{push_error, push_reply, until_zero};
use super::engine::ScriptId;
use super::random::Random;
use super::run::{Told, Wish, check_killed};
use super::{Frame, Thrown, bits, json, msgpack, structs};
use crate::base::number::{F64_TEXT_BYTES_MAX, write_f64, write_i64};
use crate::lua::Kind;
use crate::resp::Protocol;
use std::mem;

/// The release whose scripting interface this is.
const VERSION: &str = "8.0.6";
/// All words of a call: they lie in one buffer, at places of 32 bits. Room is left for numbers, of which there are fewer than words
/// that a call may have.
const WORDS_BYTES_MAX: usize = u32::MAX as usize - (1 << 24);
const VERSION_NUMBER: f64 = 0x0008_0006 as f64;

type Result<T> = std::result::Result<T, Thrown>;

/// Puts `redis` and the libraries into the table on top; functions have a little less of `redis` than scripts.
pub(super) fn add(frame: &mut Frame<'_>, is_for_scripts: bool) {
    json::push(frame);
    frame.set_field(-2, b"cjson");
    msgpack::push(frame);
    frame.set_field(-2, b"cmsgpack");
    structs::push(frame);
    frame.set_field(-2, b"struct");
    bits::push(frame);
    frame.set_field(-2, b"bit");

    push_redis(frame);
    if is_for_scripts {
        frame.push_native(breakpoint);
        frame.set_field(-2, b"breakpoint");
        frame.push_native(debug);
        frame.set_field(-2, b"debug");
        frame.push_native(replicate_commands);
        frame.set_field(-2, b"replicate_commands");
    }
    frame.push_copy(-1);
    // Valkey's name for it.
    frame.set_field(-3, b"server");
    frame.set_field(-2, b"redis");

    frame.push_field(-1, b"math");
    frame.push_native(random);
    frame.set_field(-2, b"random");
    frame.push_native(random_seed);
    frame.set_field(-2, b"randomseed");
    frame.pop(1);

    frame.push_table(0, 1);
    frame.push_native(clock);
    frame.set_field(-2, b"clock");
    frame.set_field(-2, b"os");
}

/// Pushes the table `redis`, without what only scripts of `EVAL` have.
fn push_redis(frame: &mut Frame<'_>) {
    frame.push_table(0, 32);
    frame.push_native(call);
    frame.set_field(-2, b"call");
    frame.push_native(pcall);
    frame.set_field(-2, b"pcall");
    frame.push_native(set_resp);
    frame.set_field(-2, b"setresp");
    frame.push_native(sha1hex);
    frame.set_field(-2, b"sha1hex");
    frame.push_native(error_reply);
    frame.set_field(-2, b"error_reply");
    frame.push_native(status_reply);
    frame.set_field(-2, b"status_reply");
    frame.push_native(set_repl);
    frame.set_field(-2, b"set_repl");
    frame.push_native(acl_check_cmd);
    frame.set_field(-2, b"acl_check_cmd");
    let numbers: [(&[u8], f64); 5] = [
        (b"REPL_NONE", 0.0),
        (b"REPL_AOF", 1.0),
        (b"REPL_SLAVE", 2.0),
        (b"REPL_REPLICA", 2.0),
        (b"REPL_ALL", 3.0),
    ];
    for (name, number) in numbers {
        frame.push_number(number);
        frame.set_field(-2, name);
    }
    add_log_and_version(frame);
}

/// Puts what code of libraries has while it is loaded, too, into the table on top.
pub(super) fn add_log_and_version(frame: &mut Frame<'_>) {
    frame.push_native(log);
    frame.set_field(-2, b"log");
    let numbers: [(&[u8], f64); 5] = [
        (b"LOG_DEBUG", 0.0),
        (b"LOG_VERBOSE", 1.0),
        (b"LOG_NOTICE", 2.0),
        (b"LOG_WARNING", 3.0),
        (b"REDIS_VERSION_NUM", VERSION_NUMBER),
    ];
    for (name, number) in numbers {
        frame.push_number(number);
        frame.set_field(-2, name);
    }
    frame.push_bytes(VERSION.as_bytes());
    frame.set_field(-2, b"REDIS_VERSION");
}

/// An error as `redis.call` raises it, a table.
fn fail<T>(frame: &mut Frame<'_>, text: &str) -> Result<T> {
    push_error(frame, text.as_bytes());
    Err(frame.throw())
}

fn call(frame: &mut Frame<'_>) -> Result<usize> {
    match run_command(frame)? {
        false => Ok(1),
        true => Err(frame.throw()),
    }
}

fn pcall(frame: &mut Frame<'_>) -> Result<usize> {
    run_command(frame)?;
    Ok(1)
}

/// Runs the command in the arguments, pushes its reply; says whether that is an error.
fn run_command(frame: &mut Frame<'_>) -> Result<bool> {
    if let Err(text) = take_words(frame) {
        push_error(frame, text.as_bytes());
        return Ok(true);
    }
    ask(frame, Wish::Call)?;
    let text = mem::take(&mut frame.data().text);
    let is_error = match frame.data().told {
        Told::Reply => {
            push_reply(frame, &text);
            text.first() == Some(&b'-')
        }
        Told::Error => {
            push_error(frame, &text);
            frame.push_boolean(true);
            frame.set_field(-2, super::convert::COUNTED);
            true
        }
        other => unreachable!("{other:?} is no answer to a call"),
    };
    frame.data().text = text;
    Ok(is_error)
}

/// Lets the caller see to a wish.
///
/// - Errors: the script was killed.
fn ask(frame: &mut Frame<'_>, wish: Wish) -> Result<()> {
    check_killed(frame)?;
    frame.data().wish = wish;
    frame.suspend();
    check_killed(frame)
}

/// Copies the arguments as a command's words.
fn take_words(frame: &mut Frame<'_>) -> std::result::Result<(), &'static str> {
    let count = frame.top();
    if count == 0 {
        return Err("Please specify at least one argument for this redis lib call");
    }
    let mut words = mem::take(&mut frame.data().words);
    words.clear();
    let mut is_good = true;
    for index in 1..=count {
        if let Some(word) = frame.argument(index) {
            if words.bytes_len() + word.len() > WORDS_BYTES_MAX {
                return Err("Lua redis lib command arguments are too long");
            }
            words.push(word);
        } else if frame.kind(index as i32) == Kind::Number {
            push_number_word(&mut words, frame.number(index as i32).unwrap_or(0.0));
        } else {
            is_good = false;
            break;
        }
    }
    frame.data().words = words;
    if is_good {
        Ok(())
    } else {
        Err("Lua redis lib command arguments must be strings or integers")
    }
}

/// A number as a command's word: an integer where it is one, the shortest text otherwise.
fn push_number_word(words: &mut crate::resp::OwnedArgs, number: f64) {
    const LIMIT: f64 = (i64::MAX / 2) as f64;
    if (-LIMIT..=LIMIT).contains(&number) && number.fract() == 0.0 {
        let mut text = [0; 20];
        words.push(write_i64(&mut text, number as i64));
    } else if number.is_nan() && number.is_sign_negative() {
        // What 0/0 is on x86; its sign shows.
        words.push(b"-nan");
    } else {
        let mut text = [0; F64_TEXT_BYTES_MAX];
        words.push(write_f64(&mut text, number));
    }
}

fn acl_check_cmd(frame: &mut Frame<'_>) -> Result<usize> {
    if let Err(text) = take_words(frame) {
        return fail(frame, text);
    }
    ask(frame, Wish::AclCheck)?;
    match frame.data().told {
        Told::Allowed(may) => {
            frame.push_boolean(may);
            Ok(1)
        }
        _ => fail(frame, "Invalid command passed to redis.acl_check_cmd()"),
    }
}

fn log(frame: &mut Frame<'_>) -> Result<usize> {
    if frame.top() < 2 {
        return fail(frame, "redis.log() requires two arguments or more.");
    }
    let Some(level) = frame.number(1) else {
        return fail(frame, "First argument must be a number (log level).");
    };
    let level = level as i32;
    if !(0..=3).contains(&level) {
        return fail(frame, "Invalid log level.");
    }
    let mut text = mem::take(&mut frame.data().text);
    text.clear();
    for index in 2..=frame.top() as i32 {
        let start = text.len();
        if index > 2 {
            text.push(b' ');
        }
        let is_text = frame
            .with_text(index, |word| text.extend_from_slice(word))
            .is_some();
        if !is_text {
            text.truncate(start);
        }
    }
    frame.data().text = text;
    ask(frame, Wish::Log(level as u8))?;
    Ok(0)
}

fn set_resp(frame: &mut Frame<'_>) -> Result<usize> {
    if frame.top() != 1 {
        return fail(frame, "redis.setresp() requires one argument.");
    }
    frame.data().protocol = match frame.number(1).unwrap_or(0.0) as i32 {
        2 => Protocol::Resp2,
        3 => Protocol::Resp3,
        _ => return fail(frame, "RESP version must be 2 or 3."),
    };
    Ok(0)
}

/// Checks what it is given, and no more: there are no replicas, and what a script writes is logged whatever it says, for a log that
/// lacks some of the writes may come to another end, or to one that no start can load.
fn set_repl(frame: &mut Frame<'_>) -> Result<usize> {
    if frame.top() != 1 {
        return fail(frame, "redis.set_repl() requires one argument.");
    }
    let flags = frame.number(1).unwrap_or(0.0) as i32;
    if flags & !3 != 0 {
        return fail(
            frame,
            "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
        );
    }
    Ok(0)
}

fn sha1hex(frame: &mut Frame<'_>) -> Result<usize> {
    if frame.top() != 1 {
        return fail(frame, "wrong number of arguments");
    }
    let id = frame
        .with_text(1, ScriptId::of)
        .unwrap_or_else(|| ScriptId::of(b""));
    frame.push_bytes(id.as_bytes());
    Ok(1)
}

fn error_reply(frame: &mut Frame<'_>) -> Result<usize> {
    let text = match frame.argument(1) {
        Some(text) if frame.top() == 1 => until_zero(text),
        _ => {
            push_error(frame, b"wrong number or type of arguments");
            return Ok(1);
        }
    };
    if text.starts_with(b"-") {
        push_error(frame, text);
    } else {
        push_error(frame, &[b"-", text].concat());
    }
    Ok(1)
}

fn status_reply(frame: &mut Frame<'_>) -> Result<usize> {
    if frame.top() != 1 || frame.kind(1) != Kind::String {
        push_error(frame, b"wrong number or type of arguments");
        return Ok(1);
    }
    frame.push_table(0, 1);
    frame.push_copy(1);
    frame.set_field(-2, b"ok");
    Ok(1)
}

/// No debugger is attached, and then Redis's says so.
fn breakpoint(frame: &mut Frame<'_>) -> Result<usize> {
    frame.push_boolean(false);
    Ok(1)
}

/// Speaks to a debugger; none is attached.
fn debug(_: &mut Frame<'_>) -> Result<usize> {
    Ok(0)
}

/// Effects are what is replicated, always.
fn replicate_commands(frame: &mut Frame<'_>) -> Result<usize> {
    frame.push_boolean(true);
    Ok(1)
}

/// Seconds of processor time: all that scripts see of any clock.
fn clock(frame: &mut Frame<'_>) -> Result<usize> {
    frame.push_number(crate::lua::processor_seconds());
    Ok(1)
}

fn check_number(frame: &mut Frame<'_>, index: usize) -> Result<f64> {
    match frame.number(index as i32) {
        Some(number) => Ok(number),
        None => Err(frame.type_error(index, "number")),
    }
}

/// `luaL_checkint`: cut off to an integer, of 32 bits in the end.
pub(super) fn check_int(frame: &mut Frame<'_>, index: usize) -> Result<i32> {
    Ok(super::convert::to_integer(check_number(frame, index)?) as i32)
}

fn next_random(frame: &mut Frame<'_>) -> f64 {
    let world = frame.data().world.as_ref().expect("a script runs");
    let mut random = world.random.get();
    let number = random.next();
    world.random.set(random);
    number
}

fn random(frame: &mut Frame<'_>) -> Result<usize> {
    let draw = next_random(frame);
    let number = match frame.top() {
        0 => draw,
        1 => {
            let upper = check_int(frame, 1)?;
            if upper < 1 {
                return Err(frame.argument_error(1, "interval is empty"));
            }
            (draw * f64::from(upper)).floor() + 1.0
        }
        2 => {
            let (lower, upper) = (check_int(frame, 1)?, check_int(frame, 2)?);
            if lower > upper {
                return Err(frame.argument_error(2, "interval is empty"));
            }
            // The width is an int in Redis, and wraps.
            let width = upper.wrapping_sub(lower).wrapping_add(1);
            (draw * f64::from(width)).floor() + f64::from(lower)
        }
        _ => return Err(frame.error("wrong number of arguments")),
    };
    frame.push_number(number);
    Ok(1)
}

fn random_seed(frame: &mut Frame<'_>) -> Result<usize> {
    let seed = check_int(frame, 1)?;
    let world = frame.data().world.as_ref().expect("a script runs");
    world.random.set(Random::seeded(seed));
    Ok(0)
}
