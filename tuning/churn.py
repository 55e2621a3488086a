#!/usr/bin/env python3
"""Question: how much more than it uses does the server keep resident, after the churns that are worst for an allocator?

usage: churn.py --server 'rondo=RONDO --port {port} --dir {dir}' [--server ...] [--keys 400000] [--settle 20] [--case NAME ...]

Each case runs on a fresh server. After it the server is left alone until its resident memory stands still, `--settle` seconds at most.
The ratio is all of the process's resident memory, less what it had when empty, over `used_memory`, less what that was.
"""
import argparse
import random
import time

from servers import Connection, Server, encode

BATCH = 500


def send(connection, commands):
    batch = []
    for command in commands:
        batch.append(encode(*command))
        if len(batch) == BATCH:
            connection.send(b"".join(batch))
            connection.wait()
            batch = []
    connection.send(b"".join(batch))
    connection.wait()


def value(rng, least, most):
    return b"v" * rng.randint(least, most)


def sets(rng, keys, least, most):
    return (("SET", f"key:{key}", value(rng, least, most)) for key in keys)


def some(rng, count, share):
    return [key for key in range(count) if rng.random() < share]


def thinned(connection, rng, keys, share, least=16, most=2000):
    """Strings of all sizes; then a random share of them goes."""
    send(connection, sets(rng, range(keys), least, most))
    send(connection, (("DEL", f"key:{key}") for key in some(rng, keys, share)))


def waves(connection, rng, keys):
    """Small values, then larger and larger ones in the place of half of them, then small ones again."""
    for least, most in [(16, 64), (200, 400), (900, 1100), (4000, 5000), (16, 64)]:
        send(connection, sets(rng, some(rng, keys // 4, 0.5), least, most))


def large(connection, rng, keys):
    """Values of 9 to 60 KiB, of which half go."""
    count = keys // 40
    send(connection, sets(rng, range(count), 9000, 60000))
    send(connection, (("DEL", f"key:{key}") for key in some(rng, count, 0.5)))


def evicted(connection, rng, keys):
    """Under maxmemory, sizes drift from small to large and back."""
    connection.ask("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
    for least, most in [(16, 100), (500, 700), (3000, 5000), (100, 300), (1500, 1700)]:
        send(connection, (("SET", f"key:{rng.random()}", value(rng, least, most)) for _ in range(int(2e8 / (least + most)))))


def packed(connection, rng, keys):
    """Hashes of up to 100 short fields, of which seven in ten go."""
    count = keys // 20
    send(connection, (("HSET", f"hash:{key}", *(word for field in range(rng.randint(1, 100)) for word in (f"f{field}", value(rng, 4, 40)))) for key in range(count)))
    send(connection, (("DEL", f"hash:{key}") for key in some(rng, count, 0.7)))


def tables(connection, rng, keys):
    """Sets, sorted sets and lists too large to be packed, of which seven in ten go, and half of the elements of the rest."""
    count = keys // 2000
    def words(key, command, name, size):
        step = 500
        for start in range(0, size, step):
            members = [f"member:{key}:{number}:{'x' * rng.randint(0, 60)}" for number in range(start, min(start + step, size))]
            yield (command, f"{name}:{key}", *(members if command != "ZADD" else [word for member in members for word in (rng.random(), member)]))
    for command, name in [("SADD", "set"), ("ZADD", "zset"), ("RPUSH", "list")]:
        send(connection, (made for key in range(count) for made in words(key, command, name, rng.randint(600, 3000))))
    send(connection, (("DEL", f"{name}:{key}") for name in ["set", "zset", "list"] for key in some(rng, count, 0.7)))
    send(connection, (("SPOP", f"set:{key}", 500) for key in range(count)))
    send(connection, (("ZPOPMIN", f"zset:{key}", 500) for key in range(count)))


def deep(connection, rng, keys):
    """A few collections of every type, each of many thousand elements, of which seven in ten go at random places."""
    size = keys // 4
    member = lambda number: f"member:{number}:{'x' * (number * 7919 % 60)}"
    gone = [number for number in range(size) if rng.random() < 0.7]
    send(connection, (("SADD", f"set:{n % 4}", member(n)) for n in range(size)))
    send(connection, (("HSET", f"hash:{n % 4}", member(n), value(rng, 4, 200)) for n in range(size)))
    send(connection, (("ZADD", f"zset:{n % 4}", rng.random(), member(n)) for n in range(size)))
    send(connection, (("RPUSH", f"list:{n % 4}", value(rng, 20, 3000)) for n in range(size // 8)))
    send(connection, (("XADD", f"stream:{n % 4}", f"{n + 1}-1", "field", value(rng, 20, 200)) for n in range(size)))
    for command, name in [("SREM", "set"), ("HDEL", "hash"), ("ZREM", "zset")]:
        send(connection, ((command, f"{name}:{n % 4}", member(n)) for n in gone))
    send(connection, (("LTRIM", f"list:{n}", size // 64, -1) for n in range(4)))
    send(connection, (("XDEL", f"stream:{n % 4}", f"{n + 1}-1") for n in gone))


CASES = {
    "thinned-30": lambda c, r, k: thinned(c, r, k, 0.3),
    "thinned-60": lambda c, r, k: thinned(c, r, k, 0.6),
    "thinned-90": lambda c, r, k: thinned(c, r, k, 0.9),
    "waves": waves,
    "large": large,
    "evicted": evicted,
    "packed": packed,
    "tables": tables,
    "deep": deep,
}


def settled(server, seconds):
    last, since = server.resident(), time.time()
    end = time.time() + seconds
    while time.time() < end and time.time() < since + 5:
        time.sleep(0.5)
        now = server.resident()
        if abs(now - last) > 1 << 20:
            last, since = now, time.time()
    return server.resident()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", action="append", required=True)
    parser.add_argument("--keys", type=int, default=400_000)
    parser.add_argument("--settle", type=int, default=20)
    parser.add_argument("--case", action="append", choices=sorted(CASES))
    args = parser.parse_args()
    print(f"{'case':12} {'server':10} {'used MiB':>9} {'resident':>9} {'ratio':>6} {'settling CPU s':>14}")
    for case in args.case or CASES:
        for text in args.server:
            name, command = text.split("=", 1)
            with Server(command) as server:
                used, resident = server.used_memory(), server.resident()
                CASES[case](Connection(server.port), random.Random(1), args.keys)
                cpu = server.cpu_seconds()
                after = settled(server, args.settle)
                cpu = server.cpu_seconds() - cpu
                used = server.used_memory() - used
                print(f"{case:12} {name:10} {used / 2**20:9.1f} {(after - resident) / 2**20:9.1f} {(after - resident) / used:6.2f} {cpu:14.2f}", flush=True)


main()
