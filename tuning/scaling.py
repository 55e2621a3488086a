#!/usr/bin/env python3
"""Throughput of saturated servers on one core, on four and on eight, beside Redis: for a machine with 16 cores.

    tuning/scaling.py --rondo target/release/rondo --redis redis-server [--part one] [--before OTHER-rondo] [--rounds 2] [--seconds 3]

| part | question |
|---|---|
| one | requests a second of one core beside Redis, pipeline 1, 16, 50 |
| four | of 4 cores, beside Redis with 4 I/O threads |
| eight | of 8 cores, beside rondo's own 4 |
| scripts | EVALSHA of a lock's release and of a sliding-window limiter on 4 cores, beside Redis |
| multi | MULTI of 4 SETs to one shard and to several, on 4 cores, beside Redis |
| publish | PUBLISH to 1 and 100 subscribers on 4 cores, beside Redis |
| durable | SET under `appendfsync always` on 8 cores, and what the disk gives raw |

Servers have the first cores, memtier_benchmark the others. `busy` is in cores: a server is saturated when it is close to its number;
where the clients' is, theirs is the limit.
"""

import argparse
import json
import mmap
import os
import re
import shlex
import statistics
import subprocess
import tempfile
import threading
import time

from script_bodies import LIMITER, RELEASE
from servers import Server, encode

KEYS = 1_000_000
REDIS = "{redis} --port {{port}} --bind 127.0.0.1 --dir {{dir}} --save '' --io-threads {io} {more}"
RONDO = "{rondo} --port {{port}} --bind 127.0.0.1 --dir {{dir}} --save '' --threads {threads} {more}"


def cpu_order():
    """One thread of every physical core first, so that servers share none as long as that can be."""
    first, second, seen = [], [], set()
    for cpu in sorted(os.sched_getaffinity(0)):
        try:
            with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as f:
                core = f.read().strip()
        except OSError:
            core = str(cpu)
        (second if core in seen else first).append(cpu)
        seen.add(core)
    return first, second


def places(cores):
    """CPUs of a server of so many cores, and those of its clients: of other physical cores, where there are enough."""
    first, second = cpu_order()
    if not second or cores * 2 > len(first) + 1:
        every = sorted(first + second)
        return every[:cores], every[cores:]
    server = first[:cores]
    return server, sorted(set(first[cores:] + second[cores:]))


def cpu_of(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memtier(args, port, cpus, line, seconds=None):
    """Operations a second, p50, p99 in ms, and the CPU seconds the load itself took."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = ["taskset", "-c", ",".join(map(str, cpus)), args.memtier, "-s", "127.0.0.1", "-p", str(port), "-t", str(len(cpus)),
                   "--hide-histogram", "--json-out-file", out.name, *shlex.split(line)]
        if seconds:
            command += ["--test-time", str(seconds)]
        before = os.times()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
        after = os.times()
        took = after.children_user + after.children_system - before.children_user - before.children_system
        total = json.load(open(out.name))["ALL STATS"]["Totals"]
    latencies = total.get("Percentile Latencies", {})
    # Its own rate is wrong now and then for a short run.
    rate = total["Count"] / seconds if seconds else 0
    return rate, latencies.get("p50.00", 0), latencies.get("p99.00", 0), took


def strings(pipeline, ratio, clients):
    return f"-c {clients} --pipeline {pipeline} --ratio {ratio} -d 64 --key-maximum {KEYS} --distinct-client-seed"


def fill(args, server, cpus):
    each = -(-KEYS // (len(cpus) * 10))
    memtier(args, server.port, cpus, f"-c 10 -n {each} --pipeline 50 --ratio 1:0 -d 64 --key-maximum {KEYS} --key-pattern P:P")


class Table:
    """Rows printed as ratios against the first server of their case, round by round."""

    def __init__(self):
        self.rows = {}

    def add(self, case, name, row):
        self.rows.setdefault(case, {}).setdefault(name, []).append(row)

    def show(self):
        middle = statistics.median
        print(f"{'case':20} {'server':10} {'ops/s':>10} {'busy':>6} {'clients':>8} {'us/op':>6} {'p50 ms':>7} {'p99 ms':>7}  of the first: ops, ops/CPU")
        for case, servers in self.rows.items():
            base = next(iter(servers.values()))
            for name, rows in servers.items():
                rate = [row["rate"] / other["rate"] for row, other in zip(rows, base)]
                cost = [other["busy"] / other["rate"] / (row["busy"] / row["rate"]) for row, other in zip(rows, base)]
                print(f"{case:20} {name:10} {middle([r['rate'] for r in rows]):10.0f} {middle([r['busy'] for r in rows]):6.2f} "
                      f"{middle([r['load'] for r in rows]):8.2f} {middle([r['busy'] / r['rate'] * 1e6 for r in rows]):6.2f} "
                      f"{middle([r['p50'] for r in rows]):7.3f} {middle([r['p99'] for r in rows]):7.3f}  {middle(rate):5.2f} {middle(cost):5.2f}", flush=True)
        self.rows = {}


def measure(args, table, name, server, cpus, case, line):
    pid, begin = server.process.pid, time.monotonic()
    before = cpu_of(pid)
    rate, p50, p99, load = memtier(args, server.port, cpus, line, args.seconds)
    took = time.monotonic() - begin
    table.add(case, name, {"rate": max(rate, 1), "busy": (cpu_of(pid) - before) / took, "load": load / took, "p50": p50, "p99": p99})


def command_line(args, kind, threads, more=""):
    binary = args.before if kind == "before" else args.rondo
    return (REDIS if kind == "redis" else RONDO).format(redis=args.redis, rondo=binary, io=threads, threads=threads, more=more)


def with_before(args, setups):
    """The same for another binary of rondo, where one is named."""
    return setups + [(name.replace("rondo", "before"), "before", *more) for name, kind, *more in setups if kind == "rondo" and args.before]


STRINGS = [("GET", "0:1", 1, 25), ("SET", "1:0", 1, 25), ("GET", "0:1", 16, 25), ("SET", "1:0", 16, 25), ("GET", "0:1", 50, 10), ("SET", "1:0", 50, 10)]


def compare(args, setups, cases):
    """`setups`: name, kind, cores of the server, threads; every round starts each anew."""
    table = Table()
    for _ in range(args.rounds):
        for name, kind, cores, threads in setups:
            server_cpus, client_cpus = places(cores)
            with Server(command_line(args, kind, threads), ",".join(map(str, server_cpus))) as server:
                fill(args, server, client_cpus)
                for case, line in cases(server):
                    measure(args, table, name, server, client_cpus, case, line)
    table.show()


def string_cases(_):
    return [(f"{name} P{pipeline}", strings(pipeline, ratio, clients)) for name, ratio, pipeline, clients in STRINGS]


def part_one(args):
    compare(args, with_before(args, [("redis", "redis", 1, 1), ("rondo", "rondo", 1, 1)]), string_cases)


def part_four(args):
    compare(args, with_before(args, [("redis io4", "redis", 4, 4), ("rondo 4", "rondo", 4, 4)]), string_cases)


def part_eight(args):
    compare(args, with_before(args, [("rondo 4", "rondo", 4, 4), ("rondo 8", "rondo", 8, 8)]), string_cases)


def script_cases(server):
    shas = {}
    for name, body in (("release", RELEASE), ("limiter", LIMITER)):
        shas[name] = re.search(rb"[0-9a-f]{40}", server.connection.ask("SCRIPT", "LOAD", body)).group().decode()
    keys = "--distinct-client-seed --key-maximum 20000 --key-prefix"
    return [(f"{name} P{pipeline}", f"-c {clients} --pipeline {pipeline} {keys} {name}: {line} --command-key-pattern R")
            for pipeline, clients in ((1, 25), (16, 10))
            for name, line in (("release", f'--command "EVALSHA {shas["release"]} 1 __key__ token"'),
                               ("limiter", f'--command "EVALSHA {shas["limiter"]} 1 __key__ {int(time.time() * 1000)} __data__" --random-data -d 8'))]


def part_scripts(args):
    setups = [("redis", "redis", 4, 1), ("redis io4", "redis", 4, 4), ("rondo 4", "rondo", 4, 4)]
    compare(args, with_before(args, setups), script_cases)


class Senders:
    """Connections of one process each batch made beforehand: for what memtier_benchmark cannot send."""

    def __init__(self, port, cpus, batches, lines, connections=8):
        self.port, self.cpus, self.batches, self.lines, self.connections = port, cpus, batches, lines, connections

    def one(self, cpu, seconds, out):
        os.sched_setaffinity(0, {cpu})
        import socket
        sockets = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(self.connections)]
        [s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) for s in sockets]
        done, at, end = 0, cpu, time.monotonic() + seconds
        while time.monotonic() < end:
            for s in sockets:
                at += 1
                s.sendall(self.batches[at % len(self.batches)])
            for s in sockets:
                got = 0
                while got < self.lines:
                    got += s.recv(1 << 18).count(b"\r\n")
            done += len(sockets)
        os.write(out, f"{done} ".encode())

    def run(self, seconds):
        """Batches a second of all processes."""
        read, write = os.pipe()
        children = []
        for cpu in self.cpus:
            child = os.fork()
            if child == 0:
                try:
                    self.one(cpu, seconds, write)
                finally:
                    os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        os.close(write)
        return sum(map(int, os.read(read, 1 << 16).split())) / seconds


def part_multi(args):
    table = Table()
    for _ in range(args.rounds):
        for name, kind, threads in with_before(args, [("redis", "redis", 1), ("redis io4", "redis", 4), ("rondo 4", "rondo", 4)]):
            server_cpus, client_cpus = places(4)
            with Server(command_line(args, kind, threads), ",".join(map(str, server_cpus))) as server:
                for case, key in (("one shard", "{{t{n}}}:{i}"), ("shards", "k{n}:{i}")):
                    for pipeline in (1, 16):
                        batches = []
                        for n in range(2000):
                            one = [b"".join([encode("MULTI"), *(encode("SET", key.format(n=(n * 37 + p) % 20000, i=i), i) for i in range(4)), encode("EXEC")]) for p in range(pipeline)]
                            batches.append(b"".join(one))
                        begin, before, load = time.monotonic(), cpu_of(server.process.pid), os.times()
                        rate = Senders(server.port, client_cpus, batches, 10 * pipeline).run(args.seconds) * pipeline
                        took, after = time.monotonic() - begin, os.times()
                        spent = after.children_user + after.children_system - load.children_user - load.children_system
                        table.add(f"MULTI {case} P{pipeline}", name, {"rate": max(rate, 1), "busy": (cpu_of(server.process.pid) - before) / took, "load": spent / took, "p50": 0, "p99": 0})
    table.show()


def part_publish(args):
    import selectors
    import socket
    table = Table()
    for _ in range(args.rounds):
        for name, kind in (("redis io4", "redis"), ("rondo 4", "rondo")):
            server_cpus, client_cpus = places(4)
            with Server(command_line(args, kind, 4), ",".join(map(str, server_cpus))) as server:
                for subscribers in (1, 100):
                    ended, selector = [], selectors.DefaultSelector()
                    for _ in range(subscribers):
                        s = socket.create_connection(("127.0.0.1", server.port))
                        s.sendall(encode("SUBSCRIBE", "news"))
                        s.recv(1 << 16)
                        selector.register(s, selectors.EVENT_READ)

                    def read():
                        buffer = bytearray(1 << 20)
                        while not ended:
                            for key, _ in selector.select(0.05):
                                key.fileobj.recv_into(buffer)

                    reader = threading.Thread(target=read)
                    reader.start()
                    for pipeline, clients in ((1, 10), (16, 4)):
                        measure(args, table, name, server, client_cpus[1:] or client_cpus, f"to {subscribers} P{pipeline}", f'-c {clients} --pipeline {pipeline} --command "PUBLISH news __data__" -d 64')
                    ended.append(True)
                    reader.join()
                    for key in list(selector.get_map().values()):
                        key.fileobj.close()
    table.show()


def raw_disk(folder, size, threads, seconds=2):
    """Writes a second of `size` bytes, each durable (O_DIRECT and O_DSYNC), to a preallocated file a thread."""
    counts = [0] * threads

    def one(at):
        path = os.path.join(folder, f"raw-{at}")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT | os.O_DSYNC)
        os.posix_fallocate(fd, 0, 32 << 20)
        block, offset, end = mmap.mmap(-1, size), 0, time.monotonic() + seconds
        block.write(os.urandom(size))
        while time.monotonic() < end:
            os.pwrite(fd, block, offset)
            offset = (offset + size) % (32 << 20)
            counts[at] += 1
        os.close(fd)
        os.unlink(path)

    threads_ = [threading.Thread(target=one, args=(at,)) for at in range(threads)]
    [t.start() for t in threads_]
    [t.join() for t in threads_]
    return sum(counts) / seconds


def part_durable(args):
    folder = tempfile.mkdtemp(dir=args.dir)
    tempfile.tempdir = folder
    for threads in (1, 8):
        for size in (4096, 65536):
            rate = raw_disk(folder, size, threads)
            print(f"raw: {threads} writers of {size:6} bytes: {rate:8.0f} durable writes/s, {rate * size / 1e6:7.0f} MB/s", flush=True)
    table = Table()
    for _ in range(args.rounds):
        for name, kind, cores, threads, policy in (("redis", "redis", 1, 1, "always"), ("rondo 1", "rondo", 1, 1, "always"), ("rondo 8", "rondo", 8, 8, "always"), ("rondo 8 no log", "rondo", 8, 8, None)):
            server_cpus, client_cpus = places(cores)
            more = f"--appendonly yes --appendfsync {policy} --auto-aof-rewrite-percentage 0" if policy else ""
            with Server(command_line(args, kind, threads, more), ",".join(map(str, server_cpus))) as server:
                for pipeline, clients in ((1, 50), (16, 50)):
                    measure(args, table, name, server, client_cpus, f"SET always P{pipeline}", strings(pipeline, "1:0", clients))
    table.show()


PARTS = {"one": part_one, "four": part_four, "eight": part_eight, "scripts": part_scripts, "multi": part_multi, "publish": part_publish, "durable": part_durable}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rondo", default="target/release/rondo")
    parser.add_argument("--before", help="another binary of rondo, measured beside")
    parser.add_argument("--redis", default="redis-server")
    parser.add_argument("--memtier", default="memtier_benchmark")
    parser.add_argument("--part", action="append", choices=list(PARTS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--dir", default=".", help="of `durable`, on the disk that is meant")
    args = parser.parse_args()
    for part in args.part or PARTS:
        begin = time.monotonic()
        print(f"== {part}: servers of 1, 4 and 8 cores on CPUs {places(1)[0]}, {places(4)[0]}, {places(8)[0]}", flush=True)
        PARTS[part](args)
        print(f"   ({time.monotonic() - begin:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
