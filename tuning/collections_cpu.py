#!/usr/bin/env python3
"""Server CPU per request on collections, servers in turn: pipelines of 16 on 20 connections.

usage: collections_cpu.py --server NAME='command with {port} and {dir}' [--server ...] [--case NAME ...] [--rounds N]
The first server is the reference; ratios are its CPU over the other's, round by round (median): above 1 is cheaper.
SERVER_CPUS and CLIENT_CPUS say which cores are whose. CPU comes from /proc, user and system together.
"""
import argparse
import os
import random
import statistics

from servers import Connection, Server, encode

PIPELINE, CONNECTIONS = 16, 20


def keyed(name, keys, *rest):
    """Requests on one of `keys` keys."""
    return lambda i, rng: encode(name, b"key:%d" % rng.randrange(keys), *rest)


def fill(command, key, size, pairs, step=500):
    """Requests that make a collection of `size`."""
    for first in range(0, size, step):
        words = [word for i in range(first, first + step) for word in pairs(i)]
        yield encode(command, key, *words)


def hashes(keys, size):
    for key in range(keys):
        pairs = [word for i in range(size) for word in (b"field:%04d" % i, b"value:%06d" % i)]
        yield encode("HSET", b"key:%d" % key, *pairs)


def lists(keys, size):
    for key in range(keys):
        yield encode("RPUSH", b"key:%d" % key, *[b"element:%d" % i for i in range(size)])


ZSET = lambda: fill("ZADD", "zset", 1_000_000, lambda i: (i * 7919 % 1000003, b"member:%d" % i))
SETS = lambda: [
    *fill("SADD", "a", 100_000, lambda i: (b"member:%d" % i,)),
    *fill("SADD", "b", 100_000, lambda i: (b"member:%d" % (i + 99_000),)),
]


def stream():
    yield encode("XGROUP", "CREATE", "stream", "group", "0", "MKSTREAM")
    for i in range(400_000):
        yield encode("XADD", "stream", b"%d-1" % (i + 1), "field", "value")


def fields(i, count):
    """Words of an entry: ten bytes of value a field."""
    return [word for at in range(count) for word in (b"field%d" % at, b"%010d" % (i * 20 + at))]


def entries(count, size=10_000):
    """A stream of entries with `count` fields, half of which a group has read; the last thousand of those are pending."""
    yield encode("XGROUP", "CREATE", "stream", "group", "0", "MKSTREAM")
    for i in range(size):
        yield encode("XADD", "stream", b"%d-1" % (i + 1), *fields(i, count))
    yield encode("XGROUP", "SETID", "stream", "group", b"%d-1" % max(size // 2 - 1000, 1))
    yield encode("XREADGROUP", "GROUP", "group", "consumer", "COUNT", min(1000, size // 2), "STREAMS", "stream", ">")


def at_entry(command, *rest, last=10_000, first=1):
    """Requests whose second word but the key is the id of a random entry."""
    return lambda i, rng: encode(command, "stream", b"%d-1" % rng.randrange(first, last + 1), *rest)


def read_from(i, rng):
    return encode("XREAD", "COUNT", 10, "STREAMS", "stream", b"%d-1" % rng.randrange(9_900))


def read_again(i, rng):
    return encode("XREADGROUP", "GROUP", "group", "consumer", "COUNT", 10, "STREAMS", "stream", b"%d-1" % rng.randrange(4_000, 4_900))


def claim(i, rng):
    return encode("XCLAIM", "stream", "group", b"consumer:%d" % (i % 2), 0, b"%d-1" % rng.randrange(4_001, 5_001))


def claim_from(i, rng):
    return encode("XAUTOCLAIM", "stream", "group", b"consumer:%d" % (i % 2), 0, b"%d-1" % rng.randrange(4_001, 4_900), "COUNT", 10)


def add_and(*words):
    """Requests that add an entry, and others in turn."""
    return lambda i, rng: encode("XADD", "stream", b"%d-1" % (20_000 + i), "field", "value") if i % 2 == 0 else encode(*words)


def integers(keys, size):
    for key in range(keys):
        yield encode("SADD", b"key:%d" % key, *[b"%d" % (i * 3 + key) for i in range(size)])


def scored(keys, size):
    for key in range(keys):
        yield encode("ZADD", b"key:%d" % key, *[word for i in range(size) for word in (i, b"member:%d" % i)])


def long_lists(keys, size, step=1000):
    for key in range(keys):
        for first in range(0, size, step):
            yield encode("RPUSH", b"key:%d" % key, *[b"element:%06d" % i for i in range(first, first + step)])


def strings(keys, bytes_each, step=100):
    for first in range(0, keys, step):
        yield encode("MSET", *[word for i in range(first, first + step) for word in (b"key:%d" % i, b"x" * bytes_each)])


def members(keys, size):
    for key in range(keys):
        yield encode("SADD", b"key:%d" % key, *[b"member:%d" % i for i in range(size)])


def places(keys, size):
    rng = random.Random(7)
    for key in range(keys):
        yield encode("GEOADD", b"key:%d" % key, *[word for i in range(size) for word in (*point(rng), b"member:%d" % i)])


def sketches(keys, size):
    for key in range(keys):
        yield encode("PFADD", b"key:%d" % key, *[b"element:%d:%d" % (key, i) for i in range(size)])


def point(rng):
    return b"%.5f" % (rng.random() * 10), b"%.5f" % (rng.random() * 10 + 40)


def payload(key):
    """A payload there and back in one request."""
    script = "return redis.call('RESTORE', KEYS[2], 0, redis.call('DUMP', KEYS[1]), 'REPLACE')"
    return lambda i, rng: encode("EVAL", script, 2, key, key + b":copy")


def read_and_acknowledge(i, rng):
    if i % 2 == 0:
        return encode("XREADGROUP", "GROUP", "group", "consumer", "COUNT", 1, "STREAMS", "stream", ">")
    return encode("XACK", "stream", "group", b"%d-1" % (i // 2 + 1))


CASES = {
    # name: (requests that fill, requests measured, request i)
    "LPUSH": (lambda: [], 320_000, keyed("LPUSH", 1000, "element:1234")),
    "LPOP": (lambda: lists(1000, 500), 320_000, keyed("LPOP", 1000)),
    "SADD": (lambda: [], 320_000, lambda i, rng: encode("SADD", b"key:%d" % rng.randrange(100), b"member:%d" % rng.randrange(10_000))),
    "SPOP": (lambda: fill("SADD", "set", 400_000, lambda i: (b"member:%d" % i,)), 320_000, lambda i, rng: encode("SPOP", "set")),
    "HSET": (lambda: [], 320_000, lambda i, rng: encode("HSET", b"key:%d" % rng.randrange(10_000), b"field:%d" % rng.randrange(20), "value:1234")),
    "HGETALL of 10": (lambda: hashes(10_000, 10), 320_000, keyed("HGETALL", 10_000)),
    "HGETALL of 1,000": (lambda: hashes(100, 1000), 16_000, keyed("HGETALL", 100)),
    "ZADD": (lambda: [], 320_000, lambda i, rng: encode("ZADD", b"key:%d" % rng.randrange(100), rng.randrange(1_000_000), b"member:%d" % rng.randrange(10_000))),
    "ZRANGE 10 of 1,000,000": (ZSET, 320_000, lambda i, rng: encode("ZRANGE", "zset", 0, 9)),
    "ZINCRBY of 1,000,000": (ZSET, 320_000, lambda i, rng: encode("ZINCRBY", "zset", 1, b"member:%d" % rng.randrange(1_000_000))),
    "XADD": (lambda: [], 320_000, lambda i, rng: encode("XADD", b"key:%d" % rng.randrange(10), "*", "field", "value")),
    "XREADGROUP, XACK": (stream, 640_000, read_and_acknowledge),
    "XADD MAXLEN = 100": (lambda: [], 320_000, lambda i, rng: encode("XADD", b"key:%d" % rng.randrange(10), "MAXLEN", "=", 100, "*", "field", "value")),
    "XADD of 4": (lambda: [], 160_000, lambda i, rng: encode("XADD", b"key:%d" % rng.randrange(10), "*", *fields(i, 4))),
    "XADD of 20": (lambda: [], 48_000, lambda i, rng: encode("XADD", b"key:%d" % rng.randrange(10), "*", *fields(i, 20))),
    "XRANGE 10 of 1": (lambda: entries(1), 96_000, at_entry("XRANGE", "+", "COUNT", 10)),
    "XRANGE 10 of 4": (lambda: entries(4), 48_000, at_entry("XRANGE", "+", "COUNT", 10)),
    "XRANGE 10 of 20": (lambda: entries(20), 16_000, at_entry("XRANGE", "+", "COUNT", 10)),
    "XRANGE 10,000 of 1": (lambda: entries(1), 320, lambda i, rng: encode("XRANGE", "stream", "-", "+")),
    "XRANGE 10,000 of 20": (lambda: entries(20), 160, lambda i, rng: encode("XRANGE", "stream", "-", "+")),
    "XRANGE one of 4": (lambda: entries(4), 96_000, at_entry("XRANGE", "+", "COUNT", 1)),
    "XREVRANGE 10 of 1": (lambda: entries(1), 96_000, at_entry("XREVRANGE", "-", "COUNT", 10)),
    "XREVRANGE 10 of 20": (lambda: entries(20), 16_000, at_entry("XREVRANGE", "-", "COUNT", 10)),
    "XREAD 10 of 1": (lambda: entries(1), 96_000, read_from),
    "XREAD 10 of 20": (lambda: entries(20), 16_000, read_from),
    "XREADGROUP 10 pending of 1": (lambda: entries(1), 96_000, read_again),
    "XREADGROUP 10 pending of 20": (lambda: entries(20), 16_000, read_again),
    "XCLAIM of 1": (lambda: entries(1), 96_000, claim),
    "XCLAIM of 20": (lambda: entries(20), 48_000, claim),
    "XAUTOCLAIM 10 of 1": (lambda: entries(1), 48_000, claim_from),
    "XAUTOCLAIM 10 of 20": (lambda: entries(20), 16_000, claim_from),
    "XPENDING": (lambda: entries(1), 160_000, lambda i, rng: encode("XPENDING", "stream", "group")),
    "XPENDING 10": (lambda: entries(1), 160_000, lambda i, rng: encode("XPENDING", "stream", "group", "-", "+", 10)),
    "XACK of nothing": (lambda: entries(1), 160_000, lambda i, rng: encode("XACK", "stream", "group", "1-1")),
    "XDEL": (lambda: entries(1, 100_000), 96_000, at_entry("XDEL", last=100_000)),
    "XDEL of 20": (lambda: entries(20, 50_000), 32_000, at_entry("XDEL", last=50_000)),
    "XADD, XTRIM MAXLEN = 10,000": (lambda: entries(1), 96_000, add_and("XTRIM", "stream", "MAXLEN", "=", 10_000)),
    "XADD, XTRIM MAXLEN ~ 10,000": (lambda: entries(1), 96_000, add_and("XTRIM", "stream", "MAXLEN", "~", 10_000)),
    "XINFO STREAM": (lambda: entries(1), 96_000, lambda i, rng: encode("XINFO", "STREAM", "stream")),
    "XINFO STREAM FULL": (lambda: entries(1), 48_000, lambda i, rng: encode("XINFO", "STREAM", "stream", "FULL")),
    "XINFO GROUPS": (lambda: entries(1), 96_000, lambda i, rng: encode("XINFO", "GROUPS", "stream")),
    "XINFO CONSUMERS": (lambda: entries(1), 96_000, lambda i, rng: encode("XINFO", "CONSUMERS", "stream", "group")),
    "XLEN": (lambda: entries(1), 160_000, lambda i, rng: encode("XLEN", "stream")),
    "SORT nosort LIMIT 5": (lambda: long_lists(1, 10_000), 16_000, keyed("SORT", 1, "BY", "nosort", "LIMIT", 0, 5)),
    "DUMP list of 10,000": (lambda: long_lists(1, 10_000), 1_600, keyed("DUMP", 1)),
    "LTRIM list of 10,000": (lambda: long_lists(160, 10_000), 48_000, lambda i, rng: encode("LTRIM", b"key:%d" % (i % 160), 15, -16)),
    "DUMP stream of 20,000": (lambda: [encode("XADD", "key:0", b"%d-1" % (i + 1), "field", "value") for i in range(20_000)], 320, keyed("DUMP", 1)),
    "DUMP stream of 10,000 of 4": (lambda: entries(4), 320, lambda i, rng: encode("DUMP", "stream")),
    "DUMP, RESTORE stream of 1,000": (lambda: entries(1, 1_000), 1_600, payload(b"stream")),
    "SUNION 10 of 500 ints": (lambda: integers(10, 500), 3_200, lambda i, rng: encode("SUNION", *[b"key:%d" % key for key in range(10)])),
    "SDIFFSTORE 2 of 500 ints": (lambda: integers(10, 500), 16_000, lambda i, rng: encode("SDIFFSTORE", "made", "key:0", "key:1")),
    "HRANDFIELD -500 of 500": (lambda: hashes(10, 500), 3_200, keyed("HRANDFIELD", 10, -500)),
    "ZRANGEBYSCORE of 100": (lambda: scored(100, 100), 80_000, lambda i, rng: encode("ZRANGEBYSCORE", b"key:%d" % rng.randrange(100), rng.randrange(90), "+inf", "LIMIT", 0, 10)),
    "DUMP, RESTORE zset of 100": (lambda: scored(1, 100), 16_000, payload(b"key:0")),
    "DUMP, RESTORE hash of 100": (lambda: hashes(1, 100), 16_000, payload(b"key:0")),
    "DUMP, RESTORE set of 100": (lambda: [encode("SADD", "key:0", *[b"member:%d" % i for i in range(100)])], 16_000, payload(b"key:0")),
    "SINTER of 100,000": (SETS, 160, lambda i, rng: encode("SINTER", "a", "b")),
}


K = lambda rng, keys=10_000: b"key:%d" % rng.randrange(keys)


def of_sizes(prepare, count, requests):
    """Cases on 10,000 collections of 10 and on 4 of 10,000; a request is made of a key and of what picks an element.

    The number before a request: how many times fewer of it are measured, up to 4 times of small collections.
    """
    for title, keys, size, share_max in ("10", 10_000, 10, 4), ("10,000", 4, 10_000, count):
        for name, (share, request) in requests.items():
            made = lambda i, rng, keys=keys, size=size, request=request: request(K(rng, keys), lambda: rng.randrange(size), rng)
            CASES[f"{name} of {title}"] = (lambda keys=keys, size=size: prepare(keys, size), count // min(share, share_max), made)


def field(i):
    return b"field:%04d" % i


def member(i):
    return b"member:%d" % i


STRINGS = lambda: strings(10_000, 10)
CASES |= {
    "GETEX EX": (STRINGS, 320_000, lambda i, rng: encode("GETEX", K(rng), "EX", 1000)),
    "GETDEL": (lambda: strings(320_000, 10), 320_000, lambda i, rng: encode("GETDEL", b"key:%d" % i)),
    "SET EX": (STRINGS, 320_000, lambda i, rng: encode("SET", K(rng), "hello", "EX", 1000)),
    "INCRBYFLOAT": (lambda: [], 320_000, lambda i, rng: encode("INCRBYFLOAT", K(rng), "0.1")),
    "SETRANGE": (lambda: strings(10_000, 100), 320_000, lambda i, rng: encode("SETRANGE", K(rng), 50, "hello")),
    "BITFIELD": (STRINGS, 320_000, lambda i, rng: encode("BITFIELD", K(rng), "GET", "u8", 0, "INCRBY", "u5", "#3", 1)),
    "EXPIRE": (STRINGS, 320_000, lambda i, rng: encode("EXPIRE", K(rng), 1000)),
    "TTL": (STRINGS, 320_000, lambda i, rng: encode("TTL", K(rng))),
    "PERSIST": (STRINGS, 320_000, lambda i, rng: encode("PERSIST", K(rng))),
    "OBJECT ENCODING": (STRINGS, 320_000, lambda i, rng: encode("OBJECT", "ENCODING", K(rng))),
    "MGET 10": (STRINGS, 80_000, lambda i, rng: encode("MGET", *[K(rng) for _ in range(10)])),
    "MGET 100": (STRINGS, 16_000, lambda i, rng: encode("MGET", *[K(rng) for _ in range(100)])),
    "MSET 10": (STRINGS, 80_000, lambda i, rng: encode("MSET", *[word for _ in range(10) for word in (K(rng), "value:123")])),
    "MSET 100": (STRINGS, 16_000, lambda i, rng: encode("MSET", *[word for _ in range(100) for word in (K(rng), "value:123")])),
    "DEL 10": (lambda: strings(160_000, 10), 16_000, lambda i, rng: encode("DEL", *[b"key:%d" % (i * 10 + j) for j in range(10)])),
    "KEYS key:1* of 10,000": (STRINGS, 1_600, lambda i, rng: encode("KEYS", "key:1*")),
    "SCAN": (STRINGS, 80_000, lambda i, rng: encode("SCAN", 0)),
    "SCAN MATCH COUNT 1000": (STRINGS, 3_200, lambda i, rng: encode("SCAN", 0, "MATCH", "key:1??", "COUNT", 1000)),
    "SCAN TYPE COUNT 1000": (STRINGS, 3_200, lambda i, rng: encode("SCAN", 0, "TYPE", "hash", "COUNT", 1000)),
    "EVAL GET": (STRINGS, 80_000, lambda i, rng: encode("EVAL", "return redis.call('GET', KEYS[1])", 1, K(rng))),
    "EVAL of 10 calls": (STRINGS, 16_000, lambda i, rng: encode("EVAL", "for i = 1, 10 do redis.call('SET', KEYS[1], i) end return 1", 1, K(rng))),
    "MULTI of 5": (
        STRINGS,
        32_000,
        lambda i, rng: b"".join([
            encode("MULTI"), encode("SET", K(rng), "x"), encode("GET", K(rng)), encode("INCR", "n"),
            encode("EXPIRE", K(rng), 1000), encode("LPUSH", "list", 1), encode("EXEC"),
        ]),
    ),
    "PFADD": (lambda: [], 320_000, lambda i, rng: encode("PFADD", K(rng, 1000), b"element:%d" % rng.randrange(1_000_000))),
    "PFADD to 100": (lambda: sketches(4000, 100), 80_000, lambda i, rng: encode("PFADD", K(rng, 4000), b"element:%d" % rng.randrange(1_000_000))),
    "PFADD to 500": (lambda: sketches(1000, 500), 16_000, lambda i, rng: encode("PFADD", K(rng, 1000), b"element:%d" % rng.randrange(1_000_000))),
    "PFCOUNT 5 of 100": (lambda: sketches(1000, 100), 16_000, lambda i, rng: encode("PFCOUNT", *[K(rng, 1000) for _ in range(5)])),
    "PFCOUNT 5 of 10,000": (lambda: sketches(10, 10_000), 16_000, lambda i, rng: encode("PFCOUNT", *[K(rng, 10) for _ in range(5)])),
    "PFMERGE 5 of 100": (lambda: sketches(1000, 100), 16_000, lambda i, rng: encode("PFMERGE", "made", *[K(rng, 1000) for _ in range(5)])),
    "COPY list of 1,000 KB": (
        lambda: (encode("RPUSH", "key:0", *[b"x" * 1000] * 100) for _ in range(10)),
        1_600,
        lambda i, rng: encode("COPY", "key:0", "made", "REPLACE"),
    ),
    "COPY zset of 10,000": (lambda: scored(1, 10_000), 320, lambda i, rng: encode("COPY", "key:0", "made", "REPLACE")),
    "SPOP 5 of 10,000": (lambda: members(4, 10_000), 3_200, lambda i, rng: encode("SPOP", K(rng, 4), 5)),
    "SADD 100 anew": (lambda: [], 8_000, lambda i, rng: encode("SADD", b"key:%d" % i, *[member(j) for j in range(100)])),
    "HSET 100 anew": (lambda: [], 8_000, lambda i, rng: encode("HSET", b"key:%d" % i, *[word for j in range(100) for word in (field(j), "value:1234")])),
    "ZADD 100 anew": (lambda: [], 8_000, lambda i, rng: encode("ZADD", b"key:%d" % i, *[word for j in range(100) for word in (rng.randrange(10_000), member(j))])),
}
of_sizes(hashes, 320_000, {
    "HGET": (1, lambda key, pick, rng: encode("HGET", key, field(pick()))),
    "HMGET 5": (2, lambda key, pick, rng: encode("HMGET", key, *[field(pick()) for _ in range(5)])),
    "HINCRBY": (1, lambda key, pick, rng: encode("HINCRBY", key, b"count:%d" % rng.randrange(10), 1)),
    "HSETEX": (1, lambda key, pick, rng: encode("HSETEX", key, "EX", 1000, "FIELDS", 1, field(pick()), "value:12345")),
    "HGETEX": (1, lambda key, pick, rng: encode("HGETEX", key, "EX", 1000, "FIELDS", 1, field(pick()))),
    "HEXPIRE": (1, lambda key, pick, rng: encode("HEXPIRE", key, 1000, "FIELDS", 1, field(pick()))),
    "HSCAN": (2, lambda key, pick, rng: encode("HSCAN", key, 0)),
    "HSCAN MATCH": (2, lambda key, pick, rng: encode("HSCAN", key, 0, "MATCH", "*1*")),
    "HRANDFIELD 5": (4, lambda key, pick, rng: encode("HRANDFIELD", key, 5)),
    "HRANDFIELD -5": (4, lambda key, pick, rng: encode("HRANDFIELD", key, -5)),
})
of_sizes(members, 320_000, {
    "SISMEMBER": (1, lambda key, pick, rng: encode("SISMEMBER", key, member(pick()))),
    "SMISMEMBER 5": (2, lambda key, pick, rng: encode("SMISMEMBER", key, *[member(pick()) for _ in range(5)])),
    "SSCAN": (2, lambda key, pick, rng: encode("SSCAN", key, 0)),
    "SRANDMEMBER 5": (4, lambda key, pick, rng: encode("SRANDMEMBER", key, 5)),
    "SRANDMEMBER -5": (4, lambda key, pick, rng: encode("SRANDMEMBER", key, -5)),
    "SINTERCARD LIMIT 5": (4, lambda key, pick, rng: encode("SINTERCARD", 2, key, K(rng, 4), "LIMIT", 5)),
    "SINTERCARD": (200, lambda key, pick, rng: encode("SINTERCARD", 2, key, K(rng, 4))),
})
of_sizes(scored, 320_000, {
    "ZSCORE": (1, lambda key, pick, rng: encode("ZSCORE", key, member(pick()))),
    "ZMSCORE 5": (2, lambda key, pick, rng: encode("ZMSCORE", key, *[member(pick()) for _ in range(5)])),
    "ZADD GT": (1, lambda key, pick, rng: encode("ZADD", key, "GT", pick() * 2, member(pick()))),
    "ZADD LT": (1, lambda key, pick, rng: encode("ZADD", key, "LT", pick() * 2, member(pick()))),
    "ZADD INCR": (1, lambda key, pick, rng: encode("ZADD", key, "INCR", pick(), member(pick()))),
    "ZRANK": (1, lambda key, pick, rng: encode("ZRANK", key, member(pick()))),
    "ZSCAN": (2, lambda key, pick, rng: encode("ZSCAN", key, 0)),
    "ZSCAN MATCH": (2, lambda key, pick, rng: encode("ZSCAN", key, 0, "MATCH", "*1*")),
    "ZRANGESTORE 5": (4, lambda key, pick, rng: encode("ZRANGESTORE", "made", key, 0, 4)),
    "ZINTERCARD": (400, lambda key, pick, rng: encode("ZINTERCARD", 2, key, K(rng, 4))),
    "ZDIFF": (400, lambda key, pick, rng: encode("ZDIFF", 2, key, K(rng, 4))),
    "ZRANDMEMBER 5": (4, lambda key, pick, rng: encode("ZRANDMEMBER", key, 5)),
    "ZRANDMEMBER -5": (4, lambda key, pick, rng: encode("ZRANDMEMBER", key, -5)),
})
of_sizes(lists, 320_000, {
    "LPOS": (200, lambda key, pick, rng: encode("LPOS", key, b"element:%d" % pick())),
    "LINSERT": (200, lambda key, pick, rng: encode("LINSERT", key, "BEFORE", b"element:%d" % pick(), "hello")),
    "LINDEX": (2, lambda key, pick, rng: encode("LINDEX", key, pick())),
    "LMPOP": (4, lambda key, pick, rng: encode("LMPOP", 2, key, K(rng, 4), "LEFT")),
    "LMOVE": (2, lambda key, pick, rng: encode("LMOVE", key, K(rng, 4), "LEFT", "RIGHT")),
})
of_sizes(places, 80_000, {
    "GEOADD": (1, lambda key, pick, rng: encode("GEOADD", key, *point(rng), member(pick()))),
    "GEODIST": (1, lambda key, pick, rng: encode("GEODIST", key, member(pick()), member(pick()), "km")),
    "GEOSEARCH": (10, lambda key, pick, rng: encode("GEOSEARCH", key, "FROMLONLAT", *point(rng), "BYRADIUS", 50, "km")),
})


def measure(command, case, seed):
    prepare, count, request = CASES[case]
    rng = random.Random(seed)
    with Server(command, os.environ.get("SERVER_CPUS")) as server:
        batch = []
        for made in prepare():
            batch.append(made)
            if len(batch) == 200:
                server.connection.send(b"".join(batch))
                server.connection.wait()
                batch = []
        server.connection.send(b"".join(batch))
        server.connection.wait()
        # One connection where the order matters.
        connections = [Connection(server.port) for _ in range(1 if ", X" in case else CONNECTIONS)]
        # Made beforehand: a client that makes requests between two sends is so slow that the server sleeps and wakes for
        # each of them, and waking is all that is measured.
        batches = [b"".join(request(first + i, rng) for i in range(PIPELINE)) for first in range(0, count, PIPELINE)]
        before = server.cpu_seconds()
        for first in range(0, len(batches), len(connections)):
            turn = list(zip(connections, batches[first : first + len(connections)]))
            for connection, batch in turn:
                connection.send(batch)
            for connection, _ in turn:
                connection.wait()
        return (server.cpu_seconds() - before) / count * 1e6


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--server", action="append", required=True)
    ap.add_argument("--case", action="append", choices=list(CASES))
    ap.add_argument("--rounds", type=int, default=3)
    a = ap.parse_args()
    if "CLIENT_CPUS" in os.environ:
        os.sched_setaffinity(0, {int(cpu) for cpu in os.environ["CLIENT_CPUS"].split(",")})
    servers = [server.split("=", 1) for server in a.server]
    print("microseconds of server CPU a request; in brackets the first server's over this one's")
    for case in a.case or CASES:
        rounds = [[measure(command, case, seed) for _, command in servers] for seed in range(a.rounds)]
        row = f"{case:30}"
        for index, (name, _) in enumerate(servers):
            cost = statistics.median(one[index] for one in rounds)
            ratio = statistics.median(one[0] / one[index] for one in rounds if one[index] > 0)
            row += f"  {name} {cost:8.2f} ({ratio:.2f})"
        print(row, flush=True)


main()
