//! Which scripts and functions stay with their declared keys by their text: the plain ones do, and nothing that could get
//! around it does.

use rondo::router::stays::{library_stays, stays};

#[test]
fn plain_scripts_stay() {
    for body in [
        "return 1",
        "return redis.call('get', KEYS[1])",
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
        "local key = KEYS[1]\nlocal now = tonumber(ARGV[1])\nredis.call('ZREMRANGEBYSCORE', key, 0, now - 10)\n\
         local n = redis.call('ZCARD', key)\nif n < 5 then redis.call('ZADD', key, now, now) end return n",
        "#!lua flags=no-writes\nreturn redis.call('mget', KEYS[1], KEYS[2])",
        "return redis.call('del', unpack(KEYS))",
        "for _, k in ipairs(KEYS) do redis.call('incr', k) end return #KEYS",
        "local v = redis.pcall('set', KEYS[tonumber(ARGV[1])], '-- x', 'EX', 10) --[[ redis.call('get', 'y') ]] return v",
        "redis.call('publish', 'news', KEYS[1]) return redis.call('time')[1]",
        "redis.log(redis.LOG_NOTICE, 'x') return redis.sha1hex(ARGV[1])",
        "if ARGV[1] then local key = KEYS[1] redis.call('incr', key) else local key = KEYS[2] redis.call('decr', key) end",
        "local t = {} ; t.redis = 1 ; t.KEYS = 2 ; return redis.status_reply('x')",
    ] {
        assert!(stays(body.as_bytes()), "{body}");
    }
}

#[test]
fn whatever_could_reach_another_key_does_not() {
    for body in [
        "return redis.call('get', 'x')",
        "return redis.call('get', KEYS[1] .. 'x')",
        "return redis.call('get', ARGV[1])",
        "return redis.call('get', KEYS[1], unpack(ARGV)) , redis.call('mget', KEYS[1], unpack(ARGV))",
        "return redis.call('mget', KEYS[1], f(1))",
        "return redis.call('mget', KEYS[1], ...)",
        "local call = redis.call return call('get', KEYS[1])",
        "local r = redis return r.call('get', 'x')",
        "return redis['call']('get', 'x')",
        "return redis.call(ARGV[1], KEYS[1])",
        "return redis.call('g\\101t', KEYS[1])",
        "KEYS[1] = 'x' return redis.call('get', KEYS[1])",
        "KEYS[1], y = 'x', 2 return redis.call('get', KEYS[1])",
        "y, KEYS[1] = 2, 'x' return redis.call('get', KEYS[1])",
        "local k = KEYS k[1] = 'x' return redis.call('get', KEYS[1])",
        "table.insert(KEYS, 'x') return redis.call('get', KEYS[1])",
        "table.remove(KEYS, 1)",
        "KEYS = {'x'} return redis.call('get', KEYS[1])",
        "local KEYS = {'x'} return redis.call('get', KEYS[1])",
        "local function f(KEYS) return redis.call('get', KEYS[1]) end return f({'x'})",
        "for KEYS in pairs({}) do redis.call('get', KEYS[1]) end",
        "local key = KEYS[1] key = 'x' return redis.call('get', key)",
        "local key = KEYS[1] if 1 then local key = 'x' redis.call('get', key) end",
        "local key = KEYS[1] .. 'x' return redis.call('get', key)",
        "local key = KEYS[1] or 'x' return redis.call('get', key)",
        "local key = KEYS[1] for key in pairs({x = 1}) do redis.call('get', key) end",
        "local key = KEYS[1] for i, key in ipairs({'x'}) do redis.call('get', key) end",
        "local key = KEYS[1] for key = 1, 2 do redis.call('get', key) end",
        "local key = KEYS[1] local function f(key) return redis.call('get', key) end return f('x')",
        "local key = KEYS[1] function f(a, key) return redis.call('get', key) end return f(1, 'x')",
        "local key = KEYS[1] local a, key = 1, 'x' return redis.call('get', key)",
        "local key = KEYS[1] for a, key, b in f() do redis.call('set', key, b) end",
        "-- c\r redis.call('set', 'x', 1)",
        "local f, t = ipairs(KEYS) t[1] = 'x' return redis.call('get', KEYS[1])",
        "redis.call('mset', KEYS[1], f{'v', 'x', 'v'})",
        "redis.call('blpop', KEYS[1], f'x')",
        "redis.call('mset', KEYS[1], g'a''b')",
        "redis.call('mset', KEYS[1], g{}'b')",
        "redis.call('mset', KEYS[1], t[1]{})",
        "redis.call('blpop', KEYS[1], t.f[[x]])",
        "redis.call('blpop', KEYS[1], t[1]'x')",
        "local self = KEYS[1] local t = {} function t:m() redis.call('set', self, 'v') end t.m('x')",
        "local arg = KEYS[1] local function f(...) redis.call('set', arg, 'v') end",
        "do local _VERSION = KEYS[1] end redis.call('set', _VERSION, 'v')",
        "local key = KEYS[1] key, a = 'x', 1 return redis.call('get', key)",
        "key = KEYS[1] return redis.call('get', key)",
        "do local key = KEYS[1] redis.call('get', key) end do local key = ARGV[1] redis.call('get', key) end",
        "for _, k in ipairs(ARGV) do redis.call('incr', k) end",
        "for _, k in pairs(KEYS) do redis.call('incr', k) end",
        "return redis.call('keys', '*')",
        "return redis.call('dbsize')",
        "return redis.call('scan', 0)",
        "return redis.call('flushall')",
        "return redis.call('eval', 'return 1', 0)",
        "return redis.call('zunionstore', KEYS[1], 1, 'x')",
        "return redis.call('sort', KEYS[1], 'by', 'w*')",
        "return redis.call('rename', KEYS[1], 'x')",
        "return redis.call('mset', KEYS[1], 1, 'x', 2)",
        "return loadstring('return redis.call(\"get\", \"x\")')()",
        "setfenv(1, {}) return 1",
        "setmetatable(KEYS, {}) return 1",
        "redis.sha1hex = redis.call return redis.sha1hex('get', 'x')",
        "local key = KEYS[1] pcall(function() key, a = 'x', 1 end) return redis.call('get', key)",
        "local key = KEYS[1] pcall(function() for key, a in pairs({x = 1}) do redis.call('get', key) end end)",
        "local unpack = f return redis.call('del', unpack(KEYS))",
        "local function ipairs(t) t[1] = 'x' end ipairs(KEYS) return redis.call('get', KEYS[1])",
        "return pcall(redis.call, 'get', 'x')",
        "return redis.call 'dbsize'",
        "return redis.call{}",
        "return redis.call('get', KEYS[1]",
        "return 'x",
        "return [[x",
    ] {
        assert!(!stays(body.as_bytes()), "{body}");
    }
}

#[test]
fn plain_libraries_stay() {
    for body in [
        "redis.register_function('f', function(keys, args) return redis.call('get', keys[1]) end)",
        "redis.register_function{function_name='f', callback=function(k, a) return redis.call('del', unpack(k)) end, \
         flags={'no-writes'}}",
        "redis.register_function({function_name='f', callback=function(k) return redis.call('del', k[1]) end})",
        "local function f(keys, args)\n local hash = keys[1] return redis.call('HSET', hash, args[1], 1)\nend\n\
         local function g(keys, args)\n local hash = keys[1] f(keys, args) return redis.call('HGET', hash, args[1])\nend\n\
         redis.register_function('f', f)\nserver.register_function{callback = g, function_name = 'g'}",
        "local add = function(a, b) return a + b end\n\
         local f = function(keys, args) for i = 1, 2 do if add(i, 1) > 0 then redis.call('incr', keys[i]) end end end\n\
         redis.register_function('f', f)",
        "redis.register_function('now', function() return redis.call('time') end)",
        "redis.register_function('f', function(keys) return redis.call('get', keys[1]) end)\n\
         redis.register_function('p', function(other, args) return redis.call('publish', args[1], #other) end)",
    ] {
        let code = format!("#!lua name=lib\n{body}");
        assert!(library_stays(code.as_bytes()), "{body}");
    }
}

#[test]
fn a_library_that_could_reach_another_key_does_not() {
    for body in [
        "redis.register_function('f', function(keys, args) return redis.call('get', args[1]) end)",
        "redis.register_function('f', function(keys) return redis.call('get', KEYS[1]) end)",
        "redis.register_function('f', function(args, keys) return redis.call('get', keys[1]) end)",
        "redis.register_function('f', function(keys) keys[1] = 'x' return redis.call('get', keys[1]) end)",
        "redis.register_function('f', function(keys) keys = {'x'} return redis.call('get', keys[1]) end)",
        "redis.register_function('f', function(keys) local keys = {'x'} return redis.call('get', keys[1]) end)",
        "redis.register_function('f', function(keys, keys) return redis.call('get', keys[1]) end)",
        // Called by others, with other tables.
        "local function f(keys) return redis.call('get', keys[1]) end\n\
         redis.register_function('g', function(keys, args) return f(args) end)",
        "local function f(keys) return redis.call('get', keys[1]) end\n\
         redis.register_function('g', function(keys, args) return f({keys[1] .. 'x'}) end)",
        "local function f(keys) return redis.call('get', keys[1]) end\n\
         redis.register_function('g', function(keys, args) return pcall(f, args) end)",
        "local function f(keys) return redis.call('get', keys[1]) end local g = f\n\
         redis.register_function('g', function(keys, args) return g(args) end)",
        "local t = {callback = function(keys) return redis.call('get', keys[1]) end}\n\
         redis.register_function('g', function(keys, args) return t.callback(args) end)",
        "local t = {} function t.f(keys) return redis.call('get', keys[1]) end\n\
         redis.register_function('g', function(keys, args) return t.f(args) end)",
        "local t = {function(keys) return redis.call('get', keys[1]) end}\n\
         redis.register_function('g', function(keys, args) return t[1](args) end)",
        "local function f(keys) return redis.call('get', keys[1]) end f = redis.register_function\n\
         redis.register_function('g', f)",
        // What one call has left behind.
        "local last redis.register_function('f', function(keys) local key = keys[1]\n\
         last = last or function() return redis.call('get', key) end return last() end)",
        "local last redis.register_function('f', function(keys) last = last or keys return redis.call('get', last[1]) end)",
        "local last redis.register_function('f', function(keys) last = last or keys[1] return redis.call('get', last) end)",
        "for i = 1, 2 do redis.register_function('f' .. i, function(keys) return redis.call('get', keys[1]) end) end",
        "function f(keys) return redis.call('get', keys[1]) end redis.register_function('f', f)",
        "redis.register_function('f', function(redis) return redis.call('get', redis[1]) end)",
        "redis.register_function('f', function(keys) return redis.call('dbsize') end)",
        "local r = redis redis.register_function('f', function(keys) return r.call('get', 'x') end)",
        "redis.register_function('f', function(keys, args) return loadstring(args[1])() end)",
    ] {
        let code = format!("#!lua name=lib\n{body}");
        assert!(!library_stays(code.as_bytes()), "{body}");
    }
    assert!(!library_stays(b"#!lua name=lib"));
}

/// What is read before a script runs for the first time is read at once, whatever it says.
#[test]
fn long_texts_are_not_looked_at_from_every_piece_on() {
    let names: String = (0..20_000)
        .map(|number| format!("do local k{number}=KEYS[1] end "))
        .collect();
    let list = format!("return #{{{}}}", "KEYS[1],".repeat(100_000));
    let calls = "redis.call('get', KEYS[1]) ".repeat(20_000);
    for text in [&names, &list] {
        // Either answer is right.
        let _ = stays(text.as_bytes());
    }
    assert!(stays(calls.as_bytes()));
}
