#!/usr/bin/env python3
"""Server CPU per script, several servers in one run, rounds alternating.

    script_cpu.py NAME=PORT:PID [NAME=PORT:PID ...] [--rounds 5] [--count 60000] [--pipeline 16] [--clients 10] [--kinds "multi, one shard+multi"]

A transaction (`multi`: MULTI, four SETs, EXEC) counts as one script and as one request of a pipeline.

Requests are made beforehand; connections send them in batches. CPU is what the scheduler counts of all threads (schedstat).
"""
import argparse
import os
import random
import socket
import statistics
import time

from script_bodies import LIMITER, RELEASE

UNDECLARED = "local n = redis.call('incr', 'a:' .. ARGV[1]) redis.call('set', 'b:' .. ARGV[1], n) return n"
DECLARED = "local n = redis.call('incr', KEYS[1]) redis.call('set', KEYS[2], n) return n"


def pack(*words):
    out = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(out)


def ask(port, *words):
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(pack(*words))
        return s.recv(1 << 16)


def cpu(pid):
    tasks = os.listdir(f"/proc/{pid}/task")
    return sum(int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0]) for task in tasks) / 1e9


def load(port, body):
    return ask(port, "SCRIPT", "LOAD", body).split(b"\r\n")[1]


def requests(kind, sha, count, rng):
    """Requests, each with one line of reply, and how many of them there are for each script."""
    if kind == "lock release":
        made = []
        for i in range(count):
            made.append(pack("SET", f"lock:{i % 5000}", "token"))
            made.append(pack("EVALSHA", sha, 1, f"lock:{i % 5000}", "token"))
        return made
    if kind == "limiter":
        return [pack("EVALSHA", sha, 1, f"limit:{rng.randrange(2000)}", 1_000_000 + i, i) for i in range(count)]
    if kind == "two declared":
        return [pack("EVALSHA", sha, 2, f"a:{rng.randrange(5000)}", f"b:{rng.randrange(5000)}") for _ in range(count)]
    if kind == "two undeclared":
        return [pack("EVALSHA", sha, 0, rng.randrange(5000)) for _ in range(count)]
    if kind == "two tagged, undeclared":
        return [pack("EVALSHA", sha, 1, f"{{t{n}}}", f"{{t{n}}}") for n in (rng.randrange(5000) for _ in range(count))]
    if kind == "GET":
        return [pack("GET", f"none:{rng.randrange(5000)}") for _ in range(count)]
    if kind.startswith("multi"):
        def key(n, i):
            return f"{{t{n}}}:{i}" if "one shard" in kind else f"k{n}:{i}"
        return [b"".join([pack("MULTI"), *(pack("SET", key(n, i), i) for i in range(4)), pack("EXEC")])
                for n in (rng.randrange(5000) for _ in range(count))]
    raise SystemExit(kind)


def drive(port, made, pipeline, clients, lines):
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(clients)]
    [s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) for s in sockets]
    batches = [(b"".join(made[i : i + pipeline]), lines * len(made[i : i + pipeline])) for i in range(0, len(made), pipeline)]
    begin = time.time()
    for at in range(0, len(batches), clients):
        group = batches[at : at + clients]
        for s, (data, _) in zip(sockets, group):
            s.sendall(data)
        for s, (_, count) in zip(sockets, group):
            got = 0
            while got < count:
                data = s.recv(1 << 16)
                assert data and b"-ERR" not in data and b"-NOSCRIPT" not in data, data[:200]
                got += data.count(b"\r\n")
    took = time.time() - begin
    [s.close() for s in sockets]
    return took


parser = argparse.ArgumentParser()
parser.add_argument("servers", nargs="+")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--count", type=int, default=60_000)
parser.add_argument("--pipeline", type=int, default=16)
parser.add_argument("--clients", type=int, default=10)
parser.add_argument("--kinds", default="lock release+limiter")
args = parser.parse_args()
BODIES = {"lock release": RELEASE, "limiter": LIMITER, "two declared": DECLARED, "two undeclared": UNDECLARED,
          "two tagged, undeclared": UNDECLARED, "GET": "return 1"}
# Lines of reply: +OK, four times +QUEUED, *4, four times +OK.
lines = {kind: 10 if kind.startswith("multi") else 1 for kind in args.kinds.split("+")}
servers = []
for one in args.servers:
    name, rest = one.split("=")
    port, pid = map(int, rest.split(":"))
    servers.append((name, port, pid))
for kind in args.kinds.split("+"):
    results = {name: [] for name, _, _ in servers}
    rates = {name: [] for name, _, _ in servers}
    for round_ in range(args.rounds):
        for name, port, pid in servers:
            ask(port, "FLUSHALL")
            sha = load(port, BODIES.get(kind, "return 1"))
            made = requests(kind, sha, args.count, random.Random(round_))
            drive(port, made[:2000], args.pipeline, args.clients, lines[kind])
            before = cpu(pid)
            took = drive(port, made, args.pipeline, args.clients, lines[kind])
            results[name].append((cpu(pid) - before) / args.count * 1e6)
            rates[name].append(args.count / took)
    base = statistics.median(results[servers[0][0]])
    for name, _, _ in servers:
        middle = statistics.median(results[name])
        print(f"{kind:24} pipeline {args.pipeline:3} {name:12} {middle:7.2f} us CPU a script  "
              f"(min {min(results[name]):.2f}, max {max(results[name]):.2f})  {base / middle:5.2f}x of {servers[0][0]}", flush=True)
