#!/usr/bin/env python3
"""Question: of the same requests, how many find their key under maxmemory, beside Redis's, by policy?

usage: eviction.py --server 'rondo=RONDO --port {port} --dir {dir}' --server 'redis=REDIS --port {port} --dir {dir} --save ""'

A cache's trace: keys drawn from a Zipf distribution are read; what is not there is written, with a size that belongs to the
key (64 to 1,024 bytes). maxmemory is what the server uses when it is empty and a share of what all keys would take in Redis.
The trace is the same for every server and policy. Halfway the popular keys change places, so that what was popular must go.
"""
import argparse
import bisect
import itertools
import random
import sys

from servers import Connection, Server, encode

POLICIES = ["allkeys-lru", "allkeys-lfu", "allkeys-random"]
BATCH = 200


def trace(keys, requests, seed=1, exponent=0.9):
    rng = random.Random(seed)
    sums = list(itertools.accumulate(1 / (rank + 1) ** exponent for rank in range(keys)))
    names = list(range(keys))
    rng.shuffle(names)
    for half in range(2):
        for _ in range(requests // 2):
            rank = bisect.bisect(sums, rng.random() * sums[-1])
            yield names[min(rank, keys - 1)]
        # A tenth of the most popular keys, and as many others, change places.
        for place in range(keys // 100):
            other = rng.randrange(keys)
            names[place], names[other] = names[other], names[place]


def size_of(key):
    return 64 + (key * 2654435761 >> 7) % 961


def read_replies(sock, count, buffer):
    """Which of so many GETs found something."""
    found = []
    while len(found) < count:
        end = buffer.find(b"\r\n")
        if end < 0:
            buffer += sock.recv(1 << 18)
            continue
        line = bytes(buffer[:end])
        if line.startswith(b"$-1") or line.startswith(b"_") or line.startswith(b"+"):
            found.append(line.startswith(b"+"))
            del buffer[:end + 2]
        elif line.startswith(b"$"):
            need = end + 2 + int(line[1:]) + 2
            while len(buffer) < need:
                buffer += sock.recv(1 << 18)
            found.append(True)
            del buffer[:need]
        else:
            sys.exit(f"an error among the replies: {line.decode()}")
    return found


def hit_rate(port, keys, requests):
    connection = Connection(port)
    sock, buffer = connection.socket, bytearray()
    payload = b"x" * 2048
    hits, second_half_hits, count = 0, 0, 0
    stream = trace(keys, requests)
    while batch := list(itertools.islice(stream, BATCH)):
        sock.sendall(b"".join(encode("GET", f"key:{key}") for key in batch))
        found = read_replies(sock, len(batch), buffer)
        missing = dict.fromkeys(key for key, is_there in zip(batch, found) if not is_there)
        if missing:
            sock.sendall(b"".join(encode("SET", f"key:{key}", payload[:size_of(key)]) for key in missing))
            read_replies(sock, len(missing), buffer)
        hits += sum(found)
        count += len(batch)
        if count > requests // 2:
            second_half_hits += sum(found)
    return hits / count, second_half_hits / (count / 2)


def figure(connection, section, name):
    text = connection.ask("INFO", section).decode()
    return int(text.split(f"{name}:")[1].split("\r\n")[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="append", required=True, help="name=command")
    parser.add_argument("--keys", type=int, default=50_000)
    parser.add_argument("--requests", type=int, default=300_000)
    parser.add_argument("--share", type=int, default=20)
    args = parser.parse_args()
    share_bytes = sum(size_of(key) + 80 for key in range(args.keys)) * args.share // 100
    print(f"{args.requests:,} requests, {args.keys:,} keys, room for {share_bytes:,} bytes ({args.share}%)")
    print("policy,server,hit_rate,hit_rate_second_half,keys,evicted,used_bytes,maxmemory")
    for policy in POLICIES:
        for name, command in (server.split("=", 1) for server in args.server):
            with Server(command) as server:
                connection = Connection(server.port)
                limit = figure(connection, "memory", "used_memory") + share_bytes
                connection.ask("CONFIG", "SET", "maxmemory-policy", policy, "maxmemory", limit)
                whole, second = hit_rate(server.port, args.keys, args.requests)
                size = int(connection.ask("DBSIZE").split(b":")[1].split(b"\r")[0])
                evicted = figure(connection, "stats", "evicted_keys")
                used = figure(connection, "memory", "used_memory")
                print(f"{policy},{name},{whole:.4f},{second:.4f},{size},{evicted},{used},{limit}", flush=True)


if __name__ == "__main__":
    main()
