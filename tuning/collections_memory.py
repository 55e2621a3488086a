#!/usr/bin/env python3
"""Memory of collections on servers with the same data: bytes an element, used and resident.

usage: collections_memory.py --server NAME='command with {port} and {dir}' [--server ...] [--case NAME ...]
The ratio is against the best of the other servers: below 1 is less than theirs. Deterministic data, one server at a time.
"""
import argparse
import time

from servers import Server, encode


def many(name, count, size, words, step):
    """`count` keys of `size` elements each: requests of `step` elements, from `words(key, first, last)`."""
    for key in range(count):
        for first in range(0, size, step):
            yield words(b"%s:%d" % (name, key), first, min(size, first + step))


def hash_fields(key, first, last):
    pairs = [word for i in range(first, last) for word in (b"field:%04d" % i, b"value:%06d" % (i * 7919 % 1000000))]
    return encode("HSET", key, *pairs)


def list_elements(key, first, last):
    return encode("RPUSH", key, *[b"element:%06d" % (i * 7919 % 1000000) for i in range(first, last)])


def integers(key, first, last):
    return encode("SADD", key, *[i * 7919 + 1000000 for i in range(first, last)])


def strings(key, first, last):
    return encode("SADD", key, *[b"member:%08d" % i for i in range(first, last)])


def scores(key, first, last):
    pairs = [word for i in range(first, last) for word in (i * 7919 % 1000003, b"member:%08d" % i)]
    return encode("ZADD", key, *pairs)


def entries(key, first, last):
    return b"".join(encode("XADD", key, b"%d-0" % (i + 1), "sensor", i % 100, "value", i * 7919 % 1000) for i in range(first, last))


# So many that what a server needs once, some 0.3 MB, is less than half a percent.
SMALL = 40_000

CASES = {
    # name: (keys, elements a key, requests)
    "hash of 10": (100_000, 10, lambda: many(b"hash", 100_000, 10, hash_fields, 10)),
    "hash of 1,000": (1_000, 1_000, lambda: many(b"hash", 1_000, 1_000, hash_fields, 500)),
    "list of 100": (SMALL, 100, lambda: many(b"list", SMALL, 100, list_elements, 100)),
    "list of 100,000": (10, 100_000, lambda: many(b"list", 10, 100_000, list_elements, 500)),
    "set of 100 integers": (SMALL, 100, lambda: many(b"set", SMALL, 100, integers, 100)),
    "set of 100,000 integers": (10, 100_000, lambda: many(b"set", 10, 100_000, integers, 500)),
    "set of 100 strings": (SMALL, 100, lambda: many(b"set", SMALL, 100, strings, 100)),
    "set of 100,000 strings": (10, 100_000, lambda: many(b"set", 10, 100_000, strings, 500)),
    "zset of 100": (SMALL, 100, lambda: many(b"zset", SMALL, 100, scores, 100)),
    "zset of 1,000,000": (1, 1_000_000, lambda: many(b"zset", 1, 1_000_000, scores, 500)),
    "stream of 1,000,000": (1, 1_000_000, lambda: many(b"stream", 1, 1_000_000, entries, 100)),
}


def measure(command, case):
    keys, size, requests = CASES[case]
    with Server(command) as server:
        # What a server needs once, its buffers first of all, is no part of an element.
        for _ in range(20):
            server.connection.send(b"".join(encode("ECHO", b"x" * 16_000) for _ in range(10)))
            server.connection.wait()
        time.sleep(0.3)
        used, resident = server.used_memory(), server.resident()
        batch, count = [], 0
        for request in requests():
            batch.append(request)
            count += 1
            if count % 50 == 0:
                server.connection.send(b"".join(batch))
                server.connection.wait()
                batch = []
        server.connection.send(b"".join(batch))
        server.connection.wait()
        time.sleep(1)
        total = keys * size
        return (server.used_memory() - used) / total, (server.resident() - resident) / total


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--server", action="append", required=True, help="the first is compared with the others")
    ap.add_argument("--case", action="append", choices=list(CASES))
    a = ap.parse_args()
    servers = [server.split("=", 1) for server in a.server]
    print("bytes an element: used (resident)")
    print(f"{'':26}" + "".join(f"{name:>18}" for name, _ in servers) + "   used, resident beside the best other")
    for case in a.case or CASES:
        figures = [measure(command, case) for _, command in servers]
        row = "".join(f"{used:10.1f} ({resident:5.1f})" for used, resident in figures)
        ratio = ""
        if len(figures) > 1:
            ratio = "   " + ", ".join(f"{figures[0][i] / min(f[i] for f in figures[1:]):.2f}" for i in (0, 1))
        print(f"{case:26}{row}{ratio}", flush=True)


main()
