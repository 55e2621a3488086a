//! Libraries: loading, running, payloads, with the replies that a real server gave.

use super::runner::{Runner, words};
use rondo::resp::Reply;
use rondo::script::{Answer, Context, Functions, Limits, LoadHost, Policy, Step};
use std::path::Path;

/// Loading may take `looks` looks at the clock.
struct Clock {
    looks: usize,
    logged: Vec<String>,
}

impl LoadHost for Clock {
    fn is_late(&mut self) -> bool {
        let is_late = self.looks == 0;
        self.looks = self.looks.saturating_sub(1);
        is_late
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        self.logged.push(format!("{level} {}", text.escape_ascii()));
    }
}

fn clock() -> Clock {
    Clock {
        looks: 3,
        logged: Vec::new(),
    }
}

fn functions() -> Functions {
    Functions::new(Limits {
        memory_bytes_max: 16 << 20,
    })
}

/// The reply to FUNCTION LOAD.
fn load(functions: &mut Functions, code: &[u8], replace: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, Default::default());
    match functions.load(code, replace, &mut clock()) {
        Ok(library) => reply.bulk(&library.name),
        Err(error) => reply.error_bytes(error.text()),
    }
    out
}

/// The reply to FCALL with two keys and an argument.
fn call(functions: &mut Functions, name: &str) -> Vec<u8> {
    let (keys, argv) = (words(&["k1", "k2"]), words(&["a1"]));
    let run = functions.start(
        name.as_bytes(),
        &keys.as_args(),
        &argv.as_args(),
        Context::default(),
    );
    match run {
        Some(run) => Runner::new().finish(run),
        None => b"-ERR Function not found\r\n".to_vec(),
    }
}

#[test]
fn libraries_load_and_run_as_in_redis() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/script/golden/functions.txt");
    let text = std::fs::read_to_string(path).expect("a golden file");
    let mut here = functions();
    let mut wrong = Vec::new();
    for line in text.lines() {
        let (what, reply) = line.split_once('\t').expect("a request and its reply");
        let reply = super::golden::unescape(reply);
        let got = match what.split_once(' ') {
            Some(("load", code)) => load(&mut here, &super::golden::unescape(code), false),
            Some((_, name)) => call(&mut here, name),
            None => {
                // Redis's payload, which says version 12, of the same libraries.
                let mut restored = functions();
                restored
                    .restore(&reply, Policy::Append, &mut clock())
                    .expect("a payload of Redis");
                assert!(restored.libraries().eq(here.libraries()));
                let own = restored.dump();
                let mut again = functions();
                again
                    .restore(&own, Policy::Append, &mut clock())
                    .expect("an own payload");
                assert!(again.libraries().eq(here.libraries()));
                reply.clone()
            }
        };
        if got != reply {
            wrong.push(format!("{line}\n  got {}", got.escape_ascii()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn library(name: &str, function: &str, result: u32) -> Vec<u8> {
    format!(
        "#!lua name={name}\nredis.register_function('{function}', function() return {result} end)"
    )
    .into_bytes()
}

/// Valkey's name for `redis` is there while a library loads, too.
#[test]
fn libraries_may_say_server() {
    let mut here = functions();
    let code = b"#!lua name=a\nserver.log(server.LOG_NOTICE, 'x')\n\
        server.register_function('f', function() return server.status_reply('fine') end)";
    assert_eq!(load(&mut here, code, false), b"$1\r\na\r\n");
    assert_eq!(call(&mut here, "f"), b"+fine\r\n");
    let refused = load(&mut here, b"#!lua name=b\nserver.x = 1", false);
    assert!(refused.starts_with(b"-ERR"), "{}", refused.escape_ascii());
}

/// What is refused leaves every library as it was; what replaces one takes its functions' places.
#[test]
fn a_library_is_replaced_whole_or_not_at_all() {
    let mut here = functions();
    assert_eq!(
        load(&mut here, &library("a", "f", 1), false),
        b"$1\r\na\r\n"
    );
    assert_eq!(
        load(&mut here, &library("b", "g", 2), false),
        b"$1\r\nb\r\n"
    );
    let refused = load(&mut here, &library("a", "g", 3), true);
    assert_eq!(refused, b"-ERR Function g already exists\r\n");
    load(&mut here, b"#!lua name=a\nx = 1", true);
    assert_eq!(call(&mut here, "f"), b":1\r\n");
    assert_eq!(load(&mut here, &library("a", "h", 4), true), b"$1\r\na\r\n");
    assert_eq!(call(&mut here, "f"), b"-ERR Function not found\r\n");
    assert_eq!(call(&mut here, "h"), b":4\r\n");
    assert!(here.delete(b"a") && !here.delete(b"a"));
    assert_eq!((here.libraries().len(), here.functions_count()), (1, 1));
    here.flush();
    assert_eq!((here.libraries().len(), here.lua_bytes()), (0, 0));
}

#[test]
fn loading_has_a_time_limit_and_a_log() {
    let mut here = functions();
    let endless = load(&mut here, b"#!lua name=a\nwhile true do end", false);
    assert_eq!(
        endless,
        b"-ERR Error registering functions: ERR FUNCTION LOAD timeout\r\n"
    );
    let mut host = clock();
    let code = b"#!lua name=a\nredis.log(redis.LOG_WARNING, 'loading', 1) redis.register_function('f', function() end)";
    here.load(code, false, &mut host).expect("it loads");
    assert_eq!(host.logged, ["3 loading 1"]);
}

/// A payload's libraries come all together or not at all.
#[test]
fn payloads_obey_their_policy() {
    let mut from = functions();
    load(&mut from, &library("a", "f", 1), false);
    load(&mut from, &library("b", "g", 2), false);
    let payload = from.dump();
    let mut here = functions();
    load(&mut here, &library("b", "h", 3), false);
    let restore = |here: &mut Functions, policy| {
        let result = here.restore(&payload, policy, &mut clock());
        result.map_err(|error| String::from_utf8_lossy(error.text()).into_owned())
    };
    let refused = restore(&mut here, Policy::Append);
    assert_eq!(refused, Err("ERR Library b already exists".to_string()));
    assert_eq!(here.libraries().len(), 1);
    assert_eq!(restore(&mut here, Policy::Replace), Ok(()));
    assert_eq!(call(&mut here, "g"), b":2\r\n");
    assert_eq!(call(&mut here, "h"), b"-ERR Function not found\r\n");
    load(&mut here, &library("c", "x", 3), false);
    assert_eq!(restore(&mut here, Policy::Flush), Ok(()));
    assert_eq!(here.libraries().len(), 2);
    let mut other = functions();
    load(&mut other, &library("c", "g", 3), false);
    let refused = restore(&mut other, Policy::Append);
    assert_eq!(refused, Err("ERR Function g already exists".to_string()));
    for at in 0..payload.len() {
        let mut damaged = payload.clone();
        damaged[at] ^= 1;
        let result = functions().restore(&damaged, Policy::Append, &mut clock());
        assert!(result.is_err(), "byte {at}");
    }
}

/// A payload's library may bring a function that another one has had until now, which the payload replaces, too.
#[test]
fn a_function_may_move_between_libraries_that_are_replaced() {
    let mut from = functions();
    load(&mut from, &library("a", "f", 1), false);
    load(&mut from, &library("b", "g", 2), false);
    let payload = from.dump();
    let mut here = functions();
    load(&mut here, &library("b", "f", 3), false);
    let restored = here.restore(&payload, Policy::Replace, &mut clock());
    assert!(restored.is_ok());
    assert_eq!(call(&mut here, "f"), b":1\r\n");
    assert_eq!(call(&mut here, "g"), b":2\r\n");
    // And another core that is told of one after the other.
    let mut there = functions();
    load(&mut there, &library("b", "f", 3), false);
    for library in here.libraries().cloned().collect::<Vec<_>>() {
        assert!(there.put(&library, &mut clock()));
    }
    assert_eq!(call(&mut there, "f"), b":1\r\n");
    assert_eq!(call(&mut there, "g"), b":2\r\n");
    let taken = there.load(&library("c", "f", 4), false, &mut clock());
    assert!(taken.is_err());
}

/// Another core takes over what one core has loaded; functions under way go on when their library goes.
#[test]
fn libraries_follow_and_runs_outlive_them() {
    let mut here = functions();
    let code =
        b"#!lua name=a\nredis.register_function('f', function() return redis.call('get', 'x') end)";
    here.load(code, false, &mut clock()).expect("it loads");
    load(&mut here, &library("b", "g", 2), false);
    let all: Vec<_> = here.libraries().cloned().collect();
    let mut there = functions();
    assert!(there.follow(&all, &mut clock()));
    assert_eq!(call(&mut there, "g"), b":2\r\n");
    let none = words(&[]);
    let run = there.start(b"f", &none.as_args(), &none.as_args(), Context::default());
    let mut run = run.expect("it is there");
    assert!(matches!(run.resume(Answer::Begin), Step::Call { .. }));
    assert!(there.follow(&all[1..], &mut clock()));
    assert!(there.follow(&[], &mut clock()));
    assert_eq!(call(&mut there, "g"), b"-ERR Function not found\r\n");
    assert_eq!(
        run.resume(Answer::Reply(b":7\r\n")),
        Step::Done(b":7\r\n".to_vec())
    );
}
