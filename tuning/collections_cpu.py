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
    "SORT nosort LIMIT 5": (lambda: long_lists(1, 10_000), 16_000, keyed("SORT", 1, "BY", "nosort", "LIMIT", 0, 5)),
    "DUMP list of 10,000": (lambda: long_lists(1, 10_000), 1_600, keyed("DUMP", 1)),
    "LTRIM list of 10,000": (lambda: long_lists(160, 10_000), 48_000, lambda i, rng: encode("LTRIM", b"key:%d" % (i % 160), 15, -16)),
    "DUMP stream of 20,000": (lambda: [encode("XADD", "key:0", b"%d-1" % (i + 1), "field", "value") for i in range(20_000)], 320, keyed("DUMP", 1)),
    "SUNION 10 of 500 ints": (lambda: integers(10, 500), 3_200, lambda i, rng: encode("SUNION", *[b"key:%d" % key for key in range(10)])),
    "SDIFFSTORE 2 of 500 ints": (lambda: integers(10, 500), 16_000, lambda i, rng: encode("SDIFFSTORE", "made", "key:0", "key:1")),
    "HRANDFIELD -500 of 500": (lambda: hashes(10, 500), 3_200, keyed("HRANDFIELD", 10, -500)),
    "ZRANGEBYSCORE of 100": (lambda: scored(100, 100), 80_000, lambda i, rng: encode("ZRANGEBYSCORE", b"key:%d" % rng.randrange(100), rng.randrange(90), "+inf", "LIMIT", 0, 10)),
    "DUMP, RESTORE zset of 100": (lambda: scored(1, 100), 16_000, payload(b"key:0")),
    "DUMP, RESTORE hash of 100": (lambda: hashes(1, 100), 16_000, payload(b"key:0")),
    "DUMP, RESTORE set of 100": (lambda: [encode("SADD", "key:0", *[b"member:%d" % i for i in range(100)])], 16_000, payload(b"key:0")),
    "SINTER of 100,000": (SETS, 160, lambda i, rng: encode("SINTER", "a", "b")),
}


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
        connections = [Connection(server.port) for _ in range(1 if "XACK" in case else CONNECTIONS)]
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
        row = f"{case:26}"
        for index, (name, _) in enumerate(servers):
            cost = statistics.median(one[index] for one in rounds)
            ratio = statistics.median(one[0] / one[index] for one in rounds if one[index] > 0)
            row += f"  {name} {cost:8.2f} ({ratio:.2f})"
        print(row, flush=True)


main()
