//! Which scripts stay with their declared keys by their text: the plain ones do, and nothing that could get around it does.

use rondo::router::stays::stays;

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
        "local key = KEYS[1] key, a = 'x', 1 return redis.call('get', key)",
        "key = KEYS[1] return redis.call('get', key)",
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
