#!/usr/bin/env python3
"""What durability costs: rondo beside a redis-server, same policy; rounds of throughput in turn, the rest one after the other.

    tuning/durable.py --rondo target/release/rondo --redis redis-server [--part always|none|save|restart] [--threads 1] [--keys 5000000]

| part | question | answer to read |
|---|---|---|
| always | writes a second with `appendfsync always`, 50 clients, pipeline 1 and 16, beside Redis and beside no log at all; and what the disk gives raw | ratio, p99 |
| none | what `everysec` costs beside no persistence | ratio |
| save | p99.9 of a steady write load before, during BGSAVE, during BGREWRITEAOF, and the most memory that takes | during / before, MiB more |
| restart | seconds until an RDB file and a log of so many keys are loaded | ratio |

The load comes from memtier_benchmark; for `save` from `steady_load.py`, an open loop: so many writes a second (`--rate`) to keys that
are there, while one save follows the other, so that every write of the time is one during a save.

SERVER_CPUS and CLIENT_CPUS say which cores are whose; the core that takes the disk's interrupts is better the server's (/proc/interrupts).
Where the client is not to be the limit, `--client closed-loop` asks of `closed_loop.rs` beside this file, which takes least of its core for a
request (`cargo build --release --example closed_loop`; how much of the time it was busy is printed), redis-benchmark stands between the two.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

from servers import Connection, free_port

SERVERS = {
    "rondo": "{binary} --port {port} --threads {threads} --bind 127.0.0.1 --dir {dir} --enable-debug-command local {more}",
    "redis": "{binary} --port {port} --bind 127.0.0.1 --dir {dir} --enable-debug-command local {more}",
}
LOG = "--appendonly yes --appendfsync {policy} --save '' --auto-aof-rewrite-percentage 0"


class Running:
    """A server in a folder that may outlive it."""

    def __init__(self, args, name, more, folder=None):
        self.folder = folder or tempfile.mkdtemp(dir=args.dir)
        self.is_own = folder is None
        self.port = free_port()
        binary = os.path.abspath(getattr(args, name)) if os.path.exists(getattr(args, name)) else getattr(args, name)
        pin = f"taskset -c {os.environ['SERVER_CPUS']} " if "SERVER_CPUS" in os.environ else ""
        line = pin + SERVERS[name].format(binary=binary, port=self.port, threads=args.threads, dir=self.folder, more=more)
        self.began = time.monotonic()
        self.process = subprocess.Popen(shlex.split(line), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.connection = Connection(self.port)
        # `async_loading:0` is another line.
        while b"\r\nloading:0\r\n" not in self.connection.ask("INFO", "persistence"):
            time.sleep(0.005)
        self.loaded_s = time.monotonic() - self.began

    def info(self, section, field):
        text = self.connection.ask("INFO", section).decode(errors="replace")
        for line in text.splitlines():
            if line.startswith(field + ":"):
                return line.split(":", 1)[1]
        return ""

    def memory(self):
        """Bytes that the process and, for a fork, its child hold: each page once, whoever shares it."""
        total = 0
        pids = [self.process.pid]
        try:
            with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
                pids += [int(pid) for pid in file.read().split()]
        except OSError:
            pass
        for pid in pids:
            try:
                with open(f"/proc/{pid}/smaps_rollup") as file:
                    total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024
            except OSError:
                pass
        return total

    def stop(self, keeps=False):
        try:
            self.connection.socket.sendall(b"SHUTDOWN NOSAVE\r\n")
            self.process.wait(60)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        if self.is_own and not keeps:
            shutil.rmtree(self.folder, ignore_errors=True)


def client(line):
    pin = ["taskset", "-c", os.environ["CLIENT_CPUS"]] if "CLIENT_CPUS" in os.environ else []
    return pin + shlex.split(line)


def redis_benchmark(port, pipeline, requests):
    line = f"redis-benchmark -p {port} -c 50 -P {pipeline} -n {requests} -r 1000000 -d 100 -t set --csv"
    done = subprocess.run(client(line), capture_output=True, text=True, check=True)
    row = done.stdout.strip().splitlines()[-1].replace('"', "").split(",")
    return float(row[1]), float(row[6]), 0.0


def closed_loop(args, port, pipeline):
    line = f"{args.closed_loop} --port {port} --pipeline {pipeline} --seconds {args.seconds} --busy-poll"
    figures = json.loads(subprocess.run(client(line), capture_output=True, text=True, check=True).stdout)
    return figures["operations"], figures["p99"], figures["busy"]


def memtier(port, pipeline, seconds=None, requests=None, clients=50, size=100, keys=1_000_000, rate=0, background=False, pattern="R:R"):
    out = tempfile.mktemp(suffix=".json")
    line = (f"memtier_benchmark -s 127.0.0.1 -p {port} --hide-histogram -t 1 -c {clients} --pipeline {pipeline} --ratio 1:0 "
            f"-d {size} --key-minimum 1 --key-maximum {keys} --key-pattern {pattern} --print-percentiles 50,99,99.9 --json-out-file {out}")
    line += f" --test-time {seconds}" if seconds else f" -n {requests}"
    line += f" --rate-limiting {max(1, rate // clients)}" if rate else ""
    process = subprocess.Popen(client(line), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if background:
        return process, out
    return finish(process, out)


def finish(process, out):
    process.wait()
    with open(out) as file:
        sets = json.load(file)["ALL STATS"]["Sets"]
    os.unlink(out)
    percentiles = sets["Percentile Latencies"]
    return sets["Ops/sec"], percentiles["p99.00"], percentiles["p99.90"]


def in_turn(args, cases, pipeline):
    """Rounds in turn, so that a machine whose pace changes changes it for all; `cases` are names, servers' names and options.

    Of each case the medians of operations a second, of p99 in milliseconds and of the client's busy part of the time (0 where it does not say), and
    the median over rounds of how many times the first case's operations.
    """
    servers = {case: Running(args, name, more) for case, name, more in cases}
    requests = {}
    for case, server in servers.items():
        memtier(server.port, 16, seconds=args.warm)
        if args.client == "redis-benchmark":
            requests[case] = int(memtier(server.port, pipeline, seconds=2)[0] * args.seconds)
    results = {case: [] for case in servers}
    for _ in range(args.rounds):
        for case, server in servers.items():
            if args.client == "redis-benchmark":
                result = redis_benchmark(server.port, pipeline, requests[case])
            elif args.client == "closed-loop":
                result = closed_loop(args, server.port, pipeline)
            else:
                result = memtier(server.port, pipeline, seconds=args.seconds)[:2] + (0.0,)
            results[case].append(result)
    for server in servers.values():
        server.stop()
    first = results[cases[0][0]]
    median = lambda values: sorted(values)[len(values) // 2]
    return {
        case: (
            median([ops for ops, _, _ in rounds]),
            median([p99 for _, p99, _ in rounds]),
            median([busy for _, _, busy in rounds]),
            median([of[0] / base[0] for of, base in zip(rounds, first)]),
        )
        for case, rounds in results.items()
    }


def always(args):
    print("raw: dd, 4 KiB blocks, each durable before the next:", flush=True)
    target = os.path.join(args.dir, "raw")
    subprocess.run(["dd", "if=/dev/zero", f"of={target}", "bs=4k", "count=2000", "oflag=direct,dsync"])
    os.unlink(target)
    log = LOG.format(policy="always")
    # What rondo does without a log is what it could do at most with one.
    cases = [("redis", "redis", log), ("rondo", "rondo", log), ("rondo without a log", "rondo", "--save ''")]
    for pipeline in (1, 16):
        for case, (ops, p99, busy, ratio) in in_turn(args, cases, pipeline).items():
            of_client = f", client busy {busy:.0%}" if busy else ""
            print(f"always pipeline {pipeline:2} {case}: {ops:10.0f} SET/s, p99 {p99:.2f} ms, {ratio:.2f}x{of_client}", flush=True)


def none(args):
    cases = [("none", "rondo", "--save ''"), ("everysec", "rondo", LOG.format(policy="everysec"))]
    for pipeline in (1, 16):
        for case, (ops, p99, _, ratio) in in_turn(args, cases, pipeline).items():
            print(f"rondo {case:8} pipeline {pipeline:2}: {ops:10.0f} SET/s, p99 {p99:.2f} ms, {ratio:.3f} of none", flush=True)


def steady(args, server, seconds):
    """Writes to keys that are there, begun; `ended` reads what came of them."""
    tool = os.path.join(os.path.dirname(os.path.abspath(__file__)), "steady_load.py")
    line = [sys.executable, tool, "--port", server.port, "--rate", args.rate, "--seconds", seconds, "--keys", args.keys]
    return subprocess.Popen([str(word) for word in line], stdout=subprocess.PIPE, text=True)


def ended(load):
    return json.loads(load.communicate()[0])


def medians(slices):
    """Of each figure its median over slices: what a noisy neighbour does to one of them is not told."""
    return {name: sorted(figures[name] for figures in slices)[len(slices) // 2] for name in ("p50", "p99", "p99.9", "most")}


def told(figures):
    return ", ".join(f"{name} {value:.2f}" for name, value in figures.items()) + " ms"


def again_and_again(server, command, field, load, look):
    """Saves one after the other for as long as the load lasts; how many there were."""
    count = 0
    while load.poll() is None:
        if server.info("persistence", field) == "0":
            server.connection.ask(command)
            count += 1
        look()
        time.sleep(0.05)
    while server.info("persistence", field) == "1":
        time.sleep(0.05)
    return count


SAVES = (("BGSAVE", "rdb_bgsave_in_progress"), ("BGREWRITEAOF", "aof_rewrite_in_progress"))


def calm_down(folder, bytes_a_second=8 << 20, most_s=60):
    """Waits until no file is removed any more: what saves leave to be done is not of before."""
    free = lambda: (lambda of: of.f_bavail * of.f_frsize)(os.statvfs(folder))
    last = free()
    for _ in range(most_s):
        time.sleep(1)
        now = free()
        if abs(now - last) < bytes_a_second:
            return
        last = now


def save(args):
    seconds = args.during / args.slices
    for name in args.servers.split(","):
        server = Running(args, name, LOG.format(policy=args.policy))
        # The keys that the load writes to, values as long as its own: nothing grows but by what a save needs.
        server.connection.ask("DEBUG", "POPULATE", args.keys, "key", 100)
        # The first fill of what grows once: tables, buffers, the log's segments.
        ended(steady(args, server, 5))
        data = server.memory()
        slices, counts = {kind: [] for kind in ("before", "BGSAVE", "BGREWRITEAOF")}, {}
        # In turn: a machine whose pace changes changes it for all three.
        for _ in range(args.slices):
            calm_down(args.dir)
            slices["before"].append(ended(steady(args, server, seconds)))
            for command, field in SAVES:
                load = steady(args, server, seconds)
                time.sleep(0.2)
                counts[command] = counts.get(command, 0) + again_and_again(server, command, field, load, lambda: None)
                slices[command].append(ended(load))
        before = medians(slices["before"])
        print(f"{name}: {args.keys} keys, {data >> 20} MiB, {args.rate} SET/s, {args.slices} slices of {seconds:g} s in turn; before: {told(before)}", flush=True)
        for command, field in SAVES:
            during = medians(slices[command])
            ratios = sorted(of["p99.9"] / base["p99.9"] for of, base in zip(slices[command], slices["before"]))
            text = f"p99.9 {during['p99.9'] / before['p99.9']:.2f}x of before, slice by slice {', '.join(f'{ratio:.2f}' for ratio in ratios)}"
            print(f"{name} {command}: {counts[command]} in {args.during} s; {told(during)}, {text}", flush=True)
            # Another time for memory: looking at it stops the process for some milliseconds.
            time.sleep(2)
            memory, most = server.memory(), [0]
            load = steady(args, server, args.during)
            time.sleep(0.2)
            again_and_again(server, command, field, load, lambda: most.append(server.memory()))
            ended(load)
            extra = max(most) - memory
            print(f"{name} {command}: {extra / 1048576:.1f} MiB more, {extra / data:.1%} of the data", flush=True)
        server.stop()


def restart(args):
    for what, more in (("rdb", "--save '3600 1000000000'"), ("log", LOG.format(policy="no"))):
        seconds = {}
        for name in ("redis", "rondo"):
            server = Running(args, name, more)
            if what == "rdb":
                server.connection.ask("DEBUG", "POPULATE", args.keys, "memtier-", 100)
                server.connection.ask("SAVE")
            else:
                # Every key written by a command of its own: what a log that was never rewritten holds.
                memtier(server.port, 100, requests=args.keys // 50, keys=args.keys, pattern="P:P")
                time.sleep(2)
            # NOSAVE leaves the files as they are.
            server.stop(keeps=True)
            times = []
            for _ in range(3):
                again = Running(args, name, more, folder=server.folder)
                times.append(again.loaded_s)
                keys = again.info("keyspace", "db0")
                again.stop()
            shutil.rmtree(server.folder, ignore_errors=True)
            seconds[name] = sorted(times)[1]
            print(f"{what} {name}: {seconds[name]:.2f} s ({keys})", flush=True)
        print(f"{what}: {seconds['redis'] / seconds['rondo']:.2f}x as fast with {args.threads} threads", flush=True)


PARTS = {"always": always, "none": none, "save": save, "restart": restart}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rondo", default="target/release/rondo")
    parser.add_argument("--redis", default="redis-server")
    parser.add_argument("--part", choices=sorted(PARTS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keys", type=int, default=5_000_000)
    parser.add_argument("--client", choices=("memtier", "redis-benchmark", "closed-loop"), default="memtier", help="of `always` and `none`")
    parser.add_argument("--closed-loop", default="target/release/examples/closed_loop", help="the client of that name")
    parser.add_argument("--seconds", type=int, default=3, help="of a round of `always` and `none`")
    parser.add_argument("--warm", type=int, default=2, help="of `always` and `none`, seconds of load before the rounds: tables have grown, and are on the pages they stay on")
    parser.add_argument("--rounds", type=int, default=7, help="of `always` and `none`")
    parser.add_argument("--rate", type=int, default=20_000, help="of `save`, writes a second")
    parser.add_argument("--during", type=int, default=20, help="of `save`, seconds of load and of saves one after the other")
    parser.add_argument("--slices", type=int, default=4, help="of `save`, so many pieces of that time, in turn with what is before")
    parser.add_argument("--policy", default="everysec", help="of `save`, appendfsync")
    parser.add_argument("--servers", default="redis,rondo", help="of `save`")
    parser.add_argument("--dir", default=".", help="on the disk that is meant")
    args = parser.parse_args()
    args.dir = os.path.abspath(args.dir)
    if not shutil.which("memtier_benchmark"):
        sys.exit("there is no memtier_benchmark on the PATH")
    for name, part in PARTS.items():
        if args.part in (None, name):
            part(args)


main()
