#!/usr/bin/env python3
"""Do rondo and a real Redis restore each other's DUMP payloads? Random values of every type and encoding, one by one.

    tuning/dump_exchange.py --rondo 'target/release/rondo --threads 4' --redis redis-server [--values 10000] [--seed 1]

Each value is made in one server, dumped, restored in the other, compared by DEBUG DIGEST-VALUE and by its deadline; dumped there and
restored at home beside the first, compared again, and its encoding there must be the other server's. Both ways; at the end all keys are
compared by DEBUG DIGEST. Exits with 1 if anything differs, or if an encoding was never made.
"""
import argparse
import collections
import random
import sys

from servers import Link, Server

FAR_MS = 4_102_444_800_000
EDGES = (0, 1, -1, 127, 128, 4095, 4096, -4096, 32767, 32768, -32769, 2**23, 2**31, -2**31 - 1, 2**63 - 1, -2**63)
ENCODINGS = {
    "embstr", "hashtable", "int", "intset", "listpack", "listpackex", "quicklist", "raw", "skiplist", "stream",
}


def word(rng):
    """A number, bytes, something LZF makes small, something like a number, or a word."""
    kind = rng.random()
    if kind < 0.25:
        return rng.choice([*EDGES, rng.randrange(10**6)])
    if kind < 0.5:
        return rng.randbytes(rng.choice([0, 1, 3, 12, 63, 64, 65, 100]))
    if kind < 0.6:
        return rng.choice([b"a", b"xyz"]) * rng.choice([10, 100, 1000, 4000])
    if kind < 0.62:
        return b"v" * rng.choice([16383, 16384, 70000])
    if kind < 0.7:
        return rng.choice([b"1.5", b"-0", b"1e5", b"007", b" 5", b"inf", b"9223372036854775808"])
    return b"word:%d" % rng.randrange(10 ** rng.randrange(1, 8))


def score(rng):
    fixed = ["0", "-0", "1", "-1.5", "inf", "-inf", "3.14159265358979", "1e300", "17179869184.00001"]
    return rng.choice([*fixed, str(rng.randrange(10**9)), repr(rng.random())])


def words(rng, count):
    return [word(rng) for _ in range(count)]


def make_stream(link, rng, key, count):
    first = 0
    for _ in range(count):
        first += rng.choice([1, 1, 5, 1000])
        same = [b"temperature", word(rng), b"humidity", word(rng)]
        other = [field or b"f" for field in words(rng, 2 * rng.randrange(1, 4))]
        link.must("XADD", key, f"{first}-{rng.randrange(3)}", *(same if rng.random() < 0.7 else other))
    for _ in range(rng.randrange(3)):
        link.must("XDEL", key, f"{rng.randrange(1, first + 1)}-0")
    if rng.random() < 0.3:
        link.must("XTRIM", key, "MAXLEN", rng.randrange(count + 1))
    for group in range(rng.randrange(3)):
        link.must("XGROUP", "CREATE", key, f"g{group}", rng.choice(["0", "$"]))
        for _ in range(rng.randrange(3)):
            consumer = f"c{rng.randrange(3)}"
            link.must("XREADGROUP", "GROUP", f"g{group}", consumer, "COUNT", rng.randrange(1, 20), "STREAMS", key, ">")
        if rng.random() < 0.5:
            link.must("XACK", key, f"g{group}", f"{rng.randrange(1, first + 1)}-0")


def make(link, rng, key):
    """Makes a value; tells its kind."""
    kind = rng.choice(["string", "string", "list", "set", "integers", "hash", "deadlines", "zset", "stream", "hll", "geo", "bits"])
    count = rng.choice([1, 2, 3, 5, 10, 30, 100, 128, 129, 130, 200, 513, 600])
    if kind == "string":
        link.must("SET", key, word(rng))
    elif kind == "list":
        link.must("RPUSH", key, *words(rng, count))
        for _ in range(rng.randrange(4)):
            link.must(rng.choice(["LPOP", "RPOP"]), key)
        link.must("RPUSH", key, "x")
    elif kind == "set":
        link.must("SADD", key, *words(rng, count))
    elif kind == "integers":
        top = rng.choice([100, 10**4, 10**6, 10**12])
        link.must("SADD", key, *[rng.randrange(-top, top) for _ in range(count)])
    elif kind == "hash":
        link.must("HSET", key, *words(rng, 2 * count))
    elif kind == "deadlines":
        fields = list({b"f%d" % rng.randrange(10 * count) for _ in range(count)})
        link.must("HSET", key, *[part for field in fields for part in (field, word(rng))])
        for field in fields[: max(1, len(fields) // 2)]:
            link.must("HPEXPIREAT", key, FAR_MS + rng.randrange(10**9), "FIELDS", 1, field)
    elif kind == "zset":
        link.must("ZADD", key, *[part for _ in range(count) for part in (score(rng), word(rng))])
    elif kind == "stream":
        make_stream(link, rng, key, count)
    elif kind == "hll":
        for _ in range(rng.choice([1, 3])):
            link.must("PFADD", key, *words(rng, rng.choice([1, 50, 600])))
        if rng.random() < 0.3:
            link.must("PFCOUNT", key)
    elif kind == "geo":
        places = [(repr(rng.uniform(-180, 180)), repr(rng.uniform(-85, 85)), f"m{i}") for i in range(count)]
        link.must("GEOADD", key, *[part for place in places for part in place])
    else:
        for _ in range(rng.randrange(1, 20)):
            link.must("SETBIT", key, rng.randrange(5000), 1)
    if rng.random() < 0.2:
        link.must("PEXPIREAT", key, FAR_MS + rng.randrange(10**6))
    return kind


def exchange(source, target, key):
    """Takes a value there and back; tells what differs."""
    payload = source.must("DUMP", key)
    deadline = max(0, source.must("PEXPIRETIME", key))
    restored = target.ask("RESTORE", key, deadline, payload, "ABSTTL")
    if restored != b"OK":
        return [f"not restored: {restored}"]
    faults = []
    if source.must("DEBUG", "DIGEST-VALUE", key) != target.must("DEBUG", "DIGEST-VALUE", key):
        faults.append("another value")
    if max(0, target.must("PEXPIRETIME", key)) != deadline:
        faults.append("another deadline")
    restored = source.ask("RESTORE", "back", deadline, target.must("DUMP", key), "REPLACE", "ABSTTL")
    if restored != b"OK":
        return faults + [f"not restored at home: {restored}"]
    if source.must("DEBUG", "DIGEST-VALUE", key) != source.must("DEBUG", "DIGEST-VALUE", "back"):
        faults.append("another value at home")
    if source.must("OBJECT", "ENCODING", "back") != target.must("OBJECT", "ENCODING", key):
        faults.append("another encoding")
    return faults


def run(names, links, count, seed):
    rng, kinds, faults_count = random.Random(seed), collections.Counter(), 0
    source, target = links
    for link in links:
        link.must("FLUSHALL")
    for number in range(count):
        key = f"key:{number}"
        kind = make(source, rng, key)
        encoding = source.must("OBJECT", "ENCODING", key).decode()
        kinds[kind, encoding] += 1
        for fault in exchange(source, target, key):
            faults_count += 1
            print(f"{names[0]} to {names[1]}, {key}, {kind} as {encoding}: {fault}")
    source.must("DEL", "back")
    digests = {link.must("DEBUG", "DIGEST") for link in links}
    if len(digests) != 1:
        faults_count += 1
        print(f"{names[0]} to {names[1]}: the digests of all keys differ")
    missing = ENCODINGS - {encoding for _, encoding in kinds}
    print(f"{names[0]} to {names[1]}: {count} values of {len(kinds)} kinds and encodings, {faults_count} faults")
    print("    " + ", ".join(f"{kind} as {encoding} {number}" for (kind, encoding), number in sorted(kinds.items())))
    if missing:
        print(f"    never made: {', '.join(sorted(missing))}")
    return faults_count + len(missing)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rondo", default="target/release/rondo", help="with its options, but for port, folder and save points")
    parser.add_argument("--redis", required=True)
    parser.add_argument("--values", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    options = '--port {port} --dir {dir} --save "" --enable-debug-command yes'
    with Server(f"{args.rondo} {options}") as rondo, Server(f"{args.redis} {options}") as redis:
        links = [Link(rondo.port), Link(redis.port)]
        faults_count = run(["redis", "rondo"], links[::-1], args.values, args.seed)
        faults_count += run(["rondo", "redis"], links, args.values, args.seed + 1)
    sys.exit(1 if faults_count else 0)


if __name__ == "__main__":
    main()
