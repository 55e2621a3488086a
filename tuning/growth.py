#!/usr/bin/env python3
"""The slowest request while a table grows: SETs of new keys from empty to N, in small pipelines, each one timed.

usage: growth.py [--keys N] [--pipeline P] [--server-cpu C] [--client-cpu C] --server NAME='command with {port} and {dir}' ...
Prints per server the slowest round trip of a pipeline and how many took longer than 1, 2, 5 and 10 ms, and at which key
counts the slowest came (a rehash comes near powers of two). A control run of the same length that overwrites the last
100,000 keys instead shows what the machine itself does to a round trip: what growth costs is the difference.
"""
import argparse
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def connect(port):
    for _ in range(200):
        try:
            s = socket.create_connection(("127.0.0.1", port))
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return s
        except OSError:
            time.sleep(0.05)
    sys.exit("the server does not answer")


def run(s, numbers, pipeline):
    slow, over, value = [], dict.fromkeys((1, 2, 5, 10), 0), b"$32\r\n" + b"v" * 32 + b"\r\n"
    clock = time.perf_counter
    for start in range(0, len(numbers), pipeline):
        batch = b"".join([b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n" % i + value for i in numbers[start:start + pipeline]])
        left = 5 * min(pipeline, len(numbers) - start)
        before = clock()
        s.sendall(batch)
        while left > 0:
            left -= len(s.recv(65536))
        ms = (clock() - before) * 1e3
        if ms > 1:
            slow.append((ms, start))
            for limit in over:
                over[limit] += ms > limit
    slow.sort(reverse=True)
    return slow[:5], over


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--server", action="append", required=True)
    ap.add_argument("--keys", type=int, default=20_000_000)
    ap.add_argument("--pipeline", type=int, default=50)
    ap.add_argument("--server-cpu", default="0")
    ap.add_argument("--client-cpu", default="1")
    a = ap.parse_args()
    os.sched_setaffinity(0, {int(a.client_cpu)})
    for name, command in (server.split("=", 1) for server in a.server):
        port, folder = free_port(), tempfile.mkdtemp()
        argv = ["taskset", "-c", a.server_cpu] + shlex.split(command.format(port=port, dir=folder))
        p = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            s = connect(port)
            for what, numbers in (("growth", range(a.keys)),
                                  ("control", [a.keys - 1 - i % 100_000 for i in range(a.keys)])):
                slow, over = run(s, numbers, a.pipeline)
                worst = "  ".join(f"{ms:.1f} ms at {at / 1e6:.2f}M" for ms, at in slow)
                counts = " ".join(f">{limit}ms:{count}" for limit, count in over.items())
                print(f"{name:10} {what:8} {counts}   slowest: {worst}", flush=True)
        finally:
            p.kill()
            p.wait()


main()
